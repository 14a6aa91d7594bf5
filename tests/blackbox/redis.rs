//! Servers that share a Redis: each knows what any of them records and revokes.

use crate::support::*;
use serde_json::json;
use sts_testkit::{Config, Forge, RedisCertificates, RedisServer, Request, Server, Site, until};

/// [`world`] on a Redis, with keys that all replicas share.
pub(crate) fn shared_world(redis: &RedisServer, keys: &Site) -> Config {
    world()
        // A long timeout, because the test machine is busy.
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("signing/keys_dir", keys.root().to_str().unwrap())
}

/// Starts servers one after the other, because the first creates the keys.
pub(crate) fn replicas<const N: usize>(config: &Config) -> [Server; N] {
    std::array::from_fn(|_| Server::start_in(STS, world_site(config)))
}

#[test]
fn rv03_a_revocation_at_one_replica_is_seen_by_the_next_introspection_at_any_other() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one, two, three] = replicas(&shared_world(&redis, &keys));
    for (revoker, asker) in [(&one, &two), (&two, &three), (&three, &one)] {
        let access = one.token(&token("svc:octo"), &[]);
        for server in [&one, &two, &three] {
            assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        }
        assert_eq!(revoker.revoke(&access).status, 200);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
        // Revoked by a rule, too.
        let access = one.token(&token("svc:octo"), &[]);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        let rule = json!({ "account": "octo", "reason": "incident" });
        assert_eq!(revoker.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
        assert_eq!(asker.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
    }
}

pub(crate) fn ready(server: &Server) -> u16 {
    server.send(&Request::get("/readyz")).status
}

/// The operator's view of readiness.
pub(crate) fn detail(server: &Server) -> serde_json::Value {
    sts_testkit::send(server.admin(), &Request::get("/readyz")).json()
}

fn introspection(server: &Server, access: &str) -> sts_testkit::Response {
    server.send(&Request::post_form("/introspect", &[("token", access)]).basic("deploy", DEPLOY_SECRET))
}

/// Asserts that nothing is minted, active or revoked, and that offline verifiers are still served.
fn assert_store_unavailable(server: &Server, access: &str) {
    let exchange = server.exchange(&token("svc:octo"), &[]);
    refused(&exchange, 503, "temporarily_unavailable", "store_unavailable");
    assert!(exchange.header("retry-after").is_some());
    refused(&introspection(server, access), 503, "temporarily_unavailable", "store_unavailable");
    refused(&server.revoke(access), 503, "temporarily_unavailable", "store_unavailable");
    // An answer to the one before may be a second old.
    until("it to be not ready", || ready(server) == 503);
    assert_eq!(server.send(&Request::get("/healthz")).status, 200);
    assert!(!server.jwks()["keys"].as_array().unwrap().is_empty());
}

fn until_granted(server: &Server) {
    let mut last = String::new();
    let granted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until("an exchange to be granted", || {
            let answer = server.exchange(&token("svc:octo"), &[]);
            last = answer.text();
            answer.status == 200
        });
    }));
    assert!(granted.is_ok(), "{last}\n{}", server.lines().text().lines().rev().take(40).collect::<Vec<_>>().join("\n"));
}

#[test]
fn c057_a_hundred_presentations_of_one_token_at_three_replicas_give_exactly_one() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let servers: [Server; 3] = replicas(&shared_world(&redis, &keys));
    // The rivals' answers come in another order for each token.
    const TOKENS: usize = 5;
    for number in 0..TOKENS {
        let once = Forge::new(&KEYS.rs256, &claims("svc:octo"))
            .claim("iss", "https://once.example")
            .claim("jti", format!("c057-{number}"))
            .sign();
        let reasons: Vec<String> = std::thread::scope(|scope| {
            let present = |at: usize| reason_of(&servers[at % 3].exchange(&once, &[]));
            let threads: Vec<_> = (0..100).map(|at| scope.spawn(move || present(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
        assert_eq!((count("granted"), count("token_replayed")), (1, 99), "{reasons:?}");
    }
    let listed = servers[0].cli(&["tokens", "list", "--account", "octo", "--json"]).ended(0).json();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), TOKENS, "what was replayed is not listed");
}

#[test]
fn what_one_replica_records_every_other_lists_shows_and_revokes() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one, two] = replicas(&shared_world(&redis, &keys));
    let access = one.token(&token("svc:octo"), &[]);
    let listed = two.cli(&["tokens", "list", "--account", "octo", "--json"]).ended(0).json();
    let jti = listed["tokens"][0]["jti"].as_str().unwrap().to_owned();
    two.cli(&["tokens", "show", &jti]).ended(0);
    two.cli(&["tokens", "revoke", "--jti", &jti, "--reason", "leaked"]).ended(0);
    assert_eq!(one.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
    let shown = one.cli(&["tokens", "show", &jti, "--json"]).ended(0).json();
    assert_eq!((&shown["state"], &shown["revoked"]["reason"]), (&json!("revoked"), &json!("leaked")));
    for key in redis.keys() {
        assert!(key.starts_with("sts:") && !key.contains("octo") && !key.contains(&jti), "{key}");
    }
    // Without a server the command line opens the Redis itself.
    drop(two);
    let (_, site) = one.terminate();
    let listed = STS.run(site.root(), &["tokens", "list", "--config", "sts.yaml", "--json"]).ended(0).json();
    assert_eq!(listed["tokens"][0]["jti"], *jti);
    drop(redis);
    let failed = STS.run(site.root(), &["tokens", "list", "--config", "sts.yaml"]).ended(1);
    assert!(failed.stderr.contains("nothing was listed"), "{}", failed.text());
}

#[test]
fn c127_redis_away_at_the_start_leaves_a_server_that_is_not_ready_and_becomes_so() {
    let (mut redis, keys) = (RedisServer::start(), Site::new());
    redis.kill();
    let server = Server::start_in(STS, world_site(&shared_world(&redis, &keys)));
    assert_eq!(ready(&server), 503);
    let exchange = server.exchange(&token("svc:octo"), &[]);
    refused(&exchange, 503, "temporarily_unavailable", "store_unavailable");
    assert!(detail(&server)["store"].as_str().unwrap().contains("no connection to Redis"), "{}", detail(&server));
    redis.restart();
    until_granted(&server);
    until("readiness", || ready(&server) == 200);
}

#[test]
fn c128_of_what_was_answered_before_redis_was_killed_every_token_and_revocation_is_there_when_it_is_back() {
    let keys = Site::new();
    let mut redis = RedisServer::with("appendonly yes\n");
    let [one, two] = replicas(&shared_world(&redis, &keys));
    let mut answered = Vec::new();
    for round in 0..3 {
        let tokens: Vec<(String, bool)> = std::thread::scope(|scope| {
            let work = |server: &'_ Server| {
                let mut tokens = Vec::new();
                loop {
                    let response = server.exchange(&token("svc:octo"), &[]);
                    if response.status != 200 {
                        assert_eq!((response.status, reason_of(&response)), (503, "store_unavailable".to_owned()));
                        return tokens;
                    }
                    let access = response.json()["access_token"].as_str().unwrap().to_owned();
                    let revoked = tokens.len() % 2 == 0 && server.revoke(&access).status == 200;
                    tokens.push((access, revoked));
                }
            };
            let threads = [&one, &two].map(|server| scope.spawn(move || work(server)));
            until("some work", || redis.keys().len() > 30 * (round + 1));
            redis.kill();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        answered.extend(tokens);
        assert_store_unavailable(&one, &answered[0].0);
        redis.restart();
        until_granted(&one);
        until_granted(&two);
        for (access, revoked) in &answered {
            let active = two.introspect("deploy", DEPLOY_SECRET, access)["active"] == true;
            // A token whose revocation was in flight when Redis went away may be in either state.
            assert!(!(*revoked && active), "a revocation was lost");
        }
        let active =
            answered.iter().filter(|(access, _)| one.introspect("deploy", DEPLOY_SECRET, access)["active"] == true);
        let unrevoked = answered.iter().filter(|(_, revoked)| !revoked).count();
        // At most one revocation of each server in each round was done and not answered.
        assert!(active.count() + 2 * (round + 1) >= unrevoked, "a token was lost");
    }
}

#[test]
fn c129_a_redis_that_is_silent_is_a_503_and_heard_again_without_a_restart() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys).with("store/timeout", "1s");
    let server = Server::start_in(STS, world_site(&config));
    until_granted(&server);
    let access = server.token(&token("svc:octo"), &[]);
    redis.signal("STOP");
    assert_store_unavailable(&server, &access);
    redis.signal("CONT");
    until("introspection", || introspection(&server, &access).status == 200);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    until_granted(&server);
}

#[test]
fn c132_a_redis_that_may_evict_makes_the_server_not_ready_and_says_why() {
    let (redis, keys) = (RedisServer::with("maxmemory-policy allkeys-lru"), Site::new());
    let server = Server::start_in(STS, world_site(&shared_world(&redis, &keys)));
    assert_eq!(ready(&server), 503);
    let told = detail(&server);
    assert!(told["store"].as_str().unwrap().contains("`maxmemory-policy` is `allkeys-lru`"), "{told}");
    let exchange = server.exchange(&token("svc:octo"), &[]);
    refused(&exchange, 503, "temporarily_unavailable", "store_unavailable");
    redis.order(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until("readiness", || ready(&server) == 200);
    until_granted(&server);
    // A weak setting appears in the detail, the log and the metrics.
    let told = detail(&server);
    let names: Vec<&str> =
        told["store_warnings"].as_array().unwrap().iter().map(|warning| warning["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["no_persistence", "default_user"], "{told}");
    until("metrics", || {
        let metrics = sts_testkit::send(server.admin(), &Request::get("/metrics"));
        metrics.text().contains("sts_store_warning{warning=\"no_persistence\"} 1")
            && metrics.text().contains("sts_store_ready 1")
    });
    server.lines().wait("warning", |line| line.contains("appendonly yes").then_some(()));
    // A change at runtime is noticed without a readiness request.
    redis.order(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    let refusal = || reason_of(&server.exchange(&token("svc:octo"), &[])) == "store_unavailable";
    until("a refusal", refusal);
    server.lines().wait("alarm", |line| line.contains("`volatile-lru`").then_some(()));
}

#[test]
fn c134_a_flushed_redis_is_refused_by_every_replica_until_an_operator_accepts_it_at_one() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one, two] = replicas(&shared_world(&redis, &keys));
    let (kept, revoked) = (one.token(&token("svc:octo"), &[]), two.token(&token("svc:octo"), &[]));
    assert_eq!(two.revoke(&revoked).status, 200);
    assert_eq!(one.introspect("deploy", DEPLOY_SECRET, &revoked), json!({ "active": false }));
    let nothing = one.cli(&["store", "accept-epoch"]).ended(0);
    assert!(nothing.stdout.contains("nothing to accept"), "{}", nothing.text());
    redis.order(&["FLUSHALL"]);
    for server in [&one, &two] {
        assert_store_unavailable(server, &kept);
    }
    assert!(detail(&one)["store"].as_str().unwrap().contains("sts store accept-epoch"), "{}", detail(&one));
    one.lines().wait("alarm", |line| line.contains("the Redis store is not trusted").then_some(()));
    // A restart does not help.
    let two = two.crash_and_restart();
    assert_store_unavailable(&two, &kept);
    let accepted = one.cli(&["store", "accept-epoch", "--json"]).ended(0).json();
    assert_eq!(accepted, json!({ "accepted": true }));
    for server in [&one, &two] {
        until("readiness", || ready(server) == 200);
        for lost in [&kept, &revoked] {
            assert_eq!(server.introspect("deploy", DEPLOY_SECRET, lost), json!({ "active": false }));
        }
        let _ = server.token(&token("svc:octo"), &[]);
    }
}

#[test]
fn rv04_a_revocation_that_too_few_replicas_have_is_a_503_also_when_it_is_sent_again() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys)
        .with("store", json!({ "url": format!("{}?wait_replicas=1", redis.url()), "timeout": "1s" }));
    let server = Server::start_in(STS, world_site(&config));
    until_granted(&server);
    let access = server.token(&token("svc:octo"), &[]);
    for _ in 0..2 {
        refused(&server.revoke(&access), 503, "temporarily_unavailable", "store_unavailable");
    }
    let replica = RedisServer::with(&format!("replicaof 127.0.0.1 {}", redis.port()));
    until("a replica", || server.revoke(&access).status == 200);
    assert!(replica.keys().iter().any(|key| key.contains(":r:")));
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
}

#[test]
fn over_tls_with_a_client_certificate_and_an_acl_user_as_in_the_example() {
    let certificates = RedisCertificates::make();
    let redis = RedisServer::with(&format!(
        "{}user default off\nuser sts on >from-a-file ~sts:* &* +@all",
        certificates.server_lines()
    ));
    let path = |name: &str| certificates.path(name).to_str().unwrap().to_owned();
    let config = world().with(
        "store",
        json!({
            "url": redis.url().replace("redis://", "rediss://"),
            "username": "sts",
            "password_file": "redis.password",
            "ca_file": path("ca.crt"),
            "cert_file": path("client.crt"),
            "key_file": path("client.key"),
            "timeout": "5s",
        }),
    );
    let site = world_site(&config);
    site.write("redis.password", "from-a-file\n");
    let server = Server::start_in(STS, site);
    let access = server.token(&token("svc:octo"), &[]);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    assert!(!server.lines().text().contains("from-a-file"));
}

#[test]
fn the_configuration_and_the_rights_in_deploy_are_sound() {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/redis");
    let certificates = RedisCertificates::make();
    let site = Site::new();
    site.write("sts.yaml", std::fs::read(deploy.join("sts.yaml")).unwrap());
    site.write("redis.password", "a-password-of-some-length");
    for (name, from) in
        [("redis-ca.crt", "ca.crt"), ("redis-client.crt", "client.crt"), ("redis-client.key", "client.key")]
    {
        site.write(name, std::fs::read(certificates.path(from)).unwrap());
    }
    let checked = STS.run(site.root(), &["check", "--config", "sts.yaml", "--json"]).ended(0);
    assert!(!checked.text().contains("store"), "{}", checked.text());
}
