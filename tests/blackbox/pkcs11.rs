//! Signing keys on a PKCS#11 device, which SoftHSM plays.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, RedisServer, Request, Server, Site, SoftHsm, free_address, until, verify_offline};

/// A device, or the end of the test with the reason where there can be none.
macro_rules! device {
    () => {
        device!(SoftHsm::start())
    };
    ($started:expr) => {
        match $started {
            Ok(device) => device,
            Err(why) => {
                println!("not run: {why}");
                return;
            }
        }
    };
}

fn config(device: &SoftHsm) -> Config {
    let pkcs11 = json!({ "module": device.module(), "token_label": SoftHsm::LABEL, "pin_file": "pin.secret" });
    world().with("signing/pkcs11", pkcs11).with("signing/algorithms", json!(["ES256"]))
}

fn site(config: &Config) -> Site {
    let site = world_site(config);
    write_pin(&site, SoftHsm::PIN);
    site
}

fn write_pin(site: &Site, pin: &str) {
    site.write("pin.secret", format!("{pin}\n"));
    std::fs::set_permissions(site.path("pin.secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn start(device: &SoftHsm, site: Site) -> Server {
    Server::start_under(STS, site, &device.environment())
}

fn keys(server: &Server) -> Vec<Value> {
    server.jwks()["keys"].as_array().unwrap().clone()
}

fn ready(server: &Server) -> u16 {
    server.send(&Request::get("/readyz")).status
}

/// The files below `path` with their contents.
fn contents(path: &std::path::Path) -> String {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let content = |path: std::path::PathBuf| match path.is_dir() {
        true => contents(&path),
        false => String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned(),
    };
    entries.map(content).collect()
}

#[test]
fn keys_are_made_on_the_device_sign_there_rotate_and_are_destroyed_there() {
    let device = device!();
    let server = start(&device, site(&config(&device)));
    assert_eq!(device.objects(), 2, "both halves of a key");
    let access = server.token(&token("svc:octo"), &[]);
    verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
    assert!(!contents(&server.site().path("data/keys")).contains("pkcs8"), "no private key is here");

    let made = server.cli(&["keys", "rotate", "--json"]).ended(0).json()["made"].clone();
    assert_eq!((made.as_array().unwrap().len(), keys(&server).len(), device.objects()), (1, 2, 4));
    let kid = keys(&server)[0]["kid"].as_str().unwrap().to_owned();
    server.cli(&["keys", "withdraw", &kid]).ended(0);
    assert_eq!((keys(&server).len(), device.objects()), (1, 2));
    let _ = server.token(&token("svc:octo"), &[]);

    // The keys are the same after a restart, and nothing tells the PIN.
    let published = server.jwks();
    let log = server.lines().text();
    let server = start(&device, server.terminate().1);
    assert_eq!(server.jwks(), published);
    let _ = server.token(&token("svc:octo"), &[]);
    for text in [log, server.lines().text(), server.cli(&["keys", "list"]).ended(0).text()] {
        assert!(!text.contains(SoftHsm::PIN));
    }
}

#[test]
fn rs256_tokens_are_signed_on_the_device_too() {
    let device = device!();
    let config = config(&device).with("signing/algorithms", json!(["RS256"]));
    let server = start(&device, site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
    assert_eq!(keys(&server)[0]["alg"], "RS256");
}

#[test]
fn a_lost_device_is_503_and_not_ready_while_verification_goes_on_and_heals_without_a_restart() {
    let device = device!();
    let server = start(&device, site(&config(&device)));
    let access = server.token(&token("svc:octo"), &[]);
    let published = server.jwks();
    for _ in 0..2 {
        device.take_out();
        let refusal = server.exchange(&token("svc:octo"), &[]);
        refused(&refusal, 503, "temporarily_unavailable", "signer_unavailable");
        assert!(refusal.header("retry-after").is_some());
        until("it to be not ready", || ready(&server) == 503);
        assert_eq!(server.send(&Request::get("/healthz")).status, 200);
        assert_eq!(server.jwks(), published);
        verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        assert_eq!(server.revoke("unknown").status, 200);

        device.put_back();
        until("it to be ready", || ready(&server) == 200);
        verify_offline(&server.token(&token("svc:octo"), &[]), &published, US, DEPLOY).unwrap();
    }
    let log = server.lines().text();
    assert!(log.contains("the device with the signing keys failed") && log.contains("works again"), "{log}");
}

#[test]
fn a_device_that_is_lost_without_a_request_is_noticed_and_a_server_starts_without_it() {
    let device = device!();
    let server = start(&device, site(&config(&device)));
    let published = server.jwks();
    device.take_out();
    let server = start(&device, server.terminate().1);
    assert_eq!(server.jwks(), published);
    until("it to be not ready", || ready(&server) == 503);
    device.put_back();
    until("it to be ready", || ready(&server) == 200);
    let _ = server.token(&token("svc:octo"), &[]);
}

#[test]
fn without_its_first_keys_a_server_starts_with_the_device_alone_and_says_what_is_wrong() {
    let device = device!();
    let cases: [(&str, Config, &str); 2] = [
        (
            SoftHsm::PIN,
            config(&device).with("signing/pkcs11/token_label", "another"),
            "no token has the label `another`",
        ),
        ("wrong-pin-0815", config(&device), "refused the PIN"),
    ];
    for (pin, config, cause) in cases {
        let site = site(&config);
        write_pin(&site, pin);
        let mut command = STS.command(site.root());
        command.env("SOFTHSM2_CONF", device.config());
        let Err((_, finished)) = Server::try_start_by(STS, site, command) else { panic!("a server started") };
        assert_eq!(finished.code, Some(1), "{}", finished.text());
        assert!(finished.stderr.contains(cause), "{cause}: {}", finished.text());
        assert!(!finished.text().contains(pin), "{}", finished.text());
    }
    assert_eq!(device.objects(), 0);
}

#[test]
fn a_wrong_pin_is_tried_once_and_a_right_one_heals_without_a_restart() {
    let device = device!(SoftHsm::counting_logins());
    let server = start(&device, site(&config(&device)));
    let site_of_it = server.terminate().1;
    write_pin(&site_of_it, "wrong-pin-0815");
    let before = device.logins();
    let server = start(&device, site_of_it);
    for _ in 0..3 {
        refused(&server.exchange(&token("svc:octo"), &[]), 503, "temporarily_unavailable", "signer_unavailable");
    }
    until("it to be not ready", || ready(&server) == 503);
    assert_eq!(device.logins() - before, 1, "a device locks itself after a few wrong PINs");
    let log = server.lines().text();
    assert!(log.contains("refused the PIN") && !log.contains("wrong-pin-0815"), "{log}");
    server.site().replace("pin.secret", SoftHsm::PIN);
    until("it to be ready", || ready(&server) == 200);
    let _ = server.token(&token("svc:octo"), &[]);
    assert_eq!(device.logins() - before, 2);
}

#[test]
fn keys_that_were_in_memory_are_followed_by_keys_on_the_device_and_stay_published() {
    let device = device!();
    let server = Server::start_in(STS, site(&world().with("signing/algorithms", json!(["ES256"]))));
    let (before, access) = (keys(&server), server.token(&token("svc:octo"), &[]));
    let moved = server.terminate().1;
    moved.replace("sts.yaml", config(&device).text());
    let server = start(&device, moved);
    assert_eq!((keys(&server).len(), device.objects()), (2, 2));
    assert!(before.iter().all(|key| keys(&server).contains(key)));
    verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
}

#[test]
fn servers_that_share_a_device_and_redis_share_their_keys_without_a_folder() {
    let (device, redis) = (device!(), RedisServer::start());
    let config = config(&device)
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("signing/store", "redis")
        .with("signing/seal_key_file", "seal.key");
    let servers = [(); 2].map(|()| {
        let site = site(&config);
        site.write("seal.key", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=");
        std::fs::set_permissions(site.path("seal.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        start(&device, site)
    });
    assert_eq!((servers[0].jwks(), device.objects()), (servers[1].jwks(), 2));
    let access = servers[0].token(&token("svc:octo"), &[]);
    assert_eq!(servers[1].introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn a_key_that_redis_does_not_take_is_destroyed_on_the_device() {
    let (device, redis) = (device!(), RedisServer::start());
    let config = config(&device)
        .with("store", json!({ "url": redis.url(), "timeout": "5s" }))
        .with("signing/store", "redis")
        .with("signing/seal_key_file", "seal.key");
    let site = site(&config);
    site.write("seal.key", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=");
    std::fs::set_permissions(site.path("seal.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let server = start(&device, site);
    let rotate = || server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    redis.order(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let refused = rotate();
    assert_eq!(refused.status, 503, "{}", refused.text());
    redis.order(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    until("a rotation", || rotate().status == 200);
    assert_eq!((keys(&server).len(), device.objects()), (2, 4));
    let log = server.lines().text();
    assert!(log.contains("may be on no record"), "{log}");
}

#[test]
fn without_the_device_no_key_is_made_and_one_that_is_withdrawn_is_said_to_be_left_on_it() {
    let device = device!();
    let config = config(&device).with("audit/file/path", "audit.jsonl");
    let server = start(&device, site(&config));
    server.cli(&["keys", "rotate"]).ended(0);
    let kid = keys(&server)[0]["kid"].as_str().unwrap().to_owned();
    device.take_out();
    let last = keys(&server)[1]["kid"].as_str().unwrap().to_owned();
    let withdrawn = server.cli(&["keys", "withdraw", &kid, "--json"]).ended(0).json();
    assert!(withdrawn["not_destroyed"].as_str().unwrap().contains("the device"), "{withdrawn}");
    until("the event", || {
        let events = String::from_utf8(server.site().read("audit.jsonl")).unwrap();
        events.contains(&format!("\"not_destroyed\":[\"{kid}\"]"))
    });
    // The last key has no other in its place.
    let refused = server.cli(&["keys", "withdraw", &last]).ended(1).stderr;
    assert!(refused.contains("no key could be made in its place") && refused.contains("destroy the key"), "{refused}");
    let answer = server.send_admin(Request::post_json("/admin/v1/keys/rotate", &json!({})));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("the device with the signing keys") && answer.header("retry-after").is_some());
    let told = server.cli(&["keys", "rotate"]).ended(1).stderr;
    assert!(told.contains("the device with the signing keys") && told.contains("no key was made"), "{told}");
}

#[test]
fn doctor_says_whether_the_device_answers_takes_the_pin_and_has_the_keys() {
    let device = device!(SoftHsm::counting_logins());
    let site = site(
        &config(&device).with("listen", free_address().to_string()).with("admin/listen", free_address().to_string()),
    );
    let look = |site: &Site, device: &SoftHsm| {
        let environment = device.config().display().to_string();
        let answer = STS.run_in(site.root(), &["doctor", "--json"], &[("SOFTHSM2_CONF", &environment)]).json();
        let rows = answer["checks"].as_array().unwrap().iter();
        let row = rows.filter(|row| row["check"] == "signing device").collect::<Vec<_>>();
        assert_eq!(row.len(), 1, "{answer}");
        (row[0]["ok"] == true, format!("{} {}", row[0]["found"], row[0]["cure"]))
    };
    let before = look(&site, &device);
    assert!(before.0 && before.1.contains("a server makes its keys"), "{before:?}");
    assert_eq!(device.objects(), 0);
    let server = start(&device, site);
    let running = look(server.site(), &device);
    assert!(running.0 && running.1.contains("the server signs with it"), "{running:?}");
    let site = server.terminate().1;
    let sound = look(&site, &device);
    assert!(sound.0 && sound.1.contains("has every key"), "{sound:?}");
    let another = SoftHsm::start().unwrap();
    let missing = look(&site, &another);
    assert!(!missing.0 && missing.1.contains("are not there") && missing.1.contains("restore"), "{missing:?}");
    device.take_out();
    let gone = look(&site, &device);
    assert!(!gone.0 && gone.1.contains("the device with the signing keys"), "{gone:?}");
    device.put_back();
    write_pin(&site, "wrong-pin-0815");
    let logins = device.logins();
    let wrong = look(&site, &device);
    assert!(!wrong.0 && wrong.1.contains("refused the PIN") && !wrong.1.contains("0815"), "{wrong:?}");
    assert_eq!(device.logins() - logins, 1);
}
