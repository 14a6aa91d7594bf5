//! `sts store backup`: a copy of the store that is made while it is in use, and brought back.

use crate::support::*;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use sts_testkit::{RedisServer, Request, Server, exchange_request, send, try_send, until};

fn is_active(server: &Server, access: &str) -> bool {
    server.introspect("deploy", DEPLOY_SECRET, access)["active"] == true
}

fn readiness(server: &Server) -> Value {
    send(server.admin(), &Request::get("/readyz")).json()
}

/// Ends the clients of a test, also of one that fails: a scope waits for its threads.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn c134_a_backup_under_load_is_restored_noticed_and_accepted() {
    let managed = world().with("teams/ops", json!({ "grants": { "deploy": ["releases:read"] } }));
    let server = Server::start_in(STS, world_site(&managed));
    // Something of everything that a store has.
    let worker = json!({ "name": "worker", "spec": { "teams": ["ops"], "identities": [
        { "name": "one", "issuer": "plain", "subject": "svc:worker" } ] } });
    let created = server.send_admin(Request::post_json("/admin/v1/service-accounts", &worker));
    assert_eq!(created.status, 201, "{}", created.text());
    let key = json!({ "name": "ci", "ttl": "1h" });
    let key = server.send_admin(Request::post_json("/admin/v1/service-accounts/worker/api-keys", &key));
    assert_eq!(key.status, 201, "{}", key.text());
    let secret = key.json()["key"].as_str().unwrap().to_owned();
    let by_key = Request::post_form("/token", &[("grant_type", "client_credentials")]).basic("worker", &secret);
    assert_eq!(send(server.public(), &by_key).status, 200);
    let once = forge("svc:octo").claim("iss", "https://once.example").claim("jti", "one-use").sign();
    let _ = server.exchange(&once, &[("audience", "octo")]);
    refused(&server.exchange(&token("svc:nobody"), &[]), 400, "invalid_request", "not_authorized");
    let (revoked, kept) = (server.token(&token("svc:octo"), &[]), server.token(&token("svc:octo"), &[]));
    assert_eq!(server.revoke(&revoked).status, 200);
    let rule = json!({ "account": "worker", "reason": "drill" });
    assert_eq!(server.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
    assert_eq!(server.cli(&["console", "link"]).code, Some(0));

    // Clients exchange while the copy is made, and none of them has to wait or fails.
    let stop = AtomicBool::new(false);
    let (address, request) = (server.public(), exchange_request(&token("svc:octo"), &[]));
    let before: Vec<String> = (0..20).map(|_| server.token(&token("svc:octo"), &[])).collect();
    std::thread::scope(|scope| {
        let until_the_copy = SetOnDrop(&stop);
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(try_send(address, &request).unwrap().status, 200);
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        let told = server.cli(&["store", "backup", "copy.redb", "--json"]).ended(0).json();
        drop(until_the_copy);
        let length = std::fs::metadata(server.site().path("copy.redb")).unwrap().len();
        assert_eq!((&told["file"], &told["bytes"]), (&json!("copy.redb"), &json!(length)));
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
    let copy = server.site().path("copy.redb");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(server.site().root())
        .unwrap()
        .chain(std::fs::read_dir(server.site().path("data")).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".tmp") || name.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // Something is revoked that the copy does not know. Then the copy takes the store's place.
    assert_eq!(server.revoke(&kept).status, 200);
    let (_, site) = server.terminate();
    std::fs::rename(site.path("copy.redb"), site.path("data/sts.redb")).unwrap();
    let server = Server::start_in(STS, site);
    assert_eq!(server.send(&Request::get("/readyz")).status, 503);
    assert!(readiness(&server)["store"].as_str().unwrap().contains("older copy"), "{}", readiness(&server));
    refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");

    server.cli(&["store", "accept-epoch"]).ended(0);
    until("readiness", || server.send(&Request::get("/readyz")).status == 200);
    // What was revoked before the copy is; what was revoked after it is not any more.
    assert!(!is_active(&server, &revoked) && is_active(&server, &kept));
    assert!(before.iter().all(|access| is_active(&server, access)));
    assert_eq!(send(server.public(), &by_key).status, 200);
    granted(&server.exchange(&token("svc:worker"), &[("audience", "worker")]));
    let rules = server.cli(&["tokens", "rules", "list", "--json"]).ended(0).json();
    assert!(rules.to_string().contains("drill"), "{rules}");
    let denials = server.cli(&["denials", "list", "--json"]).ended(0).json();
    assert!(denials.to_string().contains("not_authorized"), "{denials}");
}

#[test]
fn a_backup_is_made_without_a_server_too_and_one_of_the_present_needs_no_acceptance() {
    let server = Server::start_in(STS, world_site(&world()));
    let (revoked, kept) = (server.token(&token("svc:octo"), &[]), server.token(&token("svc:octo"), &[]));
    assert_eq!(server.revoke(&revoked).status, 200);
    let (_, site) = server.terminate();
    site.write("copy.redb", "an earlier file");
    let told = STS.run(site.root(), &["store", "backup", "copy.redb"]).ended(0);
    assert!(told.stdout.contains("`copy.redb` has the store as it was"), "{}", told.text());
    std::fs::rename(site.path("copy.redb"), site.path("data/sts.redb")).unwrap();
    let server = Server::start_in(STS, site);
    assert!(!is_active(&server, &revoked) && is_active(&server, &kept));
}

#[test]
fn a_backup_that_fails_leaves_the_former_one_and_nothing_half() {
    let server = Server::start_in(STS, world_site(&world()));
    let _ = server.token(&token("svc:octo"), &[]);
    // The folder is not there.
    let absent = server.cli(&["store", "backup", "absent/copy.redb"]).ended(1);
    assert!(absent.stderr.contains("no backup was made"), "{}", absent.stderr);
    // The name is that of a folder.
    std::fs::create_dir(server.site().path("taken")).unwrap();
    std::fs::write(server.site().path("taken/file"), "x").unwrap();
    assert!(server.cli(&["store", "backup", "taken"]).ended(1).stderr.contains("no backup was made"));
    // Whoever may only read gets no copy, and whoever shows nothing gets none.
    let anonymous = send(server.admin(), &Request::post_json("/admin/v1/store/backup", &json!({})));
    assert_eq!(anonymous.status, 401);
    let with_members = server.send_admin(Request::post_json("/admin/v1/store/backup", &json!({ "file": "/tmp/x" })));
    assert_eq!(with_members.status, 400, "{}", with_members.text());
    // A store in doubt is not copied.
    server.cli(&["store", "backup", "copy.redb"]).ended(0);
    let good = server.site().read("copy.redb");
    std::fs::rename(server.site().path("data/sts.redb"), server.site().path("data/away")).unwrap();
    let refused = server.cli(&["store", "backup", "copy.redb"]).ended(1);
    assert!(refused.stderr.contains("no backup was made"), "{}", refused.stderr);
    assert_eq!(server.site().read("copy.redb"), good);
    let names: Vec<String> = std::fs::read_dir(server.site().root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_redis_is_backed_up_by_its_own_means() {
    let redis = RedisServer::start();
    let server =
        Server::start_in(STS, world_site(&world().with("store", json!({ "url": redis.url(), "timeout": "5s" }))));
    let told = server.cli(&["store", "backup", "copy.redb"]).ended(1);
    assert!(told.stderr.contains("Redis") && told.stderr.contains("no backup was made"), "{}", told.stderr);
    assert!(!server.site().path("copy.redb").exists());
}
