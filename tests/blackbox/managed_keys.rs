//! API keys: created once, used at `/token`, listed, revoked; by the admin API and the command line.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Request, Response, Server, until};

const KEYS: &str = "/admin/v1/service-accounts/octo/api-keys";

fn server() -> Server {
    Server::start_in(STS, world_site(&world()))
}

fn create(server: &Server, body: &Value) -> Response {
    server.send_admin(Request::post_json(KEYS, body))
}

fn with_key(server: &Server, account: &str, key: &str, more: &[(&str, &str)]) -> Response {
    let mut parameters = vec![("grant_type", "client_credentials")];
    parameters.extend_from_slice(more);
    server.send(&Request::post_form("/token", &parameters).basic(account, key))
}

fn active(server: &Server, access: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, access)["active"] == true
}

#[test]
fn a_key_is_shown_once_gets_tokens_and_ends_with_its_revocation() {
    let server = server();
    let body =
        json!({ "name": "build server", "ttl": "30d", "scopes": ["releases:read"], "allow_from": ["127.0.0.0/8"] });
    let created = create(&server, &body);
    assert_eq!(created.status, 201, "{}", created.text());
    let info = created.json();
    let (key, id) = (info["key"].as_str().unwrap().to_owned(), info["id"].as_str().unwrap().to_owned());
    assert!(key.starts_with(&format!("sts_{id}")) && key.len() == 58, "{info}");
    assert_eq!(created.header("location"), Some(format!("{KEYS}/{id}").as_str()));
    assert_eq!(
        (&info["account"], &info["state"], &info["created_by"]),
        (&json!("octo"), &json!("active"), &json!("admin token"))
    );
    assert_eq!(info["expires_at"].as_i64().unwrap() - info["created_at"].as_i64().unwrap(), 30 * 86_400);
    let listed = server.send_admin(Request::get(KEYS));
    assert!(!listed.text().contains(&key) && !listed.text().contains(&key[16..52]), "the secret is shown once");
    assert_eq!(listed.json()["items"][0]["id"], json!(id));

    let answer = with_key(&server, "octo", &key, &[]);
    assert_eq!(granted(&answer)["scope"], "releases:read");
    let access = answer.json()["access_token"].as_str().unwrap().to_owned();
    let told = server.introspect("deploy", DEPLOY_SECRET, &access);
    assert_eq!(
        (&told["active"], &told["credential"]),
        (&json!(true), &json!({ "type": "api_key", "id": id })),
        "{told}"
    );
    until("the use to be listed", || {
        server.send_admin(Request::get(KEYS)).json()["items"][0]["last_used_from"] == "127.0.0.1"
    });
    // It is no bearer token, and no other account's.
    let as_bearer = sts_testkit::send(server.admin(), &Request::get(KEYS).bearer(&key));
    refused(&as_bearer, 401, "invalid_token", "invalid_token");
    refused(&with_key(&server, "two", &key, &[]), 401, "invalid_client", "invalid_client");

    // The tokens end, and not the key.
    let ended = server.cli(&["tokens", "revoke", "--api-key", &id, "--json"]).ended(0).json();
    assert_eq!(ended["covered"], 1, "{ended}");
    assert!(!active(&server, &access));
    let again = granted(&with_key(&server, "octo", &key, &[]))["access_token"].as_str().unwrap().to_owned();
    assert!(active(&server, &again));
    // The key ends, and its tokens with it. It needs no tag.
    let revoked = server.send_admin(Request::new("DELETE", &format!("{KEYS}/{id}")));
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert!(!active(&server, &again));
    refused(&with_key(&server, "octo", &key, &[]), 401, "invalid_client", "invalid_client");
    let gone = server.send_admin(Request::new("DELETE", &format!("{KEYS}/{id}")));
    refused(&gone, 404, "invalid_request", "not_found");
    assert!(!server.lines().text().contains(&key[16..52]), "no log has the secret");
}

#[test]
fn what_a_key_may_not_be_is_refused_with_its_place() {
    let server = server();
    for (body, pointer) in [
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "n", "ttl": "91d" }), "/ttl"),
        (json!({ "name": "n", "ttl": "soon" }), "/ttl"),
        (json!({ "name": "n", "scopes": ["invoices:read"] }), "/scopes"),
        (json!({ "name": "n", "allow_from": ["10.0.0.1/8"] }), "/allow_from/0"),
    ] {
        let response = create(&server, &body);
        refused(&response, 422, "invalid_request", "invalid_object");
        assert_eq!(response.json()["findings"][0]["pointer"], pointer, "{}", response.text());
    }
    refused(&create(&server, &json!({ "name": "n", "scope": "x" })), 400, "invalid_request", "request_malformed");
    let nobody = Request::post_json("/admin/v1/service-accounts/nobody/api-keys", &json!({ "name": "n" }));
    refused(&server.send_admin(nobody), 404, "invalid_request", "not_found");
    assert_eq!(create(&server, &json!({ "name": "n" })).status, 201);
    refused(&create(&server, &json!({ "name": "n" })), 409, "invalid_request", "object_exists");
    // A token of ours creates none.
    let root = server.token(&token("svc:root"), &[("scope", "sts:admin")]);
    let response = sts_testkit::send(server.admin(), &Request::post_json(KEYS, &json!({ "name": "m" })).bearer(&root));
    refused(&response, 403, "access_denied", "interactive_required");
}

#[test]
fn a_key_lives_by_the_command_line() {
    let server = server();
    let created = server
        .cli(&["api-keys", "create", "octo", "--name", "build-server", "--ttl", "30d", "--scope", "releases:read"])
        .ended(0);
    let key = created.stdout.trim().to_owned();
    assert!(key.starts_with("sts_") && key.len() == 58, "{}", created.stdout);
    assert!(created.stderr.contains("shown this once") && !created.stderr.contains(&key), "{}", created.stderr);
    let id = key[4..16].to_owned();
    assert_eq!(with_key(&server, "octo", &key, &[]).status, 200);
    for arguments in [&["api-keys", "list", "octo"][..], &["api-keys", "list"]] {
        let listed = server.cli(arguments).ended(0).stdout;
        assert!(listed.contains(&id) && listed.contains("build-server") && listed.contains("active"), "{listed}");
        assert!(!listed.contains(&key[16..52]));
    }
    let whole = server.cli(&["api-keys", "revoke", &key]).ended(1);
    assert!(whole.stderr.contains("12 letters and digits") && !whole.text().contains(&key), "{}", whole.text());
    let unknown = server.cli(&["api-keys", "revoke", "0123456789aB"]).ended(1);
    assert!(unknown.stderr.contains("there is no API key `0123456789aB`"), "{}", unknown.stderr);
    server.cli(&["api-keys", "revoke", &id]).ended(0);
    refused(&with_key(&server, "octo", &key, &[]), 401, "invalid_client", "invalid_client");
    assert!(server.cli(&["api-keys", "list", "octo"]).ended(0).stdout.contains("there are no API keys"));
}

#[test]
fn a_disabled_or_deleted_account_ends_its_keys_and_their_tokens() {
    let server = server();
    let accounts = "/admin/v1/service-accounts";
    let account = json!({ "name": "bot", "spec": { "grants": { "deploy": ["releases:read"] } } });
    let made = server.send_admin(Request::post_json(accounts, &account));
    assert_eq!(made.status, 201, "{}", made.text());
    let created = server.send_admin(Request::post_json(&format!("{accounts}/bot/api-keys"), &json!({ "name": "n" })));
    assert_eq!(created.status, 201, "{}", created.text());
    let key = created.json()["key"].as_str().unwrap().to_owned();
    let access = granted(&with_key(&server, "bot", &key, &[]))["access_token"].as_str().unwrap().to_owned();
    server.cli(&["disable", "bot"]).ended(0);
    assert!(!active(&server, &access));
    assert_ne!(with_key(&server, "bot", &key, &[]).status, 200);
    let listed = server.send_admin(Request::get(&format!("{accounts}/bot/api-keys"))).json();
    assert_eq!(listed["items"][0]["state"], "inactive");
    server.cli(&["enable", "bot"]).ended(0);
    assert!(active(&server, &access));
    // A new account of the name has none of the old one's keys.
    server.cli(&["delete", "account", "bot"]).ended(0);
    assert!(!active(&server, &access));
    assert_eq!(server.send_admin(Request::post_json(accounts, &account)).status, 201);
    refused(&with_key(&server, "bot", &key, &[]), 401, "invalid_client", "invalid_client");
    let listed = server.send_admin(Request::get(&format!("{accounts}/bot/api-keys"))).json();
    assert_eq!(listed["items"], json!([]));
}
