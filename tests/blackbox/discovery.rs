//! Issuer keys in the server: discovery, unknown kids, stale keys, wrong documents, isolation.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Config, FakeIssuer, Forge, Key, Page, Response, Server, Site, now, until};

/// A server that trusts `issuer` by discovery, and a token to exchange there.
struct Scene {
    issuer: FakeIssuer,
    server: Server,
}

impl Scene {
    fn new(keys: &[&Key]) -> Self {
        Self::with(keys, json!({}), |_| {})
    }

    fn with(keys: &[&Key], more: Value, prepare: impl FnOnce(&FakeIssuer)) -> Self {
        let issuer = FakeIssuer::start(&Key::set(keys));
        prepare(&issuer);
        let server = Server::start_in(STS, world_site(&config(&issuer, more)));
        Self { issuer, server }
    }

    fn exchange(&self, key: &Key) -> Response {
        exchange_by(&self.server, &self.issuer, key)
    }

    fn reason(&self, key: &Key) -> String {
        reason_of(&self.exchange(key))
    }
}

fn config(issuer: &FakeIssuer, more: Value) -> Config {
    let mut entry = json!({ "issuer": issuer.url(), "allow_http": true });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world()
        .with("issuers/fake", entry)
        .with("service_accounts/fake", json!({ "teams": ["deployers"], "identities": [identity("fake", "svc:fake")] }))
}

fn exchange_by(server: &Server, issuer: &FakeIssuer, key: &Key) -> Response {
    server.exchange(&Forge::new(key, &claims("svc:fake")).claim("iss", issuer.url()).sign(), &[])
}

fn es256(kid: &str) -> Key {
    Key::new(Algorithm::ES256, kid)
}

#[test]
fn a_token_of_a_discovered_issuer_is_granted_and_its_keys_are_fetched_once() {
    let key = es256("a");
    let scene = Scene::new(&[&key]);
    for _ in 0..5 {
        granted(&scene.exchange(&key));
    }
    assert_eq!((scene.issuer.discoveries(), scene.issuer.fetches()), (1, 1));
}

#[test]
fn c101_of_many_first_tokens_at_once_one_fetch_serves_all() {
    let key = es256("a");
    let scene = Scene::new(&[&key]);
    scene.issuer.hold();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| scene.reason(&key))).collect();
        until("the fetch", || scene.issuer.discoveries() > 0);
        scene.issuer.release();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), "granted");
        }
    });
    assert_eq!((scene.issuer.discoveries(), scene.issuer.fetches()), (1, 1));
}

#[test]
fn c102_no_network_for_an_issuer_that_is_not_configured() {
    let key = es256("a");
    let stranger = FakeIssuer::start(&Key::set(&[&key]));
    for iss in [stranger.url(), format!("{}/", stranger.url()), stranger.url().replace("127.0.0.1", "localhost")] {
        let token = Forge::new(&key, &claims("svc:octo")).claim("iss", iss).sign();
        invalid(&exchange(&token, &[]), "issuer_unknown");
    }
    assert_eq!(stranger.discoveries() + stranger.fetches(), 0);
}

#[test]
fn c099_a_kid_that_is_new_triggers_one_refresh_and_is_served_on_the_first_try() {
    let (old, new) = (es256("old"), es256("new"));
    let scene = Scene::new(&[&old]);
    granted(&scene.exchange(&old));
    scene.issuer.jwks(Page::Json(Key::set(&[&old, &new])));
    granted(&scene.exchange(&new));
    granted(&scene.exchange(&old));
    assert_eq!(scene.issuer.fetches(), 2);
}

#[test]
fn c101_unknown_kids_start_one_refresh_in_a_cool_down_and_do_not_hurt_known_ones() {
    let key = es256("a");
    let scene = Scene::new(&[&key]);
    granted(&scene.exchange(&key));
    for at in 0..50 {
        let response = scene.exchange(&es256(&format!("unknown-{at}")));
        if at == 0 {
            // The lookup finds no key.
            invalid(&response, "key_unknown");
        }
        assert!(["key_unknown", "issuer_unavailable"].contains(&reason_of(&response).as_str()), "{}", response.text());
    }
    assert_eq!(scene.issuer.fetches(), 2);
    granted(&scene.exchange(&key));
}

#[test]
fn a_kid_looked_up_in_vain_is_key_unknown_and_one_that_cannot_be_looked_up_yet_is_503() {
    let key = es256("a");
    let scene = Scene::new(&[&key]);
    granted(&scene.exchange(&key));
    invalid(&scene.exchange(&es256("first")), "key_unknown");
    // The same kid was looked up already; another one has to wait for the cool-down.
    let response = scene.exchange(&es256("second"));
    refused(&response, 503, "temporarily_unavailable", "issuer_unavailable");
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
}

#[test]
fn the_cool_down_is_the_entry_s_and_not_begun_by_the_first_load() {
    let (old, new) = (es256("old"), es256("new"));
    let scene = Scene::with(&[&old], json!({ "refresh_cooldown": "1s" }), |_| {});
    // The very first request has an unknown kid: one load, and one refresh for it.
    assert_ne!(scene.reason(&new), "granted");
    scene.issuer.jwks(Page::Json(Key::set(&[&old, &new])));
    let begun = now();
    until("the cool-down of one second", || now() > begun + 2);
    granted(&scene.exchange(&new));
}

#[test]
fn a_bad_signature_under_a_known_kid_never_fetches() {
    let (key, forged) = (es256("a"), es256("a"));
    let scene = Scene::new(&[&key]);
    granted(&scene.exchange(&key));
    for _ in 0..5 {
        invalid(&scene.exchange(&forged), "signature_invalid");
    }
    assert_eq!((scene.issuer.discoveries(), scene.issuer.fetches()), (1, 1));
}

#[test]
fn kid_reuse_fetches_once_for_a_bad_signature_within_the_cool_down() {
    let (old, new, forged) = (es256("a"), es256("a"), es256("a"));
    let scene = Scene::with(&[&old], json!({ "kid_reuse": true }), |_| {});
    granted(&scene.exchange(&old));
    scene.issuer.jwks(Page::Json(Key::set(&[&new])));
    granted(&scene.exchange(&new));
    assert_eq!(scene.issuer.fetches(), 2);
    // A new set replaces the whole old one.
    for key in [&old, &forged, &forged] {
        assert_ne!(scene.reason(key), "granted");
    }
    assert_eq!(scene.issuer.fetches(), 2);
}

#[test]
fn j14_without_a_kid_up_to_four_fitting_keys_are_tried() {
    let keys: Vec<Key> = (0..4).map(|_| es256("x").without_kid()).collect();
    let rsa = Key::new(Algorithm::RS256, "r");
    let mut set: Vec<&Key> = keys.iter().collect();
    set.push(&rsa);
    let scene = Scene::new(&set);
    for key in &keys {
        granted(&scene.exchange(key));
    }
    invalid(&scene.exchange(&es256("x").without_kid()), "signature_invalid");
}

#[test]
fn c087_md03_a_discovery_document_of_another_issuer_is_discarded() {
    let key = es256("a");
    for bend in [
        |url: &str| format!("{url}/"),
        |url: &str| url.replace("http://", "https://"),
        |url: &str| url.replace("127.0.0.1", "localhost"),
        |_: &str| "https://evil.example".to_owned(),
    ] {
        let scene = Scene::with(&[&key], json!({}), |issuer| {
            issuer.discovery(Page::Json(json!({ "issuer": bend(&issuer.url()), "jwks_uri": issuer.jwks_url() })));
        });
        refused(&scene.exchange(&key), 503, "temporarily_unavailable", "issuer_unavailable");
        assert_eq!(scene.issuer.fetches(), 0);
    }
}

#[test]
fn c086_c088_c092_c094_c095_c096_documents_that_are_not_what_they_should_be_mint_nothing() {
    let key = es256("a");
    let raw = |head: &str, body: &str| {
        Page::Raw(format!("HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n{body}").into_bytes())
    };
    let set = Key::set(&[&key]).to_string();
    let many: Vec<Value> = (0..101)
        .map(|at| {
            let mut jwk = key.jwk();
            jwk["kid"] = json!(format!("k{at}"));
            jwk
        })
        .collect();
    let jwks = [
        ("404", Page::status("404 Not Found")),
        ("204", Page::status("204 No Content")),
        ("429", Page::status("429 Too Many Requests")),
        ("500", Page::status("500 Oops")),
        ("empty", raw("Content-Type: application/json\r\n", "")),
        ("html", raw("Content-Type: text/html\r\n", "<html></html>")),
        ("truncated", raw("Content-Type: application/json\r\n", &set[..set.len() - 4])),
        ("length lie", raw("Content-Type: application/json\r\nContent-Length: 9999\r\n", &set)),
        ("array", Page::Json(json!([key.jwk()]))),
        ("object", Page::Json(json!({ "keys": {} }))),
        ("no keys", Page::Json(json!({ "keys": [] }))),
        (
            "only bad keys",
            Page::Json(
                json!({ "keys": [{ "kty": "oct", "k": "AAAA" }, { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] }),
            ),
        ),
        ("101 keys", Page::Json(json!({ "keys": many }))),
        ("over 256 KiB", Page::Json(json!({ "keys": [key.jwk()], "padding": "x".repeat(300_000) }))),
        ("duplicate members", raw("Content-Type: application/json\r\n", &format!("{{\"keys\":[],{}", &set[1..]))),
    ];
    for (what, page) in jwks {
        let scene = Scene::with(&[&key], json!({}), |issuer| issuer.jwks(page));
        let response = scene.exchange(&key);
        assert_eq!(response.status, 503, "{what}: {}", response.text());
    }
    for (what, location) in [
        ("elsewhere", "http://169.254.169.254/"),
        ("same host, other port", "http://127.0.0.1:1/"),
        ("mapped", "http://[::ffff:127.0.0.1]/"),
    ] {
        let scene = Scene::with(&[&key], json!({}), |issuer| issuer.jwks(Page::redirect(location)));
        assert_eq!(scene.exchange(&key).status, 503, "{what}");
        assert_eq!(scene.issuer.fetches(), 1, "{what}");
    }
    for uri in [
        "http://10.0.0.1/keys",
        "http://issuer.example/keys",
        "file:///etc/passwd",
        "data:application/json,{}",
        "gopher://x/",
        "",
        "/keys",
        "http://user@127.0.0.1/keys",
        "https://169.254.169.254/keys",
    ] {
        let scene = Scene::with(&[&key], json!({}), |issuer| {
            issuer.discovery(Page::Json(json!({ "issuer": issuer.url(), "jwks_uri": uri })));
        });
        assert_eq!(scene.exchange(&key).status, 503, "{uri}");
    }
}

#[test]
fn c097_a_bad_key_is_skipped_and_the_others_serve() {
    let key = es256("good");
    let mut wrong_use = es256("enc").jwk();
    wrong_use["use"] = json!("enc");
    let mut private = es256("private").jwk();
    private["d"] = json!("AAAA");
    let set = json!({ "keys": [
        { "kty": "oct", "k": "AAAA", "kid": "oct" }, { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "small" }, {}, 1,
        { "kty": "future", "kid": "f" }, wrong_use, private, key.jwk(),
    ]});
    let scene = Scene::with(&[&key], json!({}), |issuer| issuer.jwks(Page::Json(set)));
    granted(&scene.exchange(&key));
}

#[test]
fn c093_c094_an_issuer_that_never_answers_costs_5_seconds_at_most_and_others_nothing() {
    let key = es256("a");
    let scene = Scene::with(&[&key], json!({}), |issuer| issuer.jwks(Page::Silence));
    let begun = now();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| scene.exchange(&key));
        until("the fetch", || scene.issuer.fetches() > 0);
        // Another issuer's tokens do not wait for this fetch.
        for _ in 0..10 {
            granted(&scene.server.exchange(&token("svc:octo"), &[]));
        }
        assert!(now() - begun < 4, "the others waited");
        refused(&slow.join().unwrap(), 503, "temporarily_unavailable", "issuer_unavailable");
    });
    assert!(now() - begun <= 8, "{}", now() - begun);
}

#[test]
fn c104_last_good_keys_serve_while_the_issuer_is_down_and_over_a_restart() {
    let key = es256("a");
    let Scene { issuer, server } = Scene::new(&[&key]);
    granted(&exchange_by(&server, &issuer, &key));
    issuer.discovery(Page::status("500 Oops"));
    issuer.jwks(Page::status("500 Oops"));
    server.cli(&["issuers", "refresh", "fake"]).ended(1);
    granted(&exchange_by(&server, &issuer, &key));
    let server = server.crash_and_restart();
    granted(&exchange_by(&server, &issuer, &key));
}

#[test]
fn c100_a_refresh_by_the_operator_takes_a_withdrawn_key_out_at_once() {
    let (old, new) = (es256("old"), es256("new"));
    let scene = Scene::new(&[&old]);
    granted(&scene.exchange(&old));
    scene.issuer.jwks(Page::Json(Key::set(&[&new])));
    scene.server.cli(&["issuers", "refresh", "fake"]).ended(0);
    assert_ne!(scene.reason(&old), "granted");
    granted(&scene.exchange(&new));
    let shown = scene.server.cli(&["issuers", "show", "fake", "--json"]).ended(0).json();
    assert!(shown.to_string().contains("new"), "{shown}");
}

#[test]
fn a_key_set_url_needs_no_discovery() {
    let key = es256("a");
    let issuer = FakeIssuer::start(&Key::set(&[&key]));
    let config = config(&issuer, json!({ "jwks_url": issuer.jwks_url() }));
    let server = Server::start_in(STS, world_site(&config));
    granted(&exchange_by(&server, &issuer, &key));
    assert_eq!((issuer.discoveries(), issuer.fetches()), (0, 1));
}

#[test]
fn c075_entries_that_share_a_url_are_told_apart_by_the_key_that_verifies() {
    let cluster = "https://kubernetes.default.svc.cluster.local";
    let (one, two, three) = (es256("k"), es256("k"), es256("k"));
    let entry = |key: &Key| json!({ "issuer": cluster, "preset": "kubernetes", "jwks": Key::set(&[key]) });
    let account = |entry: Value| {
        json!({
            "teams": ["deployers"],
            "identities": [{ "name": "i", "issuer": entry, "subject": "system:serviceaccount:ns:sa" }],
        })
    };
    let config = world()
        .with("issuers/one", entry(&one))
        .with("issuers/two", entry(&two))
        .with("service_accounts/c1", account(json!("one")))
        .with("service_accounts/c2", account(json!("two")))
        .with("service_accounts/both", account(json!(["one", "two"])));
    let server = Server::start_in(STS, world_site(&config));
    let ask = |key: &Key, account: &str| {
        let token = Forge::new(key, &claims("system:serviceaccount:ns:sa")).claim("iss", cluster).sign();
        reason_of(&server.exchange(&token, &[("audience", account)]))
    };
    for (key, account, expected) in [
        (&one, "c1", "granted"),
        (&one, "c2", "not_authorized"),
        (&two, "c2", "granted"),
        (&two, "c1", "not_authorized"),
        (&one, "both", "granted"),
        (&two, "both", "granted"),
        (&three, "c1", "signature_invalid"),
        (&three, "both", "signature_invalid"),
    ] {
        assert_eq!(ask(key, account), expected, "{account}");
    }
    // One key in two such entries is refused, and so are entries without keys of their own.
    for wrong in [
        config.clone().with("issuers/three", entry(&two)),
        config.with("issuers/three", json!({ "issuer": cluster, "preset": "kubernetes" })),
    ] {
        STS.run(world_site(&wrong).root(), &["check", "--config", "sts.yaml"]).ended(2);
    }
}

#[test]
fn c106_a_key_set_file_that_is_missing_empty_or_garbage_is_refused_at_load() {
    let entry =
        |file: &str| Config::new().with("issuers/a", json!({ "issuer": "https://a.example", "jwks_file": file }));
    let site = Site::with(&entry("keys.json"));
    let check = || STS.run(site.root(), &["check", "--config", "sts.yaml"]);
    let missing = check().ended(2);
    assert!(missing.stderr.contains("keys.json"), "{}", missing.stderr);
    for content in [
        "",
        "{}",
        "{\"keys\":[]}",
        "[]",
        "-----BEGIN PUBLIC KEY-----",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "\0",
    ] {
        site.write("keys.json", content);
        let finished = check().ended(2);
        assert!(finished.stderr.contains("keys.json"), "{content:?}: {}", finished.stderr);
    }
    site.write("keys.json", Key::set(&[&es256("a")]).to_string());
    check().ended(0);
}
