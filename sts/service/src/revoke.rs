//! Revocation by the holder of a token (RFC 7009).

use std::sync::Arc;

use sts_keyring::Keyring;
use sts_store::{Entry, Ledger, Revocation, RevocationScope};
use sts_token::OwnTokenError;
use sts_types::{Clock, Jti};

use crate::Snapshot;
use crate::endpoint_auth::{Origin, verify_own};
use crate::reason::RefusedError;
use crate::status::PublishedLists;

/// The author of a revocation by a token's holder.
const TOKEN_HOLDER: &str = "token holder";

/// What came of a presented token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedRevocation {
    /// Whether it is ours.
    pub origin: Origin,
    /// The token, if it was revoked.
    pub revoked: Option<Jti>,
}

impl PresentedRevocation {
    /// A token of ours that is no longer, or not, in the store.
    const NOT_LIVE: Self = Self { origin: Origin::Ours, revoked: None };
}

/// Revokes tokens for those who present them.
pub(crate) struct Revoker {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) published: Arc<PublishedLists>,
}

impl Revoker {
    /// Revokes `token`. Presenting the whole token is the authority to revoke that one token. Its
    /// signature is verified before anything is read or written. A token that is not ours, expired
    /// or unknown needs no write. A revoked token is revoked again, because the store may not have
    /// confirmed the first revocation.
    ///
    /// # Errors
    /// `store_unavailable` if the revocation is not durable.
    pub(crate) async fn revoke_presented(
        &self,
        snapshot: &Snapshot,
        token: &str,
    ) -> Result<PresentedRevocation, RefusedError> {
        let own = match verify_own(&self.keyring, &*self.clock, snapshot, token) {
            Ok(own) => own,
            Err(OwnTokenError::Expired) => return Ok(PresentedRevocation::NOT_LIVE),
            Err(_) => return Ok(PresentedRevocation { origin: Origin::Foreign, revoked: None }),
        };
        let failed =
            |error| RefusedError::store_away(&error, "the store does not answer right now; the token was not revoked");
        let Some(Entry { record, .. }) = self.ledger.look_up(own.jti().clone()).await.map_err(failed)? else {
            return Ok(PresentedRevocation::NOT_LIVE);
        };
        if !own.is_recorded_by(&record) {
            return Ok(PresentedRevocation::NOT_LIVE);
        }
        let now = self.clock.now();
        let revocation = Revocation {
            id: None,
            scope: RevocationScope::Token(own.jti().clone()),
            before: None,
            before_millis: 0,
            order: None,
            shard_orders: Arc::default(),
            at: now,
            by: TOKEN_HOLDER.to_owned(),
            reason: None,
            until: record.exp,
        };
        self.ledger.revoke(revocation).await.map_err(failed)?;
        self.published.revoked(&record);
        Ok(PresentedRevocation { origin: Origin::Ours, revoked: Some(own.jti().clone()) })
    }
}
