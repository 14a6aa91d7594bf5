//! Authenticates callers of our own endpoints: a registered API with its secret, or the holder of a
//! token of ours.

use sts_keyring::Keyring;
use sts_token::{OwnToken, OwnTokenError};
use sts_types::{ApiName, Clock, rfc};

use crate::Snapshot;
use crate::api_secret::ApiSecret;
use crate::introspect::Introspector;
use crate::reason::{Reason, RefusedError};

/// Who signed a presented token, live or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of our keys.
    Ours,
    /// Somebody else, or nobody.
    Foreign,
}

/// The API of that name and secret. The work is the same whether the name, the secret or both are
/// wrong.
pub(crate) fn authenticate_api(snapshot: &Snapshot, name: &str, secret: &str) -> Option<ApiName> {
    let nobody = ApiSecret::of_nobody();
    let registered = snapshot.secrets.get_key_value(name);
    let right = registered.map_or(&nobody, |(_, own)| own).is(secret.as_bytes());
    registered.filter(|_| right).map(|(name, _)| name.clone())
}

impl Introspector {
    /// The holder of a live token of ours for our own API with one of `scopes`.
    ///
    /// # Errors
    /// `invalid_token`, `insufficient_scope`, or `store_unavailable` if the ledger does not answer.
    pub(crate) async fn authenticate_bearer(
        &self,
        snapshot: &Snapshot,
        token: &str,
        scopes: &[&str],
    ) -> Result<OwnToken, RefusedError> {
        let own = self.verify_own(snapshot, token).map_err(|_| Reason::InvalidToken)?;
        let for_us = own.audience().as_str() == snapshot.issuer.as_str();
        // Anybody can send a token, so its signature is verified before the store is asked.
        let record = if for_us { self.supported_record(snapshot, own.jti()).await? } else { None };
        if record.is_none_or(|record| !own.is_recorded_by(&record)) {
            return Err(Reason::InvalidToken.into());
        }
        if scopes.iter().any(|scope| own.scope().contains(scope))
            || own.scope().contains(rfc::SCOPE_ADMIN) && scopes.contains(&rfc::SCOPE_READ)
        {
            Ok(own)
        } else {
            Err(Reason::InsufficientScope.into())
        }
    }

    /// Who signed the token.
    pub(crate) fn origin(&self, snapshot: &Snapshot, token: &str) -> Origin {
        match self.verify_own(snapshot, token) {
            Ok(_) | Err(OwnTokenError::Expired) => Origin::Ours,
            Err(OwnTokenError::Foreign) => Origin::Foreign,
        }
    }

    fn verify_own(&self, snapshot: &Snapshot, token: &str) -> Result<OwnToken, OwnTokenError> {
        verify_own(&self.keyring, &*self.clock, snapshot, token)
    }
}

/// Verifies a token of ours by its signature and times.
pub(crate) fn verify_own(
    keyring: &Keyring,
    clock: &dyn Clock,
    snapshot: &Snapshot,
    token: &str,
) -> Result<OwnToken, OwnTokenError> {
    OwnToken::verify(token, keyring, &snapshot.issuer, clock.now())
}
