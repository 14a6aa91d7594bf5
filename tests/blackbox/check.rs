//! `sts check` beyond valid and invalid: lints, overlaps, and the effect of a change on tokens.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Finished, Server, Site};

fn check(site: &Site, arguments: &[&str]) -> Finished {
    STS.run(site.root(), &[&["check", "--config", "sts.yaml"], arguments].concat())
}

/// The shared configuration with one more account.
fn with_account(name: &str, identities: Value) -> Config {
    world().with(&format!("service_accounts/{name}"), json!({ "teams": ["deployers"], "identities": identities }))
}

#[test]
fn c061_the_error_names_a_strangers_subject_that_the_pattern_accepts() {
    let github = json!({ "issuer": "https://token.actions.githubusercontent.com" });
    let broad = json!([{ "name": "i", "issuer": "github", "subject": "repo:acme**" }]);
    let site = world_site(&with_account("acme", broad).with("issuers/github", github));
    let finished = check(&site, &[]).ended(1);
    assert!(finished.stderr.contains("it accepts `repo:acmex/x:x`, which is not of `acme`"), "{}", finished.stderr);
}

#[test]
fn lints_have_a_place_and_advice_and_load_all_the_same() {
    let github = json!({ "issuer": "https://token.actions.githubusercontent.com" });
    let doubtful = json!([
        { "name": "by name", "issuer": "github", "subject": "repo:acme/app:ref:refs/heads/main" },
        { "name": "shared", "issuer": "plain", "subject": "svc:x", "audience": ["sts.amazonaws.com"] },
        { "name": "mail", "issuer": "plain", "claims": { "email": "a@example.com" } },
    ]);
    let site = world_site(&with_account("acme", doubtful).with("issuers/github", github));
    let document = check(&site, &["--json"]).ended(0).json();
    for (part, help) in [
        ("names its owner without an id, and names are recycled", "`repository_id`"),
        ("the audience `sts.amazonaws.com` is that of AWS STS", "https://sts.example.com"),
        ("`email` without `email_verified`", "email_verified: true"),
    ] {
        let found = document["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .find(|own| own["message"].as_str().unwrap().contains(part));
        let lint = found.unwrap_or_else(|| panic!("{part} in {document}"));
        assert_eq!(lint["severity"], "warning");
        assert!(lint["line"].is_u64() && lint["help"].as_str().unwrap().contains(help), "{lint}");
    }
}

#[test]
fn c078_overlaps_are_told() {
    let mut identities = json!([identity("plain", "svc:a*"), identity("plain", "svc:ab")]);
    identities[0]["name"] = json!("wide");
    identities[1]["name"] = json!("late");
    let other = json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:*c")] });
    let site = world_site(&with_account("first", identities).with("service_accounts/second", other));
    let finished = check(&site, &[]).ended(0);
    assert!(
        finished.stderr.contains("identity `late` of `first` never decides: `wide` before it"),
        "{}",
        finished.stderr
    );
    let overlaps = check(&site, &["--json"]).ended(0).json()["overlaps"].clone();
    let shadowed = json!({ "account": "first", "identity": "late", "by": "wide" });
    assert!(overlaps["shadowed"].as_array().unwrap().contains(&shadowed), "{overlaps}");
    let ambiguous = overlaps["ambiguous"].as_array().unwrap();
    let met = ambiguous.iter().find(|own| own["accounts"] == json!(["first", "second"])).unwrap();
    assert_eq!((&met["subject"], &met["certain"]), (&json!("svc:ac"), &json!(true)));
}

#[test]
fn check_against_an_old_configuration_tells_what_changes_for_recorded_and_tested_tokens() {
    // Decisions are recorded under the old configuration, with claims.
    let old = with_account("stays", json!([identity("plain", "svc:stays")]))
        .with("service_accounts/goes", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:goes")] }))
        .with("service_accounts/less", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:less")] }))
        .with("log/claims", true);
    let server = Server::start_in(STS, world_site(&old));
    for (subject, account) in [
        ("svc:stays", "stays"),
        ("svc:goes", "goes"),
        ("svc:goes", "goes"),
        ("svc:less", "less"),
        ("svc:comes", "comes"),
    ] {
        let response = server.exchange(&token(subject), &[("audience", account)]);
        let event = server.lines().decision(response.header("x-request-id").unwrap());
        assert_eq!(event["claims"]["sub"], subject);
    }
    let events: String = server.lines().all().iter().map(|line| format!("{line}\n")).collect();

    let mut less = identity("plain", "svc:less");
    less["scopes"] = json!(["releases:read"]);
    let tested = json!([{
        "name": "newcomers come",
        "token": { "iss": PLAIN, "sub": "svc:comes", "aud": US },
        "account": "comes",
        "expect": { "account": "comes" },
    }]);
    let new = with_account("stays", json!([identity("plain", "svc:stays")]))
        .with("service_accounts/less", json!({ "teams": ["deployers"], "identities": [less] }))
        .with(
            "service_accounts/comes",
            json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:comes")] }),
        )
        .with("tests", tested);
    let site = world_site(&new);
    site.write("old.yaml", old.text());
    site.write("events.jsonl", events);

    let finished = check(&site, &["--against", "old.yaml", "--replay", "events.jsonl"]).ended(1);
    let wanted = "2 newly allowed, 2 newly denied, 1 changed, of 5 recorded decisions and 1 policy tests";
    assert!(finished.stdout.contains(wanted), "{}", finished.text());
    for line in [
        "newly allowed: subject `svc:comes` of `plain`",
        "newly denied: subject `svc:goes` of `plain` (2 requests",
        "changed: subject `svc:less`",
    ] {
        assert!(finished.stdout.contains(line), "{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("svc:stays"), "{}", finished.stdout);

    let against =
        check(&site, &["--against", "old.yaml", "--replay", "events.jsonl", "--json"]).ended(1).json()["against"]
            .clone();
    let of = |change: &str, subject: &str| {
        let all = against["changes"].as_array().unwrap().iter();
        all.filter(|own| own["change"] == change && own["subject"] == subject).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("newly_allowed", "svc:comes").len(), 2, "{against}");
    assert_eq!(of("newly_denied", "svc:goes")[0]["count"], 2);
    let changed = &of("changed", "svc:less")[0];
    assert_eq!(
        (&changed["before"]["scope"], &changed["after"]["scope"]),
        (&json!("deployments:create releases:read"), &json!("releases:read"))
    );

    let same = check(&site, &["--against", "sts.yaml", "--replay", "events.jsonl"]).ended(0);
    assert!(same.stdout.contains("0 newly allowed, 0 newly denied, 0 changed"), "{}", same.stdout);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let site = world_site(&world());
    site.write("old.yaml", "issuer: [");
    check(&site, &["--against", "old.yaml"]).ended(2);
    let missing = check(&site, &["--against", "sts.yaml", "--replay", "nowhere.jsonl"]).ended(2);
    assert!(missing.stderr.contains("nowhere.jsonl"), "{}", missing.stderr);
    let event = json!({ "event": "decision", "request_id": "1", "outcome": "granted", "issuer_entry": "plain" });
    site.write("events.jsonl", format!("{event}\nno event\n\n"));
    let finished = check(&site, &["--against", "sts.yaml", "--replay", "events.jsonl"]).ended(0);
    assert!(finished.stdout.contains("not judged, because they have no claims: 1"), "{}", finished.stdout);
    assert!(finished.stdout.contains("lines that are not decision events: 1"), "{}", finished.stdout);
    check(&site, &["--replay", "events.jsonl"]).ended(2);
}

/// The shipped example rules, with the attacks on them as policy tests: fork pull requests, renamed
/// repositories, other organisations, missing claims, customised subjects.
#[test]
fn c069_c070_c071_c072_c074_the_attacks_on_every_platform_are_refused_by_the_rules_that_are_shipped() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/examples/attacks/sts.yaml");
    let finished = STS.run(std::path::Path::new("."), &["check", "--config", config]).ended(0);
    let tests = finished.stdout.split(", ").last().unwrap().split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(tests > 80, "{}", finished.stdout);
    // Every refusal has one cause.
    assert!(!finished.stderr.contains("more than one cause"), "{}", finished.stderr);
}

#[test]
fn the_token_of_a_policy_test_may_be_a_file() {
    let config = |expect: &str| {
        world().with("tests", json!([{ "name": "t", "token": "job.json", "account": "octo", "expect": expect }]))
    };
    let site = world_site(&config("deny"));
    site.write("job.json", json!({ "iss": PLAIN, "sub": "svc:nobody", "aud": US }).to_string());
    check(&site, &[]).ended(0);
    site.write("job.json", json!({ "iss": PLAIN, "sub": "svc:octo", "aud": US }).to_string());
    check(&site, &[]).ended(1);
    for wrong in ["[]", "{", "{}", r#"{ "iss": "https://a.example", "iss": "https://b.example" }"#] {
        site.write("job.json", wrong);
        let finished = check(&site, &[]).ended(2);
        assert!(finished.stderr.contains("job.json") && finished.stderr.contains("sts.yaml:"), "{}", finished.stderr);
    }
    std::fs::remove_file(site.path("job.json")).unwrap();
    check(&site, &[]).ended(2);
}

fn tls_site(issuer: &str, names: &[&str], dates: (i32, i32)) -> Site {
    let config = world().with("issuer", issuer).with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" }));
    let site = world_site(&config);
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(dates.0, 1, 1), rcgen::date_time_ymd(dates.1, 1, 1));
    site.write("tls.crt", params.self_signed(&key).unwrap().pem());
    site.write("tls.key", key.serialize_pem());
    site
}

#[test]
fn fld23_a_certificate_that_clients_will_not_accept_is_refused() {
    let us = "https://sts.example.com";
    check(&tls_site(us, &["sts.example.com"], (2020, 2090)), &[]).ended(0);
    check(&tls_site(us, &["*.example.com"], (2020, 2090)), &[]).ended(0);
    for (names, dates, part, code) in [
        (["sts.example.com"], (2020, 2021), "expired at 2021-01-01", "certificate-expired"),
        (["sts.example.com"], (2080, 2090), "not valid before 2080-01-01", "certificate-not-yet-valid"),
        (["other.example.com"], (2020, 2090), "does not name `sts.example.com`", "certificate-wrong-host"),
        (["localhost"], (2020, 2090), "does not name `sts.example.com`", "certificate-wrong-host"),
    ] {
        let site = tls_site(us, &names, dates);
        let finished = check(&site, &[]).ended(2);
        assert!(finished.stderr.contains(part) && finished.stderr.contains("tls.crt"), "{}", finished.stderr);
        let document = check(&site, &["--json"]).ended(2).json();
        assert_eq!((&document["ok"], &document["diagnostics"][0]["rule"]), (&json!(false), &json!(code)));
    }
    // A certificate and the key of another one.
    let site = tls_site(us, &["sts.example.com"], (2020, 2090));
    site.write("tls.key", rcgen::KeyPair::generate().unwrap().serialize_pem());
    let finished = check(&site, &[]).ended(2);
    assert!(finished.stderr.contains("tls.crt"), "{}", finished.stderr);
    assert!(Server::try_start(STS, site).is_err());
    // No client accepts an expired certificate, so the server does not start with it.
    let (_, finished) = Server::try_start(STS, tls_site(us, &["sts.example.com"], (2020, 2021))).err().unwrap();
    assert!(finished.code == Some(2) && finished.stderr.contains("expired"), "{}", finished.text());
    assert!(finished.stderr.contains("rule: certificate-expired"), "{}", finished.text());
    for names in [["localhost"], ["other.example.com"]] {
        let (_, finished) = Server::try_start(STS, tls_site(us, &names, (2020, 2090))).err().unwrap();
        assert!(finished.code == Some(2) && finished.stderr.contains("does not name"), "{}", finished.text());
    }
    // Behind a proxy, the proxy's certificate must have the name.
    let site = tls_site(us, &["other.example.com"], (2020, 2090));
    let config = world()
        .with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" }))
        .with("behind_tls_proxy", json!(["127.0.0.1/32"]));
    site.write("sts.yaml", config.text());
    check(&site, &[]).ended(0);
}

#[test]
fn fld36_without_secrets_the_rules_are_checked_and_what_is_absent_is_a_warning() {
    let tested = |expect: &str| {
        world()
            .with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" }))
            .with("store", json!({ "url": "rediss://127.0.0.1:1", "password_file": "redis.password", "cert_file": "r.crt", "key_file": "r.key" }))
            .with("tests", json!([{
                "name": "t",
                "token": { "iss": PLAIN, "sub": "svc:octo", "aud": US },
                "account": "octo",
                "expect": if expect == "deny" { json!("deny") } else { json!({ "account": "octo" }) },
            }]))
    };
    let site = Site::with(&tested("octo"));
    let refused = check(&site, &[]).ended(2);
    assert!(refused.stderr.contains("deploy.secret"), "{}", refused.stderr);
    let finished = check(&site, &["--without-secrets"]).ended(0);
    for name in ["deploy.secret", "billing.secret", "tls.key", "tls.crt", "redis.password", "r.key", "r.crt"] {
        assert!(finished.stderr.contains(name), "{name}: {}", finished.stderr);
    }
    assert!(finished.stdout.contains("1 policy test passed"), "{}", finished.stdout);
    site.write("sts.yaml", tested("deny").text());
    check(&site, &["--without-secrets"]).ended(1);
    // Files that exist are checked as usual.
    site.write("deploy.secret", DEPLOY_SECRET);
    std::fs::set_permissions(site.path("deploy.secret"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    check(&site, &["--without-secrets"]).ended(2);
}

#[test]
fn strict_takes_warnings_as_errors_and_every_finding_has_the_code_of_its_rule() {
    let site = world_site(&world().with("apis/deploy/introspection_secret_file", "short.secret"));
    site.write("short.secret", "short");
    let loose = check(&site, &["--json"]).ended(0).json();
    let strict = check(&site, &["--json", "--strict"]).ended(2).json();
    assert_eq!((&loose["ok"], &strict["ok"]), (&json!(true), &json!(false)));
    let codes = |document: &Value| -> Vec<String> {
        let findings = document["diagnostics"].as_array().unwrap().iter();
        findings.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
    };
    assert!(codes(&loose).iter().all(|code| !code.is_empty()));
    for code in codes(&loose) {
        let text = check(&site, &[]).ended(0).stderr;
        assert!(text.contains(&format!("rule: {code}")), "{code}: {text}");
    }
    let unknown = |config: Config| {
        let site = world_site(&config);
        codes(&check(&site, &["--json"]).ended(2).json())
    };
    assert_eq!(unknown(world().with("limits/x", 1)), unknown(world().with("limits/y", 1)));
}

#[test]
fn a_server_that_does_not_start_names_the_code_that_a_check_names() {
    for (key, value, code) in [
        ("limits/x", json!(1), "unknown-key"),
        ("apis/deploy/audience", json!("deploy"), "invalid-audience"),
        ("apis/deploy/introspection_secret_file", json!("missing.secret"), "missing-secret"),
        ("issuers/far", json!({ "issuer": "https://169.254.169.254" }), "address-not-allowed"),
    ] {
        let config = world().with(key, value);
        let document = check(&world_site(&config), &["--json"]).ended(2).json();
        let codes: Vec<&str> =
            document["diagnostics"].as_array().unwrap().iter().filter_map(|one| one["rule"].as_str()).collect();
        assert_eq!(codes, [code], "{document}");
        let (_, finished) = Server::try_start(STS, world_site(&config)).err().unwrap();
        assert!(finished.stderr.contains(&format!("rule: {code}")), "{}", finished.text());
    }
    // Recorded decisions that cannot be read are a finding, too.
    let site = world_site(&world());
    let finished = check(&site, &["--against", "sts.yaml", "--replay", "missing.jsonl", "--json"]).ended(2).json();
    assert_eq!(finished["diagnostics"][0]["rule"], "unreadable-file", "{finished}");
}
