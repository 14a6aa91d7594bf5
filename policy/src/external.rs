//! Teams that groups give: those of a directory, and those that a token names.
//!
//! The grants of such a team are compiled once. Which teams an account has is looked up in each
//! decision, so another membership compiles nothing.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use sts_claims::{ClaimPath, ClaimSet, Json};
use sts_types::{AccountId, AccountName, DirectoryName, EntryName, NamedGroup, Scope, ScopeSet, TeamName, UnixTime};

use crate::account::{Account, Api};
use crate::finding::quoted;
use crate::identity::{ApiGrant, EvaluationContext, Identity};
use crate::ruleset::RuleSet;
use crate::{ExternalLogin, Facts, MemberOf, Memberships, NoMembership};

/// All teams that groups give.
#[derive(Debug, Default)]
pub(crate) struct ExternalTeams {
    /// In the order of the files.
    pub(crate) teams: Vec<ExternalTeam>,
    /// By directory and group key.
    pub(crate) by_directory: HashMap<DirectoryName, HashMap<Arc<str>, DirectoryGroup>>,
    /// By the issuer entry's index.
    pub(crate) by_entry: HashMap<usize, TokenGroups>,
    /// Which of them a directory or token could give.
    pub(crate) possible: TeamsBySource,
    /// Those of them that grant scopes of the built-in API, which are power over the server.
    pub(crate) privileged: TeamsBySource,
}

/// Indices of teams by what could give them.
#[derive(Debug, Default)]
pub(crate) struct TeamsBySource {
    by_directory: HashMap<DirectoryName, Vec<usize>>,
    by_entry: HashMap<usize, Vec<usize>>,
}

/// A team that some group gives.
#[derive(Debug)]
pub(crate) struct ExternalTeam {
    pub(crate) name: TeamName,
    pub(crate) grants: Vec<ApiGrant>,
}

/// A group of a directory.
#[derive(Debug)]
pub(crate) struct DirectoryGroup {
    /// The group as it is written.
    pub(crate) text: Arc<str>,
    /// Indices of the teams that it gives.
    pub(crate) teams: Vec<usize>,
}

/// The groups that tokens of an issuer entry name.
#[derive(Debug)]
pub(crate) struct TokenGroups {
    pub(crate) entry: EntryName,
    /// In the order of the files.
    pub(crate) claims: Vec<ClaimGroups>,
}

/// The groups that one claim names.
#[derive(Debug)]
pub(crate) struct ClaimGroups {
    pub(crate) path: ClaimPath,
    /// Indices of the teams that each group gives.
    pub(crate) teams: HashMap<Box<str>, Vec<usize>>,
}

/// What an identity leaves of its account's grants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Narrowing {
    /// These scopes, in every API.
    pub(crate) scopes: Option<ScopeSet>,
    /// These APIs and scopes.
    pub(crate) grants: Option<Vec<ApiGrant>>,
}

/// A team that a group gives an account in a decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GivenTeam {
    /// The team.
    pub team: TeamName,
    /// What gives it.
    #[serde(flatten)]
    pub source: TeamSource,
}

/// What gives a team.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum TeamSource {
    /// A group of a directory.
    Directory {
        /// The directory.
        directory: DirectoryName,
        /// The group, as it is written.
        group: String,
        /// How old the membership is, in seconds. `None` in a policy test.
        #[serde(skip_serializing_if = "Option::is_none")]
        age_seconds: Option<u64>,
    },
    /// The subject token named the group.
    Token {
        /// The issuer entry.
        entry: EntryName,
        /// The claim, as it is written.
        claim: String,
        /// The group.
        value: String,
    },
    /// The subject token named the group when the first token was minted.
    EarlierToken {
        /// The issuer entry.
        entry: EntryName,
        /// The claim, as it is written.
        claim: String,
        /// The group.
        value: String,
    },
}

impl GivenTeam {
    /// The group that the ID token named, if one gives the team. Such a team stays with the tokens that come
    /// from the one it was given to.
    pub(crate) fn named_group(&self) -> Option<NamedGroup> {
        match &self.source {
            TeamSource::Token { claim, value, .. } | TeamSource::EarlierToken { claim, value, .. } => {
                Some(NamedGroup { team: self.team.clone(), claim: claim.clone(), value: value.clone() })
            }
            TeamSource::Directory { .. } => None,
        }
    }
}

impl fmt::Display for TeamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { directory, group, age_seconds } => {
                write!(f, "from the group {} of the directory `{directory}`", quoted(group))?;
                age_seconds.map_or(Ok(()), |age| write!(f, ", as it was {age} s ago"))
            }
            Self::Token { entry, claim, value } => {
                write!(f, "from the group {} in {} of the token of `{entry}`", quoted(value), quoted(claim))
            }
            Self::EarlierToken { entry, claim, value } => {
                write!(f, "from the group {} in {} of the first token, of `{entry}`", quoted(value), quoted(claim))
            }
        }
    }
}

/// The teams that a directory gives an account, beside its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryTeams<'a> {
    /// The account.
    pub account: &'a AccountName,
    /// The directory.
    pub directory: &'a DirectoryName,
    /// The teams.
    pub teams: BTreeSet<&'a TeamName>,
    /// Why it gives none at all, if that is not by its groups.
    pub withheld: Option<NoMembership>,
}

/// The teams of an account that groups give, apart from any decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTeams {
    /// The account's login.
    pub login: Option<ExternalLogin>,
    /// What groups of the directory give it now.
    pub given: Vec<GivenTeam>,
    /// What a token of an issuer of its identities gives it, if it names the group.
    pub by_token: Vec<GivenTeam>,
    /// Why its directory gives it nothing.
    pub fault: Option<String>,
}

/// The token that may name groups.
#[derive(Clone, Copy)]
pub(crate) enum Named<'a> {
    /// Claims of a token of this entry.
    Claims(usize, &'a ClaimSet),
    /// What the token at the root of a token of ours named, and its entry.
    Earlier(usize, &'a [NamedGroup]),
    /// No token: an API key.
    Nothing,
}

/// What an account has in one decision.
#[derive(Debug)]
pub(crate) struct Holdings<'a> {
    pub(crate) account: &'a Account,
    /// The teams that groups give it. Usually none, which costs nothing.
    pub(crate) given: Vec<(&'a ExternalTeam, TeamSource)>,
    apis: &'a [Api],
}

impl RuleSet {
    /// What `account` has when its token is judged.
    pub(crate) fn holdings<'a>(&'a self, account: &'a Account, context: &EvaluationContext<'_>) -> Holdings<'a> {
        // The usual case pays for this comparison only.
        if self.external.teams.is_empty() {
            return Holdings { account, given: Vec::new(), apis: &self.apis };
        }
        let named = context.entry.map_or(Named::Nothing, |entry| Named::Claims(entry, context.claims));
        self.holdings_by(account, named, context.memberships, context.now)
    }

    /// The same for facts.
    pub(crate) fn holdings_of<'a>(&'a self, account: &'a Account, facts: Facts<'_>) -> Holdings<'a> {
        let entry = self.entry_by_name.get(facts.entry.as_str());
        let named = entry.map_or(Named::Nothing, |entry| Named::Claims(*entry, facts.claims));
        self.holdings_by(account, named, facts.memberships, facts.now)
    }

    /// What `account` has, by what named its groups.
    pub(crate) fn holdings_by<'a>(
        &'a self,
        account: &'a Account,
        named: Named<'_>,
        memberships: &dyn Memberships,
        now: UnixTime,
    ) -> Holdings<'a> {
        let mut found: Vec<(usize, TeamSource)> = Vec::new();
        let mut add = |team: usize, source: TeamSource| {
            if !found.iter().any(|(known, _)| *known == team) {
                found.push((team, source));
            }
        };
        if let Some((login, Ok(member))) = self.membership(account, memberships, now) {
            let groups = self.external.by_directory.get(&login.directory);
            for group in member.groups.iter().filter_map(|key| groups?.get(key)) {
                let source = || TeamSource::Directory {
                    directory: login.directory.clone(),
                    group: group.text.to_string(),
                    age_seconds: member.age,
                };
                group.teams.iter().for_each(|team| add(*team, source()));
            }
        }
        self.external.named(named, &mut add);
        found.sort_by_key(|(team, _)| *team);
        let given = found.into_iter().filter_map(|(team, source)| Some((self.external.teams.get(team)?, source)));
        let given = given.filter(|(team, _)| !account.granted.teams.contains(&team.name)).collect();
        Holdings { account, given, apis: &self.apis }
    }

    /// What the directory of the account's login says. `None` without a login, or if no group of the
    /// directory gives a team.
    pub(crate) fn membership<'a>(
        &self,
        account: &'a Account,
        memberships: &dyn Memberships,
        now: UnixTime,
    ) -> Option<(&'a ExternalLogin, Result<MemberOf, NoMembership>)> {
        let login = account.login.as_deref()?;
        self.external.by_directory.get(&login.directory)?;
        Some((login, memberships.of(&account.granted.id, login, now)))
    }

    /// The teams that groups give the account of that name. `None` if there is no such account.
    #[must_use]
    pub fn group_teams(&self, account: &str, memberships: &dyn Memberships, now: UnixTime) -> Option<GroupTeams> {
        let account = self.accounts.get(*self.account_by_name.get(account)?)?;
        let fault = self.membership(account, memberships, now).and_then(|(_, member)| member.err());
        let given = self.holdings_by(account, Named::Nothing, memberships, now).given.into_iter();
        Some(GroupTeams {
            login: account.login.as_deref().cloned(),
            given: given.map(|(team, source)| GivenTeam { team: team.name.clone(), source }).collect(),
            by_token: self.teams_by_token(account),
            fault: fault.map(|fault| fault.cause),
        })
    }

    /// The teams that a token could give the account beside its own, in the order of the files.
    fn teams_by_token(&self, account: &Account) -> Vec<GivenTeam> {
        let rules = account.identities.iter().flat_map(|identity| &identity.terms.entries);
        let entries: BTreeSet<usize> = rules.map(|rule| rule.entry).collect();
        let mut found = BTreeSet::new();
        for groups in entries.iter().filter_map(|entry| self.external.by_entry.get(entry)) {
            for of_claim in &groups.claims {
                for (value, teams) in &of_claim.teams {
                    found.extend(teams.iter().map(|team| (*team, &groups.entry, of_claim.path.to_string(), value)));
                }
            }
        }
        let given = found.into_iter().filter_map(|(team, entry, claim, value)| {
            let team = self.external.teams.get(team)?.name.clone();
            let is_new = !account.granted.teams.contains(&team);
            let source = TeamSource::Token { entry: entry.clone(), claim, value: value.to_string() };
            is_new.then_some(GivenTeam { team, source })
        });
        given.collect()
    }

    /// Every account with a login in a directory.
    pub fn external_logins(&self) -> impl Iterator<Item = (&AccountId, &ExternalLogin)> {
        self.accounts.iter().filter_map(|account| Some((&account.granted.id, account.login.as_deref()?)))
    }

    /// What directories give each account with a login in one.
    pub fn directory_teams<'a>(
        &'a self,
        memberships: &'a dyn Memberships,
        now: UnixTime,
    ) -> impl Iterator<Item = DirectoryTeams<'a>> {
        self.accounts.iter().filter_map(move |account| {
            let (login, member) = self.membership(account, memberships, now)?;
            let holdings = self.holdings_by(account, Named::Nothing, memberships, now);
            Some(DirectoryTeams {
                account: &account.granted.name,
                directory: &login.directory,
                teams: holdings.given.into_iter().map(|(team, _)| &team.name).collect(),
                withheld: member.err(),
            })
        })
    }

    /// Every group of a directory that gives a team, as it is written.
    pub fn directory_groups(&self) -> impl Iterator<Item = (&DirectoryName, &str)> {
        let groups = |(directory, groups)| {
            let groups: &HashMap<Arc<str>, DirectoryGroup> = groups;
            groups.values().map(move |group| (directory, &*group.text))
        };
        self.external.by_directory.iter().flat_map(groups)
    }

    /// The scopes that the account is granted, and those that a group could give it.
    #[must_use]
    pub fn possible_scopes(&self, account: &str) -> BTreeSet<String> {
        self.scopes_with(account, &self.external.possible, |_| true)
    }

    /// Those of them that are scopes of the built-in API.
    #[must_use]
    pub fn possible_own_scopes(&self, account: &str) -> BTreeSet<String> {
        self.scopes_with(account, &self.external.privileged, ApiGrant::is_of_built_in)
    }

    /// The scopes of the account's grants, and of those of `teams` that could be given to it.
    fn scopes_with(
        &self,
        account: &str,
        teams: &TeamsBySource,
        counts: impl Fn(&ApiGrant) -> bool,
    ) -> BTreeSet<String> {
        let found = self.account_by_name.get(account).and_then(|index| self.accounts.get(*index));
        let Some(account) = found else { return BTreeSet::new() };
        let teams = teams.of_account(account).into_iter().filter_map(|team| self.external.teams.get(team));
        let grants = account.terms.grants.iter().chain(teams.flat_map(|team| &team.grants));
        let scopes = grants.filter(|grant| counts(grant)).flat_map(|grant| grant.scopes.iter());
        scopes.map(|scope| scope.as_str().to_owned()).collect()
    }

    /// The indices of all teams that a group of a directory or token could give the account.
    pub(crate) fn possible_teams(&self, account: &Account) -> Vec<usize> {
        self.external.possible.of_account(account)
    }
}

impl ExternalTeams {
    /// Fills in what could give which teams. For when all groups are there.
    pub(crate) fn index_sources(&mut self) {
        let is_privileged = |team: &usize| {
            let team = self.teams.get(*team);
            team.is_some_and(|team| team.grants.iter().any(ApiGrant::is_of_built_in))
        };
        self.privileged = TeamsBySource::of(self, is_privileged);
        self.possible = TeamsBySource::of(self, |_| true);
    }

    /// Calls `add` for each team whose group the token names.
    fn named(&self, named: Named<'_>, add: &mut impl FnMut(usize, TeamSource)) {
        match named {
            Named::Claims(entry, claims) => {
                let Some(groups) = self.by_entry.get(&entry) else { return };
                for of_claim in &groups.claims {
                    // A scalar counts as a list of one.
                    let values = claims.find(&of_claim.path).into_iter().flat_map(Json::elements);
                    for value in values.filter_map(Json::as_str) {
                        for team in of_claim.teams.get(value).into_iter().flatten() {
                            let (claim, value) = (of_claim.path.to_string(), value.to_owned());
                            add(*team, TeamSource::Token { entry: groups.entry.clone(), claim, value });
                        }
                    }
                }
            }
            Named::Earlier(entry, named) => {
                let Some(groups) = self.by_entry.get(&entry) else { return };
                for NamedGroup { team, claim, value } in named {
                    let of_claim = groups.claims.iter().find(|of_claim| of_claim.path.as_str() == claim);
                    let teams = of_claim.and_then(|of_claim| of_claim.teams.get(value.as_str()));
                    let is_it = |index: &&usize| self.teams.get(**index).is_some_and(|given| given.name == *team);
                    // What the group gives besides is not for a token whose ancestors lacked it.
                    if let Some(index) = teams.into_iter().flatten().find(is_it) {
                        let (entry, claim, value) = (groups.entry.clone(), claim.clone(), value.clone());
                        add(*index, TeamSource::EarlierToken { entry, claim, value });
                    }
                }
            }
            Named::Nothing => {}
        }
    }
}

impl TeamsBySource {
    /// Those teams of `external` that count.
    fn of(external: &ExternalTeams, counts: impl Fn(&usize) -> bool) -> Self {
        let collected = |teams: &mut dyn Iterator<Item = usize>| {
            let mut teams: Vec<usize> = teams.filter(&counts).collect();
            teams.sort_unstable();
            teams.dedup();
            teams
        };
        let of_directory = |(name, groups): (&DirectoryName, &HashMap<Arc<str>, DirectoryGroup>)| {
            (name.clone(), collected(&mut groups.values().flat_map(|group| group.teams.iter().copied())))
        };
        let of_entry = |(entry, groups): (&usize, &TokenGroups)| {
            let mut teams = groups.claims.iter().flat_map(|of_claim| of_claim.teams.values().flatten().copied());
            (*entry, collected(&mut teams))
        };
        Self {
            by_directory: external.by_directory.iter().map(of_directory).collect(),
            by_entry: external.by_entry.iter().map(of_entry).collect(),
        }
    }

    fn of_account(&self, account: &Account) -> Vec<usize> {
        let entries = account.identities.iter().flat_map(|identity| &identity.terms.entries).map(|rule| rule.entry);
        self.of_sources(account.login.as_deref(), entries)
    }

    /// The teams that an account with this login and identities of these entries could be given.
    pub(crate) fn of_sources(
        &self,
        login: Option<&ExternalLogin>,
        entries: impl IntoIterator<Item = usize>,
    ) -> Vec<usize> {
        if self.by_directory.is_empty() && self.by_entry.is_empty() {
            return Vec::new();
        }
        let of_directory = login.and_then(|login| self.by_directory.get(&login.directory));
        let of_entries = entries.into_iter().filter_map(|entry| self.by_entry.get(&entry));
        let mut teams: Vec<usize> = of_directory.into_iter().chain(of_entries).flatten().copied().collect();
        teams.sort_unstable();
        teams.dedup();
        teams
    }
}

impl<'a> Holdings<'a> {
    /// What the account is granted.
    pub(crate) fn of_account(&self) -> Cow<'a, [ApiGrant]> {
        let own = &self.account.terms.grants;
        if self.given.is_empty() {
            return Cow::Borrowed(own);
        }
        let given = self.given.iter().flat_map(|(team, _)| &team.grants);
        Cow::Owned(unite(own.iter().chain(given), self.apis))
    }

    /// What the identity leaves of that.
    pub(crate) fn of_identity(&self, identity: &'a Identity) -> Cow<'a, [ApiGrant]> {
        if self.given.is_empty() {
            return Cow::Borrowed(&identity.terms.grants);
        }
        let all = self.of_account().into_owned();
        Cow::Owned(match &identity.terms.narrowing {
            None => all,
            Some(narrowing) => narrowing.of(&all, self.apis),
        })
    }

    /// The API of a request that names none: the only one that the account is granted, or its
    /// `default_api`.
    pub(crate) fn default_target(&self) -> Option<usize> {
        let terms = &self.account.terms;
        if self.given.is_empty() || terms.names_default {
            return terms.default_target;
        }
        match &*self.of_account() {
            [only] => Some(only.api),
            _ => None,
        }
    }

    /// The teams for a grant.
    pub(crate) fn given_teams(&self) -> Vec<GivenTeam> {
        let given = |(team, source): &(&ExternalTeam, TeamSource)| GivenTeam {
            team: team.name.clone(),
            source: source.clone(),
        };
        self.given.iter().map(given).collect()
    }
}

impl Narrowing {
    /// What is left of `granted`.
    pub(crate) fn of(&self, granted: &[ApiGrant], apis: &[Api]) -> Vec<ApiGrant> {
        let narrowed = granted.iter().filter_map(|grant| {
            let by_grants = match &self.grants {
                None => None,
                Some(kept) => Some(&kept.iter().find(|other| other.api == grant.api)?.scopes),
            };
            let lets = |scope: &&Scope| {
                self.scopes.as_ref().is_none_or(|kept| kept.contains(scope.as_str()))
                    && by_grants.is_none_or(|granted| granted.contains(scope.as_str()))
            };
            settle(ApiGrant { scopes: grant.scopes.iter().filter(lets).cloned().collect(), ..grant.clone() }, apis)
        });
        narrowed.collect()
    }
}

/// Unites `grants`: APIs in the order of their first grant, scopes in the order the API declares
/// them. An API that declares scopes is dropped if none of them is granted.
pub(crate) fn unite<'a>(grants: impl IntoIterator<Item = &'a ApiGrant>, apis: &[Api]) -> Vec<ApiGrant> {
    let mut united: Vec<ApiGrant> = Vec::new();
    let mut indices = HashMap::new();
    for grant in grants {
        let index = *indices.entry(grant.api).or_insert(united.len());
        match united.get_mut(index) {
            Some(united_grant) => grant.scopes.iter().for_each(|scope| united_grant.scopes.insert(scope.clone())),
            None => united.push(grant.clone()),
        }
    }
    united.into_iter().filter_map(|grant| settle(grant, apis)).collect()
}

/// Sorts the scopes of `grant` in the API's order. `None` if nothing is granted.
pub(crate) fn settle(grant: ApiGrant, apis: &[Api]) -> Option<ApiGrant> {
    let api = apis.get(grant.api)?;
    let scopes: ScopeSet = api.scopes.iter().filter(|scope| grant.scopes.contains(scope.as_str())).cloned().collect();
    let kept = api.scopes.is_empty() || !scopes.is_empty();
    kept.then_some(ApiGrant { scopes, ..grant })
}

#[cfg(test)]
mod tests;
