//! The Prometheus metrics, and the same facts in readiness and `sts issuers`.

use crate::support::*;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use sts_testkit::{
    Algorithm, Config, Exposition, FakeIssuer, Forge, Key, Page, RedisServer, Request, Server, free_address, send,
    until,
};

fn metrics(server: &Server) -> Exposition {
    let response = send(server.admin(), &Request::get("/metrics"));
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Exposition::parse(&response.text())
}

fn exchanges(exposition: &Exposition, entry: &str, outcome: &str, reason: &str) -> Option<f64> {
    exchanges_by(exposition, "token_exchange", entry, outcome, reason)
}

fn exchanges_by(exposition: &Exposition, grant: &str, entry: &str, outcome: &str, reason: &str) -> Option<f64> {
    let labels = [("issuer_entry", entry), ("grant", grant), ("outcome", outcome), ("reason", reason)];
    exposition.value("sts_exchanges_total", &labels)
}

/// A gauge or counter of the entry `fake`.
fn of_fake(exposition: &Exposition, name: &str) -> Option<f64> {
    exposition.value(name, &[("issuer_entry", "fake")])
}

fn fetches(server: &Server, outcome: &str) -> f64 {
    let labels = [("issuer_entry", "fake"), ("outcome", outcome)];
    metrics(server).value("sts_issuer_fetches_total", &labels).unwrap_or_default()
}

fn hash(exposition: &Exposition) -> String {
    let hashes: Vec<_> = exposition
        .labels_of("sts_issuer_key_set_info")
        .filter(|labels| labels["issuer_entry"] == "fake")
        .map(|labels| labels["hash"].clone())
        .collect();
    assert_eq!(hashes.len(), 1, "one set at a time");
    hashes[0].clone()
}

/// The shared configuration with the issuer as the entry `fake`.
fn with_fake(issuer: &FakeIssuer) -> Config {
    world()
        .with("issuers/fake", json!({ "issuer": issuer.url(), "allow_http": true }))
        .with("service_accounts/fake", json!({ "teams": ["deployers"], "identities": [identity("fake", "svc:fake")] }))
}

fn refresh(server: &Server, code: i32) {
    let _ = server.cli(&["issuers", "refresh", "fake"]).ended(code);
}

fn entry_in(list: &Value, name: &str) -> Value {
    let entries = list["issuers"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == name).unwrap_or(&Value::Null).clone()
}

#[test]
fn c126_exchanges_are_counted_by_entry_outcome_and_reason_and_their_phases_timed() {
    let server = Server::start_in(STS, world_site(&world()));
    let before = metrics(&server);
    for entry in ["plain", "other", "wide", "once"] {
        assert_eq!(exchanges(&before, entry, "granted", ""), Some(0.0), "{entry}");
    }
    for _ in 0..3 {
        granted(&server.exchange(&token("svc:octo"), &[]));
    }
    for number in 0..4 {
        invalid(&server.exchange(&token(&format!("svc:canary-{number}")), &[]), "not_authorized");
        let stranger = forge("svc:octo").claim("iss", format!("https://canary-{number}.example")).sign();
        invalid(&server.exchange(&stranger, &[]), "issuer_unknown");
    }
    invalid(&server.exchange("canary", &[]), "token_malformed");
    let _ = server.send(&Request::post_form("/token", &[("grant_type", "canary")]));

    let text = send(server.admin(), &Request::get("/metrics")).text();
    assert!(!text.contains("canary"), "{text}");
    let after = metrics(&server);
    assert_eq!(exchanges(&after, "plain", "granted", ""), Some(3.0));
    assert_eq!(exchanges(&after, "plain", "refused", "not_authorized"), Some(4.0));
    assert_eq!(exchanges(&after, "-", "refused", "issuer_unknown"), Some(4.0));
    assert_eq!(exchanges(&after, "-", "refused", "token_malformed"), Some(1.0));
    assert_eq!(exchanges_by(&after, "-", "-", "refused", "grant_unsupported"), Some(1.0));
    let timed = |phase| after.value("sts_exchange_phase_duration_seconds_count", &[("phase", phase)]).unwrap();
    let counts = ["total", "receive", "parse", "keys", "verify", "decide", "mint", "record"].map(timed);
    assert_eq!(counts, [13.0, 13.0, 13.0, 7.0, 7.0, 7.0, 3.0, 3.0]);
    let whole = after.value("sts_exchange_phase_duration_seconds_sum", &[("phase", "total")]).unwrap();
    let record = after.value("sts_exchange_phase_duration_seconds_sum", &[("phase", "record")]).unwrap();
    assert!(record > 0.0 && whole >= record, "{whole} {record}");
    // No request adds labels: they come from the configuration and closed sets.
    let entries = ["-", "plain", "other", "wide", "once", "off"];
    assert!(after.label_values("issuer_entry").iter().all(|value| entries.contains(value)), "{after:?}");
}

#[test]
fn fetches_rotations_failures_and_bad_keys_of_an_issuer_are_seen() {
    let (one, two) = (Key::new(Algorithm::ES256, "one"), Key::new(Algorithm::ES256, "two"));
    let issuer = FakeIssuer::start(&Key::set(&[&one]));
    let server = Server::start_in(STS, world_site(&with_fake(&issuer)));
    granted(&server.exchange(&Forge::new(&one, &claims("svc:fake")).claim("iss", issuer.url()).sign(), &[]));
    let first = metrics(&server);
    assert_eq!(fetches(&server, "replaced"), 1.0);
    assert_eq!(of_fake(&first, "sts_issuer_ready"), Some(1.0));
    assert_eq!(of_fake(&first, "sts_issuer_keys_usable"), Some(1.0));
    assert!(of_fake(&first, "sts_issuer_keys_age_seconds").unwrap() < 3600.0);
    assert_eq!(of_fake(&first, "sts_issuer_kids_reused_total"), Some(0.0));

    // The same set again, then another order with a second key, then unusable keys.
    refresh(&server, 0);
    assert_eq!((fetches(&server, "replaced"), fetches(&server, "unchanged")), (1.0, 1.0));
    issuer.jwks(Page::Json(Key::set(&[&two, &one])));
    refresh(&server, 0);
    let both = hash(&metrics(&server));
    assert_ne!(both, hash(&first));
    let mut with_bad = Key::set(&[&one, &two]);
    let keys = with_bad["keys"].as_array_mut().unwrap();
    keys.extend([json!({ "kty": "oct", "kid": "a", "k": "AAAA" }), json!({ "kty": "new" }), json!({ "kty": "newer" })]);
    issuer.jwks(Page::Json(with_bad));
    refresh(&server, 0);
    let now = metrics(&server);
    assert_eq!(hash(&now), both, "neither order nor unusable keys make another set");
    assert_eq!(of_fake(&now, "sts_issuer_keys_usable"), Some(2.0));
    let skipped = |reason| now.value("sts_issuer_keys_skipped", &[("issuer_entry", "fake"), ("reason", reason)]);
    assert_eq!((skipped("symmetric"), skipped("unknown_key_type")), (Some(1.0), Some(2.0)));

    // Failures keep the keys, and are counted by cause.
    for page in [Page::status("500 Oops"), Page::status("429 Slow"), Page::redirect("http://127.0.0.1:1/")] {
        issuer.jwks(page);
        refresh(&server, 1);
    }
    assert_eq!((fetches(&server, "status"), fetches(&server, "redirect")), (2.0, 1.0));
    assert_eq!(hash(&metrics(&server)), both);
    let ready = send(server.admin(), &Request::get("/readyz")).json();
    let listed = server.cli(&["issuers", "list", "--json"]).ended(0).json();
    let shown = server.cli(&["issuers", "show", "fake", "--json"]).ended(0).json();
    for seen in [&entry_in(&ready, "fake")["status"], &entry_in(&listed, "fake"), &shown] {
        assert_eq!((&seen["state"], &seen["usable"]), (&json!("fresh"), &json!(2)), "{seen}");
        assert_eq!(seen["last_fetch"]["outcome"], "redirect");
        assert!(seen["last_error"]["message"].as_str().unwrap().contains("redirect"));
        assert_eq!(seen["skipped"][0]["reason"], "symmetric");
        assert_eq!(seen["set_hash"], both);
        assert!(seen["age"].is_u64() && seen["next_refresh_at"].is_i64());
    }
    let text = server.cli(&["issuers", "show", "fake"]).ended(0).stdout;
    for part in ["fresh", "redirect", "symmetric", "unknown_key_type", "one", "two", &both, "status 2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = server.cli(&["issuers", "list"]).ended(0).stdout;
    let line = text.lines().find(|line| line.starts_with("fake ")).unwrap();
    assert!(line.contains("2 of 5") && line.contains("redirect"), "{line}");
}

#[test]
fn another_key_under_an_old_kid_is_counted_and_warned_of() {
    let (old, new) = (Key::new(Algorithm::ES256, "same"), Key::new(Algorithm::ES256, "same"));
    let issuer = FakeIssuer::start(&Key::set(&[&old]));
    let server = Server::start_in(STS, world_site(&with_fake(&issuer)));
    refresh(&server, 0);
    issuer.jwks(Page::Json(Key::set(&[&new])));
    refresh(&server, 0);
    until("the count", || of_fake(&metrics(&server), "sts_issuer_kids_reused_total") == Some(1.0));
    server.lines().wait("warning", |line| line.contains("names another key than before").then_some(()));
    let shown = server.cli(&["issuers", "show", "fake", "--json"]).ended(0).json();
    assert_eq!(shown["kids_reused"], 1);
}

#[test]
fn an_entry_that_a_reload_takes_out_vanishes_and_the_counts_of_the_others_stay() {
    let key = Key::new(Algorithm::ES256, "one");
    let issuer = FakeIssuer::start(&Key::set(&[&key]));
    let server = Server::start_in(STS, world_site(&with_fake(&issuer)));
    let own = Forge::new(&key, &claims("svc:fake")).claim("iss", issuer.url()).sign();
    granted(&server.exchange(&own, &[]));
    granted(&server.exchange(&token("svc:octo"), &[]));
    assert_eq!(exchanges(&metrics(&server), "fake", "granted", ""), Some(1.0));
    server.site().replace("sts.yaml", world().text());
    until("the reload", || !metrics(&server).label_values("issuer_entry").contains("fake"));
    invalid(&server.exchange(&own, &[]), "issuer_unknown");
    let after = metrics(&server);
    assert!(!after.label_values("issuer_entry").contains("fake"));
    assert_eq!(exchanges(&after, "plain", "granted", ""), Some(1.0));
    assert_eq!(exchanges(&after, "-", "refused", "issuer_unknown"), Some(1.0));
}

#[test]
fn an_issuer_that_never_answered_is_told_as_such() {
    let issuer = FakeIssuer::start(&json!({ "keys": [] }));
    issuer.discovery(Page::status("503 Away"));
    let server = Server::start_in(STS, world_site(&with_fake(&issuer)));
    refresh(&server, 1);
    let now = metrics(&server);
    assert_eq!((of_fake(&now, "sts_issuer_ready"), of_fake(&now, "sts_issuer_keys_usable")), (Some(0.0), Some(0.0)));
    assert_eq!(of_fake(&now, "sts_issuer_keys_age_seconds"), None);
    let ready = send(server.admin(), &Request::get("/readyz"));
    // Its tokens are answered with 503. Other issuers' tokens are not affected.
    assert_eq!(ready.status, 200);
    assert_eq!(entry_in(&ready.json(), "fake")["status"]["state"], "absent");
}

#[test]
fn c107_a_proxy_is_warned_of_at_the_start_and_its_credentials_are_nowhere() {
    let config = world().with(
        "issuers/far",
        json!({
            "issuer": "https://far.example",
            "jwks_url": "https://far.example/keys",
            "proxy": "http://user:hunter2@127.0.0.1:9",
        }),
    );
    let server = Server::start_in(STS, world_site(&config));
    server
        .lines()
        .wait("warning", |line| (line.contains("cannot see through a proxy") && line.contains("far")).then_some(()));
    server.lines().wait("failed fetch", |line| line.contains("issuer keys were not refreshed").then_some(()));
    let everything = [
        server.lines().text(),
        send(server.admin(), &Request::get("/metrics")).text(),
        send(server.admin(), &Request::get("/readyz")).text(),
        server.cli(&["issuers", "show", "far", "--json"]).ended(0).stdout,
    ];
    assert!(everything.iter().all(|text| !text.contains("hunter2") && text.contains("far")), "{everything:?}");
}

#[test]
fn the_metrics_have_a_listener_of_their_own_which_serves_nothing_else() {
    let address = free_address();
    let server = Server::start_in(STS, world_site(&world().with("metrics/listen", address.to_string())));
    let served = send(address, &Request::get("/metrics").header("Host", "sts-metrics.monitoring.svc"));
    assert_eq!(served.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let alone = Exposition::parse(&served.text());
    assert_eq!(alone.value("sts_store_ready", &[]), Some(1.0));
    assert_eq!(alone.value("sts_config_stale", &[]), metrics(&server).value("sts_config_stale", &[]));
    for path in ["/readyz", "/admin/v1/tokens", "/openapi.json", "/console/", "/token", "/"] {
        assert_eq!(send(address, &Request::get(path)).status, 404, "{path}");
    }
    refused(&send(address, &Request::post_form("/metrics", &[])), 405, "invalid_request", "method_not_allowed");
    let (code, _) = server.terminate();
    assert_eq!(code, Some(0));
    // It needs a port of its own.
    let shared = world().with("metrics/listen", "127.0.0.1:9090").without("admin/listen");
    assert!(STS.run(world_site(&shared).root(), &["check"]).ended(2).stderr.contains("port of its own"));
}

/// A connection that had one answer and stays open.
fn kept_open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}

fn is_answered(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 200"
}

#[test]
fn the_listener_of_the_metrics_takes_16_connections_and_the_others_keep_theirs() {
    let address = free_address();
    let server = Server::start_in(STS, world_site(&world().with("metrics/listen", address.to_string())));
    let mut open: Vec<TcpStream> = (0..16).map(|_| kept_open(address)).collect();
    assert!(open.iter_mut().all(|stream| is_answered(stream, Duration::from_secs(20))));
    let mut waiting = kept_open(address);
    assert!(!is_answered(&mut waiting, Duration::from_millis(500)), "one more than there may be");
    granted(&server.exchange(&token("svc:octo"), &[]));
    assert_eq!(send(server.admin(), &Request::get("/metrics")).status, 200);
    // It has its turn once another one ends.
    drop(open.pop());
    assert!(is_answered(&mut waiting, Duration::from_secs(20)));
}

#[test]
fn an_introspection_that_fails_by_a_fault_of_ours_is_told_from_one_that_is_refused() {
    let mut redis = RedisServer::start();
    let config = world().with("store", json!({ "url": redis.url(), "timeout": "1s" }));
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    redis.kill();
    let asked = |secret: &str| {
        server.send(&Request::post_form("/introspect", &[("token", &access)]).basic("deploy", secret)).status
    };
    assert_eq!((asked(DEPLOY_SECRET), asked("wrong")), (503, 401));
    let now = metrics(&server);
    let count = |outcome: &str| now.value("sts_introspections_total", &[("outcome", outcome)]);
    assert_eq!(["active", "inactive", "failed", "refused"].map(count), [0.0, 0.0, 1.0, 1.0].map(Some));
}

#[test]
fn revocations_introspections_reloads_refusals_keys_and_the_process_are_seen() {
    let server = Server::start_in(STS, world_site(&world()));
    let (one, two) = (server.token(&token("svc:octo"), &[]), server.token(&token("svc:octo"), &[]));
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &one)["active"], true);
    assert_eq!(server.revoke(&one).status, 200);
    assert_eq!(server.revoke(&one).status, 200);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &one), json!({ "active": false }));
    let anonymous = server.send(&Request::post_form("/introspect", &[("token", &two)]));
    assert_eq!(anonymous.status, 401);
    let rule = json!({ "account": "octo", "reason": "drill" });
    assert_eq!(server.send_admin(Request::post_json("/admin/v1/revocations", &rule)).status, 200);
    let dry = json!({ "account": "octo", "dry_run": true });
    assert_eq!(server.send_admin(Request::post_json("/admin/v1/revocations", &dry)).status, 200);
    assert_eq!(send(server.admin(), &Request::get("/admin/v1/tokens")).status, 401);
    let now = metrics(&server);
    let count = |name: &str, label: &str, value: &str| now.value(name, &[(label, value)]);
    let introspections =
        ["active", "inactive", "refused"].map(|outcome| count("sts_introspections_total", "outcome", outcome));
    assert_eq!(introspections, [Some(1.0); 3]);
    assert_eq!(["token", "rule"].map(|scope| count("sts_revocations_total", "scope", scope)), [Some(2.0), Some(1.0)]);
    assert_eq!(count("sts_admin_refusals_total", "reason", "invalid_token"), Some(1.0));
    let keys: Vec<_> = now.labels_of("sts_signing_key_age_seconds").collect();
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0]["algorithm"][..], &keys[0]["phase"][..]), ("ES256", "signing"));
    assert!(now.value("sts_config_loaded_timestamp_seconds", &[]).unwrap() > 1_700_000_000.0);
    assert_eq!(
        ["loaded", "refused"].map(|outcome| count("sts_config_reloads_total", "outcome", outcome)),
        [Some(0.0); 2]
    );
    assert!(now.value("process_start_time_seconds", &[]).unwrap() > 1_700_000_000.0);
    assert!(now.value("process_resident_memory_bytes", &[]).unwrap() > 1_000_000.0);
    assert!(now.value("process_open_fds", &[]).unwrap() >= 5.0);
    assert_eq!(now.labels_of("sts_build_info").count(), 1);
    // A reload that is refused, and one that is not.
    let good = server.site().read("sts.yaml");
    server.site().write("sts.yaml", "nonsense: 1\n");
    server.signal("HUP");
    until("a refused reload", || {
        metrics(&server).value("sts_config_reloads_total", &[("outcome", "refused")]) >= Some(1.0)
    });
    server.site().write("sts.yaml", good);
    server.signal("HUP");
    until("a reload", || metrics(&server).value("sts_config_reloads_total", &[("outcome", "loaded")]) >= Some(1.0));
}
