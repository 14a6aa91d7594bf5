//! Checks whether names that an operator gives exist.
//!
//! A name exists if the configuration has it, or if a stored record has it: tokens of an account
//! that was removed an hour ago must be revocable. A rule with an unknown name would revoke nothing
//! and still report success.

use std::collections::BTreeSet;
use std::fmt;

use sts_store::{Entry, LedgerError};
use sts_types::{TokenRecord, nearest};

use super::TokenAdmin;
use super::listing::account_id;
use crate::Snapshot;

/// The names in a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NamedObjects<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) identity: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
    pub(super) api: Option<&'a str>,
    pub(super) api_key: Option<&'a str>,
}

/// An unknown name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The kind of name.
    what: &'static str,
    name: String,
    /// The account whose identity it should be.
    account: Option<String>,
    /// The most similar existing name.
    nearest: Option<String>,
    /// Whether the configuration was checked.
    has_rules: bool,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, name, account, nearest, has_rules } = self;
        let looked = match has_rules {
            true => "neither in the configuration nor in a record",
            false => {
                "neither in a record nor in what can be read of the configuration, which does not load: give an account's id, \
                 which `sts tokens list` shows, or correct the configuration"
            }
        };
        match account {
            None => write!(f, "there is no {what} `{name}`, {looked}")?,
            Some(account) => write!(f, "the service account `{account}` has no {what} `{name}`, {looked}")?,
        }
        nearest.iter().try_for_each(|nearest| write!(f, " (did you mean `{nearest}`?)"))
    }
}

/// The kind of name.
#[derive(Clone, Copy)]
enum Kind {
    Account,
    Issuer,
    Api,
    Identity,
    ApiKey,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Account => "service account",
            Self::Issuer => "issuer entry",
            Self::Api => "API",
            Self::Identity => "identity",
            Self::ApiKey => "API key",
        }
    }

    /// The name in a record, if the record has one of that kind.
    fn of(self, record: &TokenRecord) -> Option<&str> {
        let federated = || record.proof.federated();
        match self {
            Self::Account => Some(record.account.as_str()),
            Self::Issuer => federated().map(|proof| proof.entry.as_str()),
            Self::Api => Some(record.api.as_str()),
            Self::Identity => federated().map(|proof| proof.identity.as_str()),
            Self::ApiKey => record.proof.api_key().map(|proof| proof.id.as_str()),
        }
    }
}

impl TokenAdmin {
    /// The first unknown name among `named`.
    pub(super) async fn unknown_name(
        &self,
        snapshot: &Snapshot,
        named: &NamedObjects<'_>,
    ) -> Result<Option<UnknownName>, LedgerError> {
        let given = [
            (Kind::Account, named.account),
            (Kind::Issuer, named.issuer),
            (Kind::Api, named.api),
            (Kind::Identity, named.identity),
            (Kind::ApiKey, named.api_key),
        ];
        for (kind, name) in given.into_iter().filter_map(|(kind, name)| Some((kind, name?))) {
            let unknown = self.unknown(snapshot, named, kind, name).await?;
            if unknown.is_some() {
                return Ok(unknown);
            }
        }
        Ok(None)
    }

    async fn unknown(
        &self,
        snapshot: &Snapshot,
        named: &NamedObjects<'_>,
        kind: Kind,
        name: &str,
    ) -> Result<Option<UnknownName>, LedgerError> {
        let configured = configured_names(snapshot, named, kind);
        if configured.contains(name) {
            return Ok(None);
        }
        // If an account is named, identities and API keys must be its own.
        let owner = match kind {
            Kind::Identity | Kind::ApiKey => named.account,
            Kind::Account | Kind::Issuer | Kind::Api => None,
        };
        let account = match kind {
            Kind::Account => Some(name),
            Kind::Identity | Kind::ApiKey | Kind::Issuer | Kind::Api => owner,
        };
        let id = match account.map(|account| account_id(snapshot, account)) {
            // No record has a name that no account can have.
            Some(None) => return Ok(Some(unknown(snapshot, kind, name, owner, &configured))),
            Some(Some(id)) => Some(id),
            None => None,
        };
        let mut recorded: BTreeSet<String> = BTreeSet::new();
        let mut note = |entry: Option<&Entry>| {
            let Some(own) = entry.and_then(|entry| kind.of(&entry.record)) else { return true };
            if !recorded.contains(own) {
                recorded.insert(own.to_owned());
            }
            own != name
        };
        self.scan_records(id.as_ref(), |visited| note(visited.map(|(entry, _)| entry))).await?;
        if recorded.contains(name) {
            return Ok(None);
        }
        let all: BTreeSet<&str> = configured.into_iter().chain(recorded.iter().map(String::as_str)).collect();
        Ok(Some(unknown(snapshot, kind, name, owner, &all)))
    }
}

fn unknown(snapshot: &Snapshot, kind: Kind, name: &str, account: Option<&str>, others: &BTreeSet<&str>) -> UnknownName {
    UnknownName {
        has_rules: snapshot.has_rules,
        what: kind.word(),
        name: name.to_owned(),
        account: account.map(str::to_owned),
        nearest: nearest(name, others.iter().copied()).map(str::to_owned),
    }
}

/// The names in the configuration.
fn configured_names<'s>(snapshot: &'s Snapshot, named: &NamedObjects<'_>, kind: Kind) -> BTreeSet<&'s str> {
    let rules = &snapshot.rules;
    match kind {
        Kind::Account => rules.accounts().flat_map(|account| [account.name.as_str(), account.id.as_str()]).collect(),
        Kind::Issuer => snapshot.trust.names().collect(),
        Kind::Api => rules.apis().map(|api| api.name.as_str()).collect(),
        Kind::ApiKey => {
            let own = snapshot.api_keys.iter().filter(|key| {
                let owner = rules.account(key.account.as_str());
                let is_id = |name: &str| owner.as_ref().is_some_and(|owner| owner.id.as_str() == name);
                named.account.is_none_or(|name| key.account.as_str() == name || is_id(name))
            });
            own.map(|key| key.id.as_str()).collect()
        }
        Kind::Identity => {
            let own = rules.accounts().filter(|account| {
                named.account.is_none_or(|name| account.name.as_str() == name || account.id.as_str() == name)
            });
            own.flat_map(|account| account.identities).map(|identity| identity.as_str()).collect()
        }
    }
}
