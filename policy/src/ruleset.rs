//! The compiled policy and its look-ups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sts_claims::{ClaimSet, Json};
use sts_types::{
    AccountId, AccountName, ApiName, Audience, EntryName, IdentityName, IssuerTemplate, Lifetime, Scope, ScopeSet,
    TeamName, UnixTime, is_uuid,
};

use crate::account::{Account, Api};
use crate::case::Case;
use crate::console::ConsoleRules;
use crate::external::ExternalTeams;
use crate::identity::Identity;
use crate::index::Index;
use crate::{Finding, Spec};

/// An immutable, compiled policy. [`RuleSet::resolve`] resolves the names of a request, and
/// [`RuleSet::decide`] decides on it.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) ttl: Lifetime,
    pub(crate) max_ttl: Lifetime,
    pub(crate) require_account: bool,
    pub(crate) ignore_scopes: Vec<Scope>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) entry_by_name: HashMap<EntryName, usize>,
    /// The built-in `sts` first.
    pub(crate) apis: Vec<Api>,
    pub(crate) api_by_name: HashMap<ApiName, usize>,
    pub(crate) api_by_audience: HashMap<Audience, usize>,
    pub(crate) declared_scopes: HashSet<Scope>,
    pub(crate) external: ExternalTeams,
    pub(crate) accounts: Vec<Account>,
    /// Keyed by username and by id.
    pub(crate) account_by_name: HashMap<Arc<str>, usize>,
    /// Who may sign in to the console.
    pub(crate) console: ConsoleRules,
    /// The spec without teams and accounts. The diagnosis compiles a changed identity in it, to see
    /// what the change would do.
    pub(crate) frame: Spec,
    /// Tokens that the policy tests expect to be refused. `None` if there are too many to try; the
    /// diagnosis then proposes no change of the rules.
    pub(crate) guards: Option<Vec<Case>>,
}

/// Result of a successful compilation.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub rules: RuleSet,
    /// Findings that do not keep the policy from being used.
    pub warnings: Vec<Finding>,
}

/// An issuer entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) enabled: bool,
    /// Our issuer, and every audience configured for the entry or one of its identities.
    pub(crate) audiences: HashSet<Audience>,
    /// Set if the entry accepts every issuer of this form, rather than one.
    pub(crate) template: Option<Arc<IssuerTemplate>>,
    pub(crate) index: Index,
}

/// Where one of our tokens came from, according to its token record.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The account's id.
    pub account: &'a AccountId,
    /// The identity that decided.
    pub identity: &'a IdentityName,
    /// The issuer entry of the subject token.
    pub entry: &'a EntryName,
    /// `iat` of our token.
    pub issued: UnixTime,
}

/// Read-only view of an account.
#[derive(Clone, Debug)]
pub struct AccountView<'a> {
    /// The username.
    pub name: &'a AccountName,
    /// `sub`.
    pub id: &'a AccountId,
    /// For people.
    pub display_name: Option<&'a str>,
    /// Whether the account is enabled. Its `not_before` and `not_after` do not count here.
    pub enabled: bool,
    /// Its teams.
    pub teams: &'a [TeamName],
    /// Its granted scopes by API, including those of its teams.
    pub grants: Vec<(&'a ApiName, &'a ScopeSet)>,
    /// Its identities, in file order.
    pub identities: Vec<&'a IdentityName>,
}

/// Read-only view of an API.
#[derive(Clone, Copy, Debug)]
pub struct ApiView<'a> {
    /// Its name.
    pub name: &'a ApiName,
    /// Its `aud`.
    pub audience: &'a Audience,
    /// For people.
    pub display_name: Option<&'a str>,
    /// The scopes it declares.
    pub scopes: &'a ScopeSet,
}

impl RuleSet {
    /// The spec that the rules were compiled from, without teams and accounts.
    #[must_use]
    pub const fn frame(&self) -> &Spec {
        &self.frame
    }

    /// Whether a token of `entry` with this `aud` may be meant for us: one of its values is our
    /// issuer, an audience configured for the entry or its identities, or a UUID (which may be the
    /// id of an account; this is not looked up).
    #[must_use]
    pub fn knows_audience(&self, entry: &EntryName, claims: &ClaimSet) -> bool {
        let Some(entry) = self.entry_by_name.get(entry).and_then(|index| self.entries.get(*index)) else {
            return false;
        };
        let mut values = claims.get("aud").into_iter().flat_map(Json::elements).filter_map(Json::as_str);
        values.any(|value| is_uuid(value) || entry.audiences.contains(value))
    }

    /// Whether a minted token may still be active: its account, identity and issuer entry exist,
    /// belong together, are enabled and inside their times, and the token was not issued before the
    /// `not_before` of account or identity. Raising a `not_before` therefore ends every token
    /// issued before it.
    #[must_use]
    pub fn still_active(&self, token: &Provenance<'_>, now: UnixTime) -> bool {
        self.live_identity(token, now).is_some()
    }

    /// Whether the account exists, is enabled and inside its times, and a token issued at `issued`
    /// is not older than its `not_before`.
    #[must_use]
    pub fn is_account_live(&self, account: &AccountId, issued: UnixTime, now: UnixTime) -> bool {
        self.account_of_id(account).is_some_and(|(_, account)| account.terms.window.is_live(issued, now))
    }

    /// The account and identity of a token that may still be active.
    pub(crate) fn live_identity(&self, token: &Provenance<'_>, now: UnixTime) -> Option<(usize, &Account, &Identity)> {
        let Provenance { account, identity, entry, issued } = *token;
        let entry = self.entry_by_name.get(entry)?;
        if !self.entries.get(*entry)?.enabled {
            return None;
        }
        let (index, account) = self.account_of_id(account)?;
        if !account.terms.window.is_live(issued, now) {
            return None;
        }
        let identity = account.identities.iter().find(|candidate| {
            candidate.name == *identity
                && candidate.terms.window.is_live(issued, now)
                && candidate.rule(*entry).is_some()
        })?;
        Some((index, account, identity))
    }

    /// The account of that id. Usernames do not count: a record names an account by its id.
    pub(crate) fn account_of_id(&self, id: &AccountId) -> Option<(usize, &Account)> {
        let index = *self.account_by_name.get(id.as_str())?;
        let account = self.accounts.get(index).filter(|account| account.granted.id == *id)?;
        Some((index, account))
    }

    /// The next `not_after` of an account or identity after `now`. Its tokens become inactive then.
    #[must_use]
    pub fn next_end(&self, now: UnixTime) -> Option<UnixTime> {
        let identities =
            self.accounts.iter().flat_map(|account| &account.identities).map(|identity| identity.terms.window);
        let windows = self.accounts.iter().map(|account| account.terms.window).chain(identities);
        windows.filter_map(|window| window.not_after).filter(|end| *end > now).min()
    }

    /// Every account, in file order.
    pub fn accounts(&self) -> impl Iterator<Item = AccountView<'_>> {
        self.accounts.iter().map(Account::view)
    }

    /// Looks an account up by username or id.
    #[must_use]
    pub fn account(&self, name_or_id: &str) -> Option<AccountView<'_>> {
        self.account_by_name.get(name_or_id).and_then(|index| self.accounts.get(*index)).map(Account::view)
    }

    /// The username of the account at `index`, which comes from [`crate::RequestedAccount::Known`].
    #[must_use]
    pub fn account_name(&self, index: usize) -> Option<&AccountName> {
        self.accounts.get(index).map(|account| &account.granted.name)
    }

    /// Every API, the built-in `sts` first.
    pub fn apis(&self) -> impl Iterator<Item = ApiView<'_>> {
        self.apis.iter().map(Api::view)
    }

    /// Looks an API up by name.
    #[must_use]
    pub fn api(&self, name: &str) -> Option<ApiView<'_>> {
        self.api_by_name.get(name).and_then(|index| self.apis.get(*index)).map(Api::view)
    }

    /// Looks an API up by its audience.
    #[must_use]
    pub fn api_by_audience(&self, audience: &str) -> Option<ApiView<'_>> {
        self.api_by_audience.get(audience).and_then(|index| self.apis.get(*index)).map(Api::view)
    }
}

impl Account {
    fn view(&self) -> AccountView<'_> {
        AccountView {
            name: &self.granted.name,
            id: &self.granted.id,
            display_name: self.display_name.as_deref(),
            enabled: self.terms.window.enabled,
            teams: &self.granted.teams,
            grants: self.terms.grants.iter().map(|grant| (&grant.name, &grant.scopes)).collect(),
            identities: self.identities.iter().map(|identity| &identity.name).collect(),
        }
    }
}

impl Api {
    fn view(&self) -> ApiView<'_> {
        ApiView {
            name: &self.name,
            audience: &self.audience,
            display_name: self.display_name.as_deref(),
            scopes: &self.scopes,
        }
    }
}
