//! `sts check` and `sts schema`: all errors at once, each with its place and what to write instead.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Finished, Key, Server, Site};

fn check(text: &str) -> Finished {
    let site = Site::new();
    site.write("sts.yaml", text);
    STS.run(site.root(), &["check", "--config", "sts.yaml"])
}

const GOOD: &str = "issuer: https://sts.example.com\nlisten: 127.0.0.1:8080\ndata_dir: data\n";

#[test]
fn a_good_configuration_checks_with_0_and_says_what_is_in_it() {
    let finished = check(GOOD).ended(0);
    assert!(finished.stdout.contains("ok"), "{}", finished.stdout);
}

#[test]
fn every_error_is_reported_with_file_line_column_and_the_text_underlined() {
    let text = "\
issuer: https://sts.example.com
lisen: 127.0.0.1:8080
data_dir: data
tokens: { ttl: 15 }
issuers:
  a:
    issuer: http://a.example
    preset: github-action
apis:
  deploy: { audience: https://deploy.example.com, scopes: [7] }
";
    let finished = check(text).ended(2);
    for (place, wrong, right) in [
        ("sts.yaml:2:1", "lisen", "listen"),
        ("sts.yaml:4:16", "15", "15s"),
        ("sts.yaml:7:13", "http://a.example", "https://"),
        ("sts.yaml:8:13", "github-action", "github-actions"),
        ("sts.yaml:10:60", "7", "\"7\""),
    ] {
        assert!(finished.stderr.contains(place), "{place}: {}", finished.stderr);
        assert!(finished.stderr.contains(wrong) && finished.stderr.contains(right), "{right}: {}", finished.stderr);
    }
    let lines: Vec<&str> = finished.stderr.lines().collect();
    let at = lines.iter().position(|line| line.contains("| lisen: 127.0.0.1:8080")).expect("the line itself");
    let column = lines[at].find("lisen").unwrap();
    assert_eq!(lines[at + 1].find("^^^^^"), Some(column), "{}", finished.stderr);
    assert!(finished.stderr.lines().last().unwrap().contains("error"));
}

#[test]
fn json_lists_the_findings() {
    let site = Site::new();
    site.write("sts.yaml", format!("{GOOD}nonsense: 1\n"));
    let document = STS.run(site.root(), &["check", "--config", "sts.yaml", "--json"]).ended(2).json();
    assert_eq!(document["ok"], false);
    let text = document["diagnostics"].to_string();
    for part in ["nonsense", "sts.yaml", "4"] {
        assert!(text.contains(part), "{part}: {document}");
    }
}

#[test]
fn wrong_configurations_are_2_and_the_message_says_what_to_do() {
    for (what, more, part) in [
        ("an unknown key", "foo: 1", "foo"),
        ("a key twice", "log: {}\nlog: {}", "log"),
        ("a yaml syntax error", "log: [", "sts.yaml"),
        ("an alias bomb", "a: &a [x]\nb: [*a, *a]", "sts.yaml"),
        ("a tab", "log:\n\tformat: json", "tab"),
        ("ttl over max_ttl", "tokens: { ttl: 2h, max_ttl: 1h }", "max_ttl"),
        ("no unit", "tokens: { ttl: 900 }", "900"),
        ("a password in a URL", "store: redis://:x@localhost", "password_file"),
        ("a flag that is none", "status_list: maybe", "status_list"),
        ("an unset variable", "log: { level: \"${STS_TEST_UNSET}\" }", "STS_TEST_UNSET"),
        ("an issuer equal to ours", "issuers: { a: { issuer: https://sts.example.com } }", "sts.example.com"),
        ("a plain http issuer", "issuers: { a: { issuer: http://a.example } }", "https"),
        ("http without allow_http", "issuers: { a: { issuer: 'http://127.0.0.1:1' } }", "allow_http"),
        ("allow_http off loopback", "issuers: { a: { issuer: 'http://10.0.0.1:1', allow_http: true } }", "loopback"),
        ("an unknown preset", "issuers: { a: { issuer: https://a.example, preset: githb } }", "preset"),
        ("an unknown algorithm", "issuers: { a: { issuer: https://a.example, algorithms: [HS256] } }", "HS256"),
        ("none", "issuers: { a: { issuer: https://a.example, algorithms: [none] } }", "none"),
        ("leeway", "issuers: { a: { issuer: https://a.example, leeway: 10m } }", "300"),
        (
            "two key sources",
            "issuers: { a: { issuer: https://a.example, jwks_url: https://a.example/k, jwks: { keys: [] } } }",
            "jwks",
        ),
        (
            "a key without effect",
            "issuers: { a: { issuer: https://a.example, jwks_file: x.json, refresh_cooldown: 1m } }",
            "refresh_cooldown",
        ),
        (
            "a secret inline",
            "apis: { a: { audience: https://a.example, introspection_secret: x } }",
            "introspection_secret_file",
        ),
        ("a reserved name", "apis: { sts: { audience: https://a.example } }", "sts"),
        ("our issuer as an API", "apis: { a: { audience: https://sts.example.com } }", "sts.example.com"),
        (
            "two APIs of one audience",
            "apis: { a: { audience: https://a.example }, b: { audience: https://a.example } }",
            "a.example",
        ),
        ("a bad name", "service_accounts: { Octo: { identities: [] } }", "Octo"),
        ("a name twice", "apis: { a: { audience: https://a.example } }\nservice_accounts: { a: {} }", "namespace"),
        ("an unknown team", "service_accounts: { a: { teams: [nobody] } }", "nobody"),
        ("an unknown API", "service_accounts: { a: { grants: { nothing: [x] } } }", "nothing"),
        (
            "an unknown entry",
            "service_accounts: { a: { identities: [ { name: i, issuer: nobody, subject: x } ] } }",
            "nobody",
        ),
        ("a time that is none", "service_accounts: { a: { not_after: tomorrow } }", "tomorrow"),
        ("an account file that is missing", "accounts: nowhere/*.yaml", "nowhere"),
    ] {
        let finished = check(&format!("{GOOD}{more}\n"));
        assert_eq!(finished.code, Some(2), "{what}: {}", finished.text());
        assert!(finished.stderr.contains(part), "{what}: {}", finished.stderr);
    }
}

#[test]
fn md01_o2_07_our_issuer_and_listeners_are_safe_or_refused() {
    for (text, code) in [
        ("issuer: https://sts.example.com\nlisten: 127.0.0.1:1\ndata_dir: d", 0),
        ("issuer: http://127.0.0.1:1\nlisten: 127.0.0.1:1\ndata_dir: d", 0),
        ("issuer: http://localhost:1\nlisten: '[::1]:1'\ndata_dir: d", 0),
        ("issuer: http://sts.example.com\nlisten: 127.0.0.1:1\ndata_dir: d", 2),
        ("issuer: https://sts.example.com?x=1\nlisten: 127.0.0.1:1\ndata_dir: d", 2),
        ("issuer: https://sts.example.com#x\nlisten: 127.0.0.1:1\ndata_dir: d", 2),
        ("issuer: sts.example.com\nlisten: 127.0.0.1:1\ndata_dir: d", 2),
        ("issuer: https://sts.example.com\nlisten: 0.0.0.0:1\ndata_dir: d", 2),
        ("issuer: https://sts.example.com\nlisten: 10.0.0.1:1\ndata_dir: d", 2),
        ("issuer: https://sts.example.com\nlisten: 0.0.0.0:1\nbehind_tls_proxy: [10.0.0.0/8]\ndata_dir: d", 0),
        ("issuer: https://sts.example.com\nlisten: 127.0.0.1:1\nadmin: { listen: 0.0.0.0:2 }\ndata_dir: d", 2),
    ] {
        assert_eq!(check(text).code, Some(code), "{text}: {}", check(text).text());
    }
}

#[test]
fn an_identity_may_not_have_scopes_beyond_its_account() {
    let with = |identity: Value| {
        let site = world_site(&world().with("service_accounts/octo/identities", json!([identity])));
        STS.run(site.root(), &["check", "--config", "sts.yaml"])
    };
    let rule = |scopes: Value| json!({ "name": "i", "issuer": "plain", "subject": "x", "scopes": scopes });
    with(rule(json!(["releases:read"]))).ended(0);
    with(rule(json!(["invoices:read"]))).ended(2);
    with(rule(json!(["nothing"]))).ended(2);
    with(json!({ "name": "i", "issuer": "plain", "subject": "x", "grants": { "billing": ["invoices:read"] } }))
        .ended(2);
    with(json!({ "name": "i", "issuer": "plain", "subject": "x", "ttl": "2h" })).ended(2);
    with(json!({ "name": "i", "issuer": "plain" })).ended(0);
}

#[test]
fn preset_none_on_a_known_shared_issuer_needs_allow_broad() {
    let with = |broad: Option<&str>| {
        let mut identity = json!({ "name": "i", "issuer": "github", "subject": "repo:o/r:ref:refs/heads/main" });
        if let Some(why) = broad {
            identity["allow_broad"] = json!(why);
        }
        let config = world()
            .with("issuers/github", json!({
                "issuer": "https://token.actions.githubusercontent.com", "preset": "none", "jwks": Key::set(&[&KEYS.rs256]),
            }))
            .with("service_accounts/g", json!({ "teams": ["deployers"], "identities": [identity] }));
        STS.run(world_site(&config).root(), &["check", "--config", "sts.yaml"])
    };
    assert_ne!(with(None).code, Some(0));
    with(Some("we judge every claim ourselves")).ended(0);
}

#[test]
fn a_variable_is_a_whole_scalar_plain_text_and_an_error_when_unset() {
    let config = world()
        .with("service_accounts/octo/identities", json!([{ "name": "i", "issuer": "plain", "subject": "${SUBJECT}" }]));
    let site = world_site(&config);
    let run = |environment: &[(&str, &str)]| {
        site.write("claims.json", claims("svc:*").to_string());
        STS.run_in(
            site.root(),
            &["explain", "--config", "sts.yaml", "--claims", "claims.json", "--account", "octo"],
            environment,
        )
    };
    run(&[]).ended(2);
    // A `*` in an environment variable is a literal `*`.
    run(&[("SUBJECT", "svc:*")]).ended(0);
    run(&[("SUBJECT", "svc:**")]).ended(1);
    run(&[("SUBJECT", "svc:octo")]).ended(1);
}

#[test]
fn c149_a_secret_file_may_end_with_a_newline_and_must_exist() {
    for ending in ["", "\n", "\r\n"] {
        let site = world_site(&world());
        site.write("deploy.secret", format!("{DEPLOY_SECRET}{ending}"));
        let server = Server::start_in(STS, site);
        let access = server.token(&token("svc:octo"), &[]);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "{ending:?}");
    }
    let site = Site::with(&world());
    let finished = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2);
    assert!(finished.stderr.contains("deploy.secret"), "{}", finished.stderr);
    site.write("deploy.secret", "");
    site.write("billing.secret", BILLING_SECRET);
    STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2);
}

#[test]
fn the_schema_takes_the_samples_and_refuses_unknown_keys() {
    let site = Site::new();
    let schema = STS.run(site.root(), &["schema"]).ended(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let valid = |config: &Config| validator.is_valid(&serde_json::from_str(&config.text()).unwrap());
    assert!(valid(&world()));
    assert!(!valid(&world().with("nonsense", 1)));
    assert!(!valid(&world().with("tokens/nonsense", 1)));
    assert!(!valid(&world().with("tokens/ttl", "soon")));
    assert!(!valid(&world().with("issuers/plain/nonsense", 1)));
    assert!(!valid(&world().with("service_accounts/octo/nonsense", 1)));
}

#[test]
fn the_configuration_file_itself_may_be_missing_or_unreadable() {
    let site = Site::new();
    let finished = STS.run(site.root(), &["check", "--config", "nowhere.yaml"]).ended(2);
    assert!(finished.stderr.contains("nowhere.yaml"));
    for content in [b"\xff\xfe\x00".as_slice(), b"", b"\0\0", b"[]", b"just text"] {
        site.write("sts.yaml", content);
        let finished = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2);
        assert!(finished.stderr.contains("sts.yaml"), "{}", finished.stderr);
    }
}

#[test]
fn sb04_c161_accounts_apis_and_we_ourselves_have_one_namespace_of_one_spelling() {
    for (what, more) in [
        ("an account named as an API", "apis: { a: { audience: https://a.example } }\nservice_accounts: { a: {} }"),
        ("an id that is another's name", "service_accounts: { a: { id: b }, b: {} }"),
        (
            "an id that is an API's name",
            "apis: { a: { audience: https://a.example } }\nservice_accounts: { b: { id: a } }",
        ),
        ("two accounts of one id", "service_accounts: { a: { id: c }, b: { id: c } }"),
        ("our own name", "service_accounts: { sts: {} }"),
        ("our own name as an id", "service_accounts: { a: { id: sts } }"),
        ("capitals", "service_accounts: { Admin: {} }"),
        ("a space", "service_accounts: { 'admin ': {} }"),
        ("a letter that looks like another", "service_accounts: { \u{430}dmin: {} }"),
        ("full width", "service_accounts: { \u{ff41}dmin: {} }"),
        ("an address", "service_accounts: { 'https://a.example': {} }"),
    ] {
        let finished = check(&format!("{GOOD}{more}\n"));
        assert_eq!(finished.code, Some(2), "{what}: {}", finished.text());
    }
    check(&format!("{GOOD}service_accounts: {{ a: {{}}, b: {{ id: c }} }}\n")).ended(0);
}
