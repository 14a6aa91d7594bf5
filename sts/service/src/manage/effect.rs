//! What a change would allow and deny, judged over the policy tests and the recent
//! requests of this server.

use std::sync::Arc;

use sts_policy::{Change, Verdict, test_case};

use super::engine::ManagedObjects;
use super::rules::PreparedRules;

/// What a change would do to known requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Refused so far, granted with the change.
    pub newly_allowed: Vec<EffectCase>,
    /// Granted so far, refused with the change.
    pub newly_denied: Vec<EffectCase>,
}

/// A request whose decision changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectCase {
    /// The request: `policy test NAME`, or `request ID of ENTRY subject SUBJECT`.
    pub request: String,
    /// The decision so far.
    pub before: String,
    /// The decision with the change.
    pub after: String,
}

impl ManagedObjects {
    /// The effect of a candidate; none if the rules stay as they are.
    pub(super) async fn effect(&self, prepared: Option<&PreparedRules>) -> Effect {
        let Some(prepared) = prepared else { return Effect::default() };
        let (before, after) = (self.rules.rules(), Arc::clone(&prepared.rules));
        let (tests, recent, now) = (self.rules.tests(), Arc::clone(&self.recent), self.clock.now());
        let memberships = self.rules.memberships();
        let judged = tokio::task::spawn_blocking(move || {
            let mut effect = Effect::default();
            for test in tests.iter() {
                let Ok(case) = test_case(&before, before.frame(), test, now) else { continue };
                let verdicts = (before.verdict(&case), after.verdict(&case));
                effect.note(verdicts, || format!("policy test {}", test.name));
            }
            for decision in recent.since_yesterday(now) {
                let (facts, names) = (decision.facts(&*memberships, now), decision.names());
                let verdicts = (before.verdict_on(facts, &names), after.verdict_on(facts, &names));
                effect.note(verdicts, || decision.label());
            }
            effect
        });
        judged.await.unwrap_or_default()
    }
}

impl Effect {
    fn note(&mut self, (before, after): (Verdict, Verdict), request: impl FnOnce() -> String) {
        let list = match Change::between(&before, &after) {
            Some(Change::NewlyAllowed) => &mut self.newly_allowed,
            Some(Change::NewlyDenied) => &mut self.newly_denied,
            Some(Change::Changed) | None => return,
        };
        list.push(EffectCase { request: request(), before: in_words(&before), after: in_words(&after) });
    }
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Granted { account, identity, audience, scope, .. } => {
            format!("granted to {account} by identity {identity} for {audience}, scope: {scope}")
        }
        Verdict::Refused { reason } => format!("refused: {reason}"),
    }
}
