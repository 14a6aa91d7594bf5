//! An attacker with all rights writes to the store's Redis. No revoked token is active again, and no managed
//! account is as it was before a change.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::json;
use sts_testkit::{Config, RedisServer, Request, Response, Server, Site, until};

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

/// A managed account that was disabled, and its state in Redis.
struct DisabledAccount {
    server: Server,
    /// A token of the account, made before.
    access: String,
    /// A token of another managed account, which stays enabled.
    other: String,
}

impl DisabledAccount {
    const TARGET: &'static str = "/admin/v1/service-accounts/bot";

    fn new(redis: &RedisServer, keys: &Site) -> Self {
        let server = Server::start_in(STS, site(&config(redis, keys)));
        for name in ["bot", "other"] {
            let spec = json!({ "teams": ["deployers"], "identities": [identity("plain", &format!("svc:{name}"))] });
            let new = json!({ "name": name, "spec": spec });
            let created = server.send_admin(Request::post_json("/admin/v1/service-accounts", &new));
            assert_eq!(created.status, 201, "{}", created.text());
        }
        let access = server.token(&token("svc:bot"), &[("audience", "bot")]);
        let other = server.token(&token("svc:other"), &[("audience", "other")]);
        for name in ["objects", "object-log", "mark"] {
            redis.order(&["COPY", &format!("sts:{{sts}}:{name}"), &format!("old-{name}")]);
        }
        let shown = server.send_admin(Request::get(Self::TARGET));
        let off = Request::new("PATCH", Self::TARGET)
            .body("application/merge-patch+json", json!({ "spec": { "enabled": false } }).to_string())
            .header("If-Match", shown.header("etag").unwrap());
        assert_eq!(server.send_admin(off).status, 200);
        let account = Self { server, access, other };
        account.assert_disabled("before");
        account
    }

    fn introspect(&self, access: &str) -> Response {
        let ask = Request::post_form("/introspect", &[("token", access)]).basic("deploy", DEPLOY_SECRET);
        self.server.send(&ask)
    }

    fn assert_disabled(&self, what: &str) {
        let answer = self.introspect(&self.access);
        assert!(answer.status == 503 || answer.json()["active"] == false, "{what}: {}", answer.text());
        let exchange = self.server.exchange(&token("svc:bot"), &[("audience", "bot")]);
        assert_ne!(exchange.status, 200, "{what}: {}", exchange.text());
    }

    fn ready(&self) -> u16 {
        self.server.send(&Request::get("/readyz")).status
    }

    /// Asserts that the account stays disabled, and that an operator is told.
    fn assert_noticed(&self, what: &str) {
        self.assert_disabled(what);
        until(what, || self.ready() == 503);
        self.assert_disabled(what);
        // The sound account is not unknown, and its token not inactive: the server cannot tell.
        let exchange = self.server.exchange(&token("svc:other"), &[("audience", "other")]);
        refused(&exchange, 503, "temporarily_unavailable", "store_unavailable");
        let answer = self.introspect(&self.other);
        assert_eq!(answer.status, 503, "{what}: {}", answer.text());
        let metrics = sts_testkit::send(self.server.admin(), &Request::get("/metrics")).text();
        assert!(metrics.contains("sts_store_alerts_total{"), "{what}: {metrics}");
    }
}

/// What an attacker does to bring the account as it was before back.
fn object_attacks(redis: &RedisServer) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let order = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let (objects, log, mark) = ("sts:{sts}:objects", "sts:{sts}:object-log", "sts:{sts}:mark");
    let back = |name: &str, key: &str| order(&["COPY", &format!("old-{name}"), key, "REPLACE"]);
    let ids: Vec<String> = redis.command(&["HKEYS", objects]).texts().into_iter().map(str::to_owned).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    let [first, second] = [&ids[0], &ids[1]];
    vec![
        ("the objects before the change", vec![back("objects", objects)]),
        ("the objects and their log before the change", vec![back("objects", objects), back("object-log", log)]),
        ("an older copy", vec![back("objects", objects), back("object-log", log), back("mark", mark)]),
        ("an object is gone", vec![order(&["HDEL", objects, first])]),
        ("another object is gone", vec![order(&["HDEL", objects, second])]),
        ("all objects are gone", vec![order(&["DEL", objects])]),
        ("an object and the log are gone", vec![order(&["HDEL", objects, first]), order(&["DEL", log])]),
        ("an object is altered", vec![order(&["HSET", objects, first, "junk"])]),
        ("something else is among the objects", vec![order(&["HSET", objects, "junk", "junk"])]),
        ("a value of another type", vec![order(&["SET", objects, "junk"])]),
        ("all of it is gone", vec![order(&["DEL", objects, log, mark])]),
    ]
}

#[test]
fn f2_whoever_writes_to_redis_brings_no_earlier_state_of_a_managed_account_back() {
    let (redis, keys) = (redis_with_our_users(), Site::new());
    let mut account = DisabledAccount::new(&redis, &keys);
    for key in redis.keys().iter().filter(|key| key.starts_with("sts:")) {
        redis.order(&["COPY", key, &format!("safe-{key}")]);
    }
    for (what, orders) in object_attacks(&redis) {
        for order in &orders {
            redis.order(&order.iter().map(String::as_str).collect::<Vec<_>>());
        }
        account.assert_noticed(what);
        // A restart does not help.
        account.server = account.server.crash_and_restart();
        account.assert_noticed(what);
        for key in redis.keys() {
            if let Some(name) = key.strip_prefix("safe-") {
                redis.order(&["COPY", &key, name, "REPLACE"]);
            }
        }
        until(what, || account.ready() == 200);
        account.assert_disabled(what);
        assert_eq!(account.introspect(&account.other).json()["active"], true, "{what}");
        let granted = account.server.exchange(&token("svc:other"), &[("audience", "other")]);
        assert_eq!(granted.status, 200, "{what}: {}", granted.text());
    }
}
