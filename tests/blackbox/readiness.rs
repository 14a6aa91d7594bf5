//! `/readyz` and `sts_store_ready` always agree, whatever is wrong with the store, and no caller
//! waits for the store.

use crate::redis::shared_world;
use crate::support::*;
use sts_testkit::{RedisServer, Request, Server, Site, until};

/// The three answers: the public listener, the gauge, the admin listener.
fn told(server: &Server) -> [bool; 3] {
    let public = server.send(&Request::get("/readyz")).status == 200;
    let metrics = sts_testkit::send(server.admin(), &Request::get("/metrics")).text();
    let gauge = metrics.lines().find_map(|line| line.strip_prefix("sts_store_ready ")).expect("a gauge") == "1";
    let admin = sts_testkit::send(server.admin(), &Request::get("/readyz"));
    assert_eq!(admin.json()["ready"], admin.status == 200);
    [public, gauge, admin.status == 200]
}

#[test]
fn readiness_and_metrics_say_that_the_signing_keys_can_sign() {
    let server = Server::start_in(STS, world_site(&world()));
    let admin = |path: &str| sts_testkit::send(server.admin(), &Request::get(path));
    assert_eq!(admin("/readyz").json()["signing"], "ok");
    assert!(admin("/metrics").text().contains("\nsts_signing_ready 1\n"));
}

fn until_all_say(server: &Server, is_ready: bool) {
    let mut last = [!is_ready; 3];
    until(if is_ready { "all to say ready" } else { "all to say not ready" }, || {
        last = told(server);
        last == [is_ready; 3]
    });
}

#[test]
fn fld21_a_full_disk_is_told_by_readiness_and_metrics_alike_and_so_is_room_on_it() {
    let server = Server::start_in(STS, world_site(&world()));
    assert_eq!(told(&server), [true; 3]);
    for round in 0..3 {
        server.limit_files(Some(0));
        refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
        for _ in 0..3 {
            assert_eq!(told(&server), [false; 3], "{round}: nobody has to find it out for himself");
        }
        server.limit_files(None);
        if round == 0 {
            // The server recovers without any token request.
            until_all_say(&server, true);
        }
        until("a token", || server.exchange(&token("svc:octo"), &[]).status == 200);
        for _ in 0..3 {
            assert_eq!(told(&server), [true; 3], "{round}");
        }
    }
    server.lines().wait("trouble", |line| line.contains("the store is not ready").then_some(()));
    server.lines().wait("the end of it", |line| line.contains("the store is ready again").then_some(()));
}

#[test]
fn fld21_a_redis_without_room_is_told_by_readiness_and_metrics_alike_and_so_is_room_in_it() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let server = Server::start_in(STS, world_site(&shared_world(&redis, &keys)));
    until_all_say(&server, true);
    // The server notices without any token request.
    redis.order(&["CONFIG", "SET", "maxmemory", "1"]);
    until_all_say(&server, false);
    refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
    for _ in 0..3 {
        assert_eq!(told(&server), [false; 3]);
    }
    redis.order(&["CONFIG", "SET", "maxmemory", "0"]);
    until_all_say(&server, true);
    let _ = server.token(&token("svc:octo"), &[]);
    assert_eq!(told(&server), [true; 3]);
}

#[test]
fn fld21_whoever_asks_for_readiness_never_waits_for_a_silent_store() {
    let (redis, keys) = (RedisServer::start(), Site::new());
    let server = Server::start_in(STS, world_site(&shared_world(&redis, &keys).with("store/timeout", "10s")));
    until_all_say(&server, true);
    redis.signal("STOP");
    // A request that waited would take ten seconds, and the client gives up before that.
    for _ in 0..200 {
        let answer = server.send(&Request::get("/readyz"));
        assert!(answer.body.is_empty(), "status only");
    }
    until("it to be noticed", || server.send(&Request::get("/readyz")).status == 503);
    redis.signal("CONT");
    until_all_say(&server, true);
}
