//! The step from verified claims to a grant: the only place where a policy decision becomes something that can be minted.

use sts_policy::{Facts, Grant, Outcome, Refusal, Requested, RuleSet};
use sts_types::UnixTime;

use crate::VerifiedClaims;

/// Verified claims with the grant that the rules gave them. Only [`VerifiedClaims::authorize`] makes one.
pub struct Authorized {
    pub(crate) verified: VerifiedClaims,
    pub(crate) grant: Grant,
}

/// Verified claims that the rules refuse, with why.
pub struct Denied {
    /// The claims, for the decision event and the trace.
    pub verified: VerifiedClaims,
    /// Why.
    pub refusal: Refusal,
}

impl VerifiedClaims {
    /// Judges the claims by `rules` for what was `requested`.
    ///
    /// # Errors
    /// Gives the claims back with the refusal.
    pub fn authorize(self, rules: &RuleSet, requested: &Requested, now: UnixTime) -> Result<Authorized, Box<Denied>> {
        match rules.decide(self.facts(now), requested) {
            Outcome::Granted(grant) => Ok(Authorized { verified: self, grant }),
            Outcome::Refused(refusal) => Err(Box::new(Denied { verified: self, refusal })),
        }
    }

    /// What policy sees of these claims.
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

    /// The claims it was given to.
    #[must_use]
    pub fn verified(&self) -> &VerifiedClaims {
        &self.verified
    }
}
