//! `sts doctor`: every fault that it knows is shown with its cure, and it changes nothing.

use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use sts_testkit::{
    Config, FakeIssuer, Finished, Key, Page, RedisServer, Request, Server, Site, corpus_file, free_address,
};

fn doctor(site: &Site) -> Finished {
    STS.run(site.root(), &["doctor", "--json"])
}

/// The rows of a check, such as `store`.
fn rows<'a>(answer: &'a Value, check: &str) -> Vec<&'a Value> {
    let rows: Vec<&Value> = answer["checks"].as_array().unwrap().iter().filter(|row| row["check"] == check).collect();
    assert!(!rows.is_empty(), "no row of {check}: {answer}");
    rows
}

/// Asserts that exactly one row is a fault, of this check, and that its text has these parts.
fn only_fault(answer: &Value, check: &str, parts: &[&str]) {
    let faults: Vec<&Value> = answer["checks"].as_array().unwrap().iter().filter(|row| row["ok"] == false).collect();
    let [fault] = faults.as_slice() else { panic!("one fault: {answer}") };
    assert_eq!((&fault["check"], &fault["status"]), (&json!(check), &json!("fault")), "{fault}");
    assert!(!fault["cure"].as_str().unwrap().is_empty(), "{fault}");
    let text = format!("{} {} {}", fault["subject"], fault["found"], fault["cure"]);
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The world on fixed addresses, as the configuration of a server has them.
fn addressed() -> Config {
    world().with("listen", free_address().to_string()).with("admin/listen", free_address().to_string())
}

/// Every file below a folder, with its content and its times.
fn contents(folder: &Path) -> BTreeMap<String, (Vec<u8>, Option<std::time::SystemTime>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                let modified = entry.metadata().unwrap().modified().ok();
                found.insert(path.display().to_string(), (std::fs::read(&path).unwrap(), modified));
            }
        }
    }
    found
}

#[test]
fn doctor_looks_at_everything_before_the_first_start_and_while_the_server_runs_and_changes_nothing() {
    let site = world_site(&addressed());
    let before = contents(site.root());
    let answer = doctor(&site).ended(0).json();
    assert_eq!(answer["ok"], true);
    assert_eq!(contents(site.root()), before);
    for check in ["configuration", "server", "clock", "store", "files", "disk", "listener"] {
        rows(&answer, check);
    }
    assert!(
        rows(&answer, "issuer plain")[0]["found"].as_str().unwrap().contains("keys to verify tokens with"),
        "{answer}"
    );
    assert!(rows(&answer, "store")[0]["found"].as_str().unwrap().contains("not there yet"), "{answer}");
    let bindable = |row: &&Value| row["found"].as_str().unwrap().contains("can be bound");
    assert_eq!(rows(&answer, "listener").into_iter().filter(bindable).count(), 2, "{answer}");

    let server = Server::start_in(STS, site);
    let _ = server.token(&token("svc:octo"), &[]);
    let before = contents(&server.site().path("data/keys"));
    let answer = doctor(server.site()).ended(0).json();
    assert!(rows(&answer, "server")[0]["found"].as_str().unwrap().contains("ready"), "{answer}");
    assert!(rows(&answer, "store")[0]["found"].as_str().unwrap().contains("the server can use it"), "{answer}");
    let ours = |row: &&Value| row["found"].as_str().unwrap().contains("server");
    assert_eq!(rows(&answer, "listener").into_iter().filter(ours).count(), 2, "{answer}");
    assert_eq!(contents(&server.site().path("data/keys")), before);

    // After the server, its store is looked at without one.
    let (_, site) = server.terminate();
    let before = contents(site.root());
    let answer = doctor(&site).ended(0).json();
    assert!(rows(&answer, "store")[0]["found"].as_str().unwrap().contains("sound"), "{answer}");
    assert_eq!(contents(site.root()), before);
    let table = STS.run(site.root(), &["doctor"]).ended(0).stdout;
    assert!(table.starts_with("    CHECK") && table.contains("disk"), "{table}");
}

#[test]
fn doctor_goes_on_where_the_configuration_does_not_load() {
    let site = world_site(&addressed().with("issuers/plain/nonsense", 1));
    let answer = doctor(&site).ended(1).json();
    only_fault(&answer, "configuration", &["it does not load", "sts check"]);
    for check in ["store", "files", "disk", "listener"] {
        rows(&answer, check);
    }
    // It finds the server that still runs with what it loaded before.
    let server = Server::start_in(STS, world_site(&addressed()));
    let broken = String::from_utf8(server.site().read("sts.yaml")).unwrap().replacen('{', "{ \"nonsense\": 1,", 1);
    server.site().write("sts.yaml", broken);
    let answer = doctor(server.site()).ended(1).json();
    let faults: Vec<&str> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["ok"] == false)
        .map(|row| row["check"].as_str().unwrap())
        .collect();
    assert!(faults.contains(&"configuration") && !faults.contains(&"store"), "{answer}");
    assert!(answer["checks"].to_string().contains("it is ready"), "{answer}");
    // No file at all.
    let nothing = doctor(&Site::new()).ended(1).json();
    assert_eq!(nothing["checks"][0]["ok"], false);
    // A policy test that fails hides nothing.
    let failing = json!([{ "name": "never", "token": { "sub": "svc:nobody" }, "issuer": "plain", "expect": { "account": "octo" } }]);
    let answer = doctor(&world_site(&addressed().with("tests", failing))).ended(1).json();
    assert_eq!(rows(&answer, "configuration")[0]["ok"], false);
    rows(&answer, "issuer plain");
}

/// The world with an issuer on loopback.
fn with_issuer(issuer: &FakeIssuer) -> Site {
    let entry = json!({ "issuer": issuer.url(), "allow_http": true });
    world_site(&addressed().with("issuers/live", entry))
}

fn dated(date: &str, age: &str, body: &Value) -> Page {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: {date}\r\n{age}Connection: close\r\n\r\n",
        body.len()
    );
    Page::Raw([head.into_bytes(), body.into_bytes()].concat())
}

#[test]
fn doctor_fetches_each_issuers_documents_and_compares_its_clock() {
    let keys = Key::set(&[&KEYS.es256, &KEYS.rs256]);
    let issuer = FakeIssuer::start(&keys);
    let site = with_issuer(&issuer);
    let answer = doctor(&site).ended(0).json();
    let live = rows(&answer, "issuer live");
    assert_eq!(live.len(), 2, "{answer}");
    assert!(live[1]["found"].as_str().unwrap().contains("2 keys"), "{answer}");
    // `Date` is the origin's time; a cache adds how long it kept the answer. Each document by its own.
    let at = |offset: i64| http_date(sts_testkit::now() + offset);
    let clock_of = |answer: &Value, document: &str| -> Value {
        let of = |row: &&&Value| row["subject"] == format!("127.0.0.1 (issuer live, {document})");
        let rows = rows(answer, "clock");
        (*rows.iter().find(of).unwrap_or_else(|| panic!("{document}: {answer}"))).clone()
    };
    for (age, status) in [("Age: 600\r\n", "ok"), ("Age: 570\r\n", "warning"), ("", "fault")] {
        issuer.jwks(dated(&at(-600), age, &keys));
        let answer = doctor(&site).ended(i32::from(status == "fault")).json();
        assert_eq!(clock_of(&answer, "key set")["status"], status, "{age}: {answer}");
        assert_eq!(answer["checks"].to_string().matches("\"check\":\"clock\"").count(), rows(&answer, "clock").len());
    }
    let own = at(0);
    let document = json!({ "issuer": issuer.url(), "jwks_uri": issuer.jwks_url() });
    issuer.discovery(dated(&own, "", &document));
    let answer = doctor(&site).ended(1).json();
    let (discovery, keys_row) = (clock_of(&answer, "discovery document"), clock_of(&answer, "key set"));
    assert_eq!((&discovery["status"], &keys_row["status"]), (&json!("ok"), &json!("fault")), "{answer}");
    issuer.jwks(dated(&at(-600), "", &keys));
    only_fault(&doctor(&site).ended(1).json(), "clock", &["ahead of it", "NTP", "127.0.0.1"]);
    issuer.jwks(dated(&at(600), "", &keys));
    only_fault(&doctor(&site).ended(1).json(), "clock", &["behind it", "expired or not yet valid"]);
    // Each document that cannot be had is named with its cause.
    issuer.jwks(Page::status("404 Not Found"));
    only_fault(&doctor(&site).ended(1).json(), "issuer live", &["key set", &issuer.jwks_url(), "status 404"]);
    issuer.jwks(Page::Json(json!({ "keys": [] })));
    only_fault(&doctor(&site).ended(1).json(), "issuer live", &["key set"]);
    issuer.discovery(Page::Json(json!({ "issuer": "https://other.example", "jwks_uri": issuer.jwks_url() })));
    only_fault(&doctor(&site).ended(1).json(), "issuer live", &["discovery document", "other.example"]);
}

/// A time in the form of HTTP.
fn http_date(seconds: i64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn doctor_names_a_host_that_does_not_resolve() {
    let entry = json!({ "issuer": "https://issuer.invalid" });
    let answer = doctor(&world_site(&addressed().with("issuers/gone", entry))).ended(1).json();
    let dns = rows(&answer, "dns");
    assert_eq!((dns.len(), &dns[0]["ok"], &dns[0]["subject"]), (1, &json!(false), &json!("issuer.invalid")));
    assert!(dns[0]["cure"].as_str().unwrap().contains("name server"), "{answer}");
    let issuer = rows(&answer, "issuer gone");
    assert_eq!(issuer[0]["ok"], false, "{answer}");
}

#[test]
fn doctor_reads_the_dates_of_certificates() {
    let write = |site: &Site, first: i32, last: i32| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["sts.example.com".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(first, 1, 1), rcgen::date_time_ymd(last, 1, 1));
        let pem = params.self_signed(&key).unwrap().pem();
        site.write("tls.crt", &pem);
        site.write("tls.key", key.serialize_pem());
        pem
    };
    let site = world_site(&addressed().with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" })));
    write(&site, 2020, 2090);
    let answer = doctor(&site).ended(0).json();
    assert!(rows(&answer, "certificate")[0]["found"].as_str().unwrap().contains("2090-01-01"), "{answer}");
    write(&site, 2020, 2021);
    only_fault(&doctor(&site).ended(1).json(), "certificate", &["`tls`", "expired at 2021-01-01", "renew it"]);
    // A certificate and the key of another one.
    write(&site, 2020, 2090);
    site.write("tls.key", rcgen::KeyPair::generate().unwrap().serialize_pem());
    only_fault(&doctor(&site).ended(1).json(), "certificate", &["tls.crt"]);
    // Authorities that are trusted.
    let issuer = FakeIssuer::start(&Key::set(&[&KEYS.es256]));
    let entry = json!({ "issuer": PLAIN, "jwks_url": "https://127.0.0.1:1/keys", "allow_private_network": true, "ca_file": "ca.pem" });
    let site = world_site(&addressed().without("issuers/plain/jwks").with("issuers/plain", entry));
    drop(issuer);
    let old = write(&site, 2020, 2021);
    site.write("ca.pem", old);
    let answer = doctor(&site).ended(1).json();
    let authority = rows(&answer, "certificate");
    assert!(authority[0]["found"].as_str().unwrap().contains("expired"), "{answer}");
    assert!(authority[0]["subject"].as_str().unwrap().contains("issuers.plain.ca_file"), "{answer}");
}

#[test]
fn doctor_tells_a_file_that_others_can_read_and_a_port_that_another_process_has() {
    let (_, site) = Server::start_in(STS, world_site(&addressed())).terminate();
    let open = |name: &str, mode: u32| {
        std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open("data/admin.token", 0o644);
    let answer = doctor(&site).ended(1).json();
    let token = rows(&answer, "files").into_iter().find(|row| row["subject"] == "admin token").unwrap();
    assert!(token["ok"] == false && token["cure"].as_str().unwrap().contains("chmod"), "{answer}");
    open("data/admin.token", 0o600);
    open("data", 0o777);
    let answer = doctor(&site).ended(1).json();
    assert!(
        rows(&answer, "files").iter().any(|row| row["ok"] == false && row["subject"].to_string().contains("data_dir"))
    );
    open("data", 0o700);
    let sound = doctor(&site).ended(0).json();
    assert_eq!(sound["ok"], true);
    // The listeners.
    let config: Value = serde_json::from_slice(&site.read("sts.yaml")).unwrap();
    let taken = TcpListener::bind(config["listen"].as_str().unwrap()).unwrap();
    only_fault(&doctor(&site).ended(1).json(), "listener", &["`listen`", "stop that process", "choose another port"]);
    drop(taken);
    site.write(
        "sts.yaml",
        Config::text(&addressed().with("listen", "192.0.2.1:8080").with("behind_tls_proxy", json!(["192.0.2.2/32"]))),
    );
    only_fault(
        &doctor(&site).ended(1).json(),
        "listener",
        &["192.0.2.1:8080", "this machine does not have that address"],
    );
}

/// The only listener that is at fault.
fn listener_fault(answer: &Value) -> &Value {
    let faults: Vec<&Value> = rows(answer, "listener").into_iter().filter(|row| row["ok"] == false).collect();
    let [fault] = faults.as_slice() else { panic!("one fault: {answer}") };
    fault
}

#[test]
fn doctor_takes_a_port_for_ours_only_if_the_server_of_this_configuration_says_so() {
    // Another server of sts answers as ours would, and is not ours.
    let metrics = free_address().to_string();
    let other = Server::start_in(STS, world_site(&addressed().with("metrics/listen", metrics.as_str())));
    let (public, own_metrics) = (other.public().to_string(), free_address().to_string());
    let tls = json!({ "cert_file": "tls.crt", "key_file": "tls.key" });
    for (config, key) in [
        (addressed().with("listen", public.as_str()), "`listen`"),
        (addressed().with("listen", public.as_str()).with("tls", tls), "`listen`"),
        (addressed().with("metrics/listen", metrics.as_str()), "`metrics.listen`"),
    ] {
        let site = world_site(&config);
        for name in ["tls.crt", "tls.key"] {
            site.write(name, std::fs::read(corpus_file(&format!("tls/{}", name.replace("tls", "server")))).unwrap());
        }
        let answer = doctor(&site).ended(1).json();
        let fault = listener_fault(&answer);
        assert!(fault["subject"].as_str().unwrap().starts_with(key), "{fault}");
        assert!(fault["cure"].as_str().unwrap().contains("stop that process"), "{fault}");
    }
    // Ours runs, and listens elsewhere than its file says now.
    let ours = Server::start_in(STS, world_site(&addressed().with("metrics/listen", own_metrics.as_str())));
    let held = doctor(ours.site()).ended(0).json();
    let is_held = |row: &&Value| row["found"] == "our server listens there";
    assert_eq!(rows(&held, "listener").into_iter().filter(is_held).count(), 3, "{held}");
    let text = String::from_utf8(ours.site().read("sts.yaml")).unwrap();
    ours.site().write("sts.yaml", text.replace(&own_metrics, &metrics));
    let answer = doctor(ours.site()).ended(1).json();
    let fault = listener_fault(&answer);
    assert!(fault["subject"].as_str().unwrap().starts_with("`metrics.listen`"), "{fault}");
    assert!(fault["found"].as_str().unwrap().contains("the running server of this configuration does not"), "{fault}");
}

#[test]
fn doctor_knows_an_older_copy_of_the_store_before_it_is_in_use() {
    let server = Server::start_in(STS, world_site(&addressed()));
    let access = server.token(&token("svc:octo"), &[]);
    let (_, site) = server.terminate();
    let older = site.read("data/sts.redb");
    let server = Server::start_in(STS, site);
    assert_eq!(server.revoke(&access).status, 200);
    let (_, site) = server.terminate();
    let newest = site.read("data/sts.redb");
    site.write("data/sts.redb", &older);
    only_fault(&doctor(&site).ended(1).json(), "store", &["older copy", "accept-epoch"]);
    site.write("data/sts.redb", &newest[..newest.len() / 3]);
    only_fault(&doctor(&site).ended(1).json(), "store", &["damaged"]);
    site.write("data/sts.redb", &newest);
    let answer = doctor(&site).ended(0).json();
    assert!(rows(&answer, "store")[0]["found"].as_str().unwrap().contains("sound"), "{answer}");
    // A server whose process was killed repairs its store, and doctor does not.
    let server = Server::start_in(STS, site);
    let _ = server.token(&token("svc:octo"), &[]);
    let site = server.kill();
    let before = site.read("data/sts.redb");
    let answer = doctor(&site).ended(0).json();
    assert!(rows(&answer, "store")[0]["found"].as_str().unwrap().contains("sound"), "{answer}");
    assert_eq!(site.read("data/sts.redb"), before);
}

#[test]
fn doctor_looks_at_redis_without_writing_to_it() {
    let mut redis = RedisServer::start();
    let store = |redis: &RedisServer| json!({ "url": redis.url(), "timeout": "5s" });
    let site = world_site(&addressed().with("store", store(&redis)));
    let answer = doctor(&site).ended(0).json();
    assert!(redis.keys().is_empty(), "{:?}", redis.keys());
    // A Redis without persistence works, and somebody should know.
    let warnings: Vec<&Value> = rows(&answer, "store").into_iter().filter(|row| row["status"] == "warning").collect();
    assert!(warnings.iter().any(|row| row["subject"] == "no_persistence"), "{answer}");

    let server = Server::start_in(STS, site);
    let access = server.token(&token("svc:octo"), &[]);
    assert_eq!(server.revoke(&access).status, 200);
    let while_it_runs = doctor(server.site()).ended(0).json();
    assert!(while_it_runs["checks"].to_string().contains("no_persistence"), "{while_it_runs}");
    let (_, site) = server.terminate();
    let keys = redis.keys();
    doctor(&site).ended(0);
    assert_eq!(redis.keys(), keys);
    // One that may forget.
    redis.order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    only_fault(&doctor(&site).ended(1).json(), "store", &["maxmemory-policy", "noeviction"]);
    redis.order(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    // One that was emptied.
    redis.order(&["FLUSHALL"]);
    only_fault(&doctor(&site).ended(1).json(), "store", &["flushed", "accept-epoch"]);
    assert!(redis.keys().is_empty(), "{:?}", redis.keys());
    redis.kill();
    only_fault(&doctor(&site).ended(1).json(), "store", &["no connection to Redis"]);
}

#[test]
fn doctor_lists_managed_objects_that_are_not_in_force() {
    let server = Server::start_in(
        STS,
        world_site(&addressed().with("teams/ops", json!({ "grants": { "deploy": ["releases:read"] } }))),
    );
    let spec = json!({ "name": "worker", "spec": { "teams": ["ops"], "identities": [{ "name": "one", "issuer": "plain", "subject": "svc:worker" }] } });
    let created = server.send_admin(Request::post_json("/admin/v1/service-accounts", &spec));
    assert_eq!(created.status, 201, "{}", created.text());
    let (_, site) = server.terminate();
    let config: Value = serde_json::from_slice(&site.read("sts.yaml")).unwrap();
    let mut config = config;
    config["teams"].as_object_mut().unwrap().remove("ops");
    site.write("sts.yaml", config.to_string());
    let server = Server::start_in(STS, site);
    only_fault(
        &doctor(server.site()).ended(1).json(),
        "server",
        &["service-accounts/worker", "not in force", "sts delete"],
    );
}
