//! The trace of a decision: the identities that were tried, each condition with what it wants and what the
//! token has.

use serde::Deserialize;
use serde_json::Value;

use super::difference::{Marked, difference};
use super::pieces::{Badge, Tone, segment};

/// The identities that were tried, the nearest first.
#[derive(Debug, Default)]
pub(crate) struct TraceView {
    pub(crate) identities: Vec<IdentityView>,
}

/// One identity.
#[derive(Debug)]
pub(crate) struct IdentityView {
    pub(crate) account: String,
    pub(crate) account_path: String,
    pub(crate) identity: String,
    pub(crate) state: Badge,
    pub(crate) conditions: Vec<ConditionView>,
}

/// One condition.
#[derive(Debug)]
pub(crate) struct ConditionView {
    pub(crate) on: String,
    pub(crate) state: Badge,
    pub(crate) expected: Marked,
    /// `None` if the token has no such claim.
    pub(crate) actual: Option<Marked>,
    /// How the two differ, where that is easy to overlook.
    pub(crate) hint: Option<String>,
    /// Whether it is the first that fails.
    pub(crate) is_first_failure: bool,
}

#[derive(Deserialize)]
struct Identity {
    account: String,
    identity: String,
    conditions: Vec<Condition>,
    matched: bool,
    covers: Option<bool>,
}

#[derive(Deserialize)]
struct Condition {
    on: String,
    expected: String,
    actual: Option<String>,
    holds: bool,
    hint: Option<String>,
}

impl TraceView {
    /// The trace in `decision`, as the admin API shows one.
    pub(crate) fn new(decision: Option<&Value>) -> Self {
        let trace = decision.and_then(|decision| decision.get("trace")).cloned();
        let identities: Vec<Identity> = trace.and_then(|trace| serde_json::from_value(trace).ok()).unwrap_or_default();
        Self { identities: identities.into_iter().map(IdentityView::new).collect() }
    }
}

impl IdentityView {
    fn new(own: Identity) -> Self {
        let state = match (own.matched, own.covers) {
            (true, Some(false)) => Badge { tone: Tone::Warning, word: "Matches, not granted" },
            (true, _) => Badge { tone: Tone::Good, word: "Matches" },
            (false, _) => Badge { tone: Tone::Bad, word: "Does not match" },
        };
        let first_failure = own.conditions.iter().position(|condition| !condition.holds);
        let conditions = own.conditions.into_iter().enumerate();
        Self {
            account_path: format!("/console/service-accounts/{}", segment(&own.account)),
            account: own.account,
            identity: own.identity,
            state,
            conditions: conditions
                .map(|(index, condition)| ConditionView::new(condition, first_failure == Some(index)))
                .collect(),
        }
    }
}

impl ConditionView {
    fn new(own: Condition, is_first_failure: bool) -> Self {
        let state = match own.holds {
            true => Badge { tone: Tone::Good, word: "Holds" },
            false => Badge { tone: Tone::Bad, word: "Fails" },
        };
        let (expected, actual) = sides(&own.expected, own.actual.as_deref(), own.holds);
        Self { on: own.on, state, expected, actual, hint: own.hint, is_first_failure }
    }
}

/// Both sides of a condition. Of one that fails, the differing part is marked.
pub(crate) fn sides(expected: &str, actual: Option<&str>, holds: bool) -> (Marked, Option<Marked>) {
    match actual {
        None => (Marked::plain(expected), None),
        Some(actual) if holds || !is_one_text(expected) => (Marked::plain(expected), Some(Marked::plain(actual))),
        Some(actual) => {
            let (expected, actual) = difference(expected, actual);
            (expected, Some(actual))
        }
    }
}

/// Whether what is expected is one text, and not a list or a sentence.
fn is_one_text(expected: &str) -> bool {
    let is_json_text = serde_json::from_str::<String>(expected).is_ok();
    is_json_text || !expected.contains(['"', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_condition_that_fails_is_known_and_its_difference_is_marked() {
        let condition = |on: &str, holds: bool| json!({ "on": on, "expected": "\"octo/repo\"", "actual": "\"Octo/repo\"", "holds": holds, "hint": null });
        let decision = json!({ "trace": [{
            "account": "a/b", "identity": "main", "matched": false, "covers": null,
            "conditions": [condition("issuer", true), condition("repository", false), condition("ref", false)],
        }] });
        let trace = TraceView::new(Some(&decision));
        let identity = &trace.identities[0];
        assert_eq!(identity.account_path, "/console/service-accounts/a%2Fb");
        let firsts: Vec<bool> = identity.conditions.iter().map(|condition| condition.is_first_failure).collect();
        assert_eq!(firsts, [false, true, false]);
        assert_eq!(identity.conditions[0].expected.part, "");
        assert_eq!(identity.conditions[1].actual.as_ref().unwrap().part, "O");
        assert!(TraceView::new(None).identities.is_empty() && TraceView::new(Some(&json!(7))).identities.is_empty());
    }

    #[test]
    fn a_list_of_values_is_not_compared_letter_by_letter() {
        let (expected, actual) = sides("any of \"a\", \"b\"", Some("\"c\""), false);
        assert_eq!((expected.part.as_str(), actual.unwrap().part.as_str()), ("", ""));
        let (_, actual) = sides("\"aa\"", Some("\"ab\""), false);
        assert_eq!(actual.unwrap().part, "b");
        assert_eq!(sides("\"a\"", None, false), (Marked::plain("\"a\""), None));
    }
}
