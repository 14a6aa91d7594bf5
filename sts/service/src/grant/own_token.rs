//! Verifies a token of ours that proves who its holder is.

use sts_token::{OwnToken, OwnTokenError, VerifiedParent};
use sts_types::TokenRecord;

use super::ProofContext;
use super::proof_refusal::ProofRefusal;
use crate::phase::Phase;
use crate::reason::{Reason, RefusedError};
use crate::standing::Standing;

/// The message when the store does not answer.
const NOT_LOOKED_UP: &str = "the store does not answer right now; the token was not looked up, and nothing was minted";

/// A token of ours, as a grant presents it.
pub(super) struct OwnTokenText<'a>(pub(super) &'a str);

impl OwnTokenText<'_> {
    /// Verifies the token, and looks up its record and those of the tokens that it depends on.
    ///
    /// # Errors
    /// The reason of the first check that fails. A token that is ours and not in force is
    /// `not_authorized`: only its owner learns why.
    pub(super) async fn prove(&self, context: &mut ProofContext<'_>) -> Result<VerifiedParent, RefusedError> {
        let (snapshot, clock) = (context.snapshot, context.clock);
        context.record.progress.enter(Phase::Verify, clock);
        let own = OwnToken::verify(self.0, context.introspector.keyring.as_ref(), &snapshot.issuer, clock.now())
            .map_err(refused)?;
        // Its cost tells nothing: an answer that withholds the cause waits for its quantum from here.
        context.record.enter(Phase::Decide, clock);
        let standing = context.introspector.standing(snapshot, own.jti(), own.parent()).await;
        context.record.progress.enter(Phase::Verify, clock);
        let standing = standing.map_err(|error| RefusedError::store_away(&error, NOT_LOOKED_UP))?;
        let refusal = match standing {
            Standing::InForce { record, ancestors } => {
                let key = record.proof.api_key().and_then(|key| snapshot.api_keys.find(&key.id));
                let scopes = key.and_then(|key| key.scopes.as_ref()).map(|scopes| scopes.iter().cloned().collect());
                let is_in_force = |record: &TokenRecord| context.introspector.supports(snapshot, record, clock.now());
                match VerifiedParent::new(&own, *record, ancestors, scopes, is_in_force) {
                    Some(parent) => return Ok(parent),
                    None => ProofRefusal::Unknown(own.jti().clone()),
                }
            }
            Standing::Unknown(jti) => ProofRefusal::Unknown(jti),
            Standing::Revoked { jti, revocation } => ProofRefusal::Revoked { jti, revocation },
            Standing::Unsupported(record) => ProofRefusal::Unsupported(record),
        };
        context.record.proof_refusal = Some(refusal);
        Err(Reason::NotAuthorized.into())
    }
}

/// What the caller is told of a token that is not ours, or not live.
fn refused(error: OwnTokenError) -> RefusedError {
    match error {
        OwnTokenError::Malformed(rule) => RefusedError::because(Reason::TokenMalformed, rule),
        OwnTokenError::Algorithm => Reason::TokenAlgorithm.into(),
        OwnTokenError::Type => RefusedError::because(
            Reason::TokenTypeRefused,
            "the token is no access token of ours: send an ID token as urn:ietf:params:oauth:token-type:id_token",
        ),
        OwnTokenError::Issuer => RefusedError::because(
            Reason::IssuerUnknown,
            "the access token is not one of ours: only an ID token of another issuer is exchanged",
        ),
        OwnTokenError::Key => RefusedError::because(Reason::KeyUnknown, "we publish no key with the token's kid"),
        OwnTokenError::Signature => {
            RefusedError::because(Reason::SignatureInvalid, "the token's signature is not ours")
        }
        OwnTokenError::Expired => RefusedError::because(Reason::TokenExpired, "the access token has expired"),
    }
}
