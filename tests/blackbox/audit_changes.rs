//! Audit events of what changes without anybody's request: issuers' keys, and paths that may hold secrets.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, FakeIssuer, Forge, Key, Page, Request, Server, send, until};

fn listed(server: &Server, query: &str) -> Vec<Value> {
    let answer = server.send_admin(Request::get(&format!("/admin/v1/audit?{query}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

#[test]
fn an_issuer_that_changes_its_keys_leaves_an_event_that_names_them() {
    let (old, new) = (Key::new(Algorithm::ES256, "old"), Key::new(Algorithm::ES256, "new"));
    let fake = FakeIssuer::start(&Key::set(&[&old]));
    let config = world().with("issuers/field", json!({ "issuer": fake.url(), "allow_http": true })).with(
        "service_accounts/field",
        json!({ "teams": ["deployers"], "identities": [identity("field", "svc:field")] }),
    );
    let server = Server::start_in(STS, world_site(&config));
    let token = |key| Forge::new(key, &claims("svc:field")).claim("iss", fake.url()).sign();
    granted(&server.exchange(&token(&old), &[]));
    assert_eq!(listed(&server, "type=issuer_keys_changed"), [] as [Value; 0], "the first keys are no change");
    fake.jwks(Page::Json(Key::set(&[&new])));
    server.cli(&["issuers", "refresh", "field"]).ended(0);
    let events = listed(&server, "type=issuer_keys_changed&object=issuers/field");
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&event["issuer_entry"], &event["cause"]), (&json!("field"), &json!("operator")), "{event}");
    assert_eq!((&event["added"][0]["kid"], &event["removed"][0]["kid"]), (&json!("new"), &json!("old")), "{event}");
    assert_eq!(event["added"][0]["thumbprint"].as_str().unwrap().len(), 43, "{event}");
    assert_eq!((&event["actor_kind"], event["from"].as_str()), (&json!("server"), Some(&*fake.jwks_url())), "{event}");
    crate::audit::is_by_schema(event);
    granted(&server.exchange(&token(&new), &[]));

    // What changed while the server was down.
    fake.jwks(Page::Json(Key::set(&[&old, &new])));
    let server = server.crash_and_restart();
    granted(&server.exchange(&token(&old), &[]));
    until("the change", || !listed(&server, "type=issuer_keys_changed").is_empty());
    let event = &listed(&server, "type=issuer_keys_changed")[0];
    assert_eq!((&event["added"][0]["kid"], &event["removed"]), (&json!("old"), &json!([])), "{event}");
}

#[test]
fn keys_of_the_configuration_that_a_reload_changes_leave_an_event() {
    let (old, new) = (Key::new(Algorithm::ES256, "old"), Key::new(Algorithm::ES256, "new"));
    let config =
        world().with("issuers/field", json!({ "issuer": "https://field.example", "jwks_file": "field.jwks.json" }));
    let site = world_site(&config);
    site.write("field.jwks.json", Key::set(&[&old]).to_string());
    let server = Server::start_in(STS, site);
    server.site().replace("field.jwks.json", Key::set(&[&old, &new]).to_string());
    server.signal("HUP");
    until("the change", || !listed(&server, "type=issuer_keys_changed").is_empty());
    let event = &listed(&server, "type=issuer_keys_changed")[0];
    assert_eq!((&event["added"][0]["kid"], &event["removed"]), (&json!("new"), &json!([])), "{event}");
}

#[test]
fn a_refused_request_shows_no_secret_that_its_path_holds() {
    let server = Server::start_in(STS, world_site(&world()));
    let secrets = [token("svc:octo"), server.admin_token(), "sts_a1B2c3".to_owned(), "hunter2".to_owned()];
    for secret in &secrets {
        let paths = [
            (format!("/admin/v1/tokens/{secret}"), "/admin/v1/tokens/{jti}"),
            (format!("/admin/v1/service-accounts/{secret}/api-keys"), "/admin/v1/service-accounts/{name}/api-keys"),
            (format!("/admin/v1/{secret}?x={secret}"), "[unknown path]"),
        ];
        for (path, shown) in paths {
            let answer = send(server.admin(), &Request::get(&path).bearer("wrong"));
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(listed(&server, "type=request_refused&limit=1")[0]["path"], shown, "{path}");
        }
        let path = format!("/admin/v1/service-accounts/{secret}/api-keys");
        let answer = server.send_admin(Request::post_json(&path, &json!({ "x": 1 })));
        assert!(answer.status >= 400, "{path}");
        let last = &listed(&server, "type=request_refused&limit=1")[0];
        assert_eq!(
            (&last["actor_kind"], &last["path"]),
            (&json!("admin_token"), &json!("/admin/v1/service-accounts/{name}/api-keys"))
        );
    }
    let events = json!(listed(&server, "type=request_refused")).to_string();
    assert!(secrets.iter().all(|secret| !events.contains(secret.as_str())), "{events}");
    // A name that the rules have is no secret, and says what was tried.
    let answer = server.send_admin(Request::post_json("/admin/v1/service-accounts/octo/api-keys", &json!({ "x": 1 })));
    assert!(answer.status >= 400, "{}", answer.text());
    let last = &listed(&server, "type=request_refused&limit=1")[0];
    assert_eq!(last["path"], "/admin/v1/service-accounts/octo/api-keys");
}
