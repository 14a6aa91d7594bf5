//! Whose certificates an entry trusts, who sees its bearer token, and what its proxy is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jwks_cache::{DocumentKind, EntrySpec, FetchError, FetchFault, JwksCache, KeySource, NetworkRule, ProxyUrl};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use support::{DISCOVERY, FakeIssuer, KEYS, Outside, Reply, find, has, jwk, name, spec};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority that nobody but these tests trusts.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        acceptor(certificate, &key)
    }
}

fn acceptor(certificate: rcgen::Certificate, key: &KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A fake issuer behind TLS on 127.0.0.1.
struct SecureIssuer {
    inner: FakeIssuer,
    url: String,
}

impl SecureIssuer {
    async fn start(acceptor: TlsAcceptor) -> Self {
        let inner = FakeIssuer::start([jwk("k1")]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let behind = inner.url.strip_prefix("http://").unwrap().to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    // A client that does not trust this ends the handshake.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut plain = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        let issuer = Self { inner, url };
        issuer.keys_at(&issuer.url);
        issuer
    }

    /// Names the key set of that origin as its own.
    fn keys_at(&self, origin: &str) {
        let document = json!({ "issuer": self.url, "jwks_uri": format!("{origin}{KEYS}") });
        self.inner.reply(DISCOVERY, Reply::json(&document));
    }

    fn entry(&self, ca_file: Option<PathBuf>) -> EntrySpec {
        entry(&self.url, KeySource::Discovery, ca_file)
    }

    /// The `Authorization` of the last request.
    fn authorization(&self) -> Option<String> {
        let head = self.inner.last_head();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value.to_owned())
    }
}

fn entry(issuer: &str, source: KeySource, ca_file: Option<PathBuf>) -> EntrySpec {
    let network = NetworkRule { allow_private_network: true, allow_http: false };
    EntrySpec { network, ca_file, ..spec("a", issuer, source) }
}

/// A folder for a test's files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

async fn refused(cache: &JwksCache) -> FetchError {
    cache.refresh(&name("a")).await.unwrap_err()
}

fn refusal(entry: EntrySpec) -> jwks_cache::EntryError {
    let errors = JwksCache::new(vec![entry], Outside::new().environment).err().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[tokio::test]
async fn an_issuer_is_believed_under_the_authority_of_its_ca_file_only() {
    let (folder, own, other) = (Folder::new(), Authority::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    let own_file = folder.write("own.pem", &own.pem());
    let other_file = folder.write("other.pem", &other.pem());
    let both_file = folder.write("both.pem", &format!("{}{}", other.pem(), own.pem()));

    for trusted in [own_file, both_file] {
        let cache = Outside::new().cache([issuer.entry(Some(trusted))]);
        assert!(find(&cache, "a", "k1").await.is_ok());
    }
    let before = issuer.inner.requests();
    for untrusted in [Some(other_file), None] {
        let cache = Outside::new().cache([issuer.entry(untrusted)]);
        let error = refused(&cache).await;
        assert!(matches!(error.fault, FetchFault::Connect(_)), "{error}");
    }
    assert_eq!(issuer.inner.requests(), before);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_under_the_right_authority() {
    let (folder, own) = (Folder::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("issuer.example")).await;
    let cache = Outside::new().cache([issuer.entry(Some(folder.write("ca.pem", &own.pem())))]);
    assert!(matches!(refused(&cache).await.fault, FetchFault::Connect(_)));
    assert_eq!(issuer.inner.requests(), 0);
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_unless_it_is_the_ca_file() {
    let (folder, key) = (Folder::new(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem();
    let issuer = SecureIssuer::start(acceptor(certificate, &key)).await;
    let outside = Outside::new();
    assert!(matches!(refused(&outside.cache([issuer.entry(None)])).await.fault, FetchFault::Connect(_)));
    let cache = outside.cache([issuer.entry(Some(folder.write("ca.pem", &pem)))]);
    assert!(find(&cache, "a", "k1").await.is_ok());
}

#[tokio::test]
async fn a_ca_file_that_changes_is_what_the_next_fetch_trusts() {
    let (folder, own, other) = (Folder::new(), Authority::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    let path = folder.write("ca.pem", &own.pem());
    let cache = Outside::new().cache([issuer.entry(Some(path.clone()))]);
    cache.refresh(&name("a")).await.unwrap();

    folder.write("ca.pem", &other.pem());
    assert!(matches!(refused(&cache).await.fault, FetchFault::Connect(_)));
    std::fs::remove_file(&path).unwrap();
    let error = refused(&cache).await;
    assert_eq!((error.document, error.location.as_str()), (DocumentKind::CaFile, path.to_str().unwrap()));
    assert!(has(&cache, "a", "k1"), "the keys at hand go on");
    folder.write("ca.pem", &own.pem());
    cache.refresh(&name("a")).await.unwrap();
}

#[tokio::test]
async fn a_bearer_token_is_shown_to_the_configured_origin_and_to_no_other() {
    let (folder, own) = (Folder::new(), Authority::new());
    let ca = folder.write("ca.pem", &own.pem());
    let token = folder.write("token", "secret-1\n");
    let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    // The same host at another port is another origin already.
    let elsewhere = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    let with_token = |entry| EntrySpec { bearer_token_file: Some(token.clone()), ..entry };

    let cache = Outside::new().cache([with_token(issuer.entry(Some(ca.clone())))]);
    cache.refresh(&name("a")).await.unwrap();
    assert_eq!(issuer.authorization().as_deref(), Some("Bearer secret-1"));

    issuer.keys_at(&elsewhere.url);
    cache.refresh(&name("a")).await.unwrap();
    assert_eq!(issuer.authorization().as_deref(), Some("Bearer secret-1"));
    assert_eq!((elsewhere.inner.key_fetches(), elsewhere.authorization()), (1, None));

    let by_url = entry("https://cluster.example", KeySource::Url(format!("{}{KEYS}", elsewhere.url)), Some(ca));
    Outside::new().cache([with_token(by_url)]).refresh(&name("a")).await.unwrap();
    assert_eq!(elsewhere.authorization().as_deref(), Some("Bearer secret-1"));
}

#[tokio::test]
async fn a_rotated_token_is_used_and_a_missing_one_is_named_while_the_keys_go_on() {
    let folder = Folder::new();
    let issuer = FakeIssuer::start([jwk("k1")]).await;
    let path = folder.write("token", "secret-1\r\n");
    let cache = Outside::new().cache([EntrySpec { bearer_token_file: Some(path.clone()), ..issuer.discovered("a") }]);
    for token in ["secret-1", "secret-2"] {
        folder.write("token", &format!("{token}\n"));
        cache.refresh(&name("a")).await.unwrap();
        assert!(issuer.last_head().to_lowercase().contains(&format!("authorization: bearer {token}\r\n")));
    }
    let before = issuer.requests();
    for (text, why) in
        [(Some("secret 3"), "printable"), (Some("secret-3\n\n"), "printable"), (Some(""), "printable"), (None, "")]
    {
        match text {
            Some(text) => drop(folder.write("token", text)),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = refused(&cache).await;
        assert_eq!((error.document, error.location.as_str()), (DocumentKind::BearerTokenFile, path.to_str().unwrap()));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(why) && !shown.contains("secret"), "{shown}");
    }
    assert_eq!(issuer.requests(), before);
    assert!(has(&cache, "a", "k1"));
}

#[test]
fn files_that_cannot_be_used_are_refused_at_the_start_with_what_to_do() {
    let folder = Folder::new();
    let entry = || entry("https://issuer.example", KeySource::Discovery, None);
    let missing = folder.0.path().join("missing");
    let empty = folder.write("empty", "");
    let garbage = folder.write("garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for path in [missing.clone(), empty.clone(), garbage, folder.0.path().to_owned()] {
        let error = refusal(EntrySpec { ca_file: Some(path.clone()), ..entry() });
        assert_eq!(error.key, Some("ca_file"));
        assert!(error.message.contains(path.to_str().unwrap()) && error.help.contains("PEM"), "{error}");
    }
    for path in [missing, empty] {
        let error = refusal(EntrySpec { bearer_token_file: Some(path.clone()), ..entry() });
        assert_eq!(error.key, Some("bearer_token_file"));
        assert!(error.message.contains(path.to_str().unwrap()) && error.help.contains("token"), "{error}");
    }
}

#[test]
fn what_an_entry_never_uses_is_refused() {
    let keys = support::jwks([jwk("k1")]);
    let inline = || entry("https://issuer.example", KeySource::Inline(keys.clone()), None);
    let proxy = || Some(ProxyUrl::parse("http://proxy.example:3128").unwrap());
    for (key, entry) in [
        ("ca_file", EntrySpec { ca_file: Some("ca.pem".into()), ..inline() }),
        ("bearer_token_file", EntrySpec { bearer_token_file: Some("token".into()), ..inline() }),
        ("proxy", EntrySpec { proxy: proxy(), ..inline() }),
        ("proxy", EntrySpec { proxy: proxy(), ..spec("a", "http://127.0.0.1:1", KeySource::Discovery) }),
    ] {
        assert_eq!(refusal(entry).key, Some(key));
    }
}

#[tokio::test]
async fn c107_a_proxy_is_asked_for_a_tunnel_and_never_sees_the_token() {
    let (folder, own) = (Folder::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("issuer.example")).await;
    let behind = issuer.url.strip_prefix("https://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = ProxyUrl::parse(&format!("http://user:hunter2@{}", listener.local_addr().unwrap())).unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
            let behind = behind.clone();
            tokio::spawn(async move {
                let mut onward = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    let entry = EntrySpec {
        network: NetworkRule::default(),
        bearer_token_file: Some(folder.write("token", "secret-1")),
        proxy: Some(proxy),
        ..entry(
            "https://issuer.example",
            KeySource::Url(format!("https://issuer.example{KEYS}")),
            Some(folder.write("ca.pem", &own.pem())),
        )
    };
    assert!(!format!("{entry:?}").contains("hunter2"));
    let cache = Outside::new().cache([entry]);
    cache.refresh(&name("a")).await.unwrap();
    assert_eq!(issuer.authorization().as_deref(), Some("Bearer secret-1"));
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("CONNECT issuer.example:443 HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].to_lowercase().contains("proxy-authorization: basic dxnlcjpodw50zxiy\r\n"), "{}", heads[0]);
    assert!(!heads[0].contains("secret-1"));
}

#[tokio::test]
async fn c089_an_internal_address_is_not_asked_of_a_proxy_either() {
    let proxy = ProxyUrl::parse("http://127.0.0.1:9").unwrap();
    let network = NetworkRule::default();
    let internal = entry("https://169.254.169.254", KeySource::Discovery, None);
    let error = refusal(EntrySpec { network, proxy: Some(proxy), ..internal });
    assert!(error.message.contains("never dialled"), "{error}");
}
