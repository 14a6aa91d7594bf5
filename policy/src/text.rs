//! Renders decisions as text for people.

use std::fmt::Write as _;

use crate::diagnosis::title;
use crate::finding::{duration, quoted};
use crate::resolve::RequestedNames;
use crate::{ConditionTrace, Decision, Facts, Grant, Outcome, RuleSet};

/// The first line of `sts explain`: the verdict, and for a refusal its cause and what would end it.
/// It has a bounded length.
#[must_use]
pub fn summary(rules: &RuleSet, facts: Facts<'_>, request_names: &RequestedNames<'_>, decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Granted(grant) => granted(grant),
        Outcome::Refused(_) => {
            rules.diagnose(facts, request_names, decision).map_or_else(String::new, |diagnosis| diagnosis.line())
        }
    }
}

/// The whole trace: one line per identity, and one line per condition below it.
#[must_use]
pub fn render(decision: &Decision) -> String {
    let mut out = String::new();
    for identity in &decision.trace {
        let verdict = match (identity.matched, identity.covers) {
            (false, _) => "does not match",
            (true, Some(false)) => "matches, but its grant does not cover the request",
            (true, _) => "matches",
        };
        // Writing to a `String` never fails.
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
    let identity = grant
        .identity
        .as_ref()
        .map_or_else(String::new, |identity| format!(" by identity {}", quoted(identity.as_str())));
    let api = quoted(grant.api.as_str());
    format!(
        "granted: account {}{identity}: API {api}, {scopes}, for {}",
        quoted(grant.account.name.as_str()),
        duration(grant.lifetime)
    )
}

fn comparison(condition: &ConditionTrace) -> String {
    let actual = condition.actual.as_deref().unwrap_or("absent");
    let (on, expected) = (quoted(&condition.on), &condition.expected);
    if condition.holds { format!("{on} is {actual}") } else { format!("{on} is {actual}, expected {expected}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::{IdentitySpec, Spec};
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
        let audience = words(names);
        let asked = RequestedNames { audience: &audience, scope: Some(scope), ..RequestedNames::default() };
        let (entry, claims) = (entry("github"), token(changes));
        let facts = Facts { entry: &entry, claims: &claims, now: NOW, memberships: &crate::NoDirectory };
        let decision = rules.explain(facts, &rules.resolve(&asked).unwrap());
        (summary(&rules, facts, &asked, &decision), decision)
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
                "refused: not_authorized: account `octo`; the nearest identity is `production` of `octo`: `environment` is \"staging\", \
                 expected \"production\"; present a token whose `environment` is \"production\" (write `environment: production` on the \
                 job), or write `environment: \"staging\"` in `production` of `octo`",
            ),
            (
                json!({ "environment": "Production", "sub": "x" }),
                &["octo"],
                "",
                "refused: not_authorized: account `octo`; the nearest identity is `production` of `octo`: `environment` is \
                 \"Production\", expected \"production\" (they differ only by the letter case); write `environment: \"Production\"` in \
                 `production` of `octo`, or present a token whose `environment` is \"production\" (write `environment: production` on the \
                 job)",
            ),
            (
                json!({ "sub": "x" }),
                &["octo"],
                "",
                "refused: not_authorized: account `octo`; the nearest identity is `production` of `octo`: `environment` is absent, \
                 expected \"production\"; present a token whose `environment` is \"production\" (write `environment: production` on the \
                 job)",
            ),
            (
                json!({ "aud": "https://other.example" }),
                &["octo"],
                "",
                "refused: not_authorized: account `octo`; the nearest identity is `main branch` of `octo`: `audience` is \
                 \"https://other.example\", expected \"https://sts.example.com\", alone; present a token whose `aud` is \
                 \"https://sts.example.com\", alone (the `audience` of `core.getIDToken(...)`, or `&audience=` of the request URL)",
            ),
            (
                json!({ "sub": "y", "repository_id": "1", "environment": "x" }),
                &[],
                "",
                "refused: not_authorized: no account was named; the nearest identity is `main branch` of `octo`: `subject` is \"y\", \
                 expected \"repo:octo-org/octo-repo:ref:refs/heads/main\"; present a token whose `sub` is \
                 \"repo:octo-org/octo-repo:ref:refs/heads/main\" (run the workflow on the branch `main`, in a job without `environment`)",
            ),
            (
                json!({}),
                &["nobody"],
                "",
                "refused: not_authorized: there is no such account `nobody`; name `octo` in `audience`",
            ),
            (
                json!({}),
                &["octo", "logs"],
                "",
                "refused: target_not_granted: account `octo`; `main branch` of `octo` matches, but API `logs` is not granted: only \
                 `deploy` is granted by its `grants`; ask for the API `deploy`, or add `logs: []` to the `grants` of the account `octo` \
                 or of a team of it",
            ),
            (
                json!({}),
                &["octo"],
                "delete",
                "refused: scope_not_granted: account `octo`; `main branch` of `octo` matches, but not all scopes are granted for API \
                 `deploy`: `delete` is not (it is not in its `grants`); granted are `create read`; ask for `create read`, or add `delete` \
                 to the `grants` of the account `octo` or of a team of it",
            ),
        ] {
            assert_eq!(first_line(changes, names, scope), wanted);
        }
        let event = first_line(json!({ "event_name": "pull_request_target" }), &["octo"], "");
        assert!(event.contains("`event_name` is \"pull_request_target\", which strangers can cause"), "{event}");
        assert!(event.contains("only an identity that names `event_name` accepts it"), "{event}");
        // The list of what is taken stands in the trace.
        assert!(!event.contains("merge_group"), "{event}");
        assert!(
            event.ends_with("; start the workflow by another event, such as `push` or `workflow_dispatch`"),
            "{event}"
        );
    }

    #[test]
    fn c064_explain_says_when_two_stars_would_have_matched() {
        let spec = spec(vec![account("octo", vec![subject("heads", "repo:octo-org/octo-repo:ref:refs/heads/*")])]);
        let line =
            explained(&spec, json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/feature/x" }), &["octo"], "").0;
        assert!(line.contains("(`*` stops at `:` and `/`: `**` in its place matches)"), "{line}");
        assert!(
            line.contains("; write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/**\"` in `heads` of `octo`"),
            "{line}"
        );
    }

    #[test]
    fn c072_explain_names_the_template_of_a_customised_subject() {
        let spec = spec(vec![account("octo", vec![subject("main branch", MAIN)])]);
        let of = |sub: &str| explained(&spec, json!({ "sub": sub }), &["octo"], "").0;
        let line = of("repo:octo-org/octo-repo:ref:refs/heads/main:actor:octocat");
        assert!(line.contains("your organisation sends the subject template `repo`, `context`, `actor`"), "{line}");
        let line = of("repo:octo-org@65/octo-repo@74:ref:refs/heads/main");
        assert!(line.contains("the repository sends subjects with ids;"), "{line}");
        assert!(!of("repo:octo-org/octo-repo:ref:refs/heads/dev").contains("template"));
    }

    #[test]
    fn the_trace_is_whole_and_nearest_first() {
        let (_, decision) =
            explained(&policy(), json!({ "event_name": "issue_comment", "repository_id": "1" }), &[], "");
        let order: Vec<&str> = decision.trace.iter().map(|identity| identity.identity.as_str()).collect();
        assert_eq!(order, ["main branch", "x", "production"]);
        assert_eq!(
            render(&decision).lines().take(6).collect::<Vec<_>>(),
            [
                "`main branch` of `octo` does not match",
                "  ok   `issuer` is github",
                "  ok   `enabled` is identity enabled",
                "  ok   `subject` is \"repo:octo-org/octo-repo:ref:refs/heads/main\"",
                "  ok   `audience` is \"https://sts.example.com\"",
                "  FAIL `event_name` is \"issue_comment\", expected one of \"push\", \"workflow_dispatch\", \"schedule\", \"release\", \
                 \"repository_dispatch\", \"create\", \"delete\", \"merge_group\", \"deployment\", \"deployment_status\", \
                 \"registry_package\", \"page_build\", \"branch_protection_rule\", \"public\"",
            ]
        );
        let (_, granted) = explained(&policy(), json!({}), &["octo"], "");
        let tried: Vec<_> =
            granted.trace.iter().map(|tried| (tried.identity.as_str(), tried.matched, tried.covers)).collect();
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
