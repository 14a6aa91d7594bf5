//! What an issuer answers, and what becomes of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jwks_cache::{FetchErrorKind, JwksCache, KeySource, LookupError, NetworkRule, ResolveFuture, Resolver, Stage};
use serde_json::json;
use sts_jose::KeySetError;
use sts_types::Algorithm;
use support::{DISCOVERY, FakeIssuer, KEYS, Outside, Reply, find, has, jwk, jwks, name, spec};

/// The fault of one fetch of the entry `a`.
async fn fault(cache: &JwksCache) -> FetchErrorKind {
    cache.refresh(&name("a")).await.unwrap_err().fault
}

#[tokio::test]
async fn keys_are_found_by_discovery_and_by_url() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let other = FakeIssuer::start([jwk("k2")]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.discovered("a"), other.by_url("b")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    assert!(find(&cache, "b", "k2").await.is_ok());
    assert_eq!((issuer.requests(), other.requests()), (2, 1));
    assert_eq!(issuer.connections(), 1);
    let head = other.last_head().to_lowercase();
    assert!(head.contains("user-agent: jwks-cache-tests/1"), "{head}");
    assert!(head.contains("accept: application/json"), "{head}");
}

#[tokio::test]
async fn nothing_is_dialled_before_a_key_is_wanted() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    assert!(!has(&cache, "a", "k1"));
    assert!(cache.cached(&name("a")).is_none());
    assert_eq!(cache.status()[0].fetched_at, None);
    assert_eq!(issuer.connections(), 0);
}

#[tokio::test]
async fn c102_an_unknown_entry_leads_nowhere() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    for number in 0..1000 {
        assert_eq!(find(&cache, &format!("x{number}"), "k1").await.unwrap_err(), LookupError::Unknown);
    }
    assert_eq!(cache.refresh(&name("x")).await.unwrap_err().fault, FetchErrorKind::UnknownEntry);
    assert_eq!(issuer.connections(), 0);
    assert_eq!(cache.status().len(), 1);
}

#[tokio::test]
async fn c095_a_faulty_answer_keeps_the_old_keys_and_is_named() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    let status = |status, retry_after| FetchErrorKind::Status { status, retry_after };
    let json = |body: &str| Reply::body("application/json", body);
    let not_json = KeySetError::Json(sts_claims::StrictJsonError::Syntax);
    let table = [
        (Reply::status(500), status(500, None)),
        (Reply::status(503), status(503, None)),
        (Reply::status(429).with("Retry-After", "7"), status(429, Some(Duration::from_secs(7)))),
        (Reply::status(429).with("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"), status(429, None)),
        (Reply::status(401), status(401, None)),
        (Reply::status(403), status(403, None)),
        (Reply::status(404), status(404, None)),
        (Reply::status(204), status(204, None)),
        (Reply::status(206), status(206, None)),
        (Reply::status(304), status(304, None)),
        (json(""), FetchErrorKind::KeySet(not_json.clone())),
        (json("{\"keys\":["), FetchErrorKind::KeySet(not_json.clone())),
        (json("[]"), FetchErrorKind::KeySet(KeySetError::Json(sts_claims::StrictJsonError::NotAnObject))),
        (json("{\"keys\":{}}"), FetchErrorKind::KeySet(KeySetError::NoKeys)),
        (json("{\"keys\":[]}"), FetchErrorKind::KeySet(KeySetError::Empty(Vec::new()))),
        (json("{\"keys\":[],\"keys\":[]}"), FetchErrorKind::KeySet(not_json.clone())),
        (Reply::body("text/html; charset=utf-8", "<html>"), FetchErrorKind::ContentType),
        (Reply::body("text/plain", "<html>"), FetchErrorKind::KeySet(not_json)),
    ];
    for (reply, want) in table {
        issuer.reply(KEYS, reply);
        let error = cache.refresh(&name("a")).await.unwrap_err();
        assert_eq!(error.fault, want);
        assert!(has(&cache, "a", "k1"), "{error}");
        let status = &cache.status()[0];
        assert_eq!(status.last_error.as_ref().unwrap().message, error.to_string());
        assert!(error.to_string().contains(&issuer.url), "{error}");
    }
    let counts = cache.status()[0].fetches.clone();
    assert_eq!((counts.replaced, counts.failed["status"], counts.failed["content_type"]), (1, 10, 1));
}

#[tokio::test]
async fn c095_json_under_another_name_is_read() {
    let issuer = FakeIssuer::start([]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    for content_type in [
        "application/jwk-set+json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/octet-stream",
        "text/html",
    ] {
        issuer.reply(KEYS, Reply::body(content_type, jwks([jwk("k1")]).to_string()));
        assert!(cache.refresh(&name("a")).await.is_ok(), "{content_type}");
    }
}

/// What a redirect comes to: its target as it is told, and why it is not followed.
async fn redirect(cache: &JwksCache) -> (Option<String>, &'static str) {
    match fault(cache).await {
        FetchErrorKind::Redirect { to, why, help, .. } => {
            assert!(help.contains("`jwks_url`"), "{help}");
            (to, why)
        }
        fault => panic!("{fault}"),
    }
}

#[tokio::test]
async fn c088_fld33_no_redirect_leaves_the_origin() {
    let issuer = FakeIssuer::start([]).await;
    let target = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    let port = |fake: &FakeIssuer| fake.url.rsplit(':').next().unwrap().to_owned();
    let mut requests = 0;
    for status in [301, 302, 303, 307, 308] {
        for (location, origin) in [
            (format!("{}{KEYS}?secret", target.url), target.url.clone()),
            (format!("//127.0.0.1:{}/", port(&target)), target.url.clone()),
            (format!("http://localhost:{}{KEYS}", port(&issuer)), format!("http://localhost:{}", port(&issuer))),
            (issuer.url.replace("http:", "https:"), issuer.url.replace("http:", "https:")),
            (format!("http://user:hunter2@127.0.0.1:{}/", port(&issuer)), issuer.url.clone()),
            (format!("http://user@127.0.0.1:{}/", port(&issuer)), issuer.url.clone()),
            (format!("http://:hunter2@127.0.0.1:{}/", port(&issuer)), issuer.url.clone()),
            ("https://169.254.169.254/".to_owned(), "https://169.254.169.254".to_owned()),
            ("file:///etc/passwd".to_owned(), "file:".to_owned()),
        ] {
            issuer.reply(DISCOVERY, Reply::status(status).with("Location", location));
            let (to, why) = redirect(&cache).await;
            assert_eq!(to.as_deref(), Some(origin.as_str()));
            assert!(why.contains("not followed"), "{why}");
            requests += 1;
            assert_eq!(issuer.requests(), requests);
        }
    }
    for location in ["", "http://", "http://[::1"] {
        issuer.reply(DISCOVERY, Reply::status(302).with("Location", location));
        assert!(matches!(fault(&cache).await, FetchErrorKind::Redirect { .. }), "{location}");
    }
    issuer.reply(DISCOVERY, Reply::status(302));
    assert_eq!(redirect(&cache).await, (None, "without a usable `Location`"));
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn fld33_one_redirect_within_the_origin_is_followed_and_a_second_is_not() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let document = json!({ "issuer": issuer.url, "jwks_uri": format!("{}/old-keys", issuer.url) });
    issuer.reply("/documents/openid", Reply::json(&document));
    let cache = Outside::new().cache([issuer.discovered("a")]);
    for status in [301, 302, 303, 307, 308] {
        issuer.reply(DISCOVERY, Reply::status(status).with("Location", "/documents/openid"));
        issuer.reply("/old-keys", Reply::status(status).with("Location", format!("{}{KEYS}#fragment", issuer.url)));
        cache.refresh(&name("a")).await.unwrap();
        assert!(has(&cache, "a", "k1"));
    }
    issuer.reply("/old-keys", Reply::status(302).with("Location", "/loop"));
    issuer.reply("/loop", Reply::status(302).with("Location", "/loop"));
    let before = issuer.requests();
    let (to, why) = redirect(&cache).await;
    assert_eq!((to, why), (None, "after another one; only one is followed"));
    assert_eq!(issuer.requests(), before + 4);
    let elsewhere = "http://10.0.0.1/keys";
    issuer.reply("/loop", Reply::status(302).with("Location", elsewhere));
    assert_eq!(redirect(&cache).await.0.as_deref(), Some("http://10.0.0.1"));
}

#[tokio::test]
async fn fld18_a_request_on_a_connection_that_the_issuer_closed_is_sent_once_more_on_a_new_one() {
    // Closes each connection after one answer, and does not say so.
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    issuer.closes_after_each_answer();
    let cache = Outside::new().cache([issuer.discovered("a")]);
    for round in 1..=5 {
        cache.refresh(&name("a")).await.unwrap_or_else(|error| panic!("{round}: {error}"));
    }
    assert!(has(&cache, "a", "k1"));
    // A new connection that ends without an answer is not tried again.
    let mute = FakeIssuer::start([]).await;
    mute.reply(KEYS, Reply::Raw(Vec::new()));
    let cache = Outside::new().cache([mute.by_url("a")]);
    assert!(matches!(fault(&cache).await, FetchErrorKind::Transfer(_)));
    assert_eq!((mute.requests(), mute.connections()), (1, 1));
}

#[tokio::test]
async fn c087_a_discovery_document_of_another_issuer_is_discarded() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    let keys_before = issuer.key_fetches();
    for found in [format!("{}/", issuer.url), issuer.url.to_uppercase(), "https://evil.example/\u{1b}[2J".to_owned()] {
        issuer.reply(DISCOVERY, Reply::json(&json!({ "issuer": found, "jwks_uri": format!("{}{KEYS}", issuer.url) })));
        let error = cache.refresh(&name("a")).await.unwrap_err();
        assert!(matches!(error.fault, FetchErrorKind::OtherIssuer { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'));
        assert!(has(&cache, "a", "k1"));
    }
    assert_eq!(issuer.key_fetches(), keys_before);
}

#[tokio::test]
async fn c092_a_jwks_uri_that_is_no_web_address_is_not_followed() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    for uri in [
        "file:///etc/passwd",
        "data:application/json,{\"keys\":[]}",
        "unix:/run/x",
        "gopher://127.0.0.1/",
        "keys",
        "http://u:p@127.0.0.1/",
    ] {
        issuer.reply(DISCOVERY, Reply::json(&json!({ "issuer": issuer.url, "jwks_uri": uri })));
        assert!(matches!(fault(&cache).await, FetchErrorKind::JwksUri(_)), "{uri}");
    }
    assert_eq!(issuer.key_fetches(), 0);
}

#[tokio::test]
async fn c088_c089_a_jwks_uri_with_a_forbidden_address_is_not_dialled() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    for uri in [
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://[64:ff9b::7f00:1]/",
        "http://10.0.0.1/",
        "http://8.8.8.8/",
    ] {
        issuer.reply(DISCOVERY, Reply::json(&json!({ "issuer": issuer.url, "jwks_uri": uri })));
        assert!(matches!(fault(&cache).await, FetchErrorKind::Address(_)), "{uri}");
    }
}

/// Answers each look-up with the next list of addresses, and counts.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Resolver for Scripted {
    fn resolve(&self, _: &str) -> ResolveFuture {
        let count = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(count).cloned();
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such host")) })
    }
}

#[tokio::test]
async fn c089_c090_the_address_that_is_dialled_is_the_one_that_was_judged() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let resolver = Arc::new(Scripted {
        answers: vec![
            vec![ip("127.0.0.1"), ip("8.8.8.8")],
            vec![ip("10.0.0.1")],
            vec![ip("169.254.169.254")],
            vec![ip("::ffff:127.0.0.1")],
            vec![ip("127.0.0.1")],
        ],
        asked: AtomicUsize::new(0),
    });
    let mut outside = Outside::new();
    outside.environment.resolver = Some(Arc::clone(&resolver) as Arc<dyn Resolver>);
    let port = issuer.url.rsplit(':').next().unwrap().to_owned();
    let url = format!("http://issuer.localhost:{port}{KEYS}");
    let cache = outside.cache([spec("a", "https://issuer.example", KeySource::Url(url))]);
    for round in 1..=4 {
        assert!(matches!(fault(&cache).await, FetchErrorKind::Address(_)), "{round}");
        assert_eq!((resolver.asked.load(Ordering::SeqCst), issuer.connections()), (round, 0));
    }
    // The fifth answer is good; it is asked for once, and that address is dialled.
    assert!(cache.refresh(&name("a")).await.is_ok());
    assert_eq!((resolver.asked.load(Ordering::SeqCst), issuer.connections()), (5, 1));
}

#[tokio::test]
async fn c093_a_host_that_cannot_be_reached_is_a_connection_fault() {
    let refused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let not_tls = FakeIssuer::start([jwk("k1")]).await;
    let mut outside = Outside::new();
    outside.environment.resolver = Some(Arc::new(Scripted { answers: Vec::new(), asked: AtomicUsize::new(0) }));
    for url in [
        format!("http://{refused}/keys"),
        "http://nowhere.localhost/keys".to_owned(),
        not_tls.url.replace("http:", "https:"),
    ] {
        let mut entry = spec("a", "https://issuer.example", KeySource::Url(url.clone()));
        entry.network.allow_private_network = true;
        let cache = outside.cache([entry]);
        assert!(matches!(fault(&cache).await, FetchErrorKind::Connect(_)), "{url}");
    }
    assert_eq!(not_tls.requests(), 0);
}

struct Silent;

impl Resolver for Silent {
    fn resolve(&self, _: &str) -> ResolveFuture {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn c093_a_resolver_that_stalls_is_bounded_by_the_deadline() {
    let mut outside = Outside::new();
    outside.environment.resolver = Some(Arc::new(Silent));
    let mut entry = spec("a", "https://issuer.example", KeySource::Discovery);
    entry.network = NetworkRule::default();
    let cache = outside.cache([entry]);
    assert!(matches!(fault(&cache).await, FetchErrorKind::TimedOut { stage: Stage::Resolving, .. }));
}

#[tokio::test]
async fn c094_a_document_over_256_kib_is_cut_off_compressed_or_not() {
    let issuer = FakeIssuer::start([]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    let set = jwks([jwk("k1")]).to_string();
    let padded = |length: usize| set.clone() + &" ".repeat(length - set.len());
    issuer.reply(KEYS, Reply::body("application/json", padded(256 * 1024)));
    assert!(cache.refresh(&name("a")).await.is_ok());
    let bomb = include_bytes!("corpus/4-mib-of-spaces.gz");
    assert!(bomb.len() < 8192);
    for reply in [
        Reply::body("application/json", padded(256 * 1024 + 1)),
        Reply::body("application/json", bomb.as_slice()).with("Content-Encoding", "gzip"),
        Reply::Endless,
    ] {
        issuer.reply(KEYS, reply);
        assert_eq!(fault(&cache).await, FetchErrorKind::TooLarge(256 * 1024));
        assert!(has(&cache, "a", "k1"));
    }
}

#[tokio::test]
async fn c094_a_response_that_breaks_off_or_lies_is_refused() {
    let issuer = FakeIssuer::start([]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    let set = jwks([jwk("k1")]).to_string();
    let raw = |head: &str| Reply::Raw(format!("HTTP/1.1 200 Fake\r\n{head}\r\n\r\n{set}").into_bytes());
    for reply in [
        raw("Content-Length: 100000"),
        raw("Transfer-Encoding: chunked"),
        Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Reply::Raw(Vec::new()),
        Reply::body("application/json", set.as_bytes()).with("Content-Encoding", "gzip"),
    ] {
        issuer.reply(KEYS, reply);
        let fault = fault(&cache).await;
        assert!(matches!(fault, FetchErrorKind::Transfer(_)), "{fault}");
    }
    // A length that is too short cuts the JSON.
    issuer.reply(KEYS, raw("Content-Length: 20"));
    assert!(matches!(fault(&cache).await, FetchErrorKind::KeySet(_)));
    assert!(cache.cached(&name("a")).is_none());
}

#[tokio::test]
async fn c094_one_deadline_bounds_silence_and_drip() {
    let stalls = [Vec::new(), b"HTTP/1.1 200".to_vec(), b"HTTP/1.1 200 Fake\r\nContent-Length: 100\r\n\r\n{".to_vec()];
    for path in [DISCOVERY, KEYS] {
        for stall in &stalls {
            let issuer = FakeIssuer::start([jwk("k1")]).await;
            issuer.reply(path, Reply::Stall(stall.clone()));
            let cache = Outside::new().cache([issuer.discovered("a")]);
            let fetch = tokio::spawn({
                let cache = cache.clone();
                async move { fault(&cache).await }
            });
            issuer.arrived(if path == DISCOVERY { 1 } else { 2 }).await;
            // From here on time passes by itself whenever nothing else can happen.
            tokio::time::pause();
            let fault = fetch.await.unwrap();
            assert!(
                matches!(&fault, FetchErrorKind::TimedOut { stage: Stage::Connected | Stage::Reused, .. }),
                "{fault}"
            );
            assert!(fault.to_string().contains("5 seconds") && fault.to_string().contains("127.0.0.1:"), "{fault}");
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn c096_a_set_of_more_than_100_keys_is_refused_whole() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    assert!(find(&cache, "a", "k1").await.is_ok());
    let key = jwk("k2");
    issuer.publish(vec![key.clone(); 101]);
    assert_eq!(fault(&cache).await, FetchErrorKind::KeySet(KeySetError::TooManyKeys));
    let mut long = key.clone();
    long["x5c"] = json!(["A".repeat(17 * 1024)]);
    issuer.publish([long]);
    assert_eq!(fault(&cache).await, FetchErrorKind::KeySet(KeySetError::KeyTooLong));
    assert!(has(&cache, "a", "k1") && !has(&cache, "a", "k2"));
    issuer.publish(vec![key; 100]);
    assert!(cache.refresh(&name("a")).await.is_ok());
}

#[tokio::test]
async fn c097_j13_a_bad_key_is_skipped_and_a_published_secret_stands_out() {
    let issuer = FakeIssuer::start([]).await;
    let cache = Outside::new().cache([issuer.by_url("a")]);
    let mut encryption = jwk("enc");
    encryption["use"] = "enc".into();
    issuer.publish([encryption, json!({"kty":"oct","kid":"secret","k":"AAAA"}), jwk("good"), json!({"kty":"new"})]);
    let report = cache.refresh(&name("a")).await.unwrap();
    assert_eq!((report.keys, report.skipped), (1, 3));
    assert!(has(&cache, "a", "good") && !has(&cache, "a", "enc"));
    let status = &cache.status()[0];
    let skipped: Vec<_> = status.skipped.iter().map(|key| (key.index, key.reason, key.alarming)).collect();
    assert_eq!(skipped, [(0, "not_for_signatures", false), (1, "symmetric", true), (3, "unknown_key_type", false)]);
    // Nothing usable is no set: the old one stays.
    issuer.publish([json!({"kty":"new"})]);
    assert!(cache.refresh(&name("a")).await.unwrap_err().to_string().contains("not supported"));
    assert!(has(&cache, "a", "good"));
}

#[tokio::test]
async fn c105_an_entity_tag_saves_the_second_body() {
    let issuer = FakeIssuer::start([]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.by_url("a")]);
    let full = Reply::json(&jwks([jwk("k1")])).with("ETag", "\"v1\"").with("Cache-Control", "max-age=100");
    issuer.reply(KEYS, full);
    assert!(find(&cache, "a", "k1").await.is_ok());
    assert!(!issuer.last_head().to_lowercase().contains("if-none-match"));
    outside.clock.advance(Duration::from_secs(90));
    issuer.reply(KEYS, Reply::status(304).with("Cache-Control", "max-age=200"));
    cache.refresh_due().await;
    assert!(issuer.last_head().to_lowercase().contains("if-none-match: \"v1\""));
    let status = &cache.status()[0];
    assert_eq!((status.fetches.replaced, status.fetches.unchanged, &status.last_error), (1, 1, &None));
    let now = sts_types::UnixTime::from_secs(1_780_000_090);
    assert_eq!((status.fetched_at, status.fresh_until), (Some(now), Some(now.plus(200))));
    assert!(has(&cache, "a", "k1"));
    // An operator's refresh is unconditional.
    assert_eq!(fault(&cache).await, FetchErrorKind::Status { status: 304, retry_after: None });
    assert!(!issuer.last_head().to_lowercase().contains("if-none-match"));
}

#[tokio::test]
async fn c105_an_entity_tag_is_not_shown_to_another_url() {
    let issuer = FakeIssuer::start([]).await;
    let outside = Outside::new();
    let cache = outside.cache([issuer.discovered("a")]);
    issuer.reply(KEYS, Reply::json(&jwks([jwk("k1")])).with("ETag", "\"v1\""));
    assert!(find(&cache, "a", "k1").await.is_ok());
    let moved = format!("{}/moved", issuer.url);
    issuer.reply(DISCOVERY, Reply::json(&json!({ "issuer": issuer.url, "jwks_uri": moved })));
    issuer.reply("/moved", Reply::json(&jwks([jwk("k2")])).with("ETag", "\"v1\""));
    outside.clock.advance(Duration::from_secs(300));
    cache.refresh_due().await;
    let head = issuer.last_head().to_lowercase();
    assert!(head.starts_with("get /moved ") && !head.contains("if-none-match"), "{head}");
    assert!(has(&cache, "a", "k2"));
}

#[tokio::test]
async fn c086_c089_an_address_that_can_never_be_dialled_is_a_configuration_error() {
    let strict = NetworkRule::default();
    let http = NetworkRule { allow_http: true, ..strict };
    let private = NetworkRule { allow_private_network: true, ..strict };
    let errors = |issuer: &str, rule| {
        let mut entry = spec("a", issuer, KeySource::Discovery);
        entry.network = rule;
        let mut by_url = spec("b", "https://issuer.example", KeySource::Url(format!("{issuer}/keys")));
        by_url.network = rule;
        let new =
            |entry| JwksCache::new(vec![entry], Outside::new().environment).map_or_else(|errors| errors.len(), |_| 0);
        assert_eq!(new(entry.clone()), new(by_url), "{issuer}");
        new(entry)
    };
    for (issuer, rule, want) in [
        ("https://issuer.example", strict, 0),
        ("https://issuer.example:8443/t", strict, 0),
        ("http://issuer.example", strict, 1),
        ("http://127.0.0.1:8080", strict, 1),
        ("https://127.0.0.1", strict, 1),
        ("https://10.0.0.1", strict, 1),
        ("https://2130706433", strict, 1),
        ("https://169.254.169.254", private, 1),
        ("https://10.0.0.1", private, 0),
        ("https://127.0.0.1", private, 0),
        ("http://10.0.0.1", private, 1),
        ("http://127.0.0.1:8080", http, 0),
        ("http://localhost:8080", http, 0),
        ("http://[::1]:8080", http, 0),
        ("https://localhost", http, 0),
        ("http://issuer.example", http, 1),
        ("http://localhost.evil.example", http, 1),
        ("http://10.0.0.1", http, 1),
        ("https://10.0.0.1", http, 1),
        ("ftp://issuer.example", http, 1),
        ("issuer.example", http, 1),
        ("https://u:p@issuer.example", strict, 1),
        ("https://issuer.example/#x", strict, 1),
    ] {
        assert_eq!(errors(issuer, rule), want, "{issuer} {rule:?}");
    }
}

#[tokio::test]
async fn every_error_of_a_configuration_is_told_at_once_with_its_entry_and_help() {
    let mut none = spec("none", "https://a.example", KeySource::Discovery);
    none.algorithms = Vec::new();
    let http = spec("http", "http://b.example", KeySource::Discovery);
    let missing = spec("missing", "https://c.example", KeySource::File("/does/not/exist.json".into()));
    let errors = JwksCache::new(vec![none, http, missing.clone(), missing], Outside::new().environment).unwrap_err();
    let mut entries: Vec<_> = errors.iter().map(|error| error.entry.as_str()).collect();
    entries.sort_unstable();
    assert_eq!(entries, ["http", "missing", "missing", "missing", "none"]);
    assert!(errors.iter().all(|error| !error.help.is_empty()));
    assert!(errors.iter().any(|error| error.message.contains("/does/not/exist.json")));
}

#[tokio::test]
async fn algorithms_of_the_entry_bind_its_keys() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let mut entry = issuer.by_url("a");
    entry.algorithms = vec![Algorithm::RS256];
    let cache = Outside::new().cache([entry]);
    assert!(matches!(fault(&cache).await, FetchErrorKind::KeySet(KeySetError::Empty(_))));
}
