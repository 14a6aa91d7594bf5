//! Which issuers an operator may trust, and how: issuers of any text with their own keys, trust
//! domains, and the warnings about hosts that resemble a platform's.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, Finished, Forge, Key, Server};

fn es256(kid: &str) -> Key {
    Key::new(Algorithm::ES256, kid)
}

/// The shared configuration with that entry `e`, and an account `e` for one subject of it.
fn with_entry(entry: &Value, subject: &str) -> Config {
    world()
        .with("issuers/e", entry.clone())
        .with("service_accounts/e", json!({ "teams": ["deployers"], "identities": [identity("e", subject)] }))
}

fn check(config: &Config) -> Finished {
    STS.run(world_site(config).root(), &["check", "--config", "sts.yaml"])
}

#[test]
fn fld30_an_issuer_of_any_text_is_compared_byte_for_byte() {
    let key = es256("cluster");
    for issuer in ["api", "kubernetes/serviceaccount", "sa@project.iam.example", "http://idp.corp:8080/realms/x"] {
        let config = with_entry(&json!({ "issuer": issuer, "jwks": Key::set(&[&key]) }), "svc:e");
        let server = Server::start_in(STS, world_site(&config));
        let judged =
            |iss: &str| reason_of(&server.exchange(&Forge::new(&key, &claims("svc:e")).claim("iss", iss).sign(), &[]));
        assert_eq!(judged(issuer), "granted", "{issuer}");
        for other in [
            format!("{issuer}/"),
            format!(" {issuer}"),
            format!("{issuer} "),
            format!("https://{issuer}"),
            issuer.to_uppercase(),
            issuer[1..].to_owned(),
        ] {
            assert_eq!(judged(&other), "issuer_unknown", "{other:?}");
        }
    }
}

fn svid<'k>(key: &'k Key, sub: &str) -> Forge<'k> {
    Forge::new(key, &claims(sub)).no_claim("iss").no_claim("iat")
}

#[test]
fn fld31_a_token_without_iss_is_of_the_entry_with_its_trust_domain() {
    let (east, west, other) = (es256("east"), es256("west"), es256("other"));
    let entry = |issuer: &str, domain: &str, key: &Key| json!({ "issuer": issuer, "preset": "spiffe", "trust_domain": domain, "jwks": Key::set(&[key]) });
    let account = |issuer: &str, id: &str| json!({ "teams": ["deployers"], "identities": [{ "name": "i", "issuer": issuer, "spiffe": { "id": id } }] });
    let config = world()
        .with("issuers/east", entry("https://spire-east.acme.io", "example.org", &east))
        .with("issuers/west", entry("https://spire-west.acme.io", "example.org", &west))
        .with("issuers/other", entry("https://spire.other.io", "other.io", &other))
        .with("service_accounts/east", account("east", "spiffe://example.org/**"))
        .with("service_accounts/west", account("west", "spiffe://example.org/**"))
        .with("service_accounts/any", account("other", "**"));
    let server = Server::start_in(STS, world_site(&config));
    let judged = |token: Forge<'_>, account: &str| reason_of(&server.exchange(&token.sign(), &[("audience", account)]));
    // The key tells which of two entries with one trust domain signed.
    let id = "spiffe://example.org/deployer";
    assert_eq!(judged(svid(&east, id), "east"), "granted");
    assert_eq!(judged(svid(&west, id), "west"), "granted");
    assert_eq!(judged(svid(&east, id), "west"), "not_authorized");
    assert_eq!(judged(svid(&west, id), "east"), "not_authorized");
    // With `iss` it is a token like any other.
    assert_eq!(judged(Forge::new(&east, &claims(id)).claim("iss", "https://spire-east.acme.io"), "east"), "granted");
    assert_eq!(judged(Forge::new(&east, &claims(id)).claim("iss", "https://example.org"), "east"), "issuer_unknown");
    // Another domain's key verifies only tokens of its own domain, even of a similar name.
    assert_eq!(judged(svid(&other, "spiffe://other.io/x"), "any"), "granted");
    assert_eq!(judged(svid(&other, id), "any"), "key_unknown");
    for sub in [
        "spiffe://example.org.other.io/x",
        "spiffe://evil-other.io/x",
        "spiffe://sub.other.io/x",
        "spiffe://OTHER.io/x",
        "spiffe://other.io:443/x",
        "spiffe://x@other.io/x",
        "spiffe://other.io",
        "spiffe://other.io/",
        "spiffe:other.io/x",
        "https://other.io/x",
        "svc:x",
    ] {
        let response = server.exchange(&svid(&other, sub).sign(), &[("audience", "any")]);
        invalid(&response, "token_malformed");
        let text = response.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.contains("`iss` is missing"), "{sub}: {text}");
    }
    let mistyped = server.exchange(&svid(&other, "spiffe://other.io/x").raw_claim("iss", "null").sign(), &[]);
    invalid(&mistyped, "token_malformed");
    assert!(mistyped.json()["error_description"].as_str().unwrap().contains("`iss` is not"), "{}", mistyped.text());
}

#[test]
fn fld31_an_entry_without_a_trust_domain_takes_no_token_without_iss() {
    let key = es256("svid");
    let entry = json!({ "issuer": "https://spire.acme.io", "preset": "spiffe", "jwks": Key::set(&[&key]) });
    let server = Server::start_in(STS, world_site(&with_entry(&entry, "spiffe://example.org/deployer")));
    invalid(&server.exchange(&svid(&key, "spiffe://example.org/deployer").sign(), &[]), "token_malformed");
}

#[test]
fn f1_fld3_fld4_check_refuses_what_only_looks_like_a_platform() {
    let github = "https://token.actions.githubusercontent.com";
    let subject = "repo:acme/app:ref:refs/heads/main";
    for (issuer, wanted) in [
        (
            "https://token.action.githubusercontent.com",
            "if GitHub Actions is meant, write `https://token.actions.githubusercontent.com`",
        ),
        (
            "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
            "write `https://token.actions.githubusercontent.com`",
        ),
        ("https://gitlab.com/acme", "write `https://gitlab.com`"),
        ("https://login.microsoftonline.com/common/v2.0", "with the id of your own tenant"),
    ] {
        let finished = check(&with_entry(&json!({ "issuer": issuer }), subject)).ended(2);
        assert!(
            finished.stderr.contains(wanted) && !finished.stderr.contains("preset"),
            "{issuer}: {}",
            finished.stderr
        );
    }
    let ghes = json!({ "issuer": "https://ghes.acme.io/_services/token" });
    let finished = check(&with_entry(&ghes, subject)).ended(2);
    assert!(finished.stderr.contains("write `preset: github-actions`"), "{}", finished.stderr);
    let tight =
        json!({ "issuer_template": format!("{github}/{{enterprise}}"), "variables": { "enterprise": "acme-[a-z]+" } });
    let finished = check(&with_entry(&tight, subject)).ended(1);
    assert!(finished.stderr.contains("accepts tokens of every `{enterprise}`"), "{}", finished.stderr);
}

#[test]
fn fld2_fld7_check_wants_the_owner_on_shared_issuers() {
    let loose = |entry: Value| {
        world().with("issuers/e", entry).with(
            "service_accounts/e",
            json!({ "teams": ["deployers"], "identities": [{ "name": "i", "issuer": "e", "claims": { "environment": "prod" } }] }),
        )
    };
    for known in ["https://oidc.codefresh.io", "https://api.pulumi.com/oidc", "https://oidc.modal.com"] {
        let finished = check(&loose(json!({ "issuer": known }))).ended(1);
        assert!(finished.stderr.contains("fits tokens of every owner"), "{known}: {}", finished.stderr);
    }
    let unknown = check(&loose(json!({ "issuer": "https://ci.acme.io" }))).ended(0);
    assert!(unknown.stderr.contains("write `shared: true`"), "{}", unknown.stderr);
    let shared = |owner: &str| json!({ "issuer": "https://ci.acme.io", "shared": true, "owner_claims": [owner] });
    check(&loose(shared("org_id"))).ended(1);
    check(&loose(shared("environment"))).ended(0);
}

#[test]
fn fld48_check_names_one_cause_once() {
    let config = |entry: Value, identity: Value| {
        let mut identity = identity;
        identity["issuer"] = json!("e");
        world()
            .with("issuers/e", entry)
            .with("issuers/github", json!({ "issuer": "https://token.actions.githubusercontent.com" }))
            .with("service_accounts/e", json!({ "teams": ["deployers"], "identities": [identity] }))
    };
    for (entry, identity, wanted) in [
        (json!({ "issuer": "https://gitlab.com" }), json!({ "gitlub": { "project_id": 1 } }), "did you mean `gitlab`?"),
        (json!({ "issuer": "https://gitlab.com" }), json!({ "github": { "repo_id": 1 } }), "write `gitlab:`"),
        (json!({ "issuer": "https://gitlab.com" }), json!({ "gitlab": { "projct_id": 1 } }), "write `project_id`"),
        (
            json!({ "issuer": "https://spire.acme.io", "preset": "spire" }),
            json!({ "spiffe": { "id": "spiffe://a/b" } }),
            "did you mean `spiffe`?",
        ),
    ] {
        let finished = check(&config(entry, identity)).ended(2);
        assert!(finished.stderr.contains(wanted), "{}", finished.stderr);
        assert_eq!(finished.stderr.matches("error: ").count(), 1, "{}", finished.stderr);
    }
}
