//! Turns verified claims into a grant. A policy decision becomes mintable only here.

use sts_policy::{Facts, Grant, Outcome, Refusal, Requested, RuleSet};
use sts_types::UnixTime;

use crate::VerifiedClaims;

/// Verified claims and the grant that the rules give them. Only [`VerifiedClaims::authorize`] makes
/// one.
pub struct Authorized {
    pub(crate) verified: VerifiedClaims,
    pub(crate) grant: Grant,
}

/// Verified claims that the rules refuse.
pub struct Denied {
    /// The claims, for the decision event and the trace.
    pub verified: VerifiedClaims,
    /// The reason.
    pub refusal: Refusal,
}

impl VerifiedClaims {
    /// Decides by `rules` what the claims are granted of what was `requested`.
    ///
    /// # Errors
    /// [`Denied`] with the claims and the refusal.
    pub fn authorize(self, rules: &RuleSet, requested: &Requested, now: UnixTime) -> Result<Authorized, Box<Denied>> {
        match rules.decide(self.facts(now), requested) {
            Outcome::Granted(grant) => Ok(Authorized { verified: self, grant }),
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

    /// The claims that were granted it.
    #[must_use]
    pub fn verified(&self) -> &VerifiedClaims {
        &self.verified
    }
}
