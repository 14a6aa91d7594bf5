//! Servers on a store of several shards.

use crate::redis::{detail, ready, replicas, shared_world};
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Forge, RedisCluster, RedisServer, Request, Server, Site, decode_base64url, until};

/// [`shared_world`] on a store of so many shards.
fn sharded_world(redis: &RedisServer, keys: &Site, shards: u32) -> Config {
    shared_world(redis, keys).with("store/shards", shards)
}

/// The shard that a token's `jti` names.
fn shard_of(access: &str) -> u8 {
    let payload = decode_base64url(access.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    decode_base64url(claims["jti"].as_str().unwrap()).unwrap()[0]
}

fn warnings(server: &Server) -> Vec<Value> {
    detail(server)["store_warnings"].as_array().cloned().unwrap_or_default()
}

#[test]
fn the_first_octet_of_a_jti_is_its_shard_and_every_replica_finds_and_ends_its_token() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one, two] = replicas(&sharded_world(&redis, &keys, 4));
    let tokens: Vec<String> = (0..8).map(|_| one.token(&token("svc:octo"), &[])).collect();
    let mut shards: Vec<u8> = tokens.iter().map(|access| shard_of(access)).collect();
    for access in &tokens {
        assert_eq!(two.introspect("deploy", DEPLOY_SECRET, access)["active"], true);
    }
    assert_eq!(two.revoke(&tokens[0]).status, 200);
    assert_eq!(one.introspect("deploy", DEPLOY_SECRET, &tokens[0]), json!({ "active": false }));
    let listed = two.cli(&["tokens", "list", "--account", "octo", "--json"]).ended(0).json();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 8, "{listed}");
    let rule = json!({ "account": "octo", "reason": "incident" });
    let made = two.send_admin(Request::post_json("/admin/v1/revocations", &rule));
    assert_eq!((made.status, &made.json()["covered"]), (200, &json!(7)), "{}", made.text());
    for access in &tokens {
        assert_eq!(one.introspect("deploy", DEPLOY_SECRET, access), json!({ "active": false }));
    }
    let later = one.token(&token("svc:octo"), &[]);
    assert_eq!(two.introspect("deploy", DEPLOY_SECRET, &later)["active"], true);
    shards.sort_unstable();
    assert_eq!(shards, [0, 0, 1, 1, 2, 2, 3, 3], "each in turn");
    let shown = one.send_admin(Request::get("/admin/v1/config")).json();
    assert_eq!(shown["store"]["shards"], 4, "{shown}");
}

#[test]
fn c057_of_many_presentations_of_one_token_at_replicas_on_shards_one_is_granted() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let servers: [Server; 2] = replicas(&sharded_world(&redis, &keys, 4));
    for number in 0..4 {
        let once = Forge::new(&KEYS.rs256, &claims("svc:octo"))
            .claim("iss", "https://once.example")
            .claim("jti", format!("shards-{number}"))
            .sign();
        let reasons: Vec<String> = std::thread::scope(|scope| {
            let present = |at: usize| reason_of(&servers[at % 2].exchange(&once, &[]));
            let threads: Vec<_> = (0..20).map(|at| scope.spawn(move || present(at))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
        assert_eq!((count("granted"), count("token_replayed")), (1, 19), "{reasons:?}");
    }
}

#[test]
fn a_server_with_another_number_of_shards_decides_nothing_and_names_both_numbers() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let [one] = replicas(&sharded_world(&redis, &keys, 4));
    let access = one.token(&token("svc:octo"), &[]);
    for (config, number) in [(sharded_world(&redis, &keys, 8), 8), (shared_world(&redis, &keys), 1)] {
        let [other] = replicas(&config);
        let told = detail(&other)["store"].as_str().unwrap().to_owned();
        assert!(told.contains("made with 4 shards") && told.contains(&format!("`store.shards` is {number}")), "{told}");
        assert_eq!(ready(&other), 503);
        refused(&other.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
        other.cli(&["store", "accept-epoch"]).ended(1);
    }
    assert_eq!(one.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn a_node_of_a_cluster_that_is_away_fails_its_share_and_new_tokens_go_to_the_others() {
    let (mut cluster, keys) = (RedisCluster::start(), Site::new());
    let nodes: Vec<String> = cluster.nodes.iter().map(RedisServer::address).collect();
    for node in &cluster.nodes {
        node.order(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let store = json!({ "url": format!("redis-cluster://{}", nodes.join(",")), "timeout": "5s", "shards": 12 });
    let config = shared_world(&cluster.nodes[0], &keys).with("store", store);
    let [server] = replicas(&config);
    let tokens: Vec<String> = (0..24).map(|_| server.token(&token("svc:octo"), &[])).collect();
    cluster.nodes[2].kill();
    let is_away = |access: &String| shard_of(access) >= 8;
    for access in &tokens {
        let asked = Request::post_form("/introspect", &[("token", access)]).basic("deploy", DEPLOY_SECRET);
        let answer = server.send(&asked);
        if is_away(access) {
            refused(&answer, 503, "temporarily_unavailable", "store_unavailable");
        } else {
            assert_eq!(answer.json()["active"], true);
        }
    }
    assert!(tokens.iter().any(is_away));
    for _ in 0..40 {
        let access = server.token(&token("svc:octo"), &[]);
        assert!(!is_away(&access));
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    }
    assert_eq!(ready(&server), 200);
    until("a warning", || {
        let told = warnings(&server);
        told.iter().any(|warning| {
            warning["name"] == "shards_away" && warning["text"].as_str().unwrap().contains("4 of 12 shards")
        })
    });
    cluster.nodes[2].restart();
    until("all shards to be back", || {
        tokens.iter().all(|access| {
            let asked = Request::post_form("/introspect", &[("token", access)]).basic("deploy", DEPLOY_SECRET);
            let answer = server.send(&asked);
            answer.status == 200 && answer.json()["active"] == true
        })
    });
    until("no warning", || warnings(&server).iter().all(|warning| warning["name"] != "shards_away"));
}
