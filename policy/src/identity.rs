//! A compiled identity and its checks. Decisions and traces evaluate the same checks, one by one.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;
use sts_claims::{ClaimPath, ClaimSet, Json};
use sts_types::{ApiName, Audience, EntryName, IdentityName, Lifetime, Origin, ScopeSet, UnixTime};

use crate::condition::Condition;
use crate::diagnosis::difference::{self, Difference};
use crate::diagnosis::moment::rfc3339;
use crate::external::Narrowing;
use crate::pattern::Pattern;
use crate::{ConditionTrace, Memberships, Preset, Replay, events};

#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: IdentityName,
    pub(crate) origin: Origin,
    pub(crate) subject: Option<Pattern>,
    pub(crate) conditions: Arc<[Arc<Condition>]>,
    pub(crate) terms: Arc<Terms>,
}

/// The part of an identity that many identities have in common, stored once. It has everything
/// except the conditions on tokens.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) window: Window,
    /// One rule for each accepted issuer entry.
    pub(crate) entries: Vec<EntryRule>,
    /// The account's grants, narrowed by the identity.
    pub(crate) grants: Vec<ApiGrant>,
    /// What the identity leaves of any grants. `None` for all.
    pub(crate) narrowing: Option<Box<Narrowing>>,
    pub(crate) ttl: Option<Lifetime>,
    pub(crate) copy_claims: Arc<[ClaimPath]>,
}

/// What an identity requires of tokens of one issuer entry.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntryRule {
    /// The entry's index.
    pub(crate) entry: usize,
    /// Its name.
    pub(crate) name: EntryName,
    /// Whether the entry is enabled.
    pub(crate) enabled: bool,
    /// Accepted audiences.
    pub(crate) audiences: Arc<[Audience]>,
    /// Whether `aud` must be exactly one value.
    pub(crate) sole_audience: bool,
    /// How often one token may be used.
    pub(crate) replay: Replay,
    /// Whether to refuse events that strangers can cause (see `events`).
    pub(crate) ban_events: bool,
    /// The entry's preset.
    pub(crate) preset: Option<Preset>,
}

/// Whether and when something is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub(crate) enabled: bool,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) not_after: Option<UnixTime>,
}

impl Window {
    /// Whether it is in force at `now`: at or after `not_before`, and before `not_after`.
    pub(crate) fn is_open(&self, now: UnixTime) -> bool {
        self.enabled && self.not_before.is_none_or(|from| from <= now) && self.not_after.is_none_or(|until| now < until)
    }

    /// Whether a token issued at `issued` is in force at `now`. Raising `not_before` ends the tokens
    /// issued before it.
    pub(crate) fn is_live(&self, issued: UnixTime, now: UnixTime) -> bool {
        self.is_open(now) && self.not_before.is_none_or(|from| from <= issued)
    }
}

/// Scopes of one API.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ApiGrant {
    /// The API's index.
    pub(crate) api: usize,
    /// Its name.
    pub(crate) name: ApiName,
    /// Its audience.
    pub(crate) audience: Audience,
    /// In the order the API declares them.
    pub(crate) scopes: ScopeSet,
}

impl ApiGrant {
    /// Whether it is for the built-in API, which is always the first.
    pub(crate) fn is_of_built_in(&self) -> bool {
        self.api == 0
    }
}

/// Remembers which conditions hold for a token. Identities for one repository share most
/// conditions, so each is evaluated only once.
#[derive(Default)]
pub(crate) struct ConditionCache(RefCell<SmallVec<[(usize, bool); ConditionCache::MOST]>>);

impl ConditionCache {
    /// Most conditions to remember. Searching more would take longer than evaluating one.
    const MOST: usize = 8;

    /// Whether `condition` holds. Calls `evaluate` unless the result is cached. The key is the
    /// address of the condition in the rules.
    fn holds(&self, condition: &Condition, evaluate: impl FnOnce() -> bool) -> bool {
        let address = std::ptr::from_ref(condition).addr();
        let mut cached = self.0.borrow_mut();
        if let Some((_, holds)) = cached.iter().find(|(key, _)| *key == address) {
            return *holds;
        }
        let holds = evaluate();
        if cached.len() < Self::MOST {
            cached.push((address, holds));
        }
        holds
    }
}

/// The token under evaluation, with its issuer entry looked up.
#[derive(Clone, Copy)]
pub(crate) struct EvaluationContext<'a> {
    pub(crate) entry: Option<usize>,
    pub(crate) entry_name: &'a EntryName,
    pub(crate) claims: &'a ClaimSet,
    /// The values that the variables of the entry's template have in `iss`. Empty without a
    /// template.
    pub(crate) variables: &'a ClaimSet,
    pub(crate) now: UnixTime,
    pub(crate) memo: &'a ConditionCache,
    pub(crate) memberships: &'a dyn Memberships,
}

impl<'a> EvaluationContext<'a> {
    /// The values that `condition` is on: the token's claims, or the variables.
    fn subject_of(&self, condition: &Condition) -> &'a ClaimSet {
        if condition.on_variable { self.variables } else { self.claims }
    }
}

/// One check of an identity.
#[derive(Clone, Copy)]
pub(crate) enum Check<'a> {
    /// The token comes from one of the identity's issuer entries, and the entry is enabled.
    Issuer,
    /// The account or identity is enabled.
    Enabled(&'static str, Window),
    /// `not_before` of the account or identity has passed.
    NotBefore(&'static str, UnixTime),
    /// `not_after` of the account or identity has not passed.
    NotAfter(&'static str, UnixTime),
    /// The pattern matches `sub`.
    Subject(&'a Pattern),
    /// `aud` is accepted.
    Audience,
    /// A condition on a claim holds.
    Claim(&'a Condition),
    /// The event needs write access.
    Event,
}

/// Distance of a token from an identity. The smaller, the nearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Distance {
    other_issuer: bool,
    failed: usize,
    held: std::cmp::Reverse<usize>,
    /// Leading characters that failed values share with the expected ones.
    like: std::cmp::Reverse<usize>,
}

impl Identity {
    /// Whether every check holds.
    pub(crate) fn matches(&self, account: &Window, context: &EvaluationContext<'_>) -> bool {
        let visited = self.visit_checks(account, |check| match self.holds(check, context) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
        visited.is_continue()
    }

    /// Evaluates every check, with the details for people.
    pub(crate) fn trace(&self, account: &Window, context: &EvaluationContext<'_>) -> Vec<ConditionTrace> {
        self.checks(account).into_iter().map(|check| self.trace_one(check, context)).collect()
    }

    /// The distance of the token from this identity.
    pub(crate) fn distance(&self, account: &Window, context: &EvaluationContext<'_>) -> Distance {
        let (mut failed, mut held, mut like) = (0, 0, 0);
        for check in self.checks(account) {
            if self.holds(check, context) {
                held += 1;
                continue;
            }
            failed += 1;
            like += match check {
                Check::Subject(pattern) => {
                    context.claims.text("sub").map_or(0, |sub| difference::likeness(pattern, sub))
                }
                Check::Claim(condition) => condition.likeness(context.subject_of(condition)),
                _ => 0,
            };
        }
        let other_issuer = !self.holds(Check::Issuer, context);
        Distance { other_issuer, failed, held: std::cmp::Reverse(held), like: std::cmp::Reverse(like) }
    }

    /// The rule for tokens of `entry`, if the identity accepts them.
    pub(crate) fn rule(&self, entry: usize) -> Option<&EntryRule> {
        self.terms.entries.iter().find(|rule| rule.entry == entry)
    }

    /// The checks, in the order of evaluation.
    pub(crate) fn checks(&self, account: &Window) -> Vec<Check<'_>> {
        let mut checks = Vec::new();
        let _: ControlFlow<()> = self.visit_checks(account, |check| {
            checks.push(check);
            ControlFlow::Continue(())
        });
        checks
    }

    /// Visits the checks in the order issuer, state, subject, audience, claims, event, until
    /// `visit` breaks.
    ///
    /// This is on the hot path of the exchange. A chain of iterators over the checks took a tenth
    /// of a decision, so this calls `visit` directly.
    fn visit_checks<'a, B>(
        &'a self,
        account: &Window,
        mut visit: impl FnMut(Check<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        visit(Check::Issuer)?;
        // An enabled account needs no line in the trace.
        if !account.enabled {
            visit(Check::Enabled("account", *account))?;
        }
        visit_times("account", account, &mut visit)?;
        visit(Check::Enabled("identity", self.terms.window))?;
        visit_times("identity", &self.terms.window, &mut visit)?;
        if let Some(subject) = &self.subject {
            visit(Check::Subject(subject))?;
        }
        visit(Check::Audience)?;
        for condition in self.conditions.iter() {
            visit(Check::Claim(condition))?;
        }
        if self.terms.entries.iter().any(|rule| rule.ban_events) {
            visit(Check::Event)?;
        }
        ControlFlow::Continue(())
    }

    /// Evaluates a check. Decisions, traces and distances all come here.
    pub(crate) fn holds(&self, check: Check<'_>, context: &EvaluationContext<'_>) -> bool {
        let claims = context.claims;
        match check {
            Check::Issuer => context.entry.and_then(|entry| self.rule(entry)).is_some_and(|rule| rule.enabled),
            Check::Enabled(_, window) => window.enabled,
            Check::NotBefore(_, from) => from <= context.now,
            Check::NotAfter(_, until) => context.now < until,
            Check::Subject(pattern) => claims.text("sub").is_some_and(|sub| pattern.matches(sub)),
            Check::Audience => self.nearest_rule(context).is_some_and(|rule| rule.accepts(claims.get("aud"))),
            Check::Claim(condition) => context.memo.holds(condition, || condition.holds(context.subject_of(condition))),
            Check::Event => {
                !self.nearest_rule(context).is_some_and(|rule| rule.ban_events)
                    || events::is_writers(claims.get("event_name"), || claims.text("sub"))
            }
        }
    }

    fn trace_one(&self, check: Check<'_>, context: &EvaluationContext<'_>) -> ConditionTrace {
        let holds = self.holds(check, context);
        let claims = context.claims;
        let state = |on: &str, expected: String, actual: String| (on.to_owned(), expected, Some(actual), None);
        let (on, expected, actual, hint) = match check {
            Check::Issuer => {
                let wanted = self.terms.entries.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(" or ");
                let off = self.terms.entries.iter().any(|rule| Some(rule.entry) == context.entry && !rule.enabled);
                let hint = off.then(|| remark("the issuer entry is disabled".to_owned()));
                ("issuer".to_owned(), wanted, Some(context.entry_name.to_string()), hint)
            }
            Check::Enabled(of, window) => state(
                "enabled",
                format!("{of} enabled"),
                format!("{of} {}", if window.enabled { "enabled" } else { "disabled" }),
            ),
            Check::NotBefore(of, from) => {
                state("not_before", format!("{of} from {} on", rfc3339(from)), rfc3339(context.now))
            }
            Check::NotAfter(of, until) => {
                state("not_after", format!("{of} until {}", rfc3339(until)), rfc3339(context.now))
            }
            Check::Subject(pattern) => {
                let preset = self.nearest_rule(context).and_then(|rule| rule.preset).filter(|_| !holds);
                let hint = claims.text("sub").and_then(|sub| {
                    let difference = difference::between(pattern, sub);
                    let is_spelling = difference.as_ref().is_some_and(|difference| difference.is_spelling);
                    let note = preset.and_then(|preset| preset.subject_note(claims, sub));
                    note.map(|text| Difference { text, is_spelling }).or(difference)
                });
                ("subject".to_owned(), Value::from(pattern.as_str()).to_string(), claims.get("sub").map(bounded), hint)
            }
            Check::Audience => {
                let rule = self.nearest_rule(context);
                let audience = claims.get("aud");
                let expected = rule.map(EntryRule::expected_audience).unwrap_or_default();
                (
                    "audience".to_owned(),
                    expected,
                    audience.map(bounded),
                    rule.and_then(|rule| rule.audience_hint(audience)),
                )
            }
            Check::Claim(condition) => return trace_condition(condition, context.subject_of(condition)),
            Check::Event => {
                let hint =
                    remark("strangers can cause it; only an identity that names `event_name` accepts it".to_owned());
                ("event_name".to_owned(), events::expected(), claims.get("event_name").map(bounded), Some(hint))
            }
        };
        let hint = hint.filter(|_| !holds);
        let is_spelling = hint.as_ref().is_some_and(|hint| hint.is_spelling);
        ConditionTrace { on, expected, actual, holds, hint: hint.map(|hint| hint.text), is_spelling }
    }

    /// The rule for the token's entry. For a token of another entry, which fails [`Check::Issuer`],
    /// the first rule.
    pub(crate) fn nearest_rule(&self, context: &EvaluationContext<'_>) -> Option<&EntryRule> {
        context.entry.and_then(|entry| self.rule(entry)).or(self.terms.entries.first())
    }
}

/// Visits the checks of `not_before` and `not_after`.
fn visit_times<'a, B>(
    of: &'static str,
    window: &Window,
    visit: &mut impl FnMut(Check<'a>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if let Some(from) = window.not_before {
        visit(Check::NotBefore(of, from))?;
    }
    match window.not_after {
        Some(until) => visit(Check::NotAfter(of, until)),
        None => ControlFlow::Continue(()),
    }
}

impl EntryRule {
    /// Whether `aud` is a string or a list of strings, has only one value if `sole_audience` is
    /// set, and one value equals an accepted audience byte for byte.
    fn accepts(&self, aud: Option<Json<'_>>) -> bool {
        let Some(aud) = aud else { return false };
        let accepted = |value: Json<'_>| {
            value.as_str().is_some_and(|text| self.audiences.iter().any(|accepted| accepted.as_str() == text))
        };
        let count = aud.elements().count();
        aud.elements().all(|value| value.as_str().is_some())
            && (count == 1 || !self.sole_audience)
            && aud.elements().any(accepted)
    }

    fn expected_audience(&self) -> String {
        let list = self
            .audiences
            .iter()
            .map(|audience| Value::from(audience.as_str()).to_string())
            .collect::<Vec<_>>()
            .join(" or ");
        if self.sole_audience { format!("{list}, alone") } else { list }
    }

    fn audience_hint(&self, aud: Option<Json<'_>>) -> Option<Difference> {
        let values = || aud.into_iter().flat_map(Json::elements).filter_map(Json::as_str);
        if values().count() > 1
            && self.sole_audience
            && values().any(|value| self.audiences.iter().any(|accepted| accepted.as_str() == value))
        {
            let text =
                "the token has more than one audience, which only `sole_audience: false` on the issuer entry allows";
            return Some(remark(text.to_owned()));
        }
        let known = values().find_map(|value| {
            let other = crate::preset::shared_audience(value)
                .map(|service| format!("that is the audience of {service}: the token is for another relying party"));
            other.or_else(|| self.preset?.own_audience(value).map(str::to_owned))
        });
        let near = |audience: &Audience| {
            values().find_map(|value| difference::between(&Pattern::literal(audience.as_str()), value))
        };
        let all = || self.audiences.iter().filter_map(near);
        all().find(|hint| hint.is_spelling).or(known.map(remark)).or_else(|| all().next())
    }
}

/// Evaluates a condition on a claim, with the details for people.
pub(crate) fn trace_condition(condition: &Condition, claims: &ClaimSet) -> ConditionTrace {
    let holds = condition.holds(claims);
    let hint = condition.difference(claims).filter(|_| !holds);
    ConditionTrace {
        on: condition.path.to_string(),
        expected: condition.expected(),
        actual: claims.find(&condition.path).map(bounded),
        holds,
        is_spelling: hint.as_ref().is_some_and(|hint| hint.is_spelling),
        hint: hint.map(|hint| hint.text),
    }
}

/// A hint that is not about spelling.
fn remark(text: String) -> Difference {
    Difference { text, is_spelling: false }
}

/// A claim as JSON text, truncated and without invisible characters.
fn bounded(value: Json<'_>) -> String {
    const MOST: usize = 256;
    let mut text = value.to_value().to_string();
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    // JSON leaves C1 controls and invisible characters as they are.
    let hidden = |c: char| crate::finding::is_invisible(c) || c.is_control();
    if !text.contains(hidden) {
        return text;
    }
    text.chars().fold(String::new(), |mut shown, c| {
        if hidden(c) {
            shown.extend(c.escape_unicode())
        } else {
            shown.push(c)
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Test;
    use smallvec::smallvec;

    #[test]
    fn a_condition_is_judged_once_and_never_taken_for_another() {
        let conditions: Vec<Condition> = (0..2 * ConditionCache::MOST)
            .map(|_| Condition {
                path: Arc::new(ClaimPath::parse("c").unwrap()),
                on_variable: false,
                tests: smallvec![Test::Present(true)],
                or_absent: false,
            })
            .collect();
        let memo = ConditionCache::default();
        let wanted = |index: usize| index.is_multiple_of(3);
        let mut evaluated = 0;
        for _ in 0..3 {
            for (index, condition) in conditions.iter().enumerate() {
                let holds = memo.holds(condition, || {
                    evaluated += 1;
                    wanted(index)
                });
                assert_eq!(holds, wanted(index), "{index}");
            }
        }
        // The cached ones were evaluated once, the others in each of the three rounds.
        assert_eq!(evaluated, ConditionCache::MOST + 3 * ConditionCache::MOST);
    }
}
