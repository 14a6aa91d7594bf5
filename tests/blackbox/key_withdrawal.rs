//! A signing key of ours that was stolen: `sts keys withdraw`.

use crate::grants_support::payload;
use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Forge, RedisServer, Request, Server, Site, send, verify_offline};

fn active(server: &Server, token: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, token)["active"] == true
}

/// Withdraws the key, and returns how many live tokens that ended.
fn withdraw(server: &Server, kid: &str, more: &[&str]) -> Value {
    server.cli(&[&["keys", "withdraw", kid, "--json"], more].concat()).ended(0).json()
}

#[test]
fn a_withdrawn_signing_key_is_published_no_more_and_its_tokens_end_at_once() {
    let server = Server::start_in(STS, world_site(&world().with("signing/algorithms", json!(["ES256"]))));
    let stolen = server.signing_key();
    let kid = server.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let before = server.token(&token("svc:octo"), &[]);
    let root = server.token(&token("svc:root"), &[]);

    let told = withdraw(&server, &kid, &["--dry-run"]);
    assert_eq!((&told["covered"], &told["dry_run"]), (&json!(2), &json!(true)));
    assert!(active(&server, &before));

    let done = withdraw(&server, &kid, &["--reason", "the disk was stolen"]);
    assert_eq!((&done["covered"], &done["withdrawn"]), (&json!(2), &json!(kid)));
    assert!(!active(&server, &before));
    let keys = server.jwks();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_ne!(keys["keys"][0]["kid"], kid.as_str());
    assert_eq!(done["made"], json!([keys["keys"][0]["kid"]]));
    let after = server.token(&token("svc:octo"), &[]);
    assert!(active(&server, &after));
    verify_offline(&after, &keys, US, DEPLOY).unwrap();

    // What a thief signs with the key is nothing, whether it was recorded once or not.
    for claims in [payload(&before), payload(&after)] {
        let forged = Forge::new(&stolen, &claims).header("typ", "at+jwt").sign();
        assert!(!active(&server, &forged));
    }
    assert_eq!(send(server.admin(), &Request::get("/admin/v1/keys").bearer(&root)).status, 401);
    let rules = server.cli(&["tokens", "rules", "list", "--json"]).ended(0).json();
    assert_eq!(rules["revocation_rules"][0]["reason"], "the disk was stolen");

    // It stays away after a restart.
    let server = server.crash_and_restart();
    assert_eq!(server.jwks(), keys);
    assert!(active(&server, &after) && !active(&server, &before));
}

#[test]
fn a_kid_that_is_none_of_our_keys_is_withdrawn_nowhere_and_ends_nothing() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let before = server.jwks();
    for kid in ["unknown", "-starts-with-a-hyphen", "../seal", "seal"] {
        let finished = server.cli(&["keys", "withdraw", kid]).ended(1);
        assert!(finished.stderr.contains("no key was withdrawn"), "{kid}: {}", finished.stderr);
    }
    let request = |body: &Value| server.send_admin(Request::post_json("/admin/v1/keys/x/withdraw?dry-run=true", body));
    assert_eq!(request(&json!({})).status, 400);
    assert_eq!(server.jwks(), before);
    assert!(active(&server, &access));
}

#[test]
fn a_key_withdrawn_at_one_server_ends_its_tokens_at_the_others_at_once() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let access = two.token(&token("svc:octo"), &[]);
    let kid = two.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    withdraw(&one, &kid, &[]);
    for server in [&one, &two] {
        assert!(!active(server, &access));
    }
}

#[test]
fn a_stolen_key_is_withdrawn_though_the_store_is_away() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys).with("store/timeout", "500ms");
    let server = Server::start_in(STS, world_site(&config));
    let kid = server.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let access = server.token(&token("svc:octo"), &[]);
    redis.signal("STOP");
    let done = withdraw(&server, &kid, &[]);
    assert_eq!((&done["covered"], &done["recorded"]), (&Value::Null, &json!(false)));
    assert_ne!(server.jwks()["keys"][0]["kid"], kid.as_str());
    redis.signal("CONT");
    assert!(!active(&server, &access), "its key is gone, though no rule revokes it");
}
