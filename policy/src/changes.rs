//! Which accounts a new policy adds, removes and changes, for the log line of a reload.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::ruleset::RuleSet;
use crate::{AccountSpec, IdentitySpec, Spec};

/// The accounts in which two policies differ, by username.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChanges {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, but the account or one of its teams differs. Their position in the files does not
    /// count.
    pub changed: Vec<String>,
}

impl AccountChanges {
    /// Compares `old` with `new`.
    #[must_use]
    pub fn between(old: &RuleSet, new: &RuleSet) -> Self {
        let (before, after) = (prints(old), prints(new));
        let only = |one: &BTreeMap<&str, u64>, other: &BTreeMap<&str, u64>| {
            one.keys().filter(|name| !other.contains_key(*name)).map(|name| (*name).to_owned()).collect()
        };
        let is_changed = |(name, print): &(&&str, &u64)| before.get(*name).is_some_and(|old| old != *print);
        Self {
            added: only(&after, &before),
            removed: only(&before, &after),
            changed: after.iter().filter(is_changed).map(|(name, _)| (*name).to_owned()).collect(),
        }
    }
}

fn prints(rules: &RuleSet) -> BTreeMap<&str, u64> {
    rules.accounts.iter().map(|account| (account.granted.name.as_str(), account.print)).collect()
}

/// Computes fingerprints of accounts' configuration. Keeping the fingerprint with the rules takes
/// less memory than keeping the configuration.
pub(crate) struct Fingerprints<'a> {
    state: FixedState,
    teams: HashMap<&'a str, u64>,
}

impl<'a> Fingerprints<'a> {
    /// Prepares fingerprints for the accounts of `spec`.
    pub(crate) fn of(spec: &'a Spec) -> Self {
        let state = FixedState::default();
        let teams = spec.teams.iter().map(|team| (team.name.value.as_str(), state.hash_one(team))).collect();
        Self { state, teams }
    }

    /// The fingerprint of `account` and its teams. Positions do not count.
    pub(crate) fn print(&self, account: &AccountSpec) -> u64 {
        let mut hasher = self.state.build_hasher();
        without_places(account, &mut hasher);
        let teams = account.teams.iter().filter_map(|team| self.teams.get(team.value.as_str()));
        teams.for_each(|team| team.hash(&mut hasher));
        hasher.finish()
    }
}

/// Hashes all of `account` except its position. The patterns name every field, so a new field
/// cannot be forgotten.
fn without_places(account: &AccountSpec, hasher: &mut impl std::hash::Hasher) {
    let AccountSpec {
        name,
        id,
        display_name,
        enabled,
        teams,
        grants,
        default_api,
        ttl,
        not_before,
        not_after,
        require_proof,
        actors,
        external_login,
        identities,
    } = account;
    (name, id, display_name, enabled, teams, grants, default_api, ttl, not_before, not_after).hash(hasher);
    (require_proof, actors, external_login).hash(hasher);
    identities.len().hash(hasher);
    for identity in identities {
        let IdentitySpec {
            origin: _,
            name,
            issuers,
            subject,
            audience,
            claims,
            short_rule,
            scopes,
            grants,
            ttl,
            copy_claims,
            replay,
            enabled,
            not_before,
            not_after,
            allow_broad,
        } = identity;
        (name, issuers, subject, audience, claims, short_rule, scopes, grants).hash(hasher);
        (ttl, copy_claims, replay, enabled, not_before, not_after, allow_broad).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use serde_json::json;
    use sts_types::Origin;

    #[test]
    fn accounts_are_added_removed_and_changed() {
        let block = |id: u32| short(identity("i"), "github", json!({ "repository_id": id }));
        let mut old = spec(vec![
            account("same", vec![block(1)]),
            account("gone", vec![]),
            account("edited", vec![block(2)]),
            account("member", vec![]),
        ]);
        old.teams = vec![team("t", vec![grant("deploy", &["read"])])];
        old.accounts[3].teams = vec![at("t".to_owned())];
        let mut new = spec(vec![
            account("member", vec![]),
            account("edited", vec![block(3)]),
            account("fresh", vec![]),
            account("same", vec![block(1)]),
        ]);
        new.accounts[0].teams = vec![at("t".to_owned())];
        new.teams = vec![team("t", vec![grant("deploy", &["read", "create"])])];
        new.accounts[3].identities[0].origin = Origin(9);
        let words = |list: &[&str]| words(list);
        let (old, new) = (rules(&old), rules(&new));
        assert_eq!(
            AccountChanges::between(&old, &new),
            AccountChanges {
                added: words(&["fresh"]),
                removed: words(&["gone"]),
                changed: words(&["edited", "member"])
            }
        );
        assert_eq!(AccountChanges::between(&old, &old), AccountChanges::default());
    }
}
