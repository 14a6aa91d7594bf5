//! The trace of a decision, nearest miss first. `sts explain`, the decision event and the admin
//! page show the same trace.

use crate::account::Account;
use crate::evaluate::{Chosen, cover};
use crate::identity::{ConditionCache, EvaluationContext, Identity};
use crate::index::IdentityPosition;
use crate::ruleset::RuleSet;
use crate::{ConditionTrace, Decision, Facts, IdentityTrace, Outcome, Refusal, Requested, RequestedAccount};

/// Most identities in a trace. Enough for the near misses of a large policy.
const MOST_TRACED: usize = 50;

/// Most identities to rank by distance, so that a refusal in a large policy costs no more than in a
/// small one. With more identities, only those that the index finds similar are ranked.
const MOST_RANKED: usize = 250;

impl RuleSet {
    /// Decides like [`RuleSet::decide`], with a trace.
    #[must_use]
    pub fn explain(&self, facts: Facts<'_>, requested: &Requested) -> Decision {
        let variables = self.variables(facts);
        let memo = ConditionCache::default();
        let context = self.context(facts, &variables, &memo);
        let chosen = self.choose(&context, requested);
        let tried = self.tried(&context, requested, &chosen);
        let trace = tried.into_iter().filter_map(|position| self.trace(position, &context, requested)).collect();
        let outcome = match chosen {
            Ok(chosen) => Outcome::Granted(self.grant(chosen, &context, requested)),
            Err(refusal) => Outcome::Refused(refusal),
        };
        Decision { outcome, trace }
    }

    /// Evaluates each condition of one identity.
    pub(crate) fn conditions(&self, of: (&Account, &Identity), facts: Facts<'_>) -> Vec<ConditionTrace> {
        let (account, identity) = of;
        identity.trace(&account.terms.window, &self.context(facts, &self.variables(facts), &ConditionCache::default()))
    }

    /// The identities of the trace.
    fn tried(
        &self,
        context: &EvaluationContext<'_>,
        requested: &Requested,
        chosen: &Result<Chosen<'_>, Refusal>,
    ) -> Vec<IdentityPosition> {
        match (chosen, requested.account) {
            (Ok(chosen), _) => {
                let before = chosen.position.identity().saturating_sub(MOST_TRACED - 1);
                self.of_account(chosen.position.account()).take(chosen.position.identity() + 1).skip(before).collect()
            }
            (Err(Refusal::NoSuchAccount), _) => Vec::new(),
            (Err(Refusal::NoIdentityMatched | Refusal::AccountDisabled), RequestedAccount::Known(account)) => {
                let near = |position: &IdentityPosition| position.account() == account;
                self.nearest_first(self.of_account(account), near, context)
            }
            (Err(Refusal::NoIdentityMatched | Refusal::AccountDisabled), _) => {
                let entry = context.entry.and_then(|entry| self.entries.get(entry));
                let of_entry = entry.into_iter().flat_map(|entry| entry.index.members());
                self.nearest_first(of_entry, |_| true, context)
            }
            // Some identities matched, and the refusal is about these.
            (Err(_), named) => {
                let is_requested = |position: &IdentityPosition| !matches!(named, RequestedAccount::Known(account) if account != position.account());
                let matches = |position: &IdentityPosition| {
                    self.identity(*position)
                        .is_some_and(|(account, identity)| identity.matches(&account.terms.window, context))
                };
                self.candidates(context).into_iter().filter(is_requested).filter(matches).take(MOST_TRACED).collect()
            }
        }
    }

    fn of_account(&self, account: usize) -> impl Iterator<Item = IdentityPosition> + use<> {
        let count = self.accounts.get(account).map_or(0, |account| account.identities.len());
        (0..count).map(move |identity| IdentityPosition::new(account, identity))
    }

    /// The nearest of `all`. If there are too many to rank, the nearest of the first ones and of
    /// those that the index finds similar.
    fn nearest_first(
        &self,
        all: impl Iterator<Item = IdentityPosition>,
        is_one: impl Fn(&IdentityPosition) -> bool,
        context: &EvaluationContext<'_>,
    ) -> Vec<IdentityPosition> {
        let mut ranked: Vec<IdentityPosition> = all.take(MOST_RANKED + 1).collect();
        if ranked.len() > MOST_RANKED
            && let Some(entry) = context.entry.and_then(|entry| self.entries.get(entry))
        {
            ranked.truncate(MOST_TRACED);
            ranked.extend(
                entry.index.near_misses(context.claims, &self.accounts, MOST_RANKED).into_iter().filter(is_one),
            );
            ranked.sort_unstable();
            ranked.dedup();
        }
        let distance = |position: IdentityPosition| {
            Some((
                self.identity(position).map(|(account, identity)| identity.distance(&account.terms.window, context))?,
                position,
            ))
        };
        let mut ranked: Vec<_> = ranked.into_iter().filter_map(distance).collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, position)| position).take(MOST_TRACED).collect()
    }

    fn trace(
        &self,
        position: IdentityPosition,
        context: &EvaluationContext<'_>,
        requested: &Requested,
    ) -> Option<IdentityTrace> {
        let (account, identity) = self.identity(position)?;
        let conditions = identity.trace(&account.terms.window, context);
        let matched = conditions.iter().all(|condition| condition.holds);
        Some(IdentityTrace {
            account: account.granted.name.clone(),
            identity: identity.name.clone(),
            origin: identity.origin,
            conditions,
            matched,
            covers: matched.then(|| cover(&self.holdings(account, context), identity, requested).is_ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use serde_json::json;

    #[test]
    fn in_a_large_policy_the_nearest_miss_is_found_without_ranking_all() {
        let accounts = (0..5_000).map(|n| {
            account(&format!("a{n}"), vec![subject("i", &format!("repo:octo-org/r{n:04}:ref:refs/heads/main"))])
        });
        let rules = rules(&spec(accounts.collect()));
        for (sub, nearest) in [
            ("repo:octo-org/r3000:ref:refs/heads/mainn", "a3000"),
            ("repo:Octo-Org/r4999:ref:refs/heads/main", "a4999"),
            ("repo:octo-org/r0001:ref:refs/heads/dev", "a1"),
        ] {
            let claims = token(json!({ "sub": sub }));
            let facts = Facts { entry: &entry("github"), claims: &claims, now: NOW, memberships: &crate::NoDirectory };
            let decision = rules.explain(facts, &ask(&rules, &[], ""));
            assert_eq!(decision.trace[0].account.as_str(), nearest, "{sub}");
            assert_eq!(decision.trace.len(), MOST_TRACED);
        }
    }

    #[test]
    fn an_account_of_many_identities_is_judged_as_one_of_few() {
        let many = (0..3_000).map(|n| subject(&format!("i{n}"), &format!("repo:octo-org/r{n:04}:ref:refs/heads/main")));
        let wide = subject("wide", "repo:octo-org/**");
        let rules = rules(&spec(vec![account("octo", many.chain([wide]).collect())]));
        let of = |sub: &str| outcome(&rules, &token(json!({ "sub": sub })), &ask(&rules, &["octo"], ""));
        assert_eq!(of("repo:octo-org/r2999:ref:refs/heads/main"), "octo/i2999: deploy [create read]");
        assert_eq!(of("repo:octo-org/other:ref:refs/heads/main"), "octo/wide: deploy [create read]");
        assert_eq!(of("repo:other/r0:ref:refs/heads/main"), "NoIdentityMatched");
    }
}
