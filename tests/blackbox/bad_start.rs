//! Servers that cannot start: exit code 2 where the configuration is wrong and 1 where something
//! else fails, and a message that says what, where, and what to do. Nothing is overwritten.

use crate::support::*;
use serde_json::json;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use sts_testkit::{Finished, Server, Site};

#[track_caller]
fn no_start(site: Site) -> (Site, Finished) {
    no_start_with(2, site)
}

#[track_caller]
fn no_start_with(code: i32, site: Site) -> (Site, Finished) {
    let Err((site, finished)) = Server::try_start(STS, site) else { panic!("a server started") };
    assert_eq!(finished.code, Some(code), "{}", finished.text());
    assert!(finished.stderr.contains("error: "), "{}", finished.text());
    (site, finished)
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["listen", "admin/listen"] {
        let (_, finished) = no_start_with(1, world_site(&world().with(key, address.as_str())));
        for part in [address.as_str(), &key.replace('/', "."), "port"] {
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
    }
}

#[test]
fn a_file_that_is_named_and_missing() {
    for (config, file) in [
        (world().with("tls", json!({ "cert_file": "no.crt", "key_file": "no.key" })), "no.crt"),
        (world().with("issuers/a", json!({ "issuer": "https://a.example", "jwks_file": "no.json" })), "no.json"),
        (world().with("apis/deploy/introspection_secret_file", "no.secret"), "no.secret"),
        (world().with("accounts", "no.yaml"), "no.yaml"),
    ] {
        let (_, finished) = no_start(world_site(&config));
        assert!(finished.stderr.contains(file), "{}", finished.stderr);
    }
}

#[test]
fn a_certificate_or_key_that_is_none() {
    let config = world().with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" }));
    let pem = |name: &str| std::fs::read(sts_testkit::corpus_file(&format!("tls/server.{name}"))).unwrap();
    for (certificate, key, file) in [
        (b"garbage".to_vec(), pem("key"), "tls.crt"),
        (Vec::new(), pem("key"), "tls.crt"),
        (pem("crt"), b"garbage".to_vec(), "tls.key"),
        (pem("crt"), pem("crt"), "tls.key"),
    ] {
        let site = world_site(&config);
        site.write("tls.crt", certificate);
        site.write("tls.key", key);
        let (_, finished) = no_start(site);
        assert!(finished.stderr.contains(file), "{}", finished.stderr);
    }
}

#[test]
fn a_data_dir_that_cannot_be_written() {
    let site = world_site(&world());
    site.write("data", "a file where a directory should be");
    let (site, finished) = no_start(site);
    for part in ["data", "data_dir"] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
    }
    assert_eq!(site.read("data"), b"a file where a directory should be");
}

#[test]
fn c144_a_signing_key_that_is_no_key_is_named_and_left_as_it_is() {
    let server = Server::start_in(STS, world_site(&world()));
    let kid = server.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let (_, mut site) = server.terminate();
    let listing = std::fs::read_dir(site.path("data/keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = format!(
        "data/keys/{}",
        listing.into_iter().find(|name| name.contains(&kid)).expect("a file named after its kid")
    );
    let whole = site.read(&file);
    for content in [b"".as_slice(), b"garbage", &whole[..whole.len() / 2]] {
        site.write(&file, content);
        let (same, finished) = no_start(site);
        assert!(finished.stderr.contains(&kid), "{}", finished.stderr);
        assert_eq!(same.read(&file), content);
        site = same;
    }
    site.write(&file, &whole);
    std::fs::set_permissions(site.path(&file), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (site, finished) = no_start(site);
    assert!(finished.stderr.contains("chmod 600"), "{}", finished.stderr);
    std::fs::set_permissions(site.path(&file), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(Server::start_in(STS, site).jwks()["keys"][0]["kid"], kid);
}

#[test]
fn an_admin_token_that_is_too_short_is_refused() {
    let site = world_site(&world());
    site.write("data/admin.token", "short\n");
    let (site, finished) = no_start(site);
    assert!(finished.stderr.contains("admin.token"), "{}", finished.stderr);
    assert_eq!(site.read("data/admin.token"), b"short\n");
}

#[test]
fn a_wrong_configuration_shows_every_error_and_starts_nothing() {
    let (site, finished) = no_start(world_site(&world().with("nonsense", 1).with("tokens/ttl", "soon")));
    assert!(finished.stderr.contains("nonsense") && finished.stderr.contains("soon"), "{}", finished.stderr);
    assert!(!site.path("data").exists());
    let site = Site::new();
    no_start(site);
}
