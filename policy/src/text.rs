//! Decisions as text for people.

use std::fmt::Write as _;

use crate::compile::duration;
use crate::finding::quoted;
use crate::{
    ConditionTrace, Decision, Grant, IdentityTrace, Outcome, Refusal, Requested, RequestedAccount, RequestedTarget,
    RuleSet,
};

/// The first line of `sts explain`: the verdict with its cause, that is the account, the nearest identity, the claim at fault
/// with its expected and actual value, and the smallest change that would allow it (DESIGN section 8). One line, bounded.
#[must_use]
pub fn summary(rules: &RuleSet, requested: &Requested, decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Granted(grant) => granted(grant),
        Outcome::Refused(refusal) => format!("refused: {}", refused(rules, requested, decision, *refusal)),
    }
}

/// The whole trace: a line for each identity, and below it one for each condition.
#[must_use]
pub fn render(decision: &Decision) -> String {
    let mut out = String::new();
    for identity in &decision.trace {
        let verdict = match (identity.matched, identity.covers) {
            (false, _) => "does not match",
            (true, Some(false)) => "matches, but its grant does not cover the request",
            (true, _) => "matches",
        };
        // Writing to a string never fails.
        let _ = writeln!(out, "{} {verdict}", title(identity));
        for condition in &identity.conditions {
            let mark = if condition.holds { "ok  " } else { "FAIL" };
            let _ = writeln!(out, "  {mark} {}", comparison(condition));
            if let Some(hint) = &condition.hint {
                let _ = writeln!(out, "       {hint}");
            }
        }
    }
    out
}

fn granted(grant: &Grant) -> String {
    let scopes = if grant.scopes.is_empty() { "without scopes".to_owned() } else { quoted(&grant.scopes.to_string()) };
    let identity = quoted(grant.identity.as_str());
    let api = quoted(grant.api.as_str());
    format!(
        "granted: account {} by identity {identity}: API {api}, {scopes}, for {}",
        quoted(grant.account.name.as_str()),
        duration(grant.lifetime)
    )
}

fn refused(rules: &RuleSet, requested: &Requested, decision: &Decision, refusal: Refusal) -> String {
    let named = match requested.account {
        RequestedAccount::Known(at) => rules.accounts.get(at).map(|account| account.granted.name.as_str()),
        RequestedAccount::Any | RequestedAccount::Nobody => None,
    };
    let account = named.map_or("no account was named".to_owned(), |name| format!("account {}", quoted(name)));
    match refusal {
        Refusal::NoSuchAccount => "there is no such account; name one that exists in `audience`".to_owned(),
        Refusal::AccountDisabled => {
            format!("{account} is disabled or outside its `not_before` and `not_after`; enable it")
        }
        Refusal::NoIdentityMatched if rules.require_account && requested.account == RequestedAccount::Any => {
            "no account was named, and `tokens.require_account` is on; name it in `audience`".to_owned()
        }
        Refusal::NoIdentityMatched => match decision.trace.first() {
            Some(nearest) => format!("{account}; the nearest identity is {}: {}", title(nearest), faults(nearest)),
            None => format!("{account}; no identity accepts tokens of that issuer; add one"),
        },
        Refusal::AmbiguousAccount => {
            let mut names: Vec<String> =
                decision.trace.iter().map(|identity| quoted(identity.account.as_str())).collect();
            names.dedup();
            format!("more than one account fits ({}), and none was named; name one in `audience`", names.join(", "))
        }
        Refusal::TargetRequired => {
            format!(
                "{account}; {} matches, but no API was asked for, and the account has neither a single one nor a `default_api`; ask for one in `audience`",
                matched(decision)
            )
        }
        Refusal::TargetNotGranted => {
            format!("{account}; {} matches, but {}", matched(decision), target(rules, requested, named))
        }
        Refusal::ScopeNotGranted => {
            format!("{account}; {} matches, but {}", matched(decision), scopes(rules, requested, named))
        }
    }
}

/// What is wrong with a target that was asked for.
fn target(rules: &RuleSet, requested: &Requested, account: Option<&str>) -> String {
    match requested.target {
        RequestedTarget::Refused => {
            "the target asked for is unknown, or there is more than one; ask for one API by its name or audience"
                .to_owned()
        }
        RequestedTarget::Api(_) | RequestedTarget::Default => {
            let api = api(rules, requested, account)
                .map_or("its default API".to_owned(), |api| format!("API {}", quoted(api.name.as_str())));
            format!("{api} is not granted; add it to the account's `grants`, or to the identity's")
        }
    }
}

/// What is wrong with scopes that were asked for.
fn scopes(rules: &RuleSet, requested: &Requested, account: Option<&str>) -> String {
    let api =
        api(rules, requested, account).map_or(String::new(), |api| format!(" for API {}", quoted(api.name.as_str())));
    let asked = match &requested.scopes {
        Some(scopes) if !requested.unknown_scope => format!("not all of {} is granted", quoted(&scopes.to_string())),
        _ => "a scope was asked for that no API declares".to_owned(),
    };
    format!("{asked}{api}; ask for less, or add it to the account's `grants`")
}

fn api<'a>(rules: &'a RuleSet, requested: &Requested, account: Option<&str>) -> Option<&'a crate::ruleset::Api> {
    let default = || rules.accounts.iter().find(|own| Some(own.granted.name.as_str()) == account)?.terms.default_target;
    let at = match requested.target {
        RequestedTarget::Api(at) => Some(at),
        RequestedTarget::Default => default(),
        RequestedTarget::Refused => None,
    };
    at.and_then(|at| rules.apis.get(at))
}

fn matched(decision: &Decision) -> String {
    decision.trace.iter().find(|identity| identity.matched).map_or("an identity".to_owned(), title)
}

/// The first fault of an identity, how many more there are, and what would mend it.
fn faults(identity: &IdentityTrace) -> String {
    let mut failed = identity.conditions.iter().filter(|condition| !condition.holds);
    let Some(first) = failed.next() else { return "every condition holds".to_owned() };
    let more = match failed.count() {
        0 => String::new(),
        1 => ", and one more condition fails".to_owned(),
        more => format!(", and {more} more conditions fail"),
    };
    format!("{}{more}; {}", comparison(first), change(first))
}

fn comparison(condition: &ConditionTrace) -> String {
    let actual = condition.actual.as_deref().unwrap_or("absent");
    let (on, expected) = (quoted(&condition.on), &condition.expected);
    if condition.holds { format!("{on} is {actual}") } else { format!("{on} is {actual}, expected {expected}") }
}

/// The smallest change that would make a condition hold.
fn change(condition: &ConditionTrace) -> String {
    if let Some(hint) = &condition.hint {
        return hint.clone();
    }
    let on = condition.on.as_str();
    match (on, condition.actual.as_deref()) {
        ("issuer", Some(entry)) => format!("to allow it, add the issuer entry {entry} to the identity's `issuer`"),
        ("enabled", _) => "to allow it, enable it".to_owned(),
        ("not_before" | "not_after", _) => format!("to allow it, change `{on}`"),
        ("audience", Some(actual)) => {
            format!(
                "ask for a token with audience {}, or add {actual} to the identity's `audience`",
                condition.expected
            )
        }
        (_, Some(actual)) => {
            format!("to allow it, write `{on}: {actual}` in the identity, or present a token with the expected value")
        }
        (_, None) => format!("the token has no {}; present one that has, or drop the condition", quoted(on)),
    }
}

fn title(identity: &IdentityTrace) -> String {
    format!("{} of {}", quoted(identity.identity.as_str()), quoted(identity.account.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{Facts, IdentitySpec, Spec};
    use serde_json::json;

    const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

    fn block() -> IdentitySpec {
        short(identity("production"), "github", json!({ "repository_id": 74, "environment": "production" }))
    }

    fn policy() -> Spec {
        spec(vec![
            account("octo", vec![block(), subject("main branch", MAIN)]),
            account("other", vec![subject("x", "repo:a/b:**")]),
        ])
    }

    fn explained(spec: &Spec, changes: serde_json::Value, names: &[&str], scope: &str) -> (String, Decision) {
        let rules = rules(spec);
        let requested = ask(&rules, names, scope);
        let decision = rules.explain(Facts { entry: &entry("github"), claims: &token(changes), now: NOW }, &requested);
        (summary(&rules, &requested, &decision), decision)
    }

    fn first_line(changes: serde_json::Value, names: &[&str], scope: &str) -> String {
        explained(&policy(), changes, names, scope).0
    }

    #[test]
    fn the_first_line_is_the_verdict_with_its_cause() {
        for (changes, names, scope, wanted) in [
            (
                json!({}),
                &["octo"][..],
                "",
                "granted: account `octo` by identity `main branch`: API `deploy`, `create read`, for 15m",
            ),
            (
                json!({ "environment": "staging", "sub": "repo:octo-org/octo-repo:environment:staging" }),
                &["octo"],
                "",
                "refused: account `octo`; the nearest identity is `production` of `octo`: `environment` is \"staging\", expected \
                 \"production\"; to allow it, write `environment: \"staging\"` in the identity, or present a token with the expected value",
            ),
            (
                json!({ "environment": "Production", "sub": "x" }),
                &["octo"],
                "",
                "refused: account `octo`; the nearest identity is `production` of `octo`: `environment` is \"Production\", expected \
                 \"production\"; only the case differs: the token has `Production`",
            ),
            (
                json!({ "sub": "x" }),
                &["octo"],
                "",
                "refused: account `octo`; the nearest identity is `production` of `octo`: `environment` is absent, expected \
                 \"production\"; the token has no `environment`; present one that has, or drop the condition",
            ),
            (
                json!({ "aud": "https://other.example" }),
                &["octo"],
                "",
                "refused: account `octo`; the nearest identity is `main branch` of `octo`: `audience` is \"https://other.example\", \
                 expected \"https://sts.example.com\", alone; ask for a token with audience \"https://sts.example.com\", alone, or add \
                 \"https://other.example\" to the identity's `audience`",
            ),
            (
                json!({ "event_name": "pull_request_target" }),
                &["octo"],
                "",
                "refused: account `octo`; the nearest identity is `main branch` of `octo`: `event_name` is \"pull_request_target\", expected \
                 none of \"pull_request_target\", \"workflow_run\", \"issue_comment\", \"pull_request\"; name `event_name` in the identity to \
                 accept such an event",
            ),
            (
                json!({ "sub": "y", "repository_id": "1", "environment": "x" }),
                &[],
                "",
                "refused: no account was named; the nearest identity is `main branch` of `octo`: `subject` is \"y\", expected \
                 \"repo:octo-org/octo-repo:ref:refs/heads/main\"; to allow it, write `subject: \"y\"` in the identity, or present a token with \
                 the expected value",
            ),
            (json!({}), &["nobody"], "", "refused: there is no such account; name one that exists in `audience`"),
            (
                json!({}),
                &["octo", "logs"],
                "",
                "refused: account `octo`; `main branch` of `octo` matches, but API `logs` is not granted; add it to the account's `grants`, or \
                 to the identity's",
            ),
            (
                json!({}),
                &["octo"],
                "delete",
                "refused: account `octo`; `main branch` of `octo` matches, but not all of `delete` is granted for API `deploy`; ask for less, \
                 or add it to the account's `grants`",
            ),
        ] {
            assert_eq!(first_line(changes, names, scope), wanted);
        }
    }

    #[test]
    fn c064_explain_says_when_two_stars_would_have_matched() {
        let spec = spec(vec![account("octo", vec![subject("heads", "repo:octo-org/octo-repo:ref:refs/heads/*")])]);
        let line =
            explained(&spec, json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/feature/x" }), &["octo"], "").0;
        assert!(line.ends_with("`*` stops at `:` and `/`: write `**` in its place if more is meant"), "{line}");
    }

    #[test]
    fn c072_explain_names_the_template_of_a_customised_subject() {
        let spec = spec(vec![account("octo", vec![subject("main branch", MAIN)])]);
        let of = |sub: &str| explained(&spec, json!({ "sub": sub }), &["octo"], "").0;
        let line = of("repo:octo-org/octo-repo:ref:refs/heads/main:actor:octocat");
        assert!(line.contains("your organisation sends the subject template `repo`, `context`, `actor`;"), "{line}");
        let line = of("repo:octo-org@65/octo-repo@74:ref:refs/heads/main");
        assert!(line.contains("the repository sends subjects with ids;"), "{line}");
        assert!(!of("repo:octo-org/octo-repo:ref:refs/heads/dev").contains("template"));
    }

    #[test]
    fn the_trace_is_whole_and_nearest_first() {
        let (_, decision) =
            explained(&policy(), json!({ "event_name": "issue_comment", "repository_id": "1" }), &[], "");
        let order: Vec<&str> = decision.trace.iter().map(|own| own.identity.as_str()).collect();
        assert_eq!(order, ["main branch", "x", "production"]);
        assert_eq!(
            render(&decision).lines().take(6).collect::<Vec<_>>(),
            [
                "`main branch` of `octo` does not match",
                "  ok   `issuer` is github",
                "  ok   `enabled` is identity enabled",
                "  ok   `subject` is \"repo:octo-org/octo-repo:ref:refs/heads/main\"",
                "  ok   `audience` is \"https://sts.example.com\"",
                "  FAIL `event_name` is \"issue_comment\", expected none of \"pull_request_target\", \"workflow_run\", \"issue_comment\", \
                 \"pull_request\"",
            ]
        );
        let (_, granted) = explained(&policy(), json!({}), &["octo"], "");
        let tried: Vec<_> = granted.trace.iter().map(|own| (own.identity.as_str(), own.matched, own.covers)).collect();
        assert_eq!(tried, [("production", false, None), ("main branch", true, Some(true))]);
    }

    #[test]
    fn c124_hostile_text_stays_on_one_line_and_is_bounded() {
        let hostile = format!("a\r\n\u{1b}[31m\u{202e}{}", "x".repeat(5000));
        let (line, decision) = explained(&policy(), json!({ "sub": hostile, "environment": hostile }), &["octo"], "");
        for text in [line.clone(), render(&decision).lines().collect::<String>()] {
            assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
        assert!(line.len() < 1500, "{}", line.len());
    }
}
