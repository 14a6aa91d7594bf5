//! Which accounts a new policy adds, removes and changes.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::{AccountSpec, IdentitySpec, Spec};

/// What is kept of every account of a policy so that a later policy can be compared with it: a server that runs by the
/// compiled rules does not keep what was written.
#[derive(Clone, Debug, Default)]
pub struct AccountPrints(BTreeMap<Box<str>, u64>);

/// The accounts, by username, in which two policies differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChanges {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, but not alike: itself, or what its teams grant. Where in the files they stand makes no difference.
    pub changed: Vec<String>,
}

impl AccountPrints {
    /// Those of `spec`.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let state = FixedState::default();
        let teams: HashMap<&str, u64> =
            spec.teams.iter().map(|team| (team.name.value.as_str(), state.hash_one(team))).collect();
        let print = |account: &AccountSpec| {
            let mut hasher = state.build_hasher();
            without_places(account, &mut hasher);
            account
                .teams
                .iter()
                .filter_map(|own| teams.get(own.value.as_str()))
                .for_each(|team| team.hash(&mut hasher));
            hasher.finish()
        };
        Self(spec.accounts.iter().map(|account| (account.name.value.as_str().into(), print(account))).collect())
    }
}

impl AccountChanges {
    /// What is other in `new` than in `old`.
    #[must_use]
    pub fn between(old: &AccountPrints, new: &AccountPrints) -> Self {
        let named = |name: &str| name.to_owned();
        let only = |one: &AccountPrints, other: &AccountPrints| {
            one.0.keys().filter(|name| !other.0.contains_key(*name)).map(|name| named(name)).collect()
        };
        let is_changed = |(name, print): &(&Box<str>, &u64)| old.0.get(*name).is_some_and(|before| before != *print);
        Self {
            added: only(new, old),
            removed: only(old, new),
            changed: new.0.iter().filter(is_changed).map(|(name, _)| named(name)).collect(),
        }
    }
}

/// Hashes all of `account` but where it stands.
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
        identities,
    } = account;
    (name, id, display_name, enabled, teams, grants, default_api, ttl, not_before, not_after).hash(hasher);
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
        let (old, new) = (AccountPrints::of(&old), AccountPrints::of(&new));
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
