//! What the tests of grants share: accounts for chains, delegation and bound tokens, and proofs of
//! possession.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use sts_testkit::{Config, Forge, Key, RedisServer, Request, Response, Server, Site, exchange_request, now};

pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// [`world`] with accounts for chains, delegation and bound tokens.
pub(crate) fn grants_world() -> Config {
    with_grants(world())
}

fn with_grants(config: Config) -> Config {
    config
        .with("service_accounts/chain", json!({
            "teams": ["deployers"],
            "grants": { "billing": ["invoices:read"], "bare": [] },
            "default_api": "deploy",
            "identities": [
                identity("plain", "svc:chain"),
                { "name": "reads", "issuer": "plain", "subject": "svc:chain-reads", "scopes": ["releases:read"], "ttl": "5m" },
            ],
        }))
        .with("service_accounts/front", json!({
            "teams": ["deployers"],
            "delegation": { "actors": ["robot", "relay", "relay-2", "relay-3", "relay-4"] },
            "identities": [identity("plain", "svc:front")],
        }))
        .with("service_accounts/robot", json!({
            "teams": ["deployers"],
            "identities": [identity("plain", "svc:robot"), identity("once", "svc:robot-once")],
        }))
        .with("service_accounts/relay", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:relay")] }))
        .with("service_accounts/relay-2", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:relay-2")] }))
        .with("service_accounts/relay-3", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:relay-3")] }))
        .with("service_accounts/relay-4", json!({ "teams": ["deployers"], "identities": [identity("plain", "svc:relay-4")] }))
        .with("service_accounts/bound", json!({
            "teams": ["deployers"],
            "require_proof": "dpop",
            "identities": [identity("plain", "svc:bound")],
        }))
}

/// The shared server of these tests.
pub(crate) static GRANTS: LazyLock<Server> = LazyLock::new(|| Server::start_in(STS, world_site(&grants_world())));

/// A server on each store.
pub(crate) fn on_both_stores(test: impl Fn(&Server)) {
    test(&Server::start_in(STS, world_site(&grants_world())));
    let (redis, keys) = (RedisServer::start(), Site::new());
    test(&Server::start_in(STS, world_site(&with_grants(shared_world(&redis, &keys)))));
}

/// The exchange of a token of ours.
pub(crate) fn own_request(token: &str, more: &[(&str, &str)]) -> Request {
    exchange_request(token, &[&[("subject_token_type", ACCESS_TOKEN)], more].concat())
}

pub(crate) fn exchange_own(server: &Server, token: &str, more: &[(&str, &str)]) -> Response {
    server.send(&own_request(token, more))
}

/// The access token of an answer that must be a grant.
pub(crate) fn access_token(response: &Response) -> String {
    granted(response)["access_token"].as_str().unwrap().to_owned()
}

pub(crate) fn payload(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// Whether the token is active for one who sees all tokens.
pub(crate) fn is_active(server: &Server, token: &str) -> bool {
    introspected(server, token)["active"] == true
}

pub(crate) fn introspected(server: &Server, token: &str) -> Value {
    let bearer = server.token(&crate::support::token("svc:introspector"), &[]);
    let response = server.send(&Request::post_form("/introspect", &[("token", token)]).bearer(&bearer));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// A proof of possession for `/token`, for further changes.
pub(crate) fn proof(key: &Key) -> Forge<'_> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let jti = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let claims = json!({ "jti": jti, "htm": "POST", "htu": format!("{US}/token"), "iat": now() });
    Forge::new(key, &claims).no_header("kid").header("typ", "dpop+jwt").header("jwk", key.jwk())
}

/// A proof of possession for an access token at another endpoint of ours.
pub(crate) fn proof_for<'a>(key: &'a Key, path: &str, access: &str) -> Forge<'a> {
    let digest = sts_jose::sha256(access.as_bytes());
    proof(key).claim("htu", format!("{US}{path}")).claim("ath", sts_testkit::base64url(&digest.0))
}

/// A new API key of `account`.
pub(crate) fn api_key(server: &Server, account: &str, body: &Value) -> String {
    let path = format!("/admin/v1/service-accounts/{account}/api-keys");
    let created = server.send_admin(Request::post_json(&path, body));
    assert_eq!(created.status, 201, "{}", created.text());
    created.json()["key"].as_str().unwrap().to_owned()
}
