//! Who gets in by one identity: the workload that it describes, a typical token of its platform, and
//! tokens that strangers and other workloads could get there.

mod attacks;

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_types::{EntryName, UnixTime};

use crate::account::Account;
use crate::identity::{EntryRule, Identity};
use crate::pattern::Pattern;
use crate::policy_test::set_claim;
use crate::{ConditionTrace, Facts, IssuerSpec, NoDirectory, RuleSet};

/// What a tried token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedToken {
    /// A token as the platform sends it.
    Sample,
    /// A token that somebody else could get from the platform.
    Attack,
}

/// A token that was tried on one identity.
#[derive(Clone, Debug)]
pub struct Admission {
    /// What it stands for.
    pub token: TriedToken,
    /// Its name, for people.
    pub name: String,
    /// Its `sub`.
    pub subject: String,
    /// Every condition of the identity. All hold for a token that gets in.
    pub conditions: Vec<ConditionTrace>,
}

impl RuleSet {
    /// Tries tokens of the platform on an identity. `None` if there is no such identity.
    #[must_use]
    pub fn admissions(&self, account: &str, identity: &str, now: UnixTime) -> Option<Vec<Admission>> {
        let (account, identity) = self.find_identity(account, identity)?;
        let mut tried = Vec::new();
        for rule in &identity.terms.entries {
            let Some(issuer) = self.frame().issuers.get(rule.entry) else { continue };
            let described = described(identity, rule, issuer);
            let mut attempt = |token, name: String, claims: Map<String, Value>| {
                let claims = ClaimSet::from(claims);
                // Conditions are on the token alone: who is in which group decides grants.
                let facts = Facts { entry: &rule.name, claims: &claims, now, memberships: &NoDirectory };
                let subject = claims.text("sub").unwrap_or_default().to_owned();
                tried.push(Admission { token, name, subject, conditions: self.conditions((account, identity), facts) });
            };
            attempt(TriedToken::Sample, "the workload that the identity describes".to_owned(), described.clone());
            if let Some(preset) = issuer.preset {
                let name = format!("the typical token of {}", preset.title());
                attempt(TriedToken::Sample, name, typical(preset.sample(), rule, issuer));
            }
            for (name, claims) in attacks::of(issuer.preset, &described) {
                attempt(TriedToken::Attack, name.to_owned(), claims);
            }
        }
        Some(tried)
    }

    /// The conditions of one identity for a token. `None` if there is no such identity.
    #[must_use]
    pub fn admission_of(&self, account: &str, identity: &str, facts: Facts<'_>) -> Option<Vec<ConditionTrace>> {
        self.find_identity(account, identity).map(|found| self.conditions(found, facts))
    }

    /// The issuer entries that an identity accepts.
    #[must_use]
    pub fn entries_of(&self, account: &str, identity: &str) -> Vec<EntryName> {
        let found = self.find_identity(account, identity);
        let entries = found.map(|(_, identity)| identity.terms.entries.iter());
        entries.into_iter().flatten().map(|rule| rule.name.clone()).collect()
    }

    fn find_identity(&self, account: &str, identity: &str) -> Option<(&Account, &Identity)> {
        let account = self.accounts.get(*self.account_by_name.get(account)?)?;
        let identity = account.identities.iter().find(|own| own.name.as_str() == identity)?;
        Some((account, identity))
    }
}

/// A token as the platform sends it, to us.
fn typical(mut claims: Map<String, Value>, rule: &EntryRule, issuer: &IssuerSpec) -> Map<String, Value> {
    if issuer.issuer.value.template().is_none() {
        claims.insert("iss".to_owned(), issuer.issuer.value.as_str().into());
    }
    if let Some(audience) = rule.audiences.first() {
        claims.insert("aud".to_owned(), audience.as_str().into());
    }
    claims
}

/// A token of the workload that the identity describes: each condition has a value that it accepts,
/// with `x` for each wildcard.
fn described(identity: &Identity, rule: &EntryRule, issuer: &IssuerSpec) -> Map<String, Value> {
    let sample = issuer.preset.map(crate::Preset::sample).unwrap_or_default();
    let mut claims = typical(sample, rule, issuer);
    let subject = identity.subject.as_ref().map(Pattern::example);
    if let (Some(preset), Some(subject)) = (issuer.preset, &subject) {
        preset.adopt_subject(subject, &mut claims);
    }
    for condition in identity.conditions.iter().filter(|condition| !condition.on_variable) {
        let Some(value) = condition.example() else { continue };
        set_claim(&condition.path, &value, &mut claims);
        if condition.path.as_str() == "repository"
            && let Some((owner, _)) = value.split_once('/')
        {
            claims.insert("repository_owner".to_owned(), owner.into());
        }
    }
    let derived = issuer.preset.and_then(|preset| preset.subject_of(&claims));
    if let Some(subject) = subject.or(derived) {
        claims.insert("sub".to_owned(), subject.into());
    }
    claims
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::IdentitySpec;
    use crate::fixture::{NOW, account, identity, rules, short, spec, subject};

    fn github(rule: Value) -> IdentitySpec {
        short(identity("main"), "github", rule)
    }

    /// The names of the tokens that an identity admits, and of all that were tried.
    fn tried(identity: IdentitySpec) -> (Vec<String>, Vec<String>) {
        let rules = rules(&spec(vec![account("octo", vec![identity])]));
        let tried = rules.admissions("octo", "main", NOW).unwrap();
        let admitted = tried.iter().filter(|one| one.conditions.iter().all(|condition| condition.holds));
        (admitted.map(|one| one.name.clone()).collect(), tried.iter().map(|one| one.name.clone()).collect())
    }

    #[test]
    fn an_identity_admits_the_workload_that_it_describes_and_no_stranger() {
        for rule in [
            github(json!({ "repository": "acme/app", "repository_id": "1", "ref": "refs/heads/main" })),
            github(json!({ "repository": "acme/app", "repository_id": "1", "environment": "production" })),
            subject("main", "repo:acme/app:ref:refs/heads/main"),
        ] {
            let (admitted, all) = tried(rule.clone());
            assert!(
                admitted.contains(&"the workload that the identity describes".to_owned()),
                "{rule:?}: {admitted:?}"
            );
            for stranger in ["a pull request", "the repository of another owner", "a repository of a longer name"] {
                assert!(all.contains(&stranger.to_owned()), "{all:?}");
                assert!(!admitted.contains(&stranger.to_owned()), "{rule:?} admits {stranger}");
            }
        }
    }

    #[test]
    fn a_wide_identity_is_seen_to_be_wide() {
        let (admitted, _) = tried(github(json!({ "repository": "acme/app" })));
        for other in ["another branch", "the same names, taken over by somebody else"] {
            assert!(admitted.contains(&other.to_owned()), "{admitted:?}");
        }
    }

    #[test]
    fn an_identity_that_is_not_there_admits_nothing() {
        let rules = rules(&spec(vec![account("octo", vec![subject("main", "repo:acme/app:ref:refs/heads/main")])]));
        assert!(rules.admissions("octo", "other", NOW).is_none());
        assert!(rules.admissions("nobody", "main", NOW).is_none());
        assert_eq!(rules.entries_of("octo", "main").len(), 1);
    }
}
