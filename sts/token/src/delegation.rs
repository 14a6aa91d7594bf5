//! Delegation (RFC 8693 section 1.1): an account that acts for another.

use std::sync::Arc;

use serde_json::{Map, Value};
use sts_claims::Json;
use sts_policy::{ActorError, GrantedAccount, NoDirectory, Replay, RuleSet};
use sts_types::{Actor, Issuer, KeyThumbprint, Proof, ReplayClaim, UnixTime};

use crate::{Authorized, CallerProof, VerifiedClaims};

/// How many actors `act` may nest.
const MAX_ACTORS: usize = 4;

/// Why nobody acts for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// The rules do not let the actor act.
    #[error("the rules do not let this actor act: {0:?}")]
    Actor(ActorError),
    /// `may_act` of the subject token names somebody else.
    #[error("`may_act` of the subject token names somebody else")]
    MayAct,
    /// The actor's token has an actor itself, so it does not show that its account acts.
    #[error("the actor token has an actor itself")]
    DelegatedActor,
    /// The actor's token came from as many tokens as may follow one another.
    #[error("the actor token came from too many tokens before it")]
    TooDeep,
    /// More actors than `act` may nest.
    #[error("`act` would nest more than 4 actors")]
    TooManyActors,
    /// An API key is no actor token.
    #[error("an API key is no actor token")]
    NoToken,
}

/// An account that acts, with its proof.
#[derive(Debug)]
pub(crate) struct Delegate {
    pub(crate) account: Arc<GrantedAccount>,
    pub(crate) proof: Proof,
    /// When the actor's token expires.
    pub(crate) expires_at: UnixTime,
    /// The claim on the one use of the actor's token.
    pub(crate) claim: Option<ReplayClaim>,
    /// The key that the actor's token is bound to.
    pub(crate) confirmation: Option<KeyThumbprint>,
}

impl Authorized {
    /// Lets the account that `actor` proves act for the account of the grant. `issuer` is ours.
    ///
    /// # Errors
    /// See [`DelegationError`].
    pub fn delegate(
        self,
        actor: CallerProof,
        rules: &RuleSet,
        issuer: &Issuer,
        now: UnixTime,
    ) -> Result<Self, DelegationError> {
        if !self.may_act(&actor, issuer) {
            return Err(DelegationError::MayAct);
        }
        if self.prior_actor().map_or(0, |actor| actor.chain().count()) >= MAX_ACTORS {
            return Err(DelegationError::TooManyActors);
        }
        let delegate = self.delegate_of(actor, rules, now)?;
        Ok(Self { delegate: Some(Box::new(delegate)), ..self })
    }

    fn delegate_of(&self, actor: CallerProof, rules: &RuleSet, now: UnixTime) -> Result<Delegate, DelegationError> {
        let subject = &self.grant.account.id;
        match actor {
            CallerProof::Federated(verified) => {
                let actor =
                    rules.actor_of(subject, verified.facts(&NoDirectory, now)).map_err(DelegationError::Actor)?;
                Ok(Delegate {
                    claim: match actor.replay {
                        Replay::Allow => None,
                        Replay::Once => Some(verified.replay_claim(None)),
                        Replay::OncePerAccount => Some(verified.replay_claim(Some(actor.account.id.as_str()))),
                    },
                    proof: Proof::Federated(verified.recorded(actor.identity)),
                    account: actor.account,
                    expires_at: verified.expires_at(),
                    confirmation: None,
                })
            }
            CallerProof::Own(parent) => {
                if !parent.may_have_a_child() {
                    return Err(DelegationError::TooDeep);
                }
                let record = parent.record;
                if record.actor.is_some() {
                    return Err(DelegationError::DelegatedActor);
                }
                let account = rules.may_act(subject, &record.account).map_err(DelegationError::Actor)?;
                Ok(Delegate {
                    proof: record.proof.descendant(record.jti),
                    account,
                    expires_at: record.exp,
                    claim: None,
                    confirmation: record.confirmation,
                })
            }
            CallerProof::ApiKey(_) => Err(DelegationError::NoToken),
        }
    }

    /// Whether `may_act` of the subject token, if it has one, names the actor (RFC 8693 section 4.4).
    /// A token of ours keeps the `may_act` of the ID token that it goes back to.
    fn may_act(&self, actor: &CallerProof, issuer: &Issuer) -> bool {
        match &self.proof {
            CallerProof::Federated(subject) => {
                subject.may_act().is_none_or(|members| names(&members, subject.issuer(), actor, issuer))
            }
            CallerProof::Own(parent) => parent.record.proof.federated().is_none_or(|root| {
                root.may_act.as_ref().is_none_or(|members| names(members, &root.issuer, actor, issuer))
            }),
            CallerProof::ApiKey(_) => true,
        }
    }

    /// Who acted before.
    fn prior_actor(&self) -> Option<&Actor> {
        match &self.proof {
            CallerProof::Own(parent) => parent.record.actor.as_deref(),
            CallerProof::Federated(_) | CallerProof::ApiKey(_) => None,
        }
    }
}

/// Whether the members of a `may_act` of `author` name the actor. All of them must be claims of the
/// actor's token, and one must be `sub`: the others alone fit many. A `sub` without `iss` is one of
/// `author` itself, since each issuer has its own subjects.
fn names(members: &Map<String, Value>, author: &Issuer, actor: &CallerProof, issuer: &Issuer) -> bool {
    let is_of_author = || match actor {
        CallerProof::Federated(verified) => verified.issuer() == author,
        CallerProof::Own(_) => issuer == author,
        CallerProof::ApiKey(_) => false,
    };
    members.contains_key("sub")
        && (members.contains_key("iss") || is_of_author())
        && members.iter().all(|(name, wanted)| claim_of(actor, issuer, name).as_ref() == Some(wanted))
}

/// A claim of the actor's token.
fn claim_of(actor: &CallerProof, issuer: &Issuer, name: &str) -> Option<Value> {
    match actor {
        CallerProof::Federated(verified) => claim(verified, name),
        CallerProof::Own(parent) => match name {
            "iss" => Some(issuer.as_str().into()),
            "sub" | "client_id" => Some(parent.record.account.as_str().into()),
            _ => None,
        },
        CallerProof::ApiKey(_) => None,
    }
}

fn claim(verified: &VerifiedClaims, name: &str) -> Option<Value> {
    // Not `get`: a null is no claim, and an `iss` that the token lacks is not that of its entry.
    verified.claims().member(name).map(Json::to_value)
}
