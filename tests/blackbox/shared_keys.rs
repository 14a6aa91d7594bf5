//! Several processes that share a key directory.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Request, Server, Site, verify_offline};

const PROCESSES: usize = 4;

fn config(keys: &Site) -> Config {
    world()
        .with("signing/keys_dir", keys.root().to_str().unwrap())
        .with("signing/algorithms", json!(["ES256", "EdDSA"]))
}

fn rotate(server: &Server) -> Value {
    let response = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["keys"].clone()
}

#[test]
fn c145_processes_that_start_and_rotate_at_once_have_the_same_keys_and_one_successor_of_each() {
    let keys = Site::new();
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let start = || Server::start_in(STS, world_site(&config(&keys)));
        let threads: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let first = servers[0].jwks();
    assert_eq!(first["keys"].as_array().unwrap().len(), 2);
    for server in &servers {
        assert_eq!(server.jwks(), first);
        // A token that one server mints verifies with the keys of any other.
        let access = server.token(&token("svc:octo"), &[]);
        verify_offline(&access, &first, US, DEPLOY).unwrap();
    }

    let told: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = servers.iter().map(|server| scope.spawn(|| rotate(server))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for keys in &told {
        let phases = |phase: &str| keys.as_array().unwrap().iter().filter(|key| key["phase"] == phase).count();
        assert_eq!((phases("signing"), phases("next")), (2, 2), "{keys}");
    }
    let published = servers[0].jwks();
    for server in &servers {
        assert_eq!(server.jwks(), published);
        let access = server.token(&token("svc:octo"), &[]);
        verify_offline(&access, &first, US, DEPLOY).expect("no key signs before verifiers have had time to learn it");
    }
}

#[test]
fn c145_a_process_that_is_killed_amid_rotations_leaves_a_directory_that_opens() {
    let keys = Site::new();
    let first = Server::start_in(STS, world_site(&config(&keys)));
    let access = first.token(&token("svc:octo"), &[]);
    for _ in 0..5 {
        let server = Server::start_in(STS, world_site(&config(&keys)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let address = server.admin();
                let request = Request::post_json("/admin/v1/keys/rotate", &json!({})).bearer(&server.admin_token());
                while sts_testkit::try_send(address, &request).is_some() {}
            });
            server.signal("KILL");
        });
    }
    let server = Server::start_in(STS, world_site(&config(&keys)));
    verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
    let signing = rotate(&server).as_array().unwrap().iter().filter(|key| key["phase"] == "signing").count();
    assert_eq!(signing, 2);
}
