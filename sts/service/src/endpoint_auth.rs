//! Authenticates callers of our own endpoints: a registered API with its secret, or the holder of a
//! token of ours.

use sts_jose::DpopExpectation;
use sts_keyring::Keyring;
use sts_store::EarlierUse;
use sts_token::{OwnToken, OwnTokenError};
use sts_types::{ApiName, Clock, ReplayClaim, RequestId, TokenRecord, UnixTime, rfc};

use crate::Snapshot;
use crate::api_secret::ApiSecret;
use crate::grant::dpop;
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

/// An access token, as it came in the `Authorization` header.
#[derive(Clone, Copy, Debug)]
pub struct PresentedAccessToken<'a> {
    /// The token.
    pub token: &'a str,
    /// The scheme, with what it needs.
    pub scheme: AuthorizationScheme<'a>,
}

/// How an access token is presented.
#[derive(Clone, Copy, Debug)]
pub enum AuthorizationScheme<'a> {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 section 7.
    Dpop {
        /// The values of the header `DPoP`.
        proofs: &'a [&'a str],
        /// The request's method.
        method: &'a str,
        /// The URL of the endpoint.
        uri: &'a str,
    },
}

impl PresentedAccessToken<'_> {
    /// Checks that the token comes as its record demands: one that is bound to a key with a proof by
    /// that key, any other without. Returns the claim on the one use of the proof.
    fn check_possession(&self, record: &TokenRecord, now: UnixTime) -> Result<Option<ReplayClaim>, RefusedError> {
        match (self.scheme, &record.confirmation) {
            (AuthorizationScheme::Bearer, None) => Ok(None),
            (AuthorizationScheme::Bearer, Some(_)) => Err(RefusedError::because(
                Reason::InvalidToken,
                "the token is bound to a key: send it as `Authorization: DPoP`, with a DPoP proof",
            )),
            (AuthorizationScheme::Dpop { .. }, None) => Err(RefusedError::because(
                Reason::InvalidToken,
                "the token is bound to no key: send it as `Authorization: Bearer`",
            )),
            (AuthorizationScheme::Dpop { proofs, method, uri }, Some(key)) => {
                let expected = DpopExpectation { method, uri, access_token: Some(self.token), now };
                let proof = dpop::verify(proofs, &expected)?.ok_or(dpop::MISSING)?;
                if proof.thumbprint() != key {
                    return Err(dpop::OTHER_KEY);
                }
                Ok(Some(ReplayClaim { key: proof.replay_key(), until: proof.replay_until() }))
            }
        }
    }
}

impl Introspector {
    /// The holder of a live token of ours for our own API with one of `scopes`. The proof of a bound
    /// token is used up by the request `by`.
    ///
    /// # Errors
    /// `invalid_token`, `proof_invalid`, `insufficient_scope`, or `store_unavailable` if the ledger
    /// does not answer.
    pub(crate) async fn authenticate_token(
        &self,
        snapshot: &Snapshot,
        presented: PresentedAccessToken<'_>,
        scopes: &[&str],
        by: &RequestId,
    ) -> Result<OwnToken, RefusedError> {
        let own = self.verify_own(snapshot, presented.token).map_err(|_| Reason::InvalidToken)?;
        let for_us = own.audience().as_str() == snapshot.issuer.as_str();
        // Anybody can send a token, so its signature is verified before the store is asked.
        let record = if for_us { self.supported_record(snapshot, own.jti(), own.parent()).await? } else { None };
        let record = record.filter(|record| own.is_recorded_by(record)).ok_or(Reason::InvalidToken)?;
        let proof_use = presented.check_possession(&record, self.clock.now())?;
        let is_allowed = scopes.iter().any(|scope| own.scope().contains(scope))
            || own.scope().contains(rfc::SCOPE_ADMIN) && scopes.contains(&rfc::SCOPE_READ);
        if !is_allowed {
            return Err(Reason::InsufficientScope.into());
        }
        if let Some(claim) = proof_use {
            self.use_up(claim, by).await?;
        }
        Ok(own)
    }

    /// Uses up a proof of possession, on all replicas.
    async fn use_up(&self, claim: ReplayClaim, by: &RequestId) -> Result<(), RefusedError> {
        let by = EarlierUse { at_millis: self.clock.now_millis(), request_id: by.clone() };
        match self.ledger.take_claim(claim, by).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(dpop::REPLAYED),
            Err(error) => Err(RefusedError::store_away(&error, "whether the DPoP proof was used before is not known")),
        }
    }

    /// Who signed the token.
    pub(crate) fn origin(&self, snapshot: &Snapshot, token: &str) -> Origin {
        match self.verify_own(snapshot, token) {
            Ok(_) | Err(OwnTokenError::Expired) => Origin::Ours,
            Err(_) => Origin::Foreign,
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
