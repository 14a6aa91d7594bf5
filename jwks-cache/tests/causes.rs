//! Why an issuer cannot be reached: each cause is told apart, with the place and the setting that cures it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jwks_cache::{
    CertificateFault, ConnectCause, EntrySpec, FetchError, FetchErrorKind, KeySource, NetworkRule, ResolveFuture,
    Resolver,
};
use rcgen::{CertificateParams, DnType, KeyPair};
use support::secure::{Authority, SecureIssuer, acceptor, entry};
use support::{FakeIssuer, KEYS, Outside, Reply, find, jwk, name};
use tokio::net::TcpListener;

/// Knows no name.
struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &str) -> ResolveFuture {
        Box::pin(async { Err(std::io::Error::other("Name or service not known")) })
    }
}

async fn failure(outside: &Outside, entry: EntrySpec) -> FetchError {
    outside.cache([entry]).refresh(&name("a")).await.unwrap_err()
}

fn by_url(url: &str, ca: Option<PathBuf>) -> EntrySpec {
    entry("https://issuer.example", KeySource::Url(format!("{url}{KEYS}")), ca)
}

/// An address on loopback where nothing listens.
async fn closed() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn says(error: &FetchError, kind: &str, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.fault.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

#[tokio::test]
async fn fld47_dns_refused_and_silence_are_told_apart_with_the_place_and_the_setting() {
    let mut outside = Outside::new();
    let address = closed().await;
    let error = failure(&outside, by_url(&format!("https://{address}"), None)).await;
    says(&error, "connection_refused", &[&format!("https://{address}{KEYS}"), "connection refused", "`jwks_file`"]);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let cache = outside.cache([by_url(&url, None)]);
    let fetch = tokio::spawn(async move { cache.refresh(&name("a")).await.unwrap_err() });
    let _kept_open = silent.accept().await.unwrap();
    tokio::time::pause();
    let error = fetch.await.unwrap();
    tokio::time::resume();
    says(&error, "timeout", &["no connection to 127.0.0.1:", "within 5 seconds", "`proxy`"]);

    outside.environment.resolver = Some(Arc::new(NoNames));
    let error = failure(&outside, by_url("https://nowhere.example", None)).await;
    says(&error, "dns", &["nowhere.example:443", "DNS", "Name or service not known", "`proxy`"]);
}

#[tokio::test]
async fn fld47_a_refused_certificate_is_named_with_its_authority_and_what_cures_it() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (Authority::new(), Authority::new());
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, own.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = |host: &str, common_name: &str| {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    };
    let mut expired = params("127.0.0.1", "expired leaf");
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let mut early = params("127.0.0.1", "early leaf");
    early.not_before = rcgen::date_time_ymd(2120, 1, 1);
    early.not_after = rcgen::date_time_ymd(2121, 1, 1);
    for (certificate, said) in [
        (
            expired.signed_by(&key, &own.0).unwrap(),
            &["CN=expired leaf", "expired on 2021-02-03", "new certificate"][..],
        ),
        (early.signed_by(&key, &own.0).unwrap(), &["CN=early leaf", "not valid before 2120-01-01", "clock"]),
        (
            params("other.example", "other name").signed_by(&key, &own.0).unwrap(),
            &["CN=other name", "for `other.example` and not for `127.0.0.1`"],
        ),
        (
            params("127.0.0.1", "stranger").signed_by(&key, &other.0).unwrap(),
            &["CN=stranger", "authority that is not trusted", "`ca_file`"],
        ),
        (params("127.0.0.1", "itself").self_signed(&key).unwrap(), &["CN=itself", "signed by itself", "`ca_file`"]),
    ] {
        let issuer = SecureIssuer::start(acceptor(certificate, &key)).await;
        let error = failure(&Outside::new(), by_url(&issuer.url, Some(ca.clone()))).await;
        says(&error, "tls", said);
        says(&error, "tls", &[&issuer.url, "TLS"]);
        assert_eq!(issuer.inner.requests(), 0);
    }
    // What the system trusts is judged the same way.
    let leaf = params("127.0.0.1", "leaf").signed_by(&key, &own.0).unwrap();
    let issuer = SecureIssuer::start(acceptor(leaf, &key)).await;
    let error = failure(&Outside::new(), by_url(&issuer.url, None)).await;
    let FetchErrorKind::Connect(connect) = &error.fault else { panic!("{error}") };
    let ConnectCause::Certificate(refused) = &connect.cause else { panic!("{error}") };
    assert_eq!(refused.why, CertificateFault::UnknownAuthority { self_signed: false });
}

#[tokio::test]
async fn fld47_what_is_no_tls_and_what_is_no_key_set_is_named() {
    let plain = FakeIssuer::start([jwk("k1")]).await;
    // The fake hangs up on what is no HTTP; others answer it with an error in plain text.
    let error = failure(&Outside::new(), by_url(&plain.url.replace("http:", "https:"), None)).await;
    says(&error, "connect", &["TLS", "scheme and port"]);
    let answering = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", answering.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = answering.accept().await {
            let _ = stream.readable().await;
            let _ = stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = failure(&Outside::new(), by_url(&url, None)).await;
    says(&error, "tls", &["not TLS", "scheme and port"]);

    for (reply, kind, parts) in [
        (Reply::status(404), "status", &["status 404", "`jwks_url`"][..]),
        (Reply::status(401), "status", &["status 401", "`bearer_token_file`", "`jwks_file`"]),
        (Reply::status(500), "status", &["status 500", "issuer's side"]),
        (Reply::body("text/html", "<html>"), "content_type", &["web page"]),
        (Reply::body("application/json", "{"), "key_set", &["JSON"]),
        (Reply::body("application/json", vec![b' '; 300_000]), "too_large", &["262144"]),
        (
            Reply::status(302).with("Location", "https://sso.example/login?x=y"),
            "redirect",
            &["`https://sso.example`", "`jwks_url`"],
        ),
    ] {
        plain.reply(KEYS, reply);
        let error = failure(&Outside::new(), plain.by_url("a")).await;
        says(&error, kind, parts);
        says(&error, kind, &[&format!("{}{KEYS}", plain.url)]);
        assert!(!error.to_string().contains("x=y"));
    }
}

#[tokio::test]
async fn fld20_a_failed_connection_mentions_a_proxy_of_the_environment_that_is_not_used() {
    let mut outside = Outside::new();
    outside.environment.ignored_proxies = vec!["HTTPS_PROXY".to_owned()];
    let error = failure(&outside, by_url(&format!("https://{}", closed().await), None)).await;
    says(&error, "connection_refused", &["`HTTPS_PROXY` of the environment is not used", "write it as `proxy`"]);
    // A server that answers was reached.
    let issuer = FakeIssuer::start([]).await;
    issuer.reply(KEYS, Reply::status(500));
    let error = failure(&outside, issuer.by_url("a")).await;
    assert!(!error.to_string().contains("HTTPS_PROXY"), "{error}");
}

/// Answers with one address.
struct At(IpAddr);

impl Resolver for At {
    fn resolve(&self, _: &str) -> ResolveFuture {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test]
async fn fld19_a_name_behind_nat64_is_dialled_or_refused_by_the_address_inside() {
    for (address, allow_private_network, is_refused) in [
        ("64:ff9b::10.0.0.1", false, true),
        ("64:ff9b::169.254.169.254", true, true),
        ("64:ff9b::127.0.0.1", true, true),
    ] {
        let mut outside = Outside::new();
        outside.environment.resolver = Some(Arc::new(At(address.parse().unwrap())));
        let mut entry = by_url("https://issuer.example", None);
        entry.network = NetworkRule { allow_private_network, allow_http: false };
        let error = failure(&outside, entry).await;
        assert_eq!(matches!(error.fault, FetchErrorKind::Address(_)), is_refused, "{address}: {error}");
        assert!(error.to_string().contains("behind NAT64"), "{error}");
    }
}

#[tokio::test]
async fn the_view_of_an_entry_tells_its_keys_where_they_are_from_and_what_it_had_before() {
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let cache = Outside::new().cache([issuer.discovered("a")]);
    let view = cache.view(&name("a")).unwrap();
    assert!(view.status.keys.is_empty() && view.recent.is_empty());
    assert!(find(&cache, "a", "k1").await.is_ok());
    issuer.publish([jwk("k2")]);
    cache.refresh(&name("a")).await.unwrap();
    issuer.reply(KEYS, Reply::status(500));
    cache.refresh(&name("a")).await.unwrap_err();
    let view = cache.view(&name("a")).unwrap();
    let kids: Vec<_> = view.recent.iter().map(|set| set.keys[0].kid.as_ref().unwrap().as_str()).collect();
    assert_eq!(kids, ["k1", "k2"]);
    assert_eq!(view.seen_from, jwks_cache::SeenFrom::Discovery(Some(format!("{}{KEYS}", issuer.url))));
    assert!(view.status.last_error.unwrap().message.contains("status 500"));
    assert!(cache.view(&name("nobody")).is_none());
}
