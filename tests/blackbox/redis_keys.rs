//! Signing keys in Redis, sealed under the key of a file: servers that share no folder.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, RedisReply, RedisServer, Request, Server, Site, until, verify_offline};

const KEY: &str = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
const OTHER_KEY: &str = "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8=";
/// The name of the value.
const NAME: &str = "sts:{sts}:keys";

fn config(redis: &RedisServer) -> Config {
    world()
        // A long timeout, because the test machine is busy.
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("signing/store", "redis")
        .with("signing/seal_key_file", "seal.key")
        .with("signing/algorithms", json!(["ES256"]))
}

/// A folder of its own for a server, with the sealing keys.
fn site(config: &Config) -> Site {
    let site = world_site(config);
    write_key(&site, "seal.key", KEY);
    write_key(&site, "other.key", OTHER_KEY);
    site
}

fn write_key(site: &Site, name: &str, key: &str) {
    site.write(name, format!("{key}\n"));
    std::fs::set_permissions(site.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn start(config: &Config) -> Server {
    Server::start_in(STS, site(config))
}

fn rotate(server: &Server) -> Value {
    let response = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

fn kids(server: &Server) -> Vec<String> {
    let keys = server.jwks()["keys"].clone();
    keys.as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn stored(redis: &RedisServer) -> RedisReply {
    redis.command(&["GET", NAME])
}

#[test]
fn c145_servers_that_share_redis_alone_verify_and_introspect_each_others_tokens() {
    let redis = RedisServer::start();
    let config = config(&redis);
    // At once, so that each may make the first keys.
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| start(&config))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for one in &servers {
        let access = one.token(&token("svc:octo"), &[]);
        for other in &servers {
            assert_eq!(other.jwks(), one.jwks());
            verify_offline(&access, &other.jwks(), US, DEPLOY).unwrap();
            assert_eq!(other.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        }
        let data = std::fs::read_dir(one.site().path("data")).unwrap();
        let names: Vec<String> = data.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.contains(&"keys.sealed".to_owned()) && !names.contains(&"keys".to_owned()), "{names:?}");
    }
}

#[test]
fn a_rotation_at_one_server_makes_one_successor_which_the_others_publish_and_a_withdrawal_is_followed() {
    let redis = RedisServer::start();
    let config = config(&redis);
    let [one, two] = [(); 2].map(|()| start(&config));
    let first = kids(&one);
    let made = rotate(&one)["made"].clone();
    assert_eq!(made.as_array().unwrap().len(), 1);
    assert_eq!(rotate(&two)["made"], json!([]), "its successor waits already");
    assert_eq!((kids(&one).len(), kids(&one)), (2, kids(&two)));
    let access = two.token(&token("svc:octo"), &[]);

    let done = one.cli(&["keys", "withdraw", &first[0], "--json"]).ended(0).json();
    assert_eq!(done["withdrawn"], first[0].as_str());
    assert_eq!(two.introspect("deploy", DEPLOY_SECRET, &access)["active"], false, "a rule ends it at once");
    // Either reads the keys again.
    rotate(&two);
    assert!(!kids(&two).contains(&first[0]));
    assert_eq!(rotate(&one)["made"], json!([]));
    assert_eq!(kids(&two), kids(&one));
    let listed = two.cli(&["keys", "list", "--json"]).ended(0).json();
    assert!(!listed.to_string().contains(&first[0]), "{listed}");
}

#[test]
fn redis_shows_no_key_and_another_sealing_key_starts_no_server_and_replaces_nothing() {
    let redis = RedisServer::start();
    let config = config(&redis);
    let server = start(&config);
    let before = stored(&redis);
    for secret in ["pkcs8", "ES256", kids(&server)[0].as_str(), KEY] {
        assert!(!before.text().contains(secret), "{secret}");
    }
    let stranger = site(&config.with("signing/seal_key_file", "other.key"));
    let Err((_, finished)) = Server::try_start(STS, stranger) else { panic!("a server started") };
    assert_eq!(finished.code, Some(2), "{}", finished.text());
    for part in [NAME, "sealed under another key", "signing.seal_key_file"] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.text());
    }
    assert!(!finished.text().contains(KEY) && !finished.text().contains(OTHER_KEY));
    assert_eq!(stored(&redis), before);
}

#[test]
fn a_file_without_a_sealing_key_is_refused_by_check_and_serve() {
    let config = world()
        .with("store", "redis://127.0.0.1:1")
        .with("signing/store", "redis")
        .with("signing/seal_key_file", "seal.key");
    for wrong in ["correct horse battery staple", "AAAA"] {
        let site = world_site(&config);
        write_key(&site, "seal.key", wrong);
        let Err((site, finished)) = Server::try_start(STS, site) else { panic!("a server started") };
        let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]).ended(2);
        for text in [finished.ended(2).text(), checked.text()] {
            assert!(text.contains("seal.key") && text.contains("openssl rand -base64 32"), "{text}");
            assert!(!text.contains(wrong), "{text}");
        }
    }
}

#[test]
fn the_sealing_key_is_replaced_server_by_server() {
    let redis = RedisServer::start();
    let config = config(&redis);
    let mut servers = vec![start(&config), start(&config)];
    let before = kids(&servers[0]);
    for files in [json!(["seal.key", "other.key"]), json!(["other.key", "seal.key"]), json!("other.key")] {
        // One server after the other has the next setting, and both work meanwhile.
        for _ in 0..2 {
            let stopped = servers.remove(0).kill();
            stopped.replace("sts.yaml", config.clone().with("signing/seal_key_file", files.clone()).text());
            servers.push(Server::start_in(STS, stopped));
            for server in &servers {
                assert_eq!(rotate(server)["keys"][0]["kid"], before[0].as_str(), "{files}");
            }
        }
    }
}

#[test]
fn without_redis_a_first_start_fails_and_a_server_that_knows_the_keys_publishes_them_and_heals() {
    let mut redis = RedisServer::start();
    let config = config(&redis).with("store/timeout", "500ms");
    let server = start(&config);
    let published = server.jwks();
    let access = server.token(&token("svc:octo"), &[]);
    let site_of_it = server.terminate().1;
    let value = stored(&redis).text().to_owned();
    redis.kill();

    let Err((_, finished)) = Server::try_start(STS, site(&config)) else { panic!("a server started") };
    assert_eq!(finished.code, Some(1), "{}", finished.text());
    assert!(finished.stderr.contains("cannot reach the signing keys in Redis"), "{}", finished.text());

    let server = Server::start_in(STS, site_of_it);
    assert_eq!(server.jwks(), published);
    verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
    assert_eq!(server.send(&Request::get("/readyz")).status, 503);
    let refused_rotation = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    assert_eq!(refused_rotation.status, 503, "{}", refused_rotation.text());
    assert!(
        refused_rotation.header("retry-after").is_some()
            && refused_rotation.text().contains("cannot reach the signing keys")
    );
    let told = server.cli(&["keys", "rotate"]).ended(1).stderr;
    assert!(told.contains("cannot reach the signing keys in Redis") && told.contains("no key was made"), "{told}");
    let kid = published["keys"][0]["kid"].as_str().unwrap();
    let told = server.cli(&["keys", "withdraw", kid]).ended(1).stderr;
    assert!(told.contains("the key is still in use, and none of its tokens is ended"), "{told}");

    // It comes back empty, and has the keys again.
    redis.restart();
    assert_eq!(stored(&redis), RedisReply::Nil);
    until("the keys to be put back", || {
        server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({}))).status == 200
    });
    assert_ne!(stored(&redis), RedisReply::Text(value));
    assert!(kids(&server).contains(&published["keys"][0]["kid"].as_str().unwrap().to_owned()));
    let another = start(&config);
    assert_eq!(kids(&another), kids(&server));
}

#[test]
fn an_altered_value_is_an_error_that_names_it_and_changes_nothing() {
    let redis = RedisServer::start();
    let config = config(&redis);
    let server = start(&config);
    let before = kids(&server);
    let good = stored(&redis).text().to_owned();
    redis.command(&["SET", NAME, &good.replacen("sealed\":\"", "sealed\":\"A", 1)]);
    let answer = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains(NAME) && answer.text().contains("altered"), "{}", answer.text());
    assert_eq!(kids(&server), before);
    let _ = server.token(&token("svc:octo"), &[]);
    // What the server has is put in place of nothing, not of something else.
    redis.command(&["DEL", NAME]);
    rotate(&server);
    assert_eq!(kids(&server).len(), 2);
    assert_eq!(kids(&start(&config)), kids(&server));
}

#[test]
fn a_withdrawn_key_does_not_come_back_with_an_older_value() {
    let redis = RedisServer::start();
    let config = config(&redis);
    let server = start(&config);
    let (old, withdrawn) = (stored(&redis).text().to_owned(), kids(&server));
    server.cli(&["keys", "withdraw", &withdrawn[0]]).ended(0);
    redis.command(&["SET", NAME, &old]);
    rotate(&server);
    assert!(!kids(&server).contains(&withdrawn[0]));
    assert_eq!(kids(&start(&config)), kids(&server));
}

#[test]
fn keys_and_seal_go_on_when_they_move_from_a_directory_to_redis() {
    let redis = RedisServer::start();
    let sealed = config(&redis);
    let in_directory = sealed.clone().without("signing/store").without("signing/seal_key_file");
    let server = start(&in_directory);
    let (published, access) = (server.jwks(), server.token(&token("svc:octo"), &[]));
    let moved = server.terminate().1;
    moved.replace("sts.yaml", sealed.text());
    // Before a server did it, a look at the store tells nothing wrong.
    let looked = STS.run(moved.root(), &["doctor", "--json"]).json();
    assert!(
        looked["checks"].as_array().unwrap().iter().all(|row| row["check"] != "store" || row["ok"] == true),
        "{looked}"
    );
    let server = Server::start_in(STS, moved);
    assert_eq!(server.jwks(), published);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    let log = server.lines().text();
    assert!(log.contains("data/keys") && log.contains("were taken over"), "{log}");
    assert_eq!(start(&sealed).jwks(), published, "a server without the directory");

    // Its directory is not looked at any more, and one with other keys is an error in the log.
    let site = server.terminate().1;
    let other = start(&in_directory.with("store/prefix", "other:")).terminate().1;
    let elsewhere = other.path("data/keys").display().to_string();
    site.replace("sts.yaml", sealed.with("signing/keys_dir", elsewhere).text());
    let server = Server::start_in(STS, site);
    assert_eq!(server.jwks(), published);
    let log = server.lines().text();
    assert!(log.contains("are not those in Redis"), "{log}");
}

#[test]
fn a_server_whose_keys_are_in_redis_makes_no_new_ones_in_a_directory() {
    let redis = RedisServer::start();
    let sealed = config(&redis);
    let in_directory = sealed.clone().without("signing/store").without("signing/seal_key_file");
    let moved = start(&sealed).terminate().1;
    moved.replace("sts.yaml", in_directory.text());
    let Err((moved, finished)) = Server::try_start(STS, moved) else { panic!("a server started") };
    assert_eq!(finished.code, Some(2), "{}", finished.text());
    assert!(
        finished.stderr.contains("keys.sealed") && finished.stderr.contains("signing.store: redis"),
        "{}",
        finished.text()
    );
    std::fs::remove_file(moved.path("data/keys.sealed")).unwrap();
    redis.order(&["FLUSHALL"]);
    std::fs::remove_dir_all(moved.path("data")).unwrap();
    let server = Server::start_in(STS, moved);
    let _ = server.token(&token("svc:octo"), &[]);
}
