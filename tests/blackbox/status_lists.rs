//! Token Status Lists: a verifier learns of revocations with our public keys alone.

use crate::redis::shared_world;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, RedisServer, Request, Response, Server, Site, StatusPlace, until, verify_offline};

fn listing() -> Config {
    world().with("status_list", true)
}

fn mint(server: &Server, subject: &str) -> (String, StatusPlace) {
    let access = server.token(&token(subject), &[("audience", "deploy")]);
    let claims = verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap().claims;
    (access, StatusPlace::of(&claims))
}

fn fetch(server: &Server, place: &StatusPlace) -> Response {
    server.send(&Request::get(place.uri.strip_prefix(US).unwrap()))
}

pub(crate) fn is_valid(server: &Server, place: &StatusPlace) -> bool {
    let response = fetch(server, place);
    assert_eq!(response.status, 200, "{}", response.text());
    place.is_valid_by(&response.text(), &server.jwks()).unwrap()
}

fn revoke(server: &Server, rule: &Value) {
    let response = server.send_admin(Request::post_json("/admin/v1/revocations", rule));
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn rv03_who_verifies_offline_learns_of_every_kind_of_revocation_from_a_list() {
    let server = Server::start_in(STS, world_site(&listing()));
    let (access, revoked) = mint(&server, "svc:octo");
    let (_, by_rule) = mint(&server, "svc:two");
    let (_, disabled) = mint(&server, "svc:octo");
    for place in [&revoked, &by_rule, &disabled] {
        assert!(is_valid(&server, place));
    }

    assert_eq!(server.revoke(&access).status, 200);
    until("the revoked token to be in the list", || !is_valid(&server, &revoked));
    assert!(is_valid(&server, &by_rule) && is_valid(&server, &disabled));

    revoke(&server, &json!({ "account": "two", "reason": "incident" }));
    until("the rule to reach the list", || !is_valid(&server, &by_rule));
    assert!(is_valid(&server, &disabled));

    let off = listing().with("service_accounts/octo/enabled", false);
    server.site().replace("sts.yaml", off.text());
    until("the disabled account to reach the list", || !is_valid(&server, &disabled));

    // Enabled again, the list agrees with introspection.
    server.site().replace("sts.yaml", listing().text());
    until("the enabled account to reach the list", || is_valid(&server, &disabled));
    assert!(!is_valid(&server, &revoked) && !is_valid(&server, &by_rule));
    let gone = listing().with("issuers/plain/enabled", false);
    server.site().replace("sts.yaml", gone.text());
    until("the issuer that is not trusted any more to reach the list", || !is_valid(&server, &disabled));
}

#[test]
fn a_rule_that_names_no_account_reaches_the_lists_too() {
    let server = Server::start_in(STS, world_site(&listing()));
    let (_, place) = mint(&server, "svc:octo");
    let wide = server.token(&token_of("https://wide.example", "svc:octo"), &[("audience", "deploy")]);
    let other = StatusPlace::of(&verify_offline(&wide, &server.jwks(), US, DEPLOY).unwrap().claims);
    assert!(is_valid(&server, &place) && is_valid(&server, &other));
    revoke(&server, &json!({ "issuer": "wide", "reason": "incident" }));
    until("the rule to reach the list", || !is_valid(&server, &other));
    assert!(is_valid(&server, &place));
}

#[test]
fn without_status_lists_nothing_speaks_of_them_and_switched_off_they_last_as_long_as_their_tokens() {
    let metrics = |server: &Server| sts_testkit::send(server.admin(), &Request::get("/metrics")).text();
    let record = |server: &Server, access: &str| {
        let claims = verify_offline(access, &server.jwks(), US, DEPLOY).unwrap().claims;
        server.cli(&["tokens", "show", claims["jti"].as_str().unwrap(), "--json"]).ended(0).json()
    };
    let server = Server::start_in(STS, world_site(&world()));
    let plain = server.token(&token("svc:octo"), &[("audience", "deploy")]);
    assert_eq!(record(&server, &plain)["status_index"], json!(null));
    let metadata = server.send(&Request::get("/.well-known/openid-configuration")).text();
    assert!(!metadata.contains("status"), "{metadata}");
    assert!(!metrics(&server).contains("status_list"));

    server.site().replace("sts.yaml", listing().text());
    let mut place = None;
    until("status lists to be switched on", || {
        let access = server.token(&token("svc:octo"), &[("audience", "deploy")]);
        let claims = verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap().claims;
        place = claims.get("status").map(|_| (access, StatusPlace::of(&claims)));
        place.is_some()
    });
    let (access, place) = place.unwrap();
    assert!(is_valid(&server, &place));
    until("their metrics", || metrics(&server).contains("sts_status_lists 1"));

    server.site().replace("sts.yaml", world().text());
    until("status lists to be switched off", || {
        let access = server.token(&token("svc:octo"), &[("audience", "deploy")]);
        verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap().claims.get("status").is_none()
    });
    assert_eq!(server.revoke(&access).status, 200);
    until("a revocation to be in the list that a live token points to", || !is_valid(&server, &place));
}

#[test]
fn of_a_hundred_exchanges_at_once_each_has_an_index_of_its_own_at_every_replica_whoever_is_killed() {
    let keys = Site::new();
    let mut redis = RedisServer::with("appendonly yes\nappendfsync always\n");
    let config = shared_world(&redis, &keys).with("status_list", true);
    let mut servers: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let mut places = Vec::new();
    for round in 0..3 {
        places.extend(std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|at| {
                    scope.spawn({
                        let server = &servers[at % 2];
                        move || mint(server, "svc:octo").1
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        }));
        if round == 0 {
            servers = servers.map(Server::crash_and_restart);
        } else {
            redis.kill();
            redis.restart();
            for server in &servers {
                until("Redis to be found again", || server.exchange(&token("svc:octo"), &[]).status == 200);
            }
        }
    }
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 300);
}

#[test]
fn a_list_is_small_signed_for_its_uri_and_cached_for_a_short_time() {
    let server = Server::start_in(STS, world_site(&listing()));
    let (_, place) = mint(&server, "svc:octo");
    let response = fetch(&server, &place);
    assert_eq!(response.header("content-type"), Some("application/statuslist+jwt"));
    assert_eq!(response.header("cache-control"), Some("public, max-age=30"));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert!(response.body.len() < 2000, "{}", response.body.len());
    let etag = response.header("etag").unwrap();
    let path = place.uri.strip_prefix(US).unwrap();
    for accept in ["*/*", "application/statuslist+cwt", "text/html"] {
        assert_eq!(server.send(&Request::get(path).header("Accept", accept)).status, 200, "{accept}");
    }
    let known = server.send(&Request::get(path).header("If-None-Match", etag));
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(etag)));

    // A list for another URI is refused, and so is a list as a token.
    let other = StatusPlace { uri: format!("{}0", place.uri), ..place.clone() };
    assert!(other.is_valid_by(&response.text(), &server.jwks()).is_err());
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &response.text()), json!({ "active": false }));
    assert_eq!(reason_of(&server.exchange(&response.text(), &[])), "token_type_refused");
}

#[test]
fn there_are_no_lists_but_those_that_tokens_point_to() {
    let server = Server::start_in(STS, world_site(&listing()));
    let (_, place) = mint(&server, "svc:octo");
    let path = place.uri.strip_prefix(US).unwrap();
    for unknown in [
        format!("{path}1"),
        "/status/1-0".to_owned(),
        "/status/x".to_owned(),
        "/status/%2e".to_owned(),
        "/status".to_owned(),
    ] {
        refused(&server.send(&Request::get(&unknown)), 404, "invalid_request", "not_found");
    }
    refused(&server.send(&Request::new("POST", path)), 405, "invalid_request", "method_not_allowed");

    let plain = WORLD.token(&token("svc:octo"), &[]);
    let claims = verify_offline(&plain, &WORLD.jwks(), US, DEPLOY).unwrap().claims;
    assert_eq!(claims.get("status"), None, "nothing points to a list where there are none");
}

#[test]
fn an_index_is_never_given_twice_whoever_is_killed() {
    let mut server = Server::start_in(STS, world_site(&listing()));
    let mut places = Vec::new();
    for _ in 0..5 {
        places.extend((0..20).map(|_| mint(&server, "svc:octo").1));
        server = server.crash_and_restart();
    }
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 100);
}

#[test]
fn rv03_a_revocation_at_one_replica_reaches_the_lists_of_all() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let config = shared_world(&redis, &keys).with("status_list", true);
    let [one, two]: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let (access, first) = mint(&one, "svc:octo");
    let (_, second) = mint(&two, "svc:octo");
    assert_ne!(first, second);
    // A list that only the other server has begun is available at once.
    for (server, place) in [(&two, &first), (&one, &second), (&one, &first), (&two, &second)] {
        assert!(is_valid(server, place));
    }
    assert_eq!(two.revoke(&access).status, 200);
    for server in [&one, &two] {
        until("the revoked token to be in the list", || !is_valid(server, &first));
        assert!(is_valid(server, &second));
    }
    revoke(&one, &json!({ "account": "octo", "reason": "incident" }));
    for server in [&one, &two] {
        until("the rule to reach the list", || !is_valid(server, &second));
    }
}
