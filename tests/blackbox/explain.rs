//! `sts explain` (DESIGN section 8).

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Finished, Forge, Sample, Site, now};

fn world_with(token: &str) -> Site {
    let site = world_site(&world());
    site.write("token", token);
    site
}

fn explain(site: &Site, more: &[&str]) -> Finished {
    let mut arguments = vec!["explain", "--config", "sts.yaml"];
    arguments.extend_from_slice(more);
    STS.run(site.root(), &arguments)
}

#[test]
fn the_first_line_is_the_verdict_with_its_cause_and_the_trace_follows() {
    let site = world_with(&token("svc:octo"));
    let granted = explain(&site, &["--token", "token"]).ended(0);
    for part in ["granted", "octo", "plain", "deploy"] {
        assert!(granted.first_line().contains(part), "{part}: {}", granted.first_line());
    }
    assert!(granted.stdout.lines().count() > 3);

    let refused = explain(&site, &["--token", "token", "--account", "two"]).ended(1);
    for part in ["refused", "two", "plain", "svc:octo", "svc:two", "subject"] {
        assert!(refused.first_line().contains(part), "{part}: {}", refused.first_line());
    }
    assert!(refused.stdout.lines().count() > 3);
}

#[test]
fn account_audience_resource_and_scope_are_as_in_a_request() {
    let site = world_with(&token("svc:two"));
    for (arguments, code, part) in [
        (vec![], 1, "target_required"),
        (vec!["--account", "two", "--audience", "billing"], 0, BILLING),
        (vec!["--account", "two", "--resource", DEPLOY], 0, DEPLOY),
        (vec!["--resource", "https://unknown.example"], 1, "target_not_granted"),
        (vec!["--audience", "deploy", "--scope", "releases:read"], 0, "releases:read"),
        (vec!["--audience", "deploy", "--scope", "invoices:read"], 1, "scope_not_granted"),
        (vec!["--account", "octo"], 1, "octo"),
        (vec!["--account", "nobody"], 1, "no such account"),
    ] {
        let mut all = vec!["--token", "token", "--json"];
        all.extend_from_slice(&arguments);
        let finished = explain(&site, &all).ended(code);
        assert!(finished.json().is_object());
        assert!(finished.stdout.contains(part), "{arguments:?}: {}", finished.stdout);
    }
}

#[test]
fn a_token_is_verified_as_an_exchange_verifies_it() {
    let cases = [
        ("x".to_owned(), "token_malformed"),
        (forge("svc:octo").header("alg", "none").sign(), "token_algorithm"),
        (forge("svc:octo").header("typ", "at+jwt").sign(), "token_type_refused"),
        (forge("svc:octo").claim("iss", "https://nobody.example").sign(), "issuer_unknown"),
        (forge("svc:octo").header("kid", "x").sign(), "key_unknown"),
        (Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign(), "signature_invalid"),
        (forge("svc:octo").claim("exp", now() - 100).claim("iat", now() - 200).sign(), "token_expired"),
        (forge("svc:octo").claim("aud", "other").sign(), "token_audience"),
    ];
    for (token, reason) in cases {
        let site = world_with(&token);
        let finished = explain(&site, &["--token", "token"]).ended(1);
        assert!(finished.first_line().contains(reason), "{reason}: {}", finished.first_line());
        assert_eq!(explain(&site, &["--token", "token", "--json"]).ended(1).json()["reason"], reason);
    }
}

#[test]
fn claims_are_explained_unverified_and_as_of_their_iat() {
    let site = world_site(&world());
    let old = json!({ "iss": PLAIN, "sub": "svc:octo", "aud": US, "iat": 1_790_000_000, "exp": 1_790_000_600 });
    site.write("claims.json", old.to_string());
    assert!(explain(&site, &["--claims", "claims.json"]).ended(0).first_line().contains("granted"));
    site.write("claims.json", json!({ "iss": PLAIN, "sub": "svc:other", "aud": US, "iat": 1, "exp": 2 }).to_string());
    explain(&site, &["--claims", "claims.json", "--account", "octo"]).ended(1);
    for broken in ["", "[]", "x", "{\"a\":1,\"a\":2}"] {
        site.write("claims.json", broken);
        explain(&site, &["--claims", "claims.json"]).ended(2);
    }
    explain(&site, &["--claims", "missing.json"]).ended(2);
    explain(&site, &["--token", "missing"]).ended(2);
    explain(&site, &["--token", "sts.yaml", "--at", "yesterday"]).ended(2);
}

#[test]
fn the_smallest_change_is_named_where_one_is_in_sight() {
    let github = json!({
        "issuer": "https://token.actions.githubusercontent.com",
        "jwks": sts_testkit::Key::set(&[&KEYS.rs256]),
    });
    let hint = |identity: Value, claims: Value| {
        let config = world().with("issuers/github", github.clone()).with(
            "service_accounts/hinted",
            json!({
                "teams": ["deployers"], "identities": [identity],
            }),
        );
        let site = world_site(&config);
        site.write("claims.json", claims.to_string());
        explain(&site, &["--claims", "claims.json", "--account", "hinted"]).ended(1).stdout
    };
    let sample = |sub: &str| {
        let mut claims = Sample::of("github-actions").at(1_790_000_000);
        claims["sub"] = json!(sub);
        claims["aud"] = json!(US);
        claims
    };
    let rule = |subject: &str| json!({ "name": "i", "issuer": "github", "subject": subject });
    // `**` in place of `*` would have matched.
    let wide =
        hint(rule("repo:octo-org/octo-repo:ref:refs/heads/*"), sample("repo:octo-org/octo-repo:ref:refs/heads/a/b"));
    assert!(wide.contains("**"), "{wide}");
    let case = hint(
        rule("repo:Octo-org/octo-repo:ref:refs/heads/main"),
        sample("repo:octo-org/octo-repo:ref:refs/heads/main"),
    );
    assert!(case.contains("case"), "{case}");
    let mut event = sample("repo:octo-org/octo-repo:ref:refs/heads/main");
    event["event_name"] = json!("pull_request_target");
    let event = hint(rule("repo:octo-org/octo-repo:ref:refs/heads/main"), event);
    assert!(event.contains("event_name") && event.contains("pull_request_target"), "{event}");
    let absent = hint(
        json!({ "name": "i", "issuer": "github", "github": { "repository_id": 74, "environment": "prod" } }),
        sample("repo:octo-org/octo-repo:ref:refs/heads/main"),
    );
    assert!(absent.lines().next().unwrap().contains("environment"), "{absent}");
}

#[test]
fn c022_c124_text_of_a_token_is_shown_escaped() {
    let hostile = "svc:\u{202e}evil\u{1b}[31m";
    let site = world_site(&world());
    site.write("claims.json", json!({ "iss": PLAIN, "sub": "svc:\u{202e}evil", "aud": US, "iat": 1_790_000_000, "exp": 1_790_000_600, "x": hostile }).to_string());
    let finished = explain(&site, &["--claims", "claims.json", "--account", "octo"]).ended(1);
    assert!(!finished.stdout.contains('\u{202e}') && !finished.stdout.contains('\u{1b}'), "{:?}", finished.stdout);
}
