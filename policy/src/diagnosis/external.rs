//! Explains which teams of groups an account lacks: what a directory or token would have to say.

use std::sync::Arc;

use sts_types::{ScopeSet, UnixTime};

use super::names;
use super::refused::Refused;
use crate::account::Account;
use crate::external::{ExternalTeam, Holdings};
use crate::finding::quoted;
use crate::identity::ApiGrant;
use crate::ruleset::RuleSet;
use crate::{ExternalLogin, MemberOf, Memberships, Requested, RequestedTarget};

impl Refused<'_> {
    /// As [`RuleSet::lacking`].
    pub(super) fn lacking(&self, holdings: &Holdings<'_>) -> String {
        self.rules.lacking(holdings, self.requested, self.facts.memberships, self.facts.now)
    }
}

impl RuleSet {
    /// Why a team that would grant more of the request is not given, as the end of a sentence. Empty if no
    /// group could give one.
    pub(crate) fn lacking(
        &self,
        holdings: &Holdings<'_>,
        requested: &Requested,
        memberships: &dyn Memberships,
        now: UnixTime,
    ) -> String {
        let (account, granted) = (holdings.account, holdings.of_account());
        let adds = |team: &ExternalTeam| team.grants.iter().any(|grant| adds(grant, &granted, requested));
        let is_given = |team: &ExternalTeam| holdings.given.iter().any(|(given, _)| given.name == team.name);
        let possible = self.possible_teams(account).into_iter();
        let mut possible = possible.filter_map(|index| Some((index, self.external.teams.get(index)?)));
        let Some((index, team)) = possible.find(|(_, team)| adds(team) && !is_given(team)) else {
            return String::new();
        };
        let why = match self.membership(account, memberships, now) {
            Some((login, answer)) => self.why_no_directory_gives(index, login, answer, memberships),
            None => None,
        };
        let why = why.unwrap_or_else(|| self.tokens_that_give(account, index));
        format!("; team {} would grant it, but {why}", quoted(team.name.as_str()))
    }

    /// Why no group of the login's directory gives the team. `None` if none could.
    fn why_no_directory_gives(
        &self,
        team: usize,
        login: &ExternalLogin,
        answer: Result<MemberOf, crate::NoMembership>,
        memberships: &dyn Memberships,
    ) -> Option<String> {
        let groups = self.external.by_directory.get(&login.directory)?.values();
        let groups: Vec<&Arc<str>> =
            groups.filter(|group| group.teams.contains(&team)).map(|group| &group.text).collect();
        if groups.is_empty() {
            return None;
        }
        if let Err(none) = answer {
            return Some(none.cause);
        }
        let fault = groups.iter().find_map(|group| memberships.group_fault(&login.directory, group));
        Some(fault.unwrap_or_else(|| {
            format!(
                "the directory {} does not list the login {} in {}",
                quoted(login.directory.as_str()),
                quoted(&login.name),
                names::list(groups.iter().map(|group| &***group))
            )
        }))
    }

    /// The tokens of the account's issuer entries that name a group of the team.
    fn tokens_that_give(&self, account: &Account, team: usize) -> String {
        let accepts = |entry: &str| {
            let mut rules = account.identities.iter().flat_map(|identity| &identity.terms.entries);
            rules.any(|rule| rule.name.as_str() == entry)
        };
        let mut tokens = Vec::new();
        for groups in self.external.by_entry.values().filter(|groups| accepts(groups.entry.as_str())) {
            for of_claim in &groups.claims {
                for (value, _) in of_claim.teams.iter().filter(|(_, teams)| teams.contains(&team)) {
                    let (entry, claim) = (quoted(groups.entry.as_str()), quoted(of_claim.path.as_str()));
                    tokens.push(format!("tokens of {entry} whose {claim} names {}", quoted(value)));
                }
            }
        }
        // The order of the maps is random.
        tokens.sort_unstable();
        format!("it is given to {} only", tokens.join(" and to "))
    }
}

/// Whether `grant` has some of the request that `granted` lacks.
fn adds(grant: &ApiGrant, granted: &[ApiGrant], requested: &Requested) -> bool {
    let is_target = match requested.target {
        RequestedTarget::Api(api) => grant.api == api,
        RequestedTarget::Default => true,
        RequestedTarget::Refused => false,
    };
    let own = granted.iter().find(|own| own.api == grant.api);
    let lacks = |scope: &str| !own.is_some_and(|own| own.scopes.contains(scope));
    let adds_scope =
        |wanted: &ScopeSet| wanted.iter().any(|scope| grant.scopes.contains(scope.as_str()) && lacks(scope.as_str()));
    is_target && requested.scopes.as_ref().map_or(own.is_none(), adds_scope)
}
