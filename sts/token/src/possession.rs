//! Binds a token to the key that its caller has proven to hold (RFC 9449).

use sts_jose::DpopProof;
use sts_types::{KeyThumbprint, ReplayClaim};

use crate::{Authorized, CallerProof};

/// Why a token is not bound as it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PossessionError {
    /// The account requires a proof, and the request has none.
    #[error("the tokens of this service account are bound to a key: send a DPoP proof")]
    Required,
    /// A presented token of ours is bound to a key, and the request has no proof.
    #[error("the presented token is bound to a key: send a DPoP proof by that key")]
    Bound,
    /// The proof is by another key than the one that a presented token is bound to.
    #[error("the DPoP proof is by another key than the presented token is bound to")]
    OtherKey,
}

impl CallerProof {
    /// Checks the `proof` of a request against the key that this is bound to, if it is. Whoever does not
    /// hold that key must learn nothing of what the rules say of it.
    ///
    /// # Errors
    /// See [`PossessionError`].
    pub fn check_possession(&self, proof: Option<&DpopProof>) -> Result<(), PossessionError> {
        match (self.confirmation(), proof) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(PossessionError::Bound),
            (Some(key), Some(proof)) if key != proof.thumbprint() => Err(PossessionError::OtherKey),
            (Some(_), Some(_)) => Ok(()),
        }
    }

    /// The key that it is bound to.
    fn confirmation(&self) -> Option<&KeyThumbprint> {
        match self {
            Self::Own(parent) => parent.confirmation(),
            Self::Federated(_) | Self::ApiKey(_) => None,
        }
    }
}

impl Authorized {
    /// Binds the token to the key of `proof`. Without a proof it is a bearer token, if it may be one.
    ///
    /// # Errors
    /// See [`PossessionError`].
    pub fn bound_to(self, proof: Option<DpopProof>) -> Result<Self, PossessionError> {
        match &proof {
            None if self.bindings().next().is_some() => return Err(PossessionError::Bound),
            None if self.grant.requires_proof => return Err(PossessionError::Required),
            Some(proof) if self.bindings().any(|key| key != proof.thumbprint()) => {
                return Err(PossessionError::OtherKey);
            }
            None | Some(_) => {}
        }
        Ok(Self { possession: proof.map(Box::new), ..self })
    }

    /// The keys that the presented tokens of ours are bound to.
    fn bindings(&self) -> impl Iterator<Item = &KeyThumbprint> {
        let parent = self.proof.confirmation();
        let delegate = self.delegate.as_ref().and_then(|delegate| delegate.confirmation.as_ref());
        parent.into_iter().chain(delegate)
    }

    /// The claim on the one use of the proof.
    #[must_use]
    pub fn possession_claim(&self) -> Option<ReplayClaim> {
        self.possession.as_ref().map(|proof| ReplayClaim { key: proof.replay_key(), until: proof.replay_until() })
    }
}
