//! Withdraws a signing key: its tokens end, and it signs nothing more.

use std::sync::Arc;

use sts_keyring::{Keyring, KeyringError, Rotation, WithdrawError, Withdrawal};
use sts_store::LedgerError;
use sts_types::Kid;

use super::{CoveredTokens, RevocationError, RevocationRequest, TokenAdmin};
use crate::Snapshot;

/// A signing key that was withdrawn, or would be.
#[derive(Debug)]
pub struct KeyWithdrawal {
    /// The kids of the keys that were made in its place.
    pub made: Vec<Kid>,
    /// How many tokens it ends, or would end.
    pub coverage: CoveredTokens,
    /// Why no rule revokes its tokens. They end all the same, at each server as soon as it has read
    /// the keys again.
    pub not_recorded: Option<LedgerError>,
    /// Why an algorithm is without a key now. Nothing is signed with it until one could be made.
    pub not_replaced: Option<KeyringError>,
    /// Why the key may still be on its device. No server uses it.
    pub not_destroyed: Option<KeyringError>,
}

/// Why a signing key is not withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawalError {
    /// No such key.
    #[error("none of our signing keys has this kid")]
    UnknownKey,
    /// A reason that cannot be recorded.
    #[error("{0}")]
    Revocation(RevocationError),
    /// The key is still in use, or may be.
    #[error("{error}, and {}", if *is_recorded {
        "only the tokens that it signed until now are ended"
    } else {
        "none of its tokens is ended"
    })]
    Keyring {
        /// The keyring's error.
        error: WithdrawError,
        /// Whether a rule revokes the tokens of the key.
        is_recorded: bool,
    },
}

impl TokenAdmin {
    /// Makes successors for our signing keys where none wait.
    pub(crate) async fn rotate_keys(&self) -> Result<Rotation, KeyringError> {
        let now = self.clock.now();
        self.change_keys(move |keyring| keyring.rotate(now)).await?
    }

    /// Makes or destroys keys where no request waits for it: on a disk or a device.
    async fn change_keys<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Keyring) -> T + Send + 'static,
    ) -> Result<T, KeyringError> {
        let keyring = Arc::clone(&self.keyring);
        match tokio::task::spawn_blocking(move || change(&keyring)).await {
            Ok(changed) => Ok(changed),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(KeyringError::Interrupted),
            },
        }
    }

    /// Withdraws the key of that kid for `by`, or counts what that would end.
    ///
    /// A rule ends its recorded tokens at every server at once. A token that is recorded later ends
    /// because its key is not published any more. A store that does not answer is no reason to go on
    /// signing with the key.
    pub(crate) async fn withdraw_key(
        &self,
        snapshot: &Snapshot,
        kid: &Kid,
        reason: Option<String>,
        by: &str,
        dry_run: bool,
    ) -> Result<KeyWithdrawal, WithdrawalError> {
        if !self.keyring.keys().iter().any(|key| key.kid() == kid) {
            return Err(WithdrawalError::UnknownKey);
        }
        let rule = RevocationRequest {
            kid: Some(kid.to_string()),
            reason: Some(reason.unwrap_or_else(|| "the signing key is withdrawn".to_owned())),
            force: true,
            dry_run,
            ..RevocationRequest::default()
        };
        let (coverage, not_recorded) = match self.revoke(snapshot, rule, by).await {
            Ok(revoked) => (revoked.coverage, None),
            Err(RevocationError::Unavailable(error)) => (CoveredTokens { covered: None, at_least: false }, Some(error)),
            Err(error) => return Err(WithdrawalError::Revocation(error)),
        };
        if dry_run {
            let (not_replaced, not_destroyed) = (None, None);
            return Ok(KeyWithdrawal { made: Vec::new(), coverage, not_recorded, not_replaced, not_destroyed });
        }
        let (kid, now) = (kid.clone(), self.clock.now());
        let withdrawn = self.change_keys(move |keyring| keyring.withdraw(&kid, now)).await;
        match withdrawn.unwrap_or_else(|interrupted| Err(WithdrawError::Unknown(interrupted))) {
            Ok(Some(Withdrawal { made, not_replaced, not_destroyed })) => {
                Ok(KeyWithdrawal { made, coverage, not_recorded, not_replaced, not_destroyed })
            }
            Ok(None) => Err(WithdrawalError::UnknownKey),
            Err(error) => Err(WithdrawalError::Keyring { error, is_recorded: not_recorded.is_none() }),
        }
    }
}
