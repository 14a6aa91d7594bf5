//! Turns a proof into a grant. A policy decision becomes mintable only here.

use sts_policy::{Facts, Grant, Outcome, Refusal, Requested, RuleSet};
use sts_types::{ApiKeyId, TokenRecord, UnixTime};

use crate::VerifiedClaims;

/// What a caller has proven. Each variant can be made in one place only, by what verified it.
#[derive(Debug)]
pub enum CallerProof {
    /// A platform's ID token.
    Federated(VerifiedClaims),
    /// An API key. No grant takes one yet.
    ApiKey(VerifiedApiKey),
    /// A token of ours. No grant takes one yet.
    Own(VerifiedParent),
}

/// An API key whose secret was presented and checked.
#[derive(Debug)]
pub struct VerifiedApiKey {
    pub(crate) id: ApiKeyId,
    pub(crate) expires_at: UnixTime,
}

/// A token of ours whose record, and the records of all tokens that it came from, are in force.
#[derive(Debug)]
pub struct VerifiedParent {
    // Larger than the other proofs together.
    pub(crate) record: Box<TokenRecord>,
}

/// A proof and the grant that the rules give it. Only [`VerifiedClaims::authorize`] makes one.
#[derive(Debug)]
pub struct Authorized {
    pub(crate) proof: CallerProof,
    pub(crate) grant: Grant,
}

/// Verified claims that the rules refuse.
#[derive(Debug)]
pub struct Denied {
    /// The claims, for the decision event and the trace.
    pub verified: VerifiedClaims,
    /// The reason.
    pub refusal: Refusal,
}

impl VerifiedClaims {
    /// Decides which part of the request the rules grant.
    ///
    /// # Errors
    /// [`Denied`] with the claims and the refusal.
    pub fn authorize(self, rules: &RuleSet, requested: &Requested, now: UnixTime) -> Result<Authorized, Box<Denied>> {
        match rules.decide(self.facts(now), requested) {
            Outcome::Granted(grant) => Ok(Authorized { proof: CallerProof::Federated(self), grant }),
            Outcome::Refused(refusal) => Err(Box::new(Denied { verified: self, refusal })),
        }
    }

    /// The claims as policy rules see them.
    #[must_use]
    pub fn facts(&self, now: UnixTime) -> Facts<'_> {
        Facts { entry: self.entry(), claims: self.claims(), now }
    }
}

impl Authorized {
    /// The grant.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The proof behind the grant.
    #[must_use]
    pub fn proof(&self) -> &CallerProof {
        &self.proof
    }
}
