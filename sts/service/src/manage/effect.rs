//! What a change would allow and deny, judged over the policy tests and the remembered refusals.

use sts_policy::{Case, Change, RuleSet, Verdict, test_case};

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
    /// Where the request is from: `policy test NAME`.
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
        let (before, after) = (self.rules.rules(), std::sync::Arc::clone(&prepared.rules));
        let (tests, now) = (self.rules.tests(), self.clock.now());
        let judged = tokio::task::spawn_blocking(move || {
            let mut effect = Effect::default();
            for test in tests.iter() {
                let Ok(case) = test_case(&before, before.frame(), test, now) else { continue };
                note(&mut effect, format!("policy test {}", test.name), &case, &before, &after);
            }
            effect
        });
        judged.await.unwrap_or_default()
    }
}

fn note(effect: &mut Effect, request: String, case: &Case, before: &RuleSet, after: &RuleSet) {
    let (old, new) = (before.verdict(case), after.verdict(case));
    let list = match Change::between(&old, &new) {
        Some(Change::NewlyAllowed) => &mut effect.newly_allowed,
        Some(Change::NewlyDenied) => &mut effect.newly_denied,
        Some(Change::Changed) | None => return,
    };
    list.push(EffectCase { request, before: in_words(&old), after: in_words(&new) });
}

fn in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Granted { account, identity, audience, scope, .. } => {
            format!("granted to {account} by identity {identity} for {audience}, scope: {scope}")
        }
        Verdict::Refused { reason } => format!("refused: {reason}"),
    }
}
