//! Who may act for an account (RFC 8693 section 1.1).

use std::sync::Arc;

use sts_types::{AccountId, IdentityName};

use crate::account::Account;
use crate::identity::{ConditionCache, EvaluationContext, Identity};
use crate::ruleset::RuleSet;
use crate::{Facts, GrantedAccount, Replay};

/// An account that may act for another, as its ID token shows.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The actor's account.
    pub account: Arc<GrantedAccount>,
    /// The identity that matched.
    pub identity: IdentityName,
    /// How often the actor's token may be used.
    pub replay: Replay,
}

/// Why nobody may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorError {
    /// The account allows no actors at all.
    NoDelegation,
    /// The actor's token is of no account that may act for this one.
    NotAnActor,
    /// The actor's token is of several accounts that may.
    Ambiguous,
    /// The actor's token is of the account itself. Nobody acts for themselves, even if listed.
    Itself,
}

impl RuleSet {
    /// The account that may act for `subject` and has an identity that matches `facts`.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn actor_of(&self, subject: &AccountId, facts: Facts<'_>) -> Result<Actor, ActorError> {
        let variables = self.variables(facts);
        let memo = ConditionCache::default();
        let context = self.context(facts, &variables, &memo);
        let entry = context.entry.ok_or(ActorError::NotAnActor)?;
        let mut found: Option<Actor> = None;
        for account in self.actors(subject)? {
            let Some(identity) = matching(account, &context) else { continue };
            if found.is_some() {
                return Err(ActorError::Ambiguous);
            }
            found = Some(Actor {
                account: Arc::clone(&account.granted),
                identity: identity.name.clone(),
                replay: identity.rule(entry).map(|rule| rule.replay).unwrap_or_default(),
            });
        }
        found.ok_or_else(|| {
            let is_itself = self.account_of_id(subject).is_some_and(|(_, own)| matching(own, &context).is_some());
            if is_itself { ActorError::Itself } else { ActorError::NotAnActor }
        })
    }

    /// The account of id `actor`, which may act for `subject`.
    ///
    /// # Errors
    /// If it may not.
    pub fn may_act(&self, subject: &AccountId, actor: &AccountId) -> Result<Arc<GrantedAccount>, ActorError> {
        let mut actors = self.actors(subject)?.into_iter();
        if actor == subject {
            return Err(ActorError::Itself);
        }
        let actor = actors.find(|account| account.granted.id == *actor).ok_or(ActorError::NotAnActor)?;
        Ok(Arc::clone(&actor.granted))
    }

    /// Whether the account may act for another.
    #[must_use]
    pub fn acts_for_others(&self, account: &AccountId) -> bool {
        let Some((_, actor)) = self.account_of_id(account) else { return false };
        let names = [actor.granted.id.as_str(), actor.granted.name.as_str()];
        self.accounts.iter().any(|subject| subject.terms.actors.iter().any(|name| names.contains(&&**name)))
    }

    /// The accounts that may act for `subject`, each once, and never the account itself.
    fn actors(&self, subject: &AccountId) -> Result<Vec<&Account>, ActorError> {
        let (own, subject) = self.account_of_id(subject).ok_or(ActorError::NoDelegation)?;
        if subject.terms.actors.is_empty() {
            return Err(ActorError::NoDelegation);
        }
        let mut indices: Vec<usize> =
            subject.terms.actors.iter().filter_map(|name| self.account_by_name.get(name.as_ref()).copied()).collect();
        indices.sort_unstable();
        indices.dedup();
        indices.retain(|index| *index != own);
        Ok(indices.into_iter().filter_map(|index| self.accounts.get(index)).collect())
    }
}

/// The identity of an account that is open now, by which it accepts the token.
fn matching<'a>(account: &'a Account, context: &EvaluationContext<'_>) -> Option<&'a Identity> {
    let window = &account.terms.window;
    let matches = || account.identities.iter().find(|identity| identity.matches(window, context));
    window.is_open(context.now).then(matches).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{AccountSpec, Spec};
    use sts_claims::ClaimSet;
    use sts_types::{EntryName, UnixTime};

    /// `octo` lets `robot` and `twin` act; their identities share a subject with `idle`'s.
    fn rules() -> RuleSet {
        let allowing = |actors: &[&str]| AccountSpec {
            actors: actors.iter().map(|actor| at((*actor).to_owned())).collect(),
            ..account("octo", vec![subject("main", "repo:acme/octo:ref:refs/heads/main")])
        };
        let robots = || vec![subject("main", "repo:acme/robot:ref:refs/heads/main")];
        let both = vec![
            subject("main", "repo:acme/twin:ref:refs/heads/main"),
            subject("shared", "repo:acme/shared:ref:refs/heads/main"),
        ];
        let mut robot = with_id(account("robot", robots()), UUID);
        robot.identities.push(subject("shared", "repo:acme/shared:ref:refs/heads/main"));
        let spec: Spec = spec(vec![
            allowing(&["robot", UUID, "twin", "idle", "octo"]),
            robot,
            account("twin", both),
            AccountSpec {
                enabled: false,
                ..account("idle", vec![subject("main", "repo:acme/idle:ref:refs/heads/main")])
            },
            account("other", vec![subject("main", "repo:acme/other:ref:refs/heads/main")]),
        ]);
        crate::fixture::rules(&spec)
    }

    fn actor(subject: &str, repository: &str) -> Result<String, ActorError> {
        let claims = serde_json::json!({
            "iss": "https://token.actions.githubusercontent.com", "aud": OURS,
            "sub": format!("repo:acme/{repository}:ref:refs/heads/main"), "event_name": "push",
        });
        let claims: ClaimSet = claims.as_object().unwrap().clone().into();
        let entry = EntryName::new("github").unwrap();
        let facts = Facts {
            entry: &entry,
            claims: &claims,
            now: UnixTime::from_secs(1_790_000_000),
            memberships: &crate::NoDirectory,
        };
        let actor = rules().actor_of(&AccountId::new(subject).unwrap(), facts)?;
        Ok(format!("{}/{}", actor.account.id, actor.identity))
    }

    #[test]
    fn c083_an_actor_is_one_listed_account_whose_identity_matches_and_never_the_account_itself() {
        for (subject, repository, wanted) in [
            ("octo", "robot", Ok(format!("{UUID}/main"))),
            ("octo", "twin", Ok("twin/main".to_owned())),
            ("octo", "shared", Err(ActorError::Ambiguous)),
            ("octo", "idle", Err(ActorError::NotAnActor)),
            ("octo", "other", Err(ActorError::NotAnActor)),
            ("octo", "stranger", Err(ActorError::NotAnActor)),
            // It lists itself.
            ("octo", "octo", Err(ActorError::Itself)),
            ("twin", "robot", Err(ActorError::NoDelegation)),
            ("nobody", "robot", Err(ActorError::NoDelegation)),
        ] {
            assert_eq!(actor(subject, repository), wanted, "{subject} {repository}");
        }
    }

    #[test]
    fn c083_an_actor_that_is_known_by_its_id_is_listed_or_refused() {
        let (rules, id) = (rules(), |id: &str| AccountId::new(id).unwrap());
        for (subject, actor, wanted) in [
            ("octo", UUID, Ok(())),
            ("octo", "twin", Ok(())),
            // A token names an account by its id.
            ("octo", "robot", Err(ActorError::NotAnActor)),
            ("octo", "other", Err(ActorError::NotAnActor)),
            ("octo", "octo", Err(ActorError::Itself)),
            ("other", "octo", Err(ActorError::NoDelegation)),
        ] {
            assert_eq!(rules.may_act(&id(subject), &id(actor)).map(|_| ()), wanted, "{subject} {actor}");
        }
    }
}
