//! The evaluator: one implementation, which decides for the exchange, and for those who ask why.

use crate::identity::{ApiGrant, Identity, Judged};
use crate::index::IdentityAt;
use crate::ruleset::{Account, RuleSet};
use crate::{Decision, Facts, Grant, IdentityTrace, Outcome, Refusal, Requested, RequestedAccount, RequestedTarget};

/// The most identities that a trace shows when no account was named: enough to see the near misses of a large policy.
const MOST_TRACED: usize = 50;

/// What was decided for one account: the identity, and the grant it draws on.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    at: IdentityAt,
    account: &'a Account,
    identity: &'a Identity,
    grant: &'a ApiGrant,
}

impl RuleSet {
    /// Decides. Builds no trace.
    #[must_use]
    pub fn decide(&self, facts: Facts<'_>, requested: &Requested) -> Outcome {
        let judged = self.judged(facts);
        match self.choose(&judged, requested) {
            Ok(chosen) => Outcome::Granted(self.grant(chosen, &judged, requested)),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// Decides as [`RuleSet::decide`] does, and says why.
    #[must_use]
    pub fn explain(&self, facts: Facts<'_>, requested: &Requested) -> Decision {
        let judged = self.judged(facts);
        let chosen = self.choose(&judged, requested);
        let tried = self.tried(&judged, requested, &chosen);
        let trace = tried.into_iter().filter_map(|at| self.trace(at, &judged, requested)).collect();
        let outcome = match chosen {
            Ok(chosen) => Outcome::Granted(self.grant(chosen, &judged, requested)),
            Err(refusal) => Outcome::Refused(refusal),
        };
        Decision { outcome, trace }
    }

    fn judged<'a>(&self, facts: Facts<'a>) -> Judged<'a> {
        let entry = self.entry_by_name.get(facts.entry.as_str()).copied();
        Judged { entry, entry_name: facts.entry, claims: facts.claims, now: facts.now }
    }

    fn choose(&self, judged: &Judged<'_>, requested: &Requested) -> Result<Chosen<'_>, Refusal> {
        match requested.account {
            RequestedAccount::Nobody => Err(Refusal::NoSuchAccount),
            RequestedAccount::Known(at) => match self.accounts.get(at) {
                None => Err(Refusal::NoSuchAccount),
                Some(account) if !account.window.is_open(judged.now) => Err(Refusal::AccountDisabled),
                Some(account) => choose_in(at, account, judged, requested),
            },
            RequestedAccount::Any if self.require_account => Err(Refusal::NoIdentityMatched),
            RequestedAccount::Any => self.search(judged, requested),
        }
    }

    /// Of the accounts with an identity that matches and covers the request exactly one must be left.
    fn search(&self, judged: &Judged<'_>, requested: &Requested) -> Result<Chosen<'_>, Refusal> {
        let Some(index) = judged.entry.and_then(|entry| self.entries.get(entry)).map(|entry| &entry.index) else {
            return Err(Refusal::NoIdentityMatched);
        };
        let mut found: Option<Chosen<'_>> = None;
        let mut refusal = Refusal::NoIdentityMatched;
        let mut judged_last = None;
        for at in index.candidates(judged.claims) {
            let seen = judged_last == Some(at.account) || found.is_some_and(|found| found.at.account == at.account);
            let Some((account, identity)) = self.identity(at).filter(|_| !seen) else { continue };
            if !identity.matches(&account.window, judged) {
                continue;
            }
            // That it matches is enough to judge the account, in file order, as if it had been named.
            judged_last = Some(at.account);
            match choose_in(at.account, account, judged, requested) {
                Ok(_) if found.is_some() => return Err(Refusal::AmbiguousAccount),
                Ok(chosen) => found = Some(chosen),
                Err(other) => refusal = closest(refusal, other),
            }
        }
        found.ok_or(refusal)
    }

    fn grant(&self, chosen: Chosen<'_>, judged: &Judged<'_>, requested: &Requested) -> Grant {
        let Chosen { account, identity, grant, .. } = chosen;
        let configured = [identity.ttl, account.ttl].into_iter().flatten().min().unwrap_or(self.ttl);
        let lifetime = requested.lifetime.map_or(configured, |asked| asked.min(configured)).min(self.max_ttl);
        let replay = judged.entry.and_then(|entry| identity.rule(entry)).map(|rule| rule.replay).unwrap_or_default();
        Grant {
            account: account.granted.clone(),
            identity: identity.name.clone(),
            api: grant.name.clone(),
            audience: grant.audience.clone(),
            scopes: requested.scopes.clone().unwrap_or_else(|| grant.scopes.clone()),
            lifetime,
            replay,
            copy_claims: identity.copy_claims.clone(),
        }
    }

    /// The identities that a trace shows.
    fn tried(
        &self,
        judged: &Judged<'_>,
        requested: &Requested,
        chosen: &Result<Chosen<'_>, Refusal>,
    ) -> Vec<IdentityAt> {
        let of_account = |account: usize| {
            let count = self.accounts.get(account).map_or(0, |own| own.identities.len());
            (0..count).map(move |identity| IdentityAt { account, identity })
        };
        let everywhere = || (0..self.accounts.len()).flat_map(of_account);
        let matches =
            |at: &IdentityAt| self.identity(*at).is_some_and(|(account, own)| own.matches(&account.window, judged));
        match (chosen, requested.account) {
            (Ok(chosen), _) => of_account(chosen.at.account).take(chosen.at.identity + 1).collect(),
            (Err(Refusal::NoSuchAccount), _) => Vec::new(),
            (Err(Refusal::NoIdentityMatched | Refusal::AccountDisabled), RequestedAccount::Known(account)) => {
                self.nearest_first(of_account(account), judged)
            }
            (Err(Refusal::NoIdentityMatched | Refusal::AccountDisabled), _) => {
                let mut all = self.nearest_first(everywhere(), judged);
                all.truncate(MOST_TRACED);
                all
            }
            (Err(_), RequestedAccount::Known(account)) => of_account(account).collect(),
            (Err(_), _) => everywhere().filter(matches).take(MOST_TRACED).collect(),
        }
    }

    fn nearest_first(&self, all: impl Iterator<Item = IdentityAt>, judged: &Judged<'_>) -> Vec<IdentityAt> {
        let distance =
            |at: IdentityAt| Some((self.identity(at).map(|(account, own)| own.distance(&account.window, judged))?, at));
        let mut all: Vec<_> = all.filter_map(distance).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, at)| at).collect()
    }

    fn trace(&self, at: IdentityAt, judged: &Judged<'_>, requested: &Requested) -> Option<IdentityTrace> {
        let (account, identity) = self.identity(at)?;
        let conditions = identity.trace(&account.window, judged);
        let matched = conditions.iter().all(|condition| condition.holds);
        Some(IdentityTrace {
            account: account.granted.name.clone(),
            identity: identity.name.clone(),
            origin: identity.origin,
            conditions,
            matched,
            covers: matched.then(|| cover(account, identity, requested).is_ok()),
        })
    }

    fn identity(&self, at: IdentityAt) -> Option<(&Account, &Identity)> {
        let account = self.accounts.get(at.account)?;
        Some((account, account.identities.get(at.identity)?))
    }
}

/// The first identity that matches and covers the request; if some match and none covers, why.
fn choose_in<'a>(
    at: usize,
    account: &'a Account,
    judged: &Judged<'_>,
    requested: &Requested,
) -> Result<Chosen<'a>, Refusal> {
    let mut refusal = Refusal::NoIdentityMatched;
    for (index, identity) in account.identities.iter().enumerate() {
        if !identity.matches(&account.window, judged) {
            continue;
        }
        match cover(account, identity, requested) {
            Ok(grant) => {
                return Ok(Chosen { at: IdentityAt { account: at, identity: index }, account, identity, grant });
            }
            Err(other) => refusal = closest(refusal, other),
        }
    }
    Err(refusal)
}

/// The grant of `identity` that covers target and scopes.
fn cover<'a>(account: &Account, identity: &'a Identity, requested: &Requested) -> Result<&'a ApiGrant, Refusal> {
    let api = match requested.target {
        RequestedTarget::Refused => return Err(Refusal::TargetNotGranted),
        RequestedTarget::Api(api) => api,
        RequestedTarget::Default => account.default_target.ok_or(Refusal::TargetRequired)?,
    };
    let grant = identity.grants.iter().find(|grant| grant.api == api).ok_or(Refusal::TargetNotGranted)?;
    let granted = |asked: &sts_types::ScopeSet| asked.iter().all(|scope| grant.scopes.contains(scope.as_str()));
    if requested.unknown_scope || !requested.scopes.as_ref().is_none_or(granted) {
        return Err(Refusal::ScopeNotGranted);
    }
    Ok(grant)
}

/// Of two reasons the one that came further: `target_not_granted` only when nobody grants the API.
fn closest(a: Refusal, b: Refusal) -> Refusal {
    let rank = |refusal| match refusal {
        Refusal::ScopeNotGranted => 3,
        Refusal::TargetRequired => 2,
        Refusal::TargetNotGranted => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}
