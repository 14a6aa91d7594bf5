//! An attacker with all rights writes to the store's Redis. No revoked token is active again.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::json;
use sts_testkit::{Config, RedisServer, Request, Server, Site, until};

const PASSWORD: &str = "password-of-the-store";

/// A Redis with the users that we ship, seen by an operator with all rights.
fn redis_with_our_users() -> RedisServer {
    let shipped = include_str!("../../deploy/redis/sts.acl");
    let users = shipped.replace("REPLACE-WITH-A-LONG-RANDOM-PASSWORD", PASSWORD);
    assert_ne!(users, shipped);
    let file = Site::new();
    file.write("users.acl", format!("{users}user intruder on >intruder ~* &* +@all\n"));
    RedisServer::with(&format!("aclfile {}", file.path("users.acl").display())).login("intruder", "intruder")
}

fn config(redis: &RedisServer, keys: &Site) -> Config {
    shared_world(redis, keys).with("store/username", "sts").with("store/password_file", "redis.password")
}

fn site(config: &Config) -> Site {
    let site = world_site(config);
    site.write("redis.password", PASSWORD);
    site
}

/// The tokens of one server.
struct Scene {
    server: Server,
    /// Revoked by its holder.
    alone: String,
    /// Revoked by a rule.
    ruled: String,
    /// Not revoked.
    live: String,
}

impl Scene {
    fn new(redis: &RedisServer, keys: &Site) -> Self {
        let server = Server::start_in(STS, site(&config(redis, keys)));
        let alone = server.token(&token("svc:octo"), &[]);
        let ruled = server.token(&token("svc:two-by-default"), &[]);
        let live = server.token(&token("svc:octo"), &[]);
        let scene = Self { server, alone, ruled, live };
        redis.order(&["COPY", "sts:{sts}:mark", "kept-mark"]);
        assert_eq!(scene.server.revoke(&scene.alone).status, 200);
        let rule = json!({ "account": "two-by-default", "reason": "incident" });
        assert_eq!(scene.server.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
        scene.assert_as_revoked("before");
        scene
    }

    fn is_active(&self, access: &str) -> bool {
        // Each token is introspected by its own API.
        [("deploy", DEPLOY_SECRET), ("billing", BILLING_SECRET)].iter().any(|(api, secret)| {
            let ask = Request::post_form("/introspect", &[("token", access)]).basic(api, secret);
            let answer = self.server.send(&ask);
            assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
            answer.status == 200 && answer.json()["active"] == true
        })
    }

    fn assert_as_revoked(&self, what: &str) {
        assert!(!self.is_active(&self.alone) && !self.is_active(&self.ruled), "{what}");
        assert!(self.is_active(&self.live), "{what}");
    }

    fn ready(&self) -> u16 {
        self.server.send(&Request::get("/readyz")).status
    }

    /// Asserts that no token comes back, nothing is minted, and an operator is told.
    fn assert_doubted(&self, what: &str) {
        for _ in 0..3 {
            assert!(!self.is_active(&self.alone) && !self.is_active(&self.ruled), "{what}");
        }
        until(what, || self.ready() == 503);
        for _ in 0..3 {
            assert!(!self.is_active(&self.alone) && !self.is_active(&self.ruled), "{what}");
        }
        let exchange = self.server.exchange(&token("svc:octo"), &[]);
        refused(&exchange, 503, "temporarily_unavailable", "store_unavailable");
        let lines = self.server.lines();
        lines.wait("an alert", |line| line.contains("the Redis store is not trusted").then_some(()));
        let metrics = sts_testkit::send(self.server.admin(), &Request::get("/metrics")).text();
        assert!(metrics.contains("sts_store_alerts_total{"), "{what}: {metrics}");
        let detail = sts_testkit::send(self.server.admin(), &Request::get("/readyz")).json();
        assert!(detail["store"].as_str().unwrap().contains("sts store accept-epoch"), "{what}: {detail}");
    }
}

/// What an attacker does to bring revoked tokens back.
fn attacks(keys: &[String]) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let order = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let revocation = keys.iter().find(|key| key.contains(":r:") && key.starts_with("sts:")).unwrap();
    let (mark, rules, listed, log) =
        ("sts:{sts}:mark", "sts:{sts}:rules", "sts:{sts}:revocations", "sts:{sts}:revoked");
    vec![
        ("the revocation is gone", vec![order(&["DEL", revocation])]),
        ("the revocation and its row are gone", vec![order(&["DEL", revocation, listed])]),
        ("the rule is gone", vec![order(&["DEL", rules])]),
        ("something else is among the rules", vec![order(&["HSET", rules, "junk", "junk"])]),
        ("the mark is gone", vec![order(&["DEL", mark])]),
        ("the sealed mark is gone", vec![order(&["HDEL", mark, "sealed"])]),
        ("the mark is another", vec![order(&["HSET", mark, "sealed", "junk"])]),
        ("an older mark", vec![order(&["COPY", "kept-mark", mark, "REPLACE"])]),
        (
            "an older copy",
            vec![order(&["DEL", revocation, listed, rules, log]), order(&["COPY", "kept-mark", mark, "REPLACE"])],
        ),
        ("all of it is gone", vec![order(&["DEL", revocation, listed, rules, log, mark])]),
    ]
}

#[test]
fn f2_whoever_writes_to_redis_brings_nothing_back_to_life_and_it_heals_when_the_data_are_back() {
    let (redis, keys) = (redis_with_our_users(), Site::new());
    let mut scene = Scene::new(&redis, &keys);
    let sound = redis.keys();
    for key in sound.iter().filter(|key| key.starts_with("sts:")) {
        redis.order(&["COPY", key, &format!("safe-{key}")]);
    }
    for (what, orders) in attacks(&sound) {
        for order in &orders {
            redis.order(&order.iter().map(String::as_str).collect::<Vec<_>>());
        }
        scene.assert_doubted(what);
        // A restart does not help.
        scene.server = scene.server.crash_and_restart();
        scene.assert_doubted(what);
        for key in redis.keys() {
            if let Some(name) = key.strip_prefix("safe-") {
                redis.order(&["COPY", &key, name, "REPLACE"]);
            }
        }
        until(what, || scene.ready() == 200);
        scene.assert_as_revoked(what);
    }
    let _ = scene.server.token(&token("svc:octo"), &[]);
}

#[test]
fn f2_what_an_operator_accepts_keeps_revoked_what_can_still_be_known_to_be() {
    let (redis, keys) = (redis_with_our_users(), Site::new());
    let scene = Scene::new(&redis, &keys);
    let revocation = redis.keys().into_iter().find(|key| key.contains(":r:")).unwrap();
    redis.order(&["DEL", &revocation]);
    scene.assert_doubted("the revocation is gone");
    scene.server.cli(&["store", "accept-epoch"]).ended(0);
    assert_eq!(scene.ready(), 200);
    scene.assert_as_revoked("accepted");
    let _ = scene.server.token(&token("svc:octo"), &[]);
}

#[test]
fn f2_a_server_that_never_saw_the_store_takes_no_token_of_one_whose_mark_was_deleted() {
    let (redis, keys) = (redis_with_our_users(), Site::new());
    let mut scene = Scene::new(&redis, &keys);
    // Only the tokens are left.
    for key in redis.keys() {
        if !key.contains(":t:") {
            redis.order(&["DEL", &key]);
        }
    }
    assert!(!redis.keys().is_empty());
    // With its own, empty `data_dir`.
    scene.server = Server::start_in(STS, site(&config(&redis, &keys)));
    for access in [&scene.alone, &scene.ruled] {
        assert!(!scene.is_active(access));
    }
    let lines = scene.server.lines();
    lines.wait("an alert", |line| line.contains("its seal is broken").then_some(()));
    // It starts with a new epoch.
    let access = scene.server.token(&token("svc:octo"), &[]);
    assert!(scene.is_active(&access));
    assert_eq!(scene.server.revoke(&access).status, 200);
    assert!(!scene.is_active(&access));
}
