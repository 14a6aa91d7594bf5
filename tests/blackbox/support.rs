//! The configuration and server that most tests share, and their common assertions.

use serde_json::{Value, json};
use std::sync::LazyLock;
use sts_testkit::{Algorithm, Config, Forge, Key, Request, Response, Server, Site, Sts, now};

/// The built binary.
pub(crate) const STS: Sts = Sts(env!("CARGO_BIN_EXE_sts"));

/// Our issuer.
pub(crate) const US: &str = Config::ISSUER;

/// The issuer of the entry `plain`. No preset matches it, so it has the defaults only.
pub(crate) const PLAIN: &str = "https://issuer.example";

pub(crate) const DEPLOY: &str = "https://deploy.example.com";
pub(crate) const BILLING: &str = "urn:example:billing";
pub(crate) const BARE: &str = "https://bare.example.com";

pub(crate) const DEPLOY_SECRET: &str = "deploy-secret-0123456789abcdef012345";
pub(crate) const BILLING_SECRET: &str = "billing secret: with+odd%41 &characters=in";

/// `octo`'s id.
pub(crate) const OCTO_ID: &str = "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11";

/// Key pairs of the issuers.
pub(crate) struct Keys {
    pub(crate) rs256: Key,
    pub(crate) es256: Key,
    pub(crate) eddsa: Key,
    pub(crate) ps256: Key,
    pub(crate) es384: Key,
    /// The key of another issuer than `plain`.
    pub(crate) other: Key,
    pub(crate) nobodys: Key,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    rs256: Key::new(Algorithm::RS256, "rs"),
    es256: Key::new(Algorithm::ES256, "es"),
    eddsa: Key::new(Algorithm::EdDSA, "ed"),
    ps256: Key::new(Algorithm::PS256, "ps"),
    es384: Key::new(Algorithm::ES384, "es384"),
    other: Key::new(Algorithm::ES256, "other"),
    nobodys: Key::new(Algorithm::ES256, "es"),
});

/// The shared server, for tests that change nothing that another test could see.
pub(crate) static WORLD: LazyLock<Server> = LazyLock::new(|| Server::start_in(STS, world_site(&world())));

/// A directory with that configuration and the secrets that [`world`] names.
pub(crate) fn world_site(config: &Config) -> Site {
    let site = Site::with(config);
    site.write("deploy.secret", format!("{DEPLOY_SECRET}\n"));
    site.write("billing.secret", BILLING_SECRET);
    site
}

/// Three APIs, a team, and one account for each feature of accounts.
pub(crate) fn world() -> Config {
    let keys = &*KEYS;
    let plain = Key::set(&[&keys.rs256, &keys.es256, &keys.eddsa, &keys.ps256, &keys.es384]);
    Config::new()
        .with("issuers/plain", json!({ "issuer": PLAIN, "jwks": plain }))
        .with("issuers/other", json!({ "issuer": "https://other.example", "jwks": Key::set(&[&keys.other]) }))
        .with("issuers/wide", json!({
            "issuer": "https://wide.example",
            "jwks": plain,
            "algorithms": ["RS256", "PS256", "ES384"],
            "audience": ["api://wide", US],
            "sole_audience": false,
            "types": ["id+jwt"],
            "max_token_lifetime": "1h",
            "max_token_age": "10m",
            "require_iat": false,
            "leeway": "10s",
        }))
        .with("issuers/once", json!({ "issuer": "https://once.example", "jwks": plain, "replay": "once" }))
        .with("issuers/off", json!({ "issuer": "https://off.example", "jwks": plain, "enabled": false }))
        .with("apis/deploy", json!({
            "audience": DEPLOY,
            "scopes": ["deployments:create", "releases:read"],
            "introspection_secret_file": "deploy.secret",
        }))
        .with("apis/billing", json!({
            "audience": BILLING,
            "scopes": ["invoices:read"],
            "introspection_secret_file": "billing.secret",
        }))
        .with("apis/bare", json!({ "audience": BARE }))
        .with("teams/deployers", json!({
            "display_name": "Deployers",
            "grants": { "deploy": ["deployments:create", "releases:read"] },
        }))
        .with("service_accounts/octo", json!({
            "id": OCTO_ID,
            "teams": ["deployers"],
            "identities": [
                identity("plain", "svc:octo"),
                identity("wide", "svc:octo"),
                identity("once", "svc:octo"),
                identity("off", "svc:octo"),
            ],
        }))
        .with("service_accounts/two", json!({
            "teams": ["deployers"],
            "grants": { "billing": ["invoices:read"] },
            "identities": [identity("plain", "svc:two")],
        }))
        .with("service_accounts/two-by-default", json!({
            "teams": ["deployers"],
            "grants": { "billing": ["invoices:read"] },
            "default_api": "billing",
            "identities": [identity("plain", "svc:two-by-default")],
        }))
        .with("service_accounts/bare-user", json!({ "grants": { "bare": [] }, "identities": [identity("plain", "svc:bare")] }))
        .with("service_accounts/twin-a", json!({
            "teams": ["deployers"],
            "identities": [identity("plain", "svc:twin")],
        }))
        .with("service_accounts/twin-b", json!({
            "grants": { "billing": ["invoices:read"], "deploy": ["releases:read"] },
            "default_api": "deploy",
            "identities": [identity("plain", "svc:twin")],
        }))
        .with("service_accounts/disabled", json!({
            "enabled": false,
            "teams": ["deployers"],
            "identities": [identity("plain", "svc:disabled")],
        }))
        .with("service_accounts/over", json!({
            "teams": ["deployers"],
            "not_after": "2020-01-01T00:00:00Z",
            "identities": [identity("plain", "svc:over")],
        }))
        .with("service_accounts/many", json!({
            "teams": ["deployers"],
            "grants": { "billing": ["invoices:read"] },
            "default_api": "deploy",
            "identities": [
                { "name": "off", "issuer": "plain", "subject": "svc:many", "enabled": false },
                { "name": "over", "issuer": "plain", "subject": "svc:many", "not_after": "2020-01-01T00:00:00Z" },
                { "name": "early", "issuer": "plain", "subject": "svc:many", "not_before": "2099-01-01T00:00:00Z" },
                { "name": "reads", "issuer": "plain", "subject": "svc:many", "scopes": ["releases:read"], "ttl": "5m" },
                { "name": "all", "issuer": "plain", "subject": "svc:many", "ttl": "10m" },
                { "name": "late", "issuer": "plain", "subject": "svc:many" },
            ],
        }))
        .with("service_accounts/short", json!({
            "teams": ["deployers"],
            "ttl": "2m",
            "identities": [
                { "name": "shorter", "issuer": "plain", "subject": "svc:short", "ttl": "90s" },
                { "name": "longer", "issuer": "plain", "subject": "svc:short-2", "ttl": "30m" },
            ],
        }))
        .with("service_accounts/copier", json!({
            "teams": ["deployers"],
            "identities": [{
                "name": "copies",
                "issuer": "plain",
                "subject": "svc:copier",
                "copy_claims": ["run_id", "/nested/ref", "absent", "exp"],
            }],
        }))
        .with("service_accounts/introspector", json!({
            "grants": { "sts": ["sts:introspect"] },
            "identities": [identity("plain", "svc:introspector")],
        }))
        .with("service_accounts/reader", json!({
            "grants": { "sts": ["sts:read"] },
            "identities": [identity("plain", "svc:reader")],
        }))
        .with("service_accounts/root", json!({
            "grants": { "sts": ["sts:admin", "sts:revoke"] },
            "identities": [identity("plain", "svc:root")],
        }))
}

/// An identity for one subject of an entry, named after the entry.
pub(crate) fn identity(entry: &str, subject: &str) -> Value {
    json!({ "name": entry, "issuer": entry, "subject": subject })
}

/// Fresh claims of the entry `plain`.
pub(crate) fn claims(subject: &str) -> Value {
    let now = now();
    json!({ "iss": PLAIN, "sub": subject, "aud": US, "iat": now - 5, "exp": now + 600 })
}

/// A token of the entry `plain`, for further changes.
pub(crate) fn forge(subject: &str) -> Forge<'static> {
    Forge::new(&KEYS.es256, &claims(subject))
}

/// A valid token of the entry `plain`.
pub(crate) fn token(subject: &str) -> String {
    forge(subject).sign()
}

/// A valid token of another entry, signed with RS256.
pub(crate) fn token_of(issuer: &str, subject: &str) -> String {
    Forge::new(&KEYS.rs256, &claims(subject)).claim("iss", issuer).sign()
}

/// An exchange at the shared server.
pub(crate) fn exchange(token: &str, parameters: &[(&str, &str)]) -> Response {
    WORLD.exchange(token, parameters)
}

/// A request to the shared server.
pub(crate) fn send(request: &Request) -> Response {
    WORLD.send(request)
}

/// Asserts that the answer is a grant, and returns it.
#[track_caller]
pub(crate) fn granted(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// Asserts a refusal for `reason` in every detail that the contract has for errors.
#[track_caller]
pub(crate) fn refused(response: &Response, status: u16, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!((response.status, body["reason"].as_str()), (status, Some(reason)), "{body}");
    assert_eq!(body["error"], error, "{body}");
    assert_error_shape(response);
}

/// Asserts the form of every error: RFC 6749 section 5.2, and below `/admin/v1` RFC 9457 with the same members.
#[track_caller]
pub(crate) fn assert_error_shape(response: &Response) {
    let body = response.json();
    let description = body["error_description"].as_str().expect("a description");
    assert!(!description.is_empty());
    assert!(description.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{description}");
    let id = body["request_id"].as_str().expect("a request id");
    assert_eq!(response.header("x-request-id"), Some(id));
    assert!(id.len() == 26 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()), "{id}");
    if body["type"].is_null() {
        assert_eq!(response.header("content-type"), Some("application/json"));
    } else {
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!((&body["type"], &body["status"]), (&json!("about:blank"), &json!(response.status)));
        assert!(body["findings"].is_array() && !body["detail"].as_str().unwrap().is_empty(), "{body}");
    }
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("pragma"), Some("no-cache"));
}

/// Asserts a 400 `invalid_request` of that reason.
#[track_caller]
pub(crate) fn invalid(response: &Response, reason: &str) {
    refused(response, 400, "invalid_request", reason);
}

/// The verdict on a token of the shared issuer entry with these claims: the first failure, or
/// granted.
pub(crate) fn reason_of(response: &Response) -> String {
    if response.status == 200 {
        "granted".to_owned()
    } else {
        response.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}
