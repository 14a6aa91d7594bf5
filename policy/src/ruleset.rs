//! The compiled policy, and what can be looked up in it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;
use sts_types::{
    AccountId, AccountName, ApiName, Audience, ClaimSet, EntryName, IdentityName, IssuerTemplate, Json, Lifetime,
    Scope, ScopeSet, TeamName, UnixTime, is_uuid,
};

use crate::identity::{ApiGrant, Identity, Window};
use crate::index::Index;
use crate::{Case, Expectation, Finding, GrantedAccount, Spec, TestSpec};

/// An immutable, compiled policy. It decides (`judge.rs`) on requests whose names it resolved (`resolve.rs`).
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
    pub(crate) accounts: Vec<Account>,
    /// By username and by id.
    pub(crate) account_by_name: HashMap<Arc<str>, usize>,
    /// What was written, without teams and accounts: a changed identity is compiled within it to see what a change would do.
    pub(crate) frame: Spec,
    /// Tokens that must stay refused, as the policy tests have them. `None` where there are too many to try them all: no change
    /// of the rules is advised then.
    pub(crate) guards: Option<Vec<Case>>,
}

/// A policy that compiled.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub rules: RuleSet,
    /// Lints.
    pub warnings: Vec<Finding>,
}

/// An issuer entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) enabled: bool,
    /// Our issuer, and every audience configured for the entry or an identity of it.
    pub(crate) audiences: HashSet<Audience>,
    /// The form of its issuers, where there are many.
    pub(crate) template: Option<Arc<IssuerTemplate>>,
    pub(crate) index: Index,
}

/// An API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: ApiName,
    pub(crate) audience: Audience,
    pub(crate) display_name: Option<String>,
    pub(crate) scopes: ScopeSet,
}

/// A service account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) granted: Arc<GrantedAccount>,
    pub(crate) display_name: Option<Box<str>>,
    pub(crate) terms: Arc<AccountTerms>,
    /// Other for an account that was written otherwise.
    pub(crate) print: u64,
    /// Mostly one, which is then found where the account is.
    pub(crate) identities: SmallVec<[Identity; 1]>,
}

/// What many accounts have alike.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct AccountTerms {
    pub(crate) window: Window,
    pub(crate) grants: Vec<ApiGrant>,
    /// The API meant when a request names none: the account's only one, or `default_api`.
    pub(crate) default_target: Option<usize>,
    pub(crate) ttl: Option<Lifetime>,
}

/// Where a token of ours came from, as its record has it.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// The account's id.
    pub account: &'a AccountId,
    /// The identity that decided.
    pub identity: &'a IdentityName,
    /// The issuer entry of the subject token.
    pub entry: &'a EntryName,
    /// Our `iat`.
    pub issued: UnixTime,
}

/// One account, to look at.
#[derive(Clone, Debug)]
pub struct AccountView<'a> {
    /// The username.
    pub name: &'a AccountName,
    /// `sub`.
    pub id: &'a AccountId,
    /// For people.
    pub display_name: Option<&'a str>,
    /// Whether it gets tokens, its times apart.
    pub enabled: bool,
    /// Its teams.
    pub teams: &'a [TeamName],
    /// What it is granted, by API, its teams' grants included.
    pub grants: Vec<(&'a ApiName, &'a ScopeSet)>,
    /// Its identities, in file order.
    pub identities: Vec<&'a IdentityName>,
}

/// One API, to look at.
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

/// The most policy tests that are kept to hold a change against.
const MAX_GUARDS: usize = 1000;

impl RuleSet {
    /// Keeps the tokens that `tests` want refused, so that no change is advised that would let one of them in.
    pub fn guard(&mut self, spec: &Spec, tests: &[TestSpec], now: UnixTime) {
        let denials = || tests.iter().filter(|test| test.expect == Expectation::Deny);
        self.guards = (denials().count() <= MAX_GUARDS)
            .then(|| denials().filter_map(|test| crate::test_case(self, spec, test, now).ok()).collect());
    }

    /// Whether some value of `aud` is one that a token of `entry` can have here: our issuer, any audience configured for the
    /// entry or its identities, or a UUID (an account's id, which is not looked up).
    #[must_use]
    pub fn knows_audience(&self, entry: &EntryName, claims: &ClaimSet) -> bool {
        let Some(entry) = self.entry_by_name.get(entry).and_then(|at| self.entries.get(*at)) else { return false };
        let mut values = claims.get("aud").into_iter().flat_map(Json::elements).filter_map(Json::as_str);
        values.any(|value| is_uuid(value) || entry.audiences.contains(value))
    }

    /// Whether a token may still be active: its account, identity and issuer entry exist, belong together, are enabled and in
    /// time, and it was not issued before account or identity began. So raising a `not_before` ends what was issued earlier.
    #[must_use]
    pub fn still_active(&self, token: &Provenance<'_>, now: UnixTime) -> bool {
        let Provenance { account, identity, entry, issued } = *token;
        let lives = |window: &Window| window.is_open(now) && window.not_before.is_none_or(|from| from <= issued);
        let account = self
            .account_by_name
            .get(account.as_str())
            .and_then(|at| self.accounts.get(*at))
            .filter(|own| own.granted.id == *account);
        let entry =
            self.entry_by_name.get(entry).filter(|at| self.entries.get(**at).is_some_and(|entry| entry.enabled));
        let (Some(account), Some(entry)) = (account, entry) else { return false };
        lives(&account.terms.window)
            && account
                .identities
                .iter()
                .any(|own| own.name == *identity && lives(&own.terms.window) && own.rule(*entry).is_some())
    }

    /// When the next account or identity ends (`not_after`) after `now`: what was minted for it is inactive from then on.
    #[must_use]
    pub fn next_end(&self, now: UnixTime) -> Option<UnixTime> {
        let identities = self.accounts.iter().flat_map(|account| &account.identities).map(|own| own.terms.window);
        let windows = self.accounts.iter().map(|account| account.terms.window).chain(identities);
        windows.filter_map(|window| window.not_after).filter(|end| *end > now).min()
    }

    /// Every account, in file order.
    pub fn accounts(&self) -> impl Iterator<Item = AccountView<'_>> {
        self.accounts.iter().map(Account::view)
    }

    /// The account of that username or id.
    #[must_use]
    pub fn account(&self, name_or_id: &str) -> Option<AccountView<'_>> {
        self.account_by_name.get(name_or_id).and_then(|at| self.accounts.get(*at)).map(Account::view)
    }

    /// The username of the account that a request names, by the index in [`crate::RequestedAccount::Known`].
    #[must_use]
    pub fn account_name(&self, index: usize) -> Option<&AccountName> {
        self.accounts.get(index).map(|account| &account.granted.name)
    }

    /// Every API, the built-in `sts` first.
    pub fn apis(&self) -> impl Iterator<Item = ApiView<'_>> {
        self.apis.iter().map(Api::view)
    }

    /// The API of that name.
    #[must_use]
    pub fn api(&self, name: &str) -> Option<ApiView<'_>> {
        self.api_by_name.get(name).and_then(|at| self.apis.get(*at)).map(Api::view)
    }

    /// The API of that audience.
    #[must_use]
    pub fn api_by_audience(&self, audience: &str) -> Option<ApiView<'_>> {
        self.api_by_audience.get(audience).and_then(|at| self.apis.get(*at)).map(Api::view)
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
