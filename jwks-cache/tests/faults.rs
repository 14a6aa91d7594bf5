//! Every fault of an issuer, over http and https alike: it is named, bounded, and leaves the keys that were there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwks_cache::{EntrySpec, FetchErrorKind, JwksCache, KeySource, LookupError, NetworkRule, ResolveFuture, Resolver};
use rcgen::{CertificateParams, KeyPair};
use support::secure::{Authority, SecureIssuer, acceptor, entry};
use support::{FakeIssuer, KEYS, Outside, Reply, find, has, jwk, jwks, name};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A fake issuer over either transport.
struct Scene {
    secure: Option<SecureIssuer>,
    plain: Option<FakeIssuer>,
    _folder: TempDir,
    cache: JwksCache,
    outside: Outside,
}

impl Scene {
    async fn new(https: bool) -> Self {
        let (folder, own) = (tempfile::tempdir().unwrap(), Authority::new());
        let outside = Outside::new();
        let (mut secure, mut plain) = (None, None);
        let entry = if https {
            let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
            secure.insert(issuer).entry(Some(ca_file(&folder, &own)))
        } else {
            plain.insert(FakeIssuer::start([jwk("k1")]).await).discovered("a")
        };
        let cache = outside.cache([entry]);
        assert!(find(&cache, "a", "k1").await.is_ok());
        Self { secure, plain, _folder: folder, cache, outside }
    }

    fn issuer(&self) -> &FakeIssuer {
        self.secure.as_ref().map(|secure| &secure.inner).or(self.plain.as_ref()).unwrap()
    }

    fn url(&self) -> &str {
        self.secure.as_ref().map(|secure| &secure.url).or(self.plain.as_ref().map(|plain| &plain.url)).unwrap()
    }

    async fn kind(&self) -> &'static str {
        let error = self.cache.refresh(&name("a")).await.unwrap_err();
        assert!(has(&self.cache, "a", "k1"), "{error}");
        let status = &self.cache.status()[0];
        assert_eq!(status.last_fetch.unwrap().outcome, error.fault.kind());
        assert_eq!(status.last_error.as_ref().unwrap().message, error.to_string());
        error.fault.kind()
    }
}

fn ca_file(folder: &TempDir, own: &Authority) -> PathBuf {
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, own.pem()).unwrap();
    path
}

#[tokio::test]
async fn c086_c087_c088_c094_c095_each_fault_is_named_and_leaves_the_keys_over_http_and_https() {
    for https in [false, true] {
        let scene = Scene::new(https).await;
        let issuer = scene.issuer();
        let set = jwks([jwk("k2")]).to_string();
        let json = |body: &str| Reply::body("application/json", body);
        let bomb = include_bytes!("corpus/4-mib-of-spaces.gz").as_slice();
        for (reply, kind) in [
            (Reply::status(500), "status"),
            (Reply::status(429).with("Retry-After", "7"), "status"),
            (Reply::status(429).with("Retry-After", "99999999999999999999999"), "status"),
            (Reply::status(503).with("Retry-After", "-1"), "status"),
            (Reply::body("text/html", "<html>"), "content_type"),
            (json(&set[..set.len() / 2]), "key_set"),
            (Reply::Raw(format!("HTTP/1.1 200 Fake\r\nContent-Length: 9999\r\n\r\n{set}").into()), "transfer"),
            (Reply::body("application/json", bomb).with("Content-Encoding", "gzip"), "too_large"),
            (json(&" ".repeat(256 * 1024 + 1)), "too_large"),
            (Reply::Endless, "too_large"),
            (Reply::status(302).with("Location", KEYS), "redirect"),
            (Reply::status(301).with("Location", "http://169.254.169.254/"), "redirect"),
        ] {
            issuer.reply(KEYS, reply);
            assert_eq!(scene.kind().await, kind, "https: {https}");
        }
        issuer.publish([jwk("k1")]);
        issuer.discovers(&format!("{}/", scene.url()), &format!("{}{KEYS}", scene.url()));
        assert_eq!(scene.kind().await, "other_issuer");
        issuer.discovers(scene.url(), "http://10.0.0.1/keys");
        assert_eq!(scene.kind().await, if https { "jwks_uri" } else { "address_refused" });
    }
}

#[tokio::test]
async fn c093_c094_delay_is_waited_for_and_silence_and_drip_end_at_the_deadline() {
    for https in [false, true] {
        for endless in [None, Some(Reply::Stall(b"HTTP/1.1 200 Fake\r\n".to_vec())), Some(Reply::Drip)] {
            let scene = Scene::new(https).await;
            let issuer = scene.issuer();
            issuer.publish([jwk("k1"), jwk("late")]);
            let ends = endless.is_none();
            if let Some(reply) = endless {
                issuer.reply(KEYS, reply);
            }
            issuer.hold();
            let refresh = tokio::spawn({
                let cache = scene.cache.clone();
                async move { cache.refresh(&name("a")).await }
            });
            issuer.arrived(3).await;
            assert!(find(&scene.cache, "a", "k1").await.is_ok(), "nobody else waits");
            issuer.release();
            if ends {
                assert_eq!(refresh.await.unwrap().unwrap().keys, 2);
                continue;
            }
            issuer.arrived(4).await;
            // From here on time passes by itself whenever nothing else can happen.
            tokio::time::pause();
            let fault = refresh.await.unwrap().unwrap_err().fault;
            assert!(
                matches!(fault, FetchErrorKind::TimedOut { after, .. } if after == Duration::from_secs(5)),
                "{fault}"
            );
            tokio::time::resume();
            assert!(has(&scene.cache, "a", "k1"));
        }
    }
}

#[tokio::test]
async fn c099_c100_rotation_and_withdrawal_over_https() {
    let scene = Scene::new(true).await;
    scene.issuer().publish([jwk("k1"), jwk("k2")]);
    assert!(find(&scene.cache, "a", "k2").await.is_ok(), "a new kid is found on its first token");
    scene.issuer().publish([jwk("k2")]);
    scene.outside.clock.advance(Duration::from_secs(300));
    scene.cache.refresh_due().await;
    assert!(
        !has(&scene.cache, "a", "k1") && has(&scene.cache, "a", "k2"),
        "a withdrawn key is gone with the next refresh"
    );
}

#[tokio::test]
async fn c093_tls_that_cannot_be_trusted_is_a_fault_and_no_request() {
    let (folder, own) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca_file(&folder, &own);
    let key = KeyPair::generate().unwrap();
    let mut expired = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let issuer = SecureIssuer::start(acceptor(expired.signed_by(&key, &own.0).unwrap(), &key)).await;
    let cut = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cut_url = format!("https://{}", cut.local_addr().unwrap());
    tokio::spawn(async move {
        // Takes the first bytes of the handshake, and hangs up.
        while let Ok((stream, _)) = cut.accept().await {
            let _ = stream.readable().await;
        }
    });
    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old_url = format!("https://{}", old.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = old.accept().await {
            let _ = stream.readable().await;
            // A fatal alert: protocol_version, in a record of TLS 1.0.
            let _ = stream.try_write(&[0x15, 3, 1, 0, 2, 2, 70]);
        }
    });
    for url in [issuer.url.clone(), cut_url, old_url] {
        let entry = entry("https://issuer.example", KeySource::Url(format!("{url}{KEYS}")), Some(ca.clone()));
        let error = Outside::new().cache([entry]).refresh(&name("a")).await.unwrap_err();
        assert!(matches!(error.fault, FetchErrorKind::Connect(_)), "{url}: {error}");
    }
    assert_eq!(issuer.inner.requests(), 0);
}

#[tokio::test]
async fn c093_an_issuer_that_demands_a_certificate_of_ours_is_a_fault_that_says_so() {
    let (folder, own) = (tempfile::tempdir().unwrap(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor_for_clients("127.0.0.1")).await;
    let entry =
        entry("https://issuer.example", KeySource::Url(format!("{}{KEYS}", issuer.url)), Some(ca_file(&folder, &own)));
    let error = Outside::new().cache([entry]).refresh(&name("a")).await.unwrap_err();
    // In TLS 1.3 it is said after the handshake, in place of an answer (RFC 8446 section 4.4.2.4).
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    assert_eq!(issuer.inner.requests(), 0);
}

/// Answers every look-up with the addresses that a test set.
#[derive(Default)]
struct Flapping {
    addresses: Mutex<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Flapping {
    fn now(&self, addresses: &[&str]) {
        *self.addresses.lock().unwrap() = addresses.iter().map(|address| address.parse().unwrap()).collect();
    }
}

impl Resolver for Flapping {
    fn resolve(&self, _: &str) -> ResolveFuture {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let addresses = self.addresses.lock().unwrap().clone();
        Box::pin(async move { Ok(addresses) })
    }
}

#[tokio::test]
async fn c089_c090_a_name_that_flaps_is_dialled_at_judged_addresses_only_and_its_certificate_still_counts() {
    let (folder, own) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca_file(&folder, &own);
    let issuer = SecureIssuer::start(own.acceptor("issuer.example")).await;
    let impostor = SecureIssuer::start(own.acceptor("impostor.example")).await;
    let resolver = Arc::new(Flapping::default());
    let mut outside = Outside::new();
    outside.environment.resolver = Some(Arc::clone(&resolver) as Arc<dyn Resolver>);
    let at = |issuer: &SecureIssuer| {
        let port = issuer.url.rsplit(':').next().unwrap();
        let url = format!("https://issuer.example:{port}{KEYS}");
        entry("https://issuer.example", KeySource::Url(url), Some(ca.clone()))
    };
    let cache = outside.cache([at(&issuer)]);
    // Else the next fetch would go over the connection at hand, whose address was judged.
    issuer.inner.reply(KEYS, Reply::json(&jwks([jwk("k1")])).with("Connection", "close"));
    resolver.now(&["127.0.0.1"]);
    cache.refresh(&name("a")).await.unwrap();
    for flap in [
        &["169.254.169.254"][..],
        &["127.0.0.1", "169.254.169.254"],
        &["8.8.8.8", "fe80::1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["64:ff9b:1::1"],
        &["2002:7f00:1::1"],
        &["2001:0:7f00:1::1"],
        &["0.0.0.0"],
        &["255.255.255.255"],
        &["240.0.0.1"],
        &["192.0.2.1"],
        &["168.63.129.16"],
        &["::"],
    ] {
        resolver.now(flap);
        let asked = resolver.asked.load(Ordering::SeqCst);
        let error = cache.refresh(&name("a")).await.unwrap_err();
        assert!(matches!(error.fault, FetchErrorKind::Address(_)), "{flap:?}: {error}");
        assert_eq!(
            resolver.asked.load(Ordering::SeqCst),
            asked + 1,
            "one look-up, and no second that could say otherwise"
        );
        assert!(has(&cache, "a", "k1"));
    }
    resolver.now(&[]);
    assert!(matches!(cache.refresh(&name("a")).await.unwrap_err().fault, FetchErrorKind::Connect(_)));
    resolver.now(&["127.0.0.1"]);
    cache.refresh(&name("a")).await.unwrap();
    assert_eq!(issuer.inner.key_fetches(), 2);
    // Whoever turns the name to a machine of his own has no certificate for it.
    let error = outside.cache([at(&impostor)]).refresh(&name("a")).await.unwrap_err();
    assert!(matches!(error.fault, FetchErrorKind::Connect(_)), "{error}");
    assert_eq!(impostor.inner.requests(), 0);
}

#[tokio::test]
async fn c089_a_public_name_that_turns_private_is_not_dialled_without_leave() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let port = issuer.url.rsplit(':').next().unwrap();
    let resolver = Arc::new(Flapping::default());
    let mut outside = Outside::new();
    outside.environment.resolver = Some(Arc::clone(&resolver) as Arc<dyn Resolver>);
    let url = format!("https://issuer.example:{port}{KEYS}");
    let strict =
        EntrySpec { network: NetworkRule::default(), ..entry("https://issuer.example", KeySource::Url(url), None) };
    let cache = outside.cache([strict]);
    for private in ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::1"] {
        resolver.now(&[private]);
        let error = cache.refresh(&name("a")).await.unwrap_err();
        assert!(matches!(error.fault, FetchErrorKind::Address(_)), "{private}: {error}");
        assert!(error.to_string().contains("allow_private_network"), "{error}");
    }
    assert_eq!(issuer.connections(), 0);
    assert!(matches!(find(&cache, "a", "k1").await, Err(LookupError::Unavailable { .. })));
}

#[tokio::test]
async fn c091_the_leave_of_one_entry_is_no_other_entrys() {
    let (folder, own) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca_file(&folder, &own);
    let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    let elsewhere = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    // What an issuer inside names inside is reached, as an API server's key set is; nothing beyond what the entry allows.
    issuer.keys_at(&elsewhere.url);
    let cache = Outside::new().cache([issuer.entry(Some(ca))]);
    cache.refresh(&name("a")).await.unwrap();
    issuer.keys_at("https://169.254.169.254");
    assert!(matches!(cache.refresh(&name("a")).await.unwrap_err().fault, FetchErrorKind::Address(_)));
    issuer.keys_at(&elsewhere.inner.url);
    assert!(matches!(cache.refresh(&name("a")).await.unwrap_err().fault, FetchErrorKind::JwksUri(_)));
    let mut strict = entry(&issuer.url, KeySource::Discovery, None);
    strict.network = NetworkRule::default();
    assert!(JwksCache::new(vec![strict], Outside::new().environment).is_err());
}
