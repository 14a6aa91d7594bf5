//! The ledger from outside: what is durable, what a second process gets, and what damage does.

use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use sts_testkit::{Request, Server, send, until};

fn jti(token: &str) -> String {
    let payload = sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["jti"].as_str().unwrap().to_owned()
}

#[test]
fn c138_every_answered_token_and_every_answered_revocation_survives_kill_9_at_any_moment() {
    let mut server = Server::start_in(STS, world_site(&world()));
    let (mut answered, mut revoked) = (Vec::new(), BTreeSet::new());
    for round in 0..4 {
        // Four clients exchange and revoke while the server is killed.
        let address = server.public();
        let (token_sender, tokens) = std::sync::mpsc::channel::<(String, bool)>();
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let sender = token_sender.clone();
                let request = sts_testkit::exchange_request(&token("svc:octo"), &[]);
                std::thread::spawn(move || {
                    for turn in 0.. {
                        let Some(response) = sts_testkit::try_send(address, &request) else { break };
                        let access = response.json()["access_token"].as_str().unwrap().to_owned();
                        if sender.send((access.clone(), false)).is_err() {
                            break;
                        }
                        if (turn + client) % 3 == 0 {
                            let revoke = Request::post_form("/revoke", &[("token", &access)]);
                            let Some(response) = sts_testkit::try_send(address, &revoke) else { break };
                            assert_eq!(response.status, 200);
                            let _ = sender.send((access, true));
                        }
                    }
                })
            })
            .collect();
        drop(token_sender);
        for (seen, (access, is_revocation)) in tokens.iter().enumerate() {
            if is_revocation {
                revoked.insert(jti(&access));
            } else {
                answered.push(access);
            }
            if seen == 40 + round * 7 {
                server.signal("KILL");
            }
        }
        for client in clients {
            client.join().unwrap();
        }
        server = Server::start_in(STS, server.kill());
        for access in &answered {
            let state = server.introspect("deploy", DEPLOY_SECRET, access);
            if revoked.contains(&jti(access)) {
                assert_eq!(state, json!({ "active": false }), "a revocation was lost");
            } else if state["active"] != true {
                // The kill came between the revocation and its answer. The token must be revoked,
                // never absent.
                let shown = server.cli(&["tokens", "show", &jti(access), "--json"]).ended(0).json();
                assert_eq!(shown["state"], "revoked", "an answered token is not recorded: {shown}");
            }
        }
    }
    assert!(answered.len() > 40 && !revoked.is_empty());
}

#[test]
fn c140_a_second_process_on_the_same_data_refuses_to_start_and_says_so() {
    let server = Server::start_in(STS, world_site(&world()));
    let config = world().with("data_dir", server.site().path("data").to_str().unwrap());
    let Err((_, second)) = Server::try_start(STS, world_site(&config)) else { panic!("a second server started") };
    assert_eq!(second.code, Some(1), "{}", second.text());
    assert!(second.stderr.contains("another process"), "{}", second.stderr);
    granted(&server.exchange(&token("svc:octo"), &[]));
}

#[test]
fn c139_a_truncated_or_overwritten_store_is_refused_and_left_as_it_is() {
    // A store that was not closed is repaired when it is opened, which writes to it if it is sound.
    for is_closed in [true, false] {
        let server = Server::start_in(STS, world_site(&world()));
        let access = server.token(&token("svc:octo"), &[]);
        let mut site = if is_closed { server.terminate().1 } else { server.kill() };
        let file = store_file(&site);
        let whole = site.read(&file);
        for (what, content) in [
            ("truncated", whole[..whole.len() / 3].to_vec()),
            ("empty", Vec::new()),
            ("garbage", b"not a store at all".repeat(500)),
            ("header overwritten", [&[0; 512], &whole[512..]].concat()),
            ("pages overwritten", [&whole[..4096], &vec![7; whole.len() - 4096]].concat()),
        ] {
            site.write(&file, &content);
            let Err((same, finished)) = Server::try_start(STS, site) else { panic!("{what}: a server started") };
            assert_eq!(finished.code, Some(1), "{what}: {}", finished.text());
            let name = file.rsplit('/').next().unwrap();
            assert!(finished.stderr.contains(name), "{what}: {}", finished.stderr);
            // Not as an equality: the content of a store is no message.
            assert!(same.read(&file) == content, "{what}, closed {is_closed}: the file was changed");
            site = same;
        }
        site.write(&file, &whole);
        let server = Server::start_in(STS, site);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    }
}

/// The store's file in the directory: the one that grows with tokens.
fn store_file(site: &sts_testkit::Site) -> String {
    let entries = std::fs::read_dir(site.path("data")).unwrap().map(|entry| entry.unwrap());
    let largest =
        entries.filter(|entry| entry.metadata().unwrap().is_file()).max_by_key(|entry| entry.metadata().unwrap().len());
    format!("data/{}", largest.unwrap().file_name().into_string().unwrap())
}

#[test]
fn a_record_under_another_seal_counts_as_absent() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let (_, site) = server.terminate();
    // A writer of the store does not have the key of its seal. Here the key was replaced.
    let seal = site.path("data/keys/seal.key");
    let mut content = std::fs::read(&seal).unwrap();
    let at = content.len() / 2;
    content[at] = if content[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(&seal, content).unwrap();
    match Server::try_start(STS, site) {
        Ok(server) => {
            assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
            assert!(
                sts_testkit::send(server.admin(), &Request::get("/metrics")).text().contains("sts_store_alerts_total{")
            );
        }
        Err((_, finished)) => assert_eq!(finished.code, Some(1)),
    }
}

#[test]
fn c150_sigterm_lets_open_work_end_and_exits_with_0() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let (code, site) = server.terminate();
    assert_eq!(code, Some(0));
    let server = Server::start_in(STS, site);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn c137_on_a_full_disk_nothing_is_minted_or_revoked_and_all_goes_on_when_there_is_room_again() {
    let server = Server::start_in(STS, world_site(&world()));
    let (first, second) = (server.token(&token("svc:octo"), &[]), server.token(&token("svc:octo"), &[]));
    assert_eq!(server.revoke(&first).status, 200);
    for _ in 0..3 {
        server.limit_files(Some(0));
        for _ in 0..3 {
            refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
            let response = server.revoke(&second);
            refused(&response, 503, "temporarily_unavailable", "store_unavailable");
            assert!(response.header("retry-after").is_some());
        }
        assert_eq!(server.send(&Request::get("/readyz")).status, 503);
        // A store that cannot be read is not "not revoked".
        let ask = Request::post_form("/introspect", &[("token", &first)]).basic("deploy", DEPLOY_SECRET);
        let answer = server.send(&ask);
        assert!(answer.status == 503 || answer.json() == json!({ "active": false }), "{}", answer.text());
        server.limit_files(None);
        sts_testkit::until("room on the disk", || server.exchange(&token("svc:octo"), &[]).status == 200);
        assert_eq!(server.send(&Request::get("/readyz")).status, 200);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &first), json!({ "active": false }));
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &second)["active"], true);
    }
    assert_eq!(server.revoke(&second).status, 200);
    let server = server.crash_and_restart();
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &second), json!({ "active": false }));
}

#[test]
fn c134_a_store_that_was_put_back_or_removed_answers_503_until_the_newest_is_there() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    assert_eq!(server.revoke(&server.token(&token("svc:octo"), &[])).status, 200);
    let (_, site) = server.terminate();
    let copy = site.read("data/sts.redb");
    let server = Server::start_in(STS, site);
    assert_eq!(server.revoke(&access).status, 200);
    let (_, mut site) = server.terminate();
    let newest = site.read("data/sts.redb");
    for (what, content) in [("an older copy", Some(&copy)), ("none", None)] {
        match content {
            Some(content) => site.write("data/sts.redb", content),
            None => std::fs::remove_file(site.path("data/sts.redb")).unwrap(),
        }
        let server = Server::start_in(STS, site);
        let ask = Request::post_form("/introspect", &[("token", &access)]).basic("deploy", DEPLOY_SECRET);
        refused(&server.send(&ask), 503, "temporarily_unavailable", "store_unavailable");
        refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "store_unavailable");
        assert_eq!(server.send(&Request::get("/readyz")).status, 503, "{what}");
        server.lines().wait("what to do", |line| line.contains("sts store accept-epoch").then_some(()));
        (_, site) = server.terminate();
    }
    site.write("data/sts.redb", &newest);
    let server = Server::start_in(STS, site);
    assert_eq!(server.send(&Request::get("/readyz")).status, 200);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));

    // An operator without a newer copy accepts the older one with its revocations.
    let (_, site) = server.terminate();
    site.write("data/sts.redb", &copy);
    let server = Server::start_in(STS, site);
    assert_eq!(server.send(&Request::get("/readyz")).status, 503);
    server.cli(&["store", "accept-epoch"]).ended(0);
    assert_eq!(server.send(&Request::get("/readyz")).status, 200);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "its revocation is what was lost");
    let server = server.crash_and_restart();
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    assert_eq!(server.revoke(&access).status, 200);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
}

#[test]
fn c134_a_store_that_is_removed_or_replaced_under_a_running_server_is_503_until_it_is_back() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let (data, aside) = (server.site().path("data"), server.site().path("aside"));
    let (file, file_aside) = (data.join("sts.redb"), data.join("aside.redb"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        std::fs::copy(from, to).unwrap();
    };
    let assert_gone = |what: &str| {
        let answer = server.exchange(&token("svc:octo"), &[]);
        refused(&answer, 503, "temporarily_unavailable", "store_unavailable");
        assert!(answer.header("retry-after").is_some(), "{what}");
        refused(&server.revoke(&access), 503, "temporarily_unavailable", "store_unavailable");
        let ready = send(server.admin(), &Request::get("/readyz"));
        assert_eq!(ready.status, 503, "{what}");
        assert_eq!(server.send(&Request::get("/readyz")).status, 503, "{what}");
    };
    let assert_back = |what: &str| {
        until(what, || server.exchange(&token("svc:octo"), &[]).status == 200);
        until(what, || server.send(&Request::get("/readyz")).status == 200);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "{what}");
    };
    std::fs::rename(&data, &aside).unwrap();
    assert_gone("the whole folder");
    // Nothing writes into a folder of that name, which could be the mount point of a missing volume.
    assert!(!data.exists());
    std::fs::rename(&aside, &data).unwrap();
    assert_back("the whole folder");
    std::fs::rename(&file, &file_aside).unwrap();
    assert_gone("the file");
    let told = send(server.admin(), &Request::get("/readyz")).json()["store"].to_string();
    assert!(told.contains("sts.redb"), "{told}");
    std::fs::rename(&file_aside, &file).unwrap();
    assert_back("the file");
    let alerts = || send(server.admin(), &Request::get("/metrics")).text();
    let replaced = r#"sts_store_alerts_total{place="file",fault="replaced"}"#;
    assert!(!alerts().contains(replaced), "the same file is no other one");
    // An identical copy in its place: nothing is lost, and the operator is told.
    copy(&file, &file_aside);
    std::fs::rename(&file_aside, &file).unwrap();
    assert_back("a copy");
    assert!(alerts().contains(&format!("{replaced} 1")), "{}", alerts());
    // An older copy, which has as many revocations, in place of the store or written over it.
    for is_written_over in [false, true] {
        let (older, newest) = (data.join("older.redb"), data.join("newest.redb"));
        copy(&file, &older);
        assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 200);
        copy(&file, &newest);
        if is_written_over {
            copy(&older, &file);
        } else {
            std::fs::rename(&older, &file).unwrap();
        }
        assert_gone("an older copy");
        server.lines().wait("what to do", |line| line.contains("sts store accept-epoch").then_some(()));
        assert_gone("an older copy, later");
        std::fs::rename(&newest, &file).unwrap();
        assert_back("the newest");
    }
    let last = server.token(&token("svc:octo"), &[]);
    let server = server.crash_and_restart();
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &last)["active"], true, "what was answered is in the copy");
}
