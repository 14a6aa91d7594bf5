//! Turns a proof into a grant. A policy decision becomes mintable only here.

use sts_policy::{Diagnosis, Facts, Grant, Memberships, Outcome, Refusal, Requested, RuleSet};
use sts_types::UnixTime;

use crate::VerifiedClaims;
use crate::api_key::VerifiedApiKey;
use crate::delegation::Delegate;
use crate::parent::VerifiedParent;

/// What a caller has proven. Each variant can be made in one place only, by what verified it.
#[derive(Debug)]
pub enum CallerProof {
    /// A platform's ID token.
    Federated(VerifiedClaims),
    /// An API key.
    ApiKey(VerifiedApiKey),
    /// A token of ours.
    Own(VerifiedParent),
}

/// A proof and the grant that the rules give it. Only [`CallerProof::authorize`] makes one.
#[derive(Debug)]
pub struct Authorized {
    pub(crate) proof: CallerProof,
    pub(crate) grant: Grant,
    /// Who acts for the account, if a request presented an actor.
    pub(crate) delegate: Option<Box<Delegate>>,
    /// The proof of the key that the token will be bound to.
    pub(crate) possession: Option<Box<sts_jose::DpopProof>>,
}

/// Verified claims that the rules refuse.
#[derive(Debug)]
pub struct Denied {
    /// The claims, for the decision event and the trace.
    pub verified: VerifiedClaims,
    /// The reason.
    pub refusal: Refusal,
}

/// A proof that the rules refuse.
#[derive(Debug)]
pub struct DeniedProof {
    /// The reason.
    pub refusal: Refusal,
    /// The cause, if the claims of an ID token do not tell it.
    pub diagnosis: Option<Box<Diagnosis>>,
}

impl CallerProof {
    /// Decides which part of the request the rules grant.
    ///
    /// # Errors
    /// [`DeniedProof`].
    pub fn authorize(
        self,
        rules: &RuleSet,
        memberships: &dyn Memberships,
        requested: &Requested,
        now: UnixTime,
    ) -> Result<Authorized, DeniedProof> {
        let denied = |refusal, diagnosis| DeniedProof { refusal, diagnosis };
        match self {
            Self::Federated(verified) => {
                verified.authorize(rules, memberships, requested, now).map_err(|error| denied(error.refusal, None))
            }
            Self::Own(parent) => {
                let limits = parent.limits();
                match rules.decide_descendant(&parent.facts(&limits), requested, memberships, now) {
                    Outcome::Granted(grant) => {
                        drop(limits);
                        Ok(Authorized::of(Self::Own(parent), grant))
                    }
                    Outcome::Refused(refusal) => {
                        let parent = parent.facts(&limits);
                        let diagnosis = rules.diagnose_descendant(&parent, requested, memberships, now, refusal);
                        Err(denied(refusal, Some(Box::new(diagnosis))))
                    }
                }
            }
            Self::ApiKey(key) => match rules.decide_descendant(&key.facts(now), requested, memberships, now) {
                Outcome::Granted(grant) => Ok(Authorized::of(Self::ApiKey(key), grant)),
                Outcome::Refused(refusal) => {
                    let diagnosis = rules.diagnose_descendant(&key.facts(now), requested, memberships, now, refusal);
                    Err(denied(refusal, Some(Box::new(diagnosis))))
                }
            },
        }
    }
}

impl VerifiedClaims {
    /// Decides which part of the request the rules grant.
    ///
    /// # Errors
    /// [`Denied`] with the claims and the refusal.
    pub fn authorize(
        self,
        rules: &RuleSet,
        memberships: &dyn Memberships,
        requested: &Requested,
        now: UnixTime,
    ) -> Result<Authorized, Box<Denied>> {
        match rules.decide(self.facts(memberships, now), requested) {
            Outcome::Granted(grant) => Ok(Authorized::of(CallerProof::Federated(self), grant)),
            Outcome::Refused(refusal) => Err(Box::new(Denied { verified: self, refusal })),
        }
    }

    /// The claims as policy rules see them.
    #[must_use]
    pub fn facts<'a>(&'a self, memberships: &'a dyn Memberships, now: UnixTime) -> Facts<'a> {
        Facts { entry: self.entry(), claims: self.claims(), now, memberships }
    }
}

impl Authorized {
    pub(crate) const fn of(proof: CallerProof, grant: Grant) -> Self {
        Self { proof, grant, delegate: None, possession: None }
    }

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
