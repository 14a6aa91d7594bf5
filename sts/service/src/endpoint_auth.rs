//! Authenticates callers of our own endpoints: a registered API with its secret, or the holder of a
//! token of ours.

use sts_jose::{constant_time_eq, sha256};
use sts_token::{OwnToken, OwnTokenError};
use sts_types::{ApiName, Digest256, rfc};

use crate::reason::{Reason, RefusedError};
use crate::{Service, Snapshot};

/// The digest of an API's introspection secret. The secret itself is not kept. A high-entropy
/// secret needs no slow hash.
#[derive(Clone)]
pub struct ApiSecret(Digest256);

impl ApiSecret {
    /// Keeps the digest of `secret`.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(sha256(secret))
    }

    fn is(&self, secret: &[u8]) -> bool {
        constant_time_eq(&self.0.0, &sha256(secret).0)
    }
}

/// Who signed a presented token, live or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of our keys.
    Ours,
    /// Somebody else, or nobody.
    Foreign,
}

impl Service {
    /// The API of that name and secret. The work is the same whether the name, the secret or both
    /// are wrong.
    #[must_use]
    pub fn authenticate_api(&self, snapshot: &Snapshot, name: &str, secret: &str) -> Option<ApiName> {
        let nobody = ApiSecret(Digest256([0; 32]));
        let registered = snapshot.secrets.get_key_value(name);
        let right = registered.map_or(&nobody, |(_, own)| own).is(secret.as_bytes());
        registered.filter(|_| right).map(|(name, _)| name.clone())
    }

    /// The holder of a live token of ours for our own API with one of `scopes`.
    ///
    /// # Errors
    /// `invalid_token`, `insufficient_scope`, or `store_unavailable` if the ledger does not answer.
    pub async fn authenticate_bearer(
        &self,
        snapshot: &Snapshot,
        token: &str,
        scopes: &[&str],
    ) -> Result<OwnToken, RefusedError> {
        let own = self.own_token(snapshot, token).ok_or(Reason::InvalidToken)?;
        let for_us = own.audience.as_str() == snapshot.issuer.as_str();
        // Anybody can send a token, so its signature is verified before the store is asked.
        let record = if for_us { self.supported_record(snapshot, &own.jti).await? } else { None };
        if record.is_none_or(|record| !own.is_recorded_by(&record)) {
            return Err(Reason::InvalidToken.into());
        }
        if scopes.iter().any(|scope| own.scope.contains(scope))
            || own.scope.contains(rfc::SCOPE_ADMIN) && scopes.contains(&rfc::SCOPE_READ)
        {
            Ok(own)
        } else {
            Err(Reason::InsufficientScope.into())
        }
    }

    /// Who signed the token.
    #[must_use]
    pub fn origin(&self, snapshot: &Snapshot, token: &str) -> Origin {
        match self.verify_own(snapshot, token) {
            Ok(_) | Err(OwnTokenError::Expired) => Origin::Ours,
            Err(OwnTokenError::Foreign) => Origin::Foreign,
        }
    }

    pub(crate) fn own_token(&self, snapshot: &Snapshot, token: &str) -> Option<OwnToken> {
        self.verify_own(snapshot, token).ok()
    }

    pub(crate) fn verify_own(&self, snapshot: &Snapshot, token: &str) -> Result<OwnToken, OwnTokenError> {
        OwnToken::verify(token, &*self.keyring, &snapshot.issuer, self.clock.now())
    }
}
