//! When accounts and identities last got a token: shown at once, kept over a stop, shared by replicas.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, RedisServer, Request, Server, Site, now, until};

fn config(base: Config) -> Config {
    base.with(
        "service_accounts/watched",
        json!({ "teams": ["deployers"], "identities": [
        { "name": "main branch", "issuer": "plain", "subject": "svc:watched" },
        { "name": "idle", "issuer": "plain", "subject": "svc:idle" } ] }),
    )
}

fn last_use(server: &Server) -> Value {
    let object = server.send_admin(Request::get("/admin/v1/service-accounts/watched?last_use=true"));
    assert_eq!(object.status, 200, "{}", object.text());
    object.json()["last_use"].clone()
}

/// Uses are noted after the answer has left.
fn used(server: &Server) -> i64 {
    until("the use", || !last_use(server)["at"].is_null());
    let shown = last_use(server);
    assert_eq!(shown["identities"]["main branch"], shown["at"], "{shown}");
    assert_eq!(shown["identities"].as_object().unwrap().len(), 1, "{shown}");
    shown["at"].as_i64().unwrap()
}

#[test]
fn the_last_use_of_an_account_and_of_its_identities_is_shown_and_survives_a_stop() {
    let server = Server::start_in(STS, world_site(&config(world())));
    assert_eq!(last_use(&server), json!({ "at": null, "identities": {} }));
    let before = now();
    refused(
        &server.exchange(&token("svc:nobody"), &[("audience", "watched")]),
        400,
        "invalid_request",
        "not_authorized",
    );
    granted(&server.exchange(&token("svc:watched"), &[]));
    let at = used(&server);
    assert!((before..=now()).contains(&at), "{at}");
    let (_, site) = server.terminate();
    let server = Server::start_in(STS, site);
    assert_eq!(used(&server), at);
    // On the command line.
    let table = server.cli(&["get", "service-accounts"]).ended(0).stdout;
    let row = table.lines().find(|line| line.starts_with("watched")).unwrap();
    assert!(table.starts_with("NAME") && table.lines().next().unwrap().contains("LAST USED"), "{table}");
    assert!(row.contains("T") && row.contains("Z"), "{row}");
    let yaml = server.cli(&["get", "service-accounts", "watched"]).ended(0).stdout;
    assert!(yaml.contains("# last used: watched, identity main branch 2"), "{yaml}");
    let document = server.cli(&["get", "service-accounts", "watched", "--json"]).ended(0).json();
    assert_eq!(document["last_use"]["at"], at);
    let never = server.cli(&["get", "service-accounts", "many"]).ended(0).stdout;
    assert!(never.contains("# last used: many never, as far as is known"), "{never}");
    // Other kinds have none, and an object has it only if it is asked for: it changes while the ETag stays.
    for path in ["teams/deployers?last_use=true", "service-accounts/watched"] {
        let object = server.send_admin(Request::get(&format!("/admin/v1/{path}"))).json();
        assert_eq!(object["last_use"], Value::Null, "{object}");
    }
}

#[test]
fn replicas_share_the_last_uses() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = config(shared_world(&redis, &keys));
    let one = Server::start_in(STS, world_site(&config));
    let other = Server::start_in(STS, world_site(&config));
    granted(&one.exchange(&token("svc:watched"), &[]));
    let at = used(&one);
    // It is saved at the latest when the server stops.
    let (code, _) = one.terminate();
    assert_eq!(code, Some(0));
    assert_eq!(used(&other), at);
    let text = format!("{:?}", redis.keys());
    assert!(!text.contains("watched"), "{text}");
}
