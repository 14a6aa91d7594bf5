//! Which changes a token of ours must not make: those that outlive it, or that let anybody in.

use std::collections::BTreeSet;

use sts_policy::RuleSet;
use sts_store::{ObjectKey, ObjectKind};
use sts_types::{AccountId, ApiKeyId};

use super::RequestedChange;

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// The holder of the admin token, or a person in the console, by this name.
    Person(String),
    /// The holder of a token of ours for this account.
    Token(AccountId),
}

impl Author {
    /// The name under which the change is kept.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Person(name) => name,
            Self::Token(account) => account.as_str(),
        }
    }
}

/// The built-in API, whose scopes are power over the server itself.
const OURS: &str = "sts";

/// The member of an API that names a file of this machine.
const SECRET_FILE: &str = "introspection_secret_file";

/// Why `changes` need a person, if they do, as far as the documents alone tell. `held` answers the
/// document of an object as it is so far. No file that a document names is opened.
#[must_use]
pub(super) fn needs_person_unread(
    changes: &[RequestedChange],
    held: impl Fn(&ObjectKey) -> Option<serde_json::Value>,
) -> Option<String> {
    changes.iter().find_map(|change| {
        let ObjectKey { kind, name } = change.key();
        match (kind, change) {
            (ObjectKind::ApiKeys, RequestedChange::Put { .. }) => {
                Some("an API key outlives the token that creates it".to_owned())
            }
            (ObjectKind::Issuers, _) => Some(format!("issuer entry `{name}` decides who gets in")),
            (ObjectKind::Apis, RequestedChange::Put { key, spec, .. }) => {
                let had = held(key).and_then(|held| held.get(SECRET_FILE).cloned());
                let differs = had.as_ref() != spec.get(SECRET_FILE);
                differs.then(|| format!("it changes which secret file of this machine API `{name}` has"))
            }
            _ => None,
        }
    })
}

/// Why `changes` need a person, if they do. `before` and `after` are the rules without and with them.
#[must_use]
pub fn needs_person(changes: &[RequestedChange], before: &RuleSet, after: &RuleSet) -> Option<String> {
    // Whatever the change was: an account that comes to hold such a scope, and one that holds it and
    // whose identities or anything else about it change.
    let changed_accounts: BTreeSet<&str> = changes
        .iter()
        .filter(|change| change.key().kind == ObjectKind::ServiceAccounts)
        .filter(|change| matches!(change, RequestedChange::Put { .. }))
        .map(|change| change.key().name.as_str())
        .collect();
    for account in after.accounts() {
        let Some(scopes) = our_scopes(after, account.name.as_str()) else { continue };
        let had = our_scopes(before, account.name.as_str()).unwrap_or_default();
        let account = account.name.as_str();
        if let Some(fresh) = scopes.iter().find(|scope| !had.contains(*scope)) {
            return Some(format!("it grants `{fresh}` to `{account}`"));
        }
        if changed_accounts.contains(account) {
            return Some(format!("`{account}` holds scopes of the API `sts`"));
        }
    }
    // A team without members grants to whoever joins it later.
    changes.iter().find_map(team_with_our_scopes)
}

/// The scopes of our own API that the account is granted, or that a group could give it. `None` if there
/// are none.
fn our_scopes(rules: &RuleSet, account: &str) -> Option<BTreeSet<String>> {
    let scopes = rules.possible_own_scopes(account);
    (!scopes.is_empty()).then_some(scopes)
}

fn team_with_our_scopes(change: &RequestedChange) -> Option<String> {
    let RequestedChange::Put { key, spec, .. } = change else { return None };
    let grants = spec.get("grants").and_then(|grants| grants.get(OURS));
    let is_team = key.kind == ObjectKind::Teams;
    let has_scopes = grants.is_some_and(|scopes| scopes.as_array().is_none_or(|list| !list.is_empty()));
    (is_team && has_scopes).then(|| format!("team `{}` grants scopes of the API `sts`", key.name))
}

/// The name of the object that holds an API key.
pub(super) fn key_object(id: &ApiKeyId) -> ObjectKey {
    ObjectKey { kind: ObjectKind::ApiKeys, name: id.as_str().to_owned() }
}
