//! The two sample files as documented, GitHub's grammar, and errors at load.

use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{Config, Finished, Forge, Key, Response, Sample, Server, Site, corpus_file, now};

const MAIN: &str = include_str!("../../sts/server/tests/samples/sts.yaml");
const OCTO: &str = include_str!("../../sts/server/tests/samples/accounts/octo.yaml");

/// The two files, with the files that they name. `bend` adapts the main file to the test.
fn samples(bend: impl FnOnce(String) -> String) -> Site {
    let site = Site::new();
    site.write("sts.yaml", bend(MAIN.to_owned()));
    site.write("accounts/octo.yaml", OCTO);
    site.write("staging.jwks.json", Key::set(&[&KEYS.other]).to_string());
    site.write("deploy.secret", format!("{DEPLOY_SECRET}\n"));
    for (name, from) in [("tls.crt", "tls/server.crt"), ("tls.key", "tls/server.key")] {
        site.write(name, std::fs::read(corpus_file(from)).unwrap());
    }
    site
}

/// The samples on loopback, in the test's own directory, with our own key for GitHub.
static SAMPLES: LazyLock<Server> = LazyLock::new(|| Server::start_in(STS, samples(runnable)));

fn runnable(main: String) -> String {
    let jwks = Key::set(&[&KEYS.rs256]);
    let replace = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    let main = replace(
        main,
        "listen: 0.0.0.0:8080",
        "listen: 127.0.0.1:0\nlog: { format: json }\nlimits: { failures_per_second: 0 }",
    );
    let main = replace(main, "127.0.0.1:9090", "127.0.0.1:0");
    let main = replace(main, "/var/lib/sts", "data");
    let main = replace(main, "tls: { cert_file", "# tls: { cert_file");
    let known = "# its preset is known by the URL";
    replace(main, known, &format!("{known}\n    jwks: {jwks}"))
}

/// A GitHub token with these claims in place of the sample's.
fn github(claims: &Value) -> String {
    let sample = Sample::of("github-actions").at(now() - 5);
    let base = Forge::new(&KEYS.rs256, &sample)
        .claim("aud", US)
        .claim("repository_id", "1296269")
        .claim("repository", "octo-org/octo-repo");
    let bent = claims.as_object().unwrap().iter().fold(base, |forge, (name, value)| forge.claim(name, value.clone()));
    bent.sign()
}

fn ask(claims: &Value, parameters: &[(&str, &str)]) -> Response {
    SAMPLES.exchange(&github(claims), parameters)
}

#[test]
fn the_sample_files_check_as_they_are_printed() {
    let site = samples(|main| main);
    let finished = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(0);
    assert!(finished.stdout.contains("1 policy test passed"), "{}", finished.stdout);
    let json = STS.run(site.root(), &["check", "--config", "sts.yaml", "--json"]).ended(0).json();
    assert_eq!(json["ok"], true);
}

#[test]
fn the_sample_identities_grant_what_they_say() {
    let production = json!({ "sub": "repo:octo-org/octo-repo:environment:production", "environment": "production" });
    let body = granted(&ask(&production, &[("audience", "octo-deploy")]));
    assert_eq!((&body["scope"], &body["expires_in"]), (&json!("deployments:create releases:read"), &json!(900)));
    let claims: Value = {
        let payload = body["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&sts_testkit::decode_base64url(payload).unwrap()).unwrap()
    };
    assert_eq!(claims["sub"], "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11");
    assert_eq!((&claims["groups"], &claims["federated"]["identity"]), (&json!(["deployers"]), &json!("production")));

    let main = json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/main" });
    let body = granted(&ask(&main, &[]));
    assert_eq!((&body["scope"], &body["expires_in"]), (&json!("deployments:create"), &json!(600)));
    refused(&ask(&main, &[("scope", "releases:read")]), 400, "invalid_scope", "scope_not_granted");
    // The `github:` block covers every shape of the subject.
    for subject in
        ["repo:octo-org@1/octo-repo@1296269:environment:production", "environment:production:repo:octo-org/octo-repo"]
    {
        granted(&ask(&json!({ "sub": subject, "environment": "production" }), &[]));
    }
}

#[test]
fn c070_c071_c073_names_ids_and_environments_compare_byte_for_byte() {
    let production = |more: Value| {
        let mut claims =
            json!({ "sub": "repo:octo-org/octo-repo:environment:production", "environment": "production" });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        reason_of(&ask(&claims, &[]))
    };
    assert_eq!(production(json!({})), "granted");
    for other in [
        json!({ "repository_id": "9" }),
        json!({ "repository_id": 1296269 }),
        json!({ "repository": "octo-org/Octo-Repo" }),
        json!({ "repository": "evil/octo-repo" }),
        json!({ "environment": "Production" }),
        json!({ "environment": "production " }),
        json!({ "environment": "production/eu" }),
        json!({ "environment": null }),
        json!({ "environment": ["staging"] }),
    ] {
        assert_eq!(production(other.clone()), "not_authorized", "{other}");
    }
    let main = |sub: &str, owner: Value| reason_of(&ask(&json!({ "sub": sub, "repository_owner_id": owner }), &[]));
    assert_eq!(main("repo:octo-org/octo-repo:ref:refs/heads/main", json!("65")), "granted");
    for (sub, owner) in [
        ("repo:octo-org/octo-repo:ref:refs/heads/main", json!("66")),
        ("repo:octo-org/octo-repo:ref:refs/heads/main", json!(65)),
        ("repo:octo-org@65/octo-repo@74:ref:refs/heads/main", json!("65")),
        ("repo:octo-org/octo-repo:ref:refs/heads/main2", json!("65")),
        ("repo:octo-org/octo-repo:ref:refs/heads/Main", json!("65")),
        ("repo:octo-org/octo-repo:ref:refs/tags/main", json!("65")),
        ("repo:octo-org/octo-repo:pull_request", json!("65")),
    ] {
        assert_eq!(main(sub, owner.clone()), "not_authorized", "{sub} {owner}");
    }
}

#[test]
fn fld1_c069_strangers_events_are_refused_however_the_identity_is_written() {
    let events = [
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "pull_request",
        "issues",
        "discussion",
        "discussion_comment",
        "fork",
        "watch",
        "gollum",
        "pull_request_review",
        "pull_request_review_comment",
        "check_run",
        "check_suite",
        "status",
        "an_event_of_tomorrow",
    ];
    for event in events {
        let main = json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "event_name": event });
        invalid(&ask(&main, &[]), "not_authorized");
        let production = json!({ "sub": "repo:octo-org/octo-repo:environment:production", "environment": "production", "event_name": event });
        invalid(&ask(&production, &[]), "not_authorized");
    }
    for event in [
        "push",
        "workflow_dispatch",
        "schedule",
        "release",
        "repository_dispatch",
        "create",
        "delete",
        "merge_group",
        "deployment",
    ] {
        granted(&ask(&json!({ "event_name": event }), &[]));
    }
    // Naming `event_name`, or a subject that ends so, lifts it; on every issuer of GitHub's
    // grammar.
    let server = Server::start_in(
        STS,
        world_site(&github_world(&[
            (
                "named",
                json!({ "subject": "repo:octo-org/octo-repo:ref:refs/heads/main", "claims": { "event_name": "pull_request_target" } }),
            ),
            ("block", json!({ "github": { "repository_owner_id": 65, "event_name": ["push", "workflow_run"] } })),
            ("literal", json!({ "subject": "repo:octo-org/octo-repo:pull_request" })),
            ("pattern", json!({ "subject": "repo:octo-org/octo-repo:**" })),
        ])),
    );
    let event = |account: &str, event: &str, sub: &str| {
        reason_of(&server.exchange(&github(&json!({ "event_name": event, "sub": sub })), &[("audience", account)]))
    };
    let (main, pull) = ("repo:octo-org/octo-repo:ref:refs/heads/main", "repo:octo-org/octo-repo:pull_request");
    assert_eq!(event("named", "pull_request_target", main), "granted");
    assert_eq!(event("named", "push", main), "not_authorized");
    assert_eq!(event("block", "workflow_run", main), "granted");
    assert_eq!(event("block", "issue_comment", main), "not_authorized");
    assert_eq!(event("literal", "pull_request", pull), "granted");
    assert_eq!(event("pattern", "push", main), "granted");
    assert_eq!(event("pattern", "pull_request", pull), "not_authorized");
    assert_eq!(event("pattern", "pull_request_target", main), "not_authorized");
}

/// The shared configuration with GitHub and one account for each of these identities.
fn github_world(identities: &[(&str, Value)]) -> Config {
    let start = world().with(
        "issuers/github",
        json!({
            "issuer": "https://token.actions.githubusercontent.com",
            "jwks": Key::set(&[&KEYS.rs256]),
        }),
    );
    identities.iter().fold(start, |config, (name, identity)| {
        let mut identity = identity.clone();
        identity["name"] = json!("i");
        if identity.get("issuer").is_none() {
            identity["issuer"] = json!("github");
        }
        config.with(&format!("service_accounts/{name}"), json!({ "teams": ["deployers"], "identities": [identity] }))
    })
}

fn check(config: &Config) -> Finished {
    let site = world_site(config);
    STS.run(site.root(), &["check", "--config", "sts.yaml"])
}

#[test]
fn c061_c064_c065_c165_unsafe_rules_on_a_shared_issuer_are_refused_unless_allow_broad_says_why() {
    for identity in [
        json!({ "subject": "*" }),
        json!({ "subject": "**" }),
        json!({ "subject": "?**" }),
        json!({ "subject": "repo:*" }),
        json!({ "subject": "repo:**" }),
        json!({ "subject": "repo:acme*" }),
        json!({ "subject": "repo:acme**" }),
        json!({ "subject": "repo:acme*/x:ref:refs/heads/main" }),
        json!({ "subject": "*:ref:refs/heads/main" }),
        json!({ "subject": "**:ref:refs/heads/main" }),
        json!({ "subject": "repo:*/app:ref:refs/heads/main" }),
        json!({}),
        json!({ "claims": { "ref": "refs/heads/main" } }),
        json!({ "claims": { "repository": "*/app" } }),
        json!({ "claims": { "repository_owner": "acme*" } }),
        json!({ "github": { "ref": "refs/heads/main" } }),
        json!({ "github": { "environment": "production" } }),
    ] {
        let finished = check(&github_world(&[("a", identity.clone())]));
        assert_eq!(finished.code, Some(1), "{identity}: {}", finished.text());
        let mut allowed = identity.clone();
        allowed["allow_broad"] = json!("every repository may");
        let finished = check(&github_world(&[("a", allowed)]));
        assert_eq!(finished.code, Some(0), "{identity}: {}", finished.text());
        let mut unsaid = identity.clone();
        unsaid["allow_broad"] = json!("");
        assert_ne!(check(&github_world(&[("a", unsaid)])).code, Some(0), "{identity}");
    }
    for identity in [
        json!({ "subject": "repo:acme/app:ref:refs/heads/main" }),
        json!({ "subject": "repo:acme/**" }),
        json!({ "subject": "repo:acme/*:ref:refs/heads/main" }),
        json!({ "subject": "repo:acme@12/app@34:ref:refs/heads/*" }),
        json!({ "claims": { "repository_owner_id": "65" } }),
        json!({ "claims": { "repository_id": "74", "ref": "refs/heads/**" } }),
        json!({ "github": { "repository_id": 74 } }),
        json!({ "github": { "repository": "acme/app" } }),
    ] {
        let finished = check(&github_world(&[("a", identity.clone())]));
        assert_eq!(finished.code, Some(0), "{identity}: {}", finished.text());
    }
    // On an issuer of one tenant, a broad rule is allowed.
    assert_eq!(check(&github_world(&[("a", json!({ "issuer": "plain", "subject": "svc:**" }))])).code, Some(0));
    // `shared: true` marks any other.
    let shared =
        github_world(&[("a", json!({ "issuer": "plain", "subject": "**" }))]).with("issuers/plain/shared", true);
    assert_eq!(check(&shared).code, Some(1));
}

#[test]
fn c062_a_lone_star_after_the_repository_or_ref_is_refused_always_and_the_error_names_what_to_write() {
    for subject in ["repo:o/r:*", "repo:o/r:ref:*", "repo:o@1/r@2:*"] {
        for broad in [None, Some("why")] {
            let mut identity = json!({ "subject": subject });
            if let Some(why) = broad {
                identity["allow_broad"] = json!(why);
            }
            let finished = check(&github_world(&[("a", identity)]));
            assert_eq!(finished.code, Some(1), "{subject}: {}", finished.text());
            assert!(finished.stderr.contains("refs/heads/**"), "{}", finished.stderr);
        }
    }
    for subject in ["repo:o/r:ref:refs/heads/*", "repo:o/r:environment:*", "repo:o/r:**", "repo:o/r:ref:refs/heads/**"]
    {
        let finished = check(&github_world(&[("a", json!({ "subject": subject }))]));
        assert_eq!(finished.code, Some(0), "{subject}: {}", finished.text());
    }
}

#[test]
fn malformed_patterns_are_configuration_errors() {
    for pattern in ["a***", "a\\", "a\\b", "***", "\\x", "repo:o/r:\\n"] {
        let identity = json!({ "issuer": "plain", "subject": pattern });
        let finished = check(&github_world(&[("a", identity)]));
        assert_eq!(finished.code, Some(2), "{pattern}: {}", finished.text());
        let claims = json!({ "issuer": "plain", "subject": "x", "claims": { "a": pattern } });
        assert_eq!(check(&github_world(&[("a", claims)])).code, Some(2), "{pattern}");
    }
    let regex = json!({ "issuer": "plain", "subject": "x", "claims": { "a": { "regex": "(" } } });
    assert_eq!(check(&github_world(&[("a", regex)])).code, Some(2));
}

#[test]
fn policy_tests_run_at_every_load_and_a_load_whose_tests_fail_is_refused() {
    let with = |test: Value| {
        github_world(&[("a", json!({ "github": { "repository_id": 74, "ref": "refs/heads/main" } }))])
            .with("tests", json!([test]))
    };
    let token = json!({ "preset": "github-actions", "repository": "octo-org/octo-repo", "repository_id": "74" });
    let other = json!({ "preset": "github-actions", "repository": "octo-org/octo-repo", "repository_id": "75" });
    let good = [
        json!({ "name": "t", "token": token, "account": "a", "expect": { "account": "a", "identity": "i" } }),
        json!({ "name": "t", "token": token, "expect": { "account": "a", "scopes": ["releases:read", "deployments:create"] } }),
        json!({ "name": "t", "token": token, "account": "octo", "expect": "deny" }),
        json!({ "name": "t", "token": other, "account": "a", "expect": "deny" }),
        json!({ "name": "t", "token": token, "account": "a", "scope": "nothing", "expect": "deny" }),
        json!({ "name": "t", "token": token, "account": "a", "audience": "billing", "expect": "deny" }),
    ];
    for test in good {
        assert_eq!(check(&with(test.clone())).code, Some(0), "{test}: {}", check(&with(test.clone())).text());
    }
    let bad = [
        json!({ "name": "t", "token": token, "account": "a", "expect": "deny" }),
        json!({ "name": "t", "token": other, "account": "a", "expect": { "account": "a" } }),
        json!({ "name": "t", "token": token, "expect": { "account": "octo" } }),
        json!({ "name": "t", "token": token, "account": "a", "expect": { "account": "a", "identity": "other" } }),
        json!({ "name": "t", "token": token, "account": "a", "expect": { "account": "a", "scopes": ["releases:read"] } }),
    ];
    for test in bad {
        let config = with(test.clone());
        let finished = check(&config);
        assert_eq!(finished.code, Some(1), "{test}: {}", finished.text());
        let site = world_site(&config);
        let Err((_, started)) = Server::try_start(STS, site) else { panic!("{test}: a server started") };
        assert_eq!(started.code, Some(2), "{}", started.text());
    }
}

#[test]
fn patterns_and_conditions_mean_what_the_contract_says() {
    let claim = |condition: Value| json!({ "subject": "s", "claims": { "c": condition } });
    let sub = |pattern: &str| json!({ "subject": pattern });
    let subject = |text: &str| json!({ "sub": text });
    let c = |value: Value| json!({ "sub": "s", "c": value });
    let nothing = json!({ "sub": "s" });
    // An identity, what matches it, and what does not.
    let table: Vec<(Value, Vec<Value>, Vec<Value>)> = vec![
        (
            sub("repo:acme/*"),
            ["repo:acme/app", "repo:acme/"].map(subject).into(),
            [
                "repo:acme/app:pull_request",
                "repo:acme/a/b",
                "repo:acme",
                "xrepo:acme/app",
                "repo:acme/app:ref:refs/heads/main",
            ]
            .map(subject)
            .into(),
        ),
        (
            sub("repo:acme/app:ref:refs/heads/*"),
            ["repo:acme/app:ref:refs/heads/main"].map(subject).into(),
            ["repo:acme/app:ref:refs/heads/feature/x", "repo:acme/app:ref:refs/heads/main:environment:prod"]
                .map(subject)
                .into(),
        ),
        (sub("a**z"), ["az", "a:/z", "a:b/c:z"].map(subject).into(), ["a", "az ", "Az", "bz"].map(subject).into()),
        (sub("a?c"), ["abc", "aéc", "a😀c"].map(subject).into(), ["ac", "abbc", "a:c", "a/c"].map(subject).into()),
        (
            sub("a\\*b\\?c\\\\d"),
            ["a*b?c\\d"].map(subject).into(),
            ["axb?c\\d", "a*bxc\\d", "a*b?cd"].map(subject).into(),
        ),
        (
            sub("a|b.c(d)+[e]$"),
            ["a|b.c(d)+[e]$"].map(subject).into(),
            ["a", "b.c(d)+[e]$", "bxc", "a|b.c(d)+[e]$x"].map(subject).into(),
        ),
        (
            claim(json!("x*")),
            vec![c(json!("x1")), c(json!(["y", "xx"]))],
            vec![
                nothing.clone(),
                c(json!(null)),
                c(json!([])),
                c(json!("y")),
                c(json!(["y"])),
                c(json!({ "x1": 1 })),
                c(json!(["x/1"])),
            ],
        ),
        (
            claim(json!(1)),
            vec![c(json!(1)), c(json!([2, 1]))],
            vec![c(json!("1")), c(json!(true)), c(json!(2)), nothing.clone()],
        ),
        (claim(json!("1")), vec![c(json!("1"))], vec![c(json!(1)), c(json!(1.0))]),
        (claim(json!(true)), vec![c(json!(true))], vec![c(json!("true")), c(json!(1)), c(json!(false))]),
        (claim(json!("true")), vec![c(json!("true"))], vec![c(json!(true))]),
        (
            claim(json!(["a", "b*", 3])),
            vec![c(json!("a")), c(json!("bb")), c(json!(3)), c(json!(["x", "a"]))],
            vec![c(json!("c")), nothing.clone()],
        ),
        (
            claim(json!({ "any_of": ["a", "b"] })),
            vec![c(json!("a")), c(json!(["c", "b"]))],
            vec![c(json!("c")), nothing.clone()],
        ),
        (
            claim(json!({ "all_of": ["a", "b*"] })),
            vec![c(json!(["a", "b1"])), c(json!(["x", "b", "a"]))],
            vec![c(json!("a")), c(json!(["a"])), c(json!(["b"])), nothing.clone()],
        ),
        (
            claim(json!({ "none_of": ["a", "b*"] })),
            vec![c(json!("c")), c(json!(["c", "d"])), c(json!(1))],
            vec![c(json!("a")), c(json!(["c", "b1"])), nothing.clone(), c(json!(null))],
        ),
        (
            claim(json!({ "none_of": ["a"], "or_absent": true })),
            vec![c(json!("c")), nothing.clone(), c(json!(null))],
            vec![c(json!("a"))],
        ),
        (
            claim(json!({ "any_of": ["a"], "or_absent": true })),
            vec![c(json!("a")), nothing.clone()],
            vec![c(json!("b")), c(json!(""))],
        ),
        (
            claim(json!({ "present": true })),
            vec![c(json!("a")), c(json!(false)), c(json!(0))],
            vec![nothing.clone(), c(json!(null))],
        ),
        (
            claim(json!({ "regex": "v[0-9]+|main" })),
            vec![c(json!("v12")), c(json!("main")), c(json!(["x", "v1"]))],
            vec![c(json!("v1x")), c(json!("xmain")), c(json!("main\n")), c(json!("v1|main")), nothing.clone()],
        ),
        (
            claim(json!({ "any_of": ["a*"], "none_of": ["ab"] })),
            vec![c(json!("ac")), c(json!("a"))],
            vec![c(json!("ab")), c(json!("b"))],
        ),
        (
            json!({ "subject": "s", "claims": { "/kubernetes.io/namespace": "ns", "a/b": "x", "/l/0": { "present": true, "or_absent": true } } }),
            vec![json!({ "sub": "s", "kubernetes.io": { "namespace": "ns" }, "a/b": "x" })],
            vec![
                json!({ "sub": "s", "kubernetes.io": { "namespace": "other" }, "a/b": "x" }),
                json!({ "sub": "s", "kubernetes.io/namespace": "ns", "/kubernetes.io/namespace": "ns", "a/b": "x" }),
                json!({ "sub": "s", "kubernetes": { "io": { "namespace": "ns" } }, "a/b": "x" }),
                json!({ "sub": "s", "kubernetes.io": { "namespace": "ns" }, "a": { "b": "x" } }),
            ],
        ),
        (
            json!({ "subject": "s", "claims": { "/a~1b/c~0d": "x", "__proto__": "y" } }),
            vec![json!({ "sub": "s", "a/b": { "c~d": "x" }, "__proto__": "y" })],
            vec![json!({ "sub": "s", "a": { "b": { "c~d": "x" } }, "__proto__": "y" })],
        ),
        (
            json!({ "subject": "s", "audience": ["api://one", "api://two"] }),
            vec![json!({ "sub": "s", "aud": "api://one" }), json!({ "sub": "s", "aud": ["api://two"] })],
            vec![json!({ "sub": "s" }), json!({ "sub": "s", "aud": ["api://one", "api://two"] })],
        ),
        (
            json!({ "issuer": ["plain", "other"], "subject": "s" }),
            vec![json!({ "sub": "s" }), json!({ "sub": "s", "iss": "https://other.example" })],
            vec![json!({ "sub": "s", "iss": "https://once.example" })],
        ),
        (
            json!({ "issuer": "other", "subject": "s" }),
            vec![json!({ "sub": "s", "iss": "https://other.example" })],
            vec![json!({ "sub": "s" })],
        ),
    ];
    let accounts: Vec<(String, Value)> = table
        .iter()
        .enumerate()
        .map(|(at, (identity, ..))| {
            let mut identity = identity.clone();
            if identity.get("issuer").is_none() {
                identity["issuer"] = json!("plain");
            }
            (format!("t{at}"), identity)
        })
        .collect();
    let named: Vec<(&str, Value)> = accounts.iter().map(|(name, identity)| (name.as_str(), identity.clone())).collect();
    // The entry has no platform, although its subjects look like one's.
    let config = github_world(&named).with("issuers/plain/preset", "none");
    let server = Server::start_in(STS, world_site(&config));
    for (at, (identity, matching, others)) in table.iter().enumerate() {
        let account = format!("t{at}");
        let reason = |claims: &Value| {
            let key = if claims["iss"] == "https://other.example" { &KEYS.other } else { &KEYS.es256 };
            let forged = claims
                .as_object()
                .unwrap()
                .iter()
                .fold(Forge::new(key, &crate::support::claims("s")), |forge, (name, value)| {
                    forge.claim(name, value.clone())
                });
            reason_of(&server.exchange(&forged.sign(), &[("audience", &account)]))
        };
        for claims in matching {
            assert_eq!(reason(claims), "granted", "{identity} should match {claims}");
        }
        for claims in others {
            assert_eq!(reason(claims), "not_authorized", "{identity} should not match {claims}");
        }
    }
}

#[test]
fn c066_a_pattern_of_many_stars_is_judged_in_linear_time() {
    let pattern = "a**".repeat(300);
    let server = Server::start_in(
        STS,
        world_site(&github_world(&[("a", json!({ "issuer": "plain", "subject": format!("{pattern}b") }))])),
    );
    let response = server.exchange(&forge(&"a".repeat(1024)).sign(), &[("audience", "a")]);
    invalid(&response, "not_authorized");
    let event = server.lines().decision(response.json()["request_id"].as_str().unwrap());
    assert!(event["duration_us"].as_u64().unwrap() < 1_000_000, "{event}");
}

#[test]
fn the_audience_of_the_incoming_token_is_the_identity_s_then_the_entry_s_then_ours() {
    let config = github_world(&[
        ("own", json!({ "issuer": "plain", "subject": "s", "audience": "api://own" })),
        ("by-entry", json!({ "issuer": "wide", "subject": "s" })),
    ])
    .with(
        "service_accounts/uuid",
        json!({
            "id": "11111111-2222-4333-8444-555555555555",
            "teams": ["deployers"],
            "identities": [
                { "name": "d", "issuer": "plain", "subject": "s" },
                { "name": "e", "issuer": "plain", "subject": "e", "audience": ["api://own"] },
            ],
        }),
    );
    let server = Server::start_in(STS, world_site(&config));
    let ask = |account: &str, issuer: &str, aud: &str, sub: &str| {
        let forged = Forge::new(&KEYS.rs256, &claims(sub)).claim("aud", aud).claim("iss", issuer);
        reason_of(&server.exchange(&forged.sign(), &[("audience", account)]))
    };
    let wide = "https://wide.example";
    let id = "11111111-2222-4333-8444-555555555555";
    for (account, issuer, aud, sub, expected) in [
        ("own", PLAIN, "api://own", "s", "granted"),
        ("own", PLAIN, US, "s", "not_authorized"),
        ("by-entry", wide, "api://wide", "s", "granted"),
        ("by-entry", wide, US, "s", "granted"),
        ("by-entry", wide, "api://own", "s", "token_audience"),
        ("uuid", PLAIN, US, "s", "granted"),
        ("uuid", PLAIN, id, "s", "granted"),
        ("uuid", PLAIN, OCTO_ID, "s", "not_authorized"),
        ("uuid", PLAIN, "api://own", "s", "not_authorized"),
        ("uuid", PLAIN, "api://own", "e", "granted"),
        ("uuid", PLAIN, id, "e", "not_authorized"),
        ("uuid", PLAIN, "api://nobody", "s", "token_audience"),
    ] {
        assert_eq!(ask(account, issuer, aud, sub), expected, "{account} {aud} {sub}");
    }
}
