//! The evaluator. The exchange and the trace (`explain.rs`) share this one implementation.

use std::borrow::Cow;

use serde_json::{Map, Value};
use sts_claims::ClaimSet;
use sts_types::Lifetime;

use crate::account::Account;
use crate::external::{GivenTeam, Holdings};
use crate::identity::{ApiGrant, ConditionCache, EvaluationContext, Identity};
use crate::index::{Candidates, IdentityPosition};
use crate::ruleset::RuleSet;
use crate::{Facts, Grant, Outcome, Refusal, Requested, RequestedAccount, RequestedTarget};

/// An account with at most this many identities is searched without the index.
const FEW: usize = 16;

/// The decision for one account: the identity, and its grant.
pub(crate) struct Chosen<'a> {
    pub(crate) position: IdentityPosition,
    account: &'a Account,
    identity: &'a Identity,
    grant: Covering<'a>,
    given_teams: Vec<GivenTeam>,
}

/// A grant that covers a request.
pub(crate) enum Covering<'a> {
    /// The account's own. Neither a directory nor a token changes that.
    Own(&'a ApiGrant),
    /// Groups give a part of it. Boxed, because it is large and rare.
    United(Box<ApiGrant>),
}

impl std::ops::Deref for Covering<'_> {
    type Target = ApiGrant;

    fn deref(&self) -> &ApiGrant {
        match self {
            Self::Own(grant) => grant,
            Self::United(grant) => grant,
        }
    }
}

impl RuleSet {
    /// Decides on a request, without a trace.
    #[must_use]
    pub fn decide(&self, facts: Facts<'_>, requested: &Requested) -> Outcome {
        let variables = self.variables(facts);
        let memo = ConditionCache::default();
        let context = self.context(facts, &variables, &memo);
        match self.choose(&context, requested) {
            Ok(chosen) => Outcome::Granted(self.grant(chosen, &context, requested)),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    pub(crate) fn context<'a>(
        &self,
        facts: Facts<'a>,
        variables: &'a ClaimSet,
        memo: &'a ConditionCache,
    ) -> EvaluationContext<'a> {
        let entry = self.entry_by_name.get(facts.entry.as_str()).copied();
        let Facts { entry: entry_name, claims, now, memberships } = facts;
        EvaluationContext { entry, entry_name, claims, variables, now, memo, memberships }
    }

    /// The values that the variables of the entry's template have in `iss`.
    pub(crate) fn variables(&self, facts: Facts<'_>) -> ClaimSet {
        let entry = self.entry_by_name.get(facts.entry.as_str()).and_then(|entry| self.entries.get(*entry));
        let template = entry.and_then(|entry| entry.template.as_deref());
        let values = template.zip(facts.claims.text("iss")).and_then(|(template, iss)| template.values(iss));
        let values = values.into_iter().flatten().map(|(name, value)| (name.to_owned(), Value::from(value)));
        values.collect::<Map<_, _>>().into()
    }

    pub(crate) fn choose(&self, context: &EvaluationContext<'_>, requested: &Requested) -> Result<Chosen<'_>, Refusal> {
        match requested.account {
            RequestedAccount::Nobody => Err(Refusal::NoSuchAccount),
            RequestedAccount::Known(index) => match self.accounts.get(index) {
                None => Err(Refusal::NoSuchAccount),
                Some(account) if !account.terms.window.is_open(context.now) => Err(Refusal::AccountDisabled),
                Some(account) => self.choose_in(index, account, context, requested),
            },
            RequestedAccount::Any if self.require_account => Err(Refusal::NoIdentityMatched),
            RequestedAccount::Any => self.search(context, requested),
        }
    }

    /// The first identity of the account that matches and covers the request. If some match but
    /// none covers it, the reason.
    fn choose_in<'a>(
        &'a self,
        index: usize,
        account: &'a Account,
        context: &EvaluationContext<'_>,
        requested: &Requested,
    ) -> Result<Chosen<'a>, Refusal> {
        let all = account.identities.len();
        if all <= FEW {
            return self.first_that_covers(
                account,
                (0..all).map(|identity| IdentityPosition::new(index, identity)),
                context,
                requested,
            );
        }
        let candidates = self.candidates(context).into_iter().filter(|candidate| candidate.account() == index);
        self.first_that_covers(account, candidates, context, requested)
    }

    /// Searches all accounts. Exactly one must have an identity that matches and covers the
    /// request.
    fn search(&self, context: &EvaluationContext<'_>, requested: &Requested) -> Result<Chosen<'_>, Refusal> {
        let mut found: Option<Chosen<'_>> = None;
        let mut refusal = Refusal::NoIdentityMatched;
        let candidates = self.candidates(context);
        for of_account in candidates.chunk_by(|a, b| a.account() == b.account()) {
            let Some(account) = of_account.first().and_then(|position| self.accounts.get(position.account())) else {
                continue;
            };
            match self.first_that_covers(account, of_account.iter().copied(), context, requested) {
                Ok(_) if found.is_some() => return Err(Refusal::AmbiguousAccount),
                Ok(chosen) => found = Some(chosen),
                Err(other) => refusal = closest(refusal, other),
            }
        }
        found.ok_or(refusal)
    }

    /// Every identity that may match, in file order.
    pub(crate) fn candidates(&self, context: &EvaluationContext<'_>) -> Candidates {
        let entry = context.entry.and_then(|entry| self.entries.get(entry));
        entry.map(|entry| entry.index.candidates(context.claims)).unwrap_or_default()
    }

    pub(crate) fn grant(&self, chosen: Chosen<'_>, context: &EvaluationContext<'_>, requested: &Requested) -> Grant {
        let Chosen { account, identity, grant, given_teams, .. } = chosen;
        let lifetime = self.lifetime([identity.terms.ttl, account.terms.ttl], requested);
        let replay = context.entry.and_then(|entry| identity.rule(entry)).map(|rule| rule.replay).unwrap_or_default();
        Grant {
            account: account.granted.clone(),
            given_teams,
            identity: Some(identity.name.clone()),
            api: grant.name.clone(),
            audience: grant.audience.clone(),
            scopes: requested.scopes.clone().unwrap_or_else(|| grant.scopes.clone()),
            lifetime,
            replay,
            copy_claims: identity.terms.copy_claims.clone(),
            requires_proof: account.terms.require_proof,
        }
    }

    /// The shortest of the requested lifetime, the configured ones, and the longest of any token.
    pub(crate) fn lifetime(&self, configured: [Option<Lifetime>; 2], requested: &Requested) -> Lifetime {
        let configured = configured.into_iter().flatten().min().unwrap_or(self.ttl);
        requested.lifetime.map_or(configured, |lifetime| lifetime.min(configured)).min(self.max_ttl)
    }

    pub(crate) fn identity(&self, position: IdentityPosition) -> Option<(&Account, &Identity)> {
        let account = self.accounts.get(position.account())?;
        Some((account, account.identities.get(position.identity())?))
    }

    /// The first of `identities` that matches and covers the request. If some match but none covers it,
    /// the reason.
    fn first_that_covers<'a>(
        &'a self,
        account: &'a Account,
        identities: impl Iterator<Item = IdentityPosition>,
        context: &EvaluationContext<'_>,
        requested: &Requested,
    ) -> Result<Chosen<'a>, Refusal> {
        let mut refusal = Refusal::NoIdentityMatched;
        // Looked up for the first identity that matches: most identities match nothing.
        let mut holdings = None;
        for position in identities {
            let Some(identity) = account
                .identities
                .get(position.identity())
                .filter(|identity| identity.matches(&account.terms.window, context))
            else {
                continue;
            };
            let holdings = holdings.get_or_insert_with(|| self.holdings(account, context));
            match cover(holdings, identity, requested) {
                Ok(grant) => {
                    let given_teams = holdings.given_teams();
                    return Ok(Chosen { position, account, identity, grant, given_teams });
                }
                Err(other) => refusal = closest(refusal, other),
            }
        }
        Err(refusal)
    }
}

/// The grant of `identity` that covers the requested API and scopes.
pub(crate) fn cover<'a>(
    holdings: &Holdings<'a>,
    identity: &'a Identity,
    requested: &Requested,
) -> Result<Covering<'a>, Refusal> {
    let grant = match holdings.of_identity(identity) {
        Cow::Borrowed(grants) => Covering::Own(target(holdings, grants, requested)?),
        Cow::Owned(grants) => Covering::United(Box::new(target(holdings, &grants, requested)?.clone())),
    };
    within(&grant, requested)?;
    Ok(grant)
}

/// The one of `grants` for the requested API.
pub(crate) fn target<'a>(
    holdings: &Holdings<'_>,
    grants: &'a [ApiGrant],
    requested: &Requested,
) -> Result<&'a ApiGrant, Refusal> {
    let api = match requested.target {
        RequestedTarget::Refused => return Err(Refusal::TargetNotGranted),
        RequestedTarget::Api(api) => api,
        RequestedTarget::Default => holdings.default_target().ok_or(Refusal::TargetRequired)?,
    };
    grants.iter().find(|grant| grant.api == api).ok_or(Refusal::TargetNotGranted)
}

/// Refuses if `grant` lacks one of the requested scopes.
pub(crate) fn within(grant: &ApiGrant, requested: &Requested) -> Result<(), Refusal> {
    let is_granted = |scopes: &sts_types::ScopeSet| scopes.iter().all(|scope| grant.scopes.contains(scope.as_str()));
    if requested.unknown_scope || !requested.scopes.as_ref().is_none_or(is_granted) {
        return Err(Refusal::ScopeNotGranted);
    }
    Ok(())
}

/// The one of two refusals that is closer to a grant. `target_not_granted` therefore means that no
/// matching identity grants the API.
fn closest(a: Refusal, b: Refusal) -> Refusal {
    let rank = |refusal| match refusal {
        Refusal::ScopeNotGranted => 3,
        Refusal::TargetRequired => 2,
        Refusal::TargetNotGranted => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

#[cfg(test)]
mod tests;
