//! `sts explain`.

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

/// Two clusters with the same issuer, each with its own keys and account.
fn clusters() -> sts_testkit::Config {
    const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
    let entry = |keys: Value| json!({ "issuer": CLUSTER, "preset": "kubernetes", "jwks": keys });
    let account = |entry: &str| json!({ "teams": ["deployers"], "identities": [identity(entry, "system:serviceaccount:prod:deployer")] });
    world()
        .with("issuers/a", entry(sts_testkit::Key::set(&[&KEYS.es256])))
        .with("issuers/b", entry(sts_testkit::Key::set(&[&KEYS.other])))
        .with("service_accounts/of-a", account("a"))
        .with("service_accounts/of-b", account("b"))
}

#[test]
fn fld05_claims_and_tests_name_the_entry_that_signed_where_entries_share_an_issuer() {
    let claims = json!({
        "iss": "https://kubernetes.default.svc.cluster.local", "sub": "system:serviceaccount:prod:deployer",
        "aud": US, "iat": 1_790_000_000, "exp": 1_790_000_600,
    });
    let site = world_site(&clusters());
    site.write("claims.json", claims.to_string());
    let ambiguous = explain(&site, &["--claims", "claims.json", "--account", "of-b"]).ended(2);
    for part in ["`a`", "`b`", "--issuer"] {
        assert!(ambiguous.stderr.contains(part), "{part}: {}", ambiguous.stderr);
    }
    let of = |entry: &str, account: &str, code: i32| {
        explain(&site, &["--claims", "claims.json", "--issuer", entry, "--account", account]).ended(code)
    };
    assert!(of("b", "of-b", 0).first_line().contains("granted"));
    let crossed = of("a", "of-b", 1);
    assert!(crossed.first_line().contains("`issuer` is a, expected b"), "{}", crossed.first_line());
    assert!(!crossed.first_line().contains("add the issuer entry"), "{}", crossed.first_line());
    assert!(of("aa", "of-b", 2).stderr.contains("no issuer entry `aa`"));
    assert!(of("plain", "of-b", 2).stderr.contains("https://issuer.example"));

    let test = |issuer: Option<&str>, expect: &str| {
        let mut test = json!({ "name": "t", "token": claims, "account": "of-b", "expect": expect });
        if let Some(issuer) = issuer {
            test["issuer"] = json!(issuer);
        }
        let site = world_site(&clusters().with("tests", json!([test])));
        STS.run(site.root(), &["check", "--config", "sts.yaml"])
    };
    test(Some("a"), "deny").ended(0);
    assert!(test(Some("b"), "deny").ended(1).stderr.contains("expected a refusal, but granted"));
    let unnamed = test(None, "deny").ended(1);
    assert!(
        unnamed.stderr.contains("`a`, `b` share the `iss`") && unnamed.stderr.contains("issuer: a"),
        "{}",
        unnamed.stderr
    );
}

#[test]
fn fld43_explain_runs_while_a_policy_test_fails_or_a_pattern_is_unsafe() {
    let github = json!({ "issuer": "https://token.actions.githubusercontent.com", "jwks": sts_testkit::Key::set(&[&KEYS.rs256]) });
    let account = json!({ "teams": ["deployers"], "identities": [{ "issuer": "github", "subject": "repo:octo-org/octo-repo:*" }] });
    let test = json!([{ "token": { "preset": "github-actions" }, "account": "wide", "expect": { "account": "wide" } }]);
    let unsafe_rules = world().with("issuers/github", github).with("service_accounts/wide", account);
    let failing = world().with("tests", json!([{ "token": claims("svc:octo"), "account": "octo", "expect": "deny" }]));
    for (config, told) in
        [(unsafe_rules.clone(), "1 finding"), (unsafe_rules.with("tests", test), "finding"), (failing, "1 finding")]
    {
        let site = world_site(&config);
        STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(1);
        site.write("token", token("svc:octo"));
        let granted = explain(&site, &["--token", "token", "--account", "octo"]).ended(2);
        assert!(
            granted.stderr.contains("refuses this configuration") && granted.stderr.contains(told),
            "{}",
            granted.stderr
        );
        // The warning comes first, for readers of standard output alone.
        let first = granted.first_line();
        assert!(first.starts_with("not in force: ") && first.contains(told), "{first}");
        assert!(
            !first.contains("granted") && granted.stdout.contains("rules alone say: granted"),
            "{}",
            granted.stdout
        );
        let json = explain(&site, &["--token", "token", "--account", "octo", "--json"]).ended(2).json();
        assert_eq!((&json["verdict"], &json["configuration"]["loads"]), (&json!("not_in_force"), &json!(false)));
        assert_eq!(json["verdict_of_rules_alone"], "granted");
        assert!(!json["configuration"]["refused_by"].as_array().unwrap().is_empty(), "{json}");
        assert!(json["summary"].as_str().unwrap().starts_with("not in force: "), "{json}");
    }
    let site = world_site(&world());
    site.write("token", token("svc:octo"));
    let sound = explain(&site, &["--token", "token", "--account", "octo", "--json"]).ended(0).json();
    assert_eq!((&sound["verdict"], &sound["configuration"]["loads"]), (&json!("granted"), &json!(true)));
    // The effect of the unsafe rule is explained, too.
    let site = world_site(&world().with("issuers/github", json!({
        "issuer": "https://token.actions.githubusercontent.com", "jwks": sts_testkit::Key::set(&[&KEYS.rs256]),
    })).with("service_accounts/wide", json!({
        "teams": ["deployers"], "identities": [{ "issuer": "github", "subject": "repo:octo-org/octo-repo:*" }],
    })));
    let mut sample = Sample::of("github-actions").at(1_790_000_000);
    sample["aud"] = json!(US);
    site.write("claims.json", sample.to_string());
    let line = explain(&site, &["--claims", "claims.json", "--account", "wide"]).ended(1);
    assert!(line.first_line().contains("`**`"), "{}", line.first_line());
}

#[test]
fn fld06_a_fix_is_a_member_of_json_beside_cause_claim_actual_and_expected() {
    let site = world_with(&forge("svc:octo").claim("exp", now() - 100).claim("iat", now() - 200).sign());
    let found = explain(&site, &["--token", "token", "--json"]).ended(1).json();
    assert_eq!((&found["reason"], &found["claim"]), (&json!("token_expired"), &json!("exp")));
    for member in ["cause", "actual", "expected", "fix", "summary"] {
        assert!(found[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {found}");
    }
    let site = world_with(&token("svc:octo"));
    let found =
        explain(&site, &["--token", "token", "--account", "octo", "--audience", "deply", "--json"]).ended(1).json();
    assert_eq!(found["reason"], "request_malformed", "{found}");
    let found = explain(&site, &["--token", "token", "--account", "ocot", "--json"]).ended(1).json();
    assert_eq!((&found["actual"], &found["expected"]), (&json!("ocot"), &json!("octo")), "{found}");
    assert!(found["fix"].as_str().is_some_and(|fix| fix.contains("name `octo`")), "{found}");
}

#[test]
fn fld58_a_token_in_place_of_its_file_is_never_printed() {
    let site = world_site(&world());
    let token = token("svc:octo");
    for flag in ["--token", "--claims"] {
        let finished = explain(&site, &[flag, &token]).ended(2);
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!all.contains(&token) && !all.contains(&token[..20]), "{all}");
        assert!(all.contains("standard input"), "{all}");
    }
}

#[test]
fn with_json_every_error_is_one_document() {
    let site = world_site(&world());
    site.write("claims.json", "{}");
    site.write("no-claims.json", "[");
    for arguments in [
        &["explain", "--claims", "missing.json"][..],
        &["explain", "--claims", "no-claims.json"],
        &["explain", "--claims", "claims.json", "--config", "missing.yaml"],
        &["tokens", "revoke", "--claim", "a=b", "--claim", "a=c"],
    ] {
        let finished = STS.run(site.root(), &[arguments, &["--json"]].concat()).ended(2);
        assert!(finished.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{}", finished.text());
        assert!(finished.stderr.is_empty(), "{}", finished.stderr);
    }
}
