//! Which accounts a new policy adds, removes and changes.

use std::collections::BTreeMap;

use crate::{AccountSpec, IdentitySpec, Spec, TeamSpec};
use sts_types::Origin;

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

impl AccountChanges {
    /// What is other in `new` than in `old`.
    #[must_use]
    pub fn between(old: &Spec, new: &Spec) -> Self {
        let (before, after) = (by_name(old), by_name(new));
        let only = |one: &BTreeMap<&str, _>, other: &BTreeMap<&str, _>| {
            one.keys().filter(|name| !other.contains_key(*name)).map(|name| (*name).to_owned()).collect()
        };
        let is_changed = |name: &&&str| {
            before.get(**name).zip(after.get(**name)).is_some_and(|(a, b)| !is_alike((old, a), (new, b)))
        };
        Self {
            added: only(&after, &before),
            removed: only(&before, &after),
            changed: after.keys().filter(is_changed).map(|name| (*name).to_owned()).collect(),
        }
    }
}

fn by_name(spec: &Spec) -> BTreeMap<&str, &AccountSpec> {
    spec.accounts.iter().map(|account| (account.name.value.as_str(), account)).collect()
}

fn is_alike((old, a): (&Spec, &AccountSpec), (new, b): (&Spec, &AccountSpec)) -> bool {
    let placeless = |account: &AccountSpec| AccountSpec {
        identities: account.identities.iter().map(|own| IdentitySpec { origin: Origin::NONE, ..own.clone() }).collect(),
        ..account.clone()
    };
    let teams = |spec: &Spec, account: &AccountSpec| -> Vec<TeamSpec> {
        let is_own = |team: &&TeamSpec| account.teams.iter().any(|own| own.value == team.name.value.as_str());
        spec.teams.iter().filter(is_own).cloned().collect()
    };
    placeless(a) == placeless(b) && teams(old, a) == teams(new, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use serde_json::json;

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
