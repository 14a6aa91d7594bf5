//! Whose certificates an entry trusts, who sees its bearer token, and what its proxy is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jwks_cache::{DocumentKind, EntrySpec, FetchError, FetchErrorKind, JwksCache, KeySource, NetworkRule, ProxyUrl};
use rcgen::{CertificateParams, KeyPair};
use support::secure::{Authority, SecureIssuer, acceptor, entry};
use support::{FakeIssuer, KEYS, Outside, Reply, find, has, jwk, name, spec};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A folder for a test's files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
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
        assert!(matches!(error.fault, FetchErrorKind::Connect(_)), "{error}");
    }
    assert_eq!(issuer.inner.requests(), before);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_under_the_right_authority() {
    let (folder, own) = (Folder::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("issuer.example")).await;
    let cache = Outside::new().cache([issuer.entry(Some(folder.write("ca.pem", &own.pem())))]);
    assert!(matches!(refused(&cache).await.fault, FetchErrorKind::Connect(_)));
    assert_eq!(issuer.inner.requests(), 0);
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_unless_it_is_the_ca_file() {
    let (folder, key) = (Folder::new(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem();
    let issuer = SecureIssuer::start(acceptor(certificate, &key)).await;
    let outside = Outside::new();
    assert!(matches!(refused(&outside.cache([issuer.entry(None)])).await.fault, FetchErrorKind::Connect(_)));
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
    assert!(matches!(refused(&cache).await.fault, FetchErrorKind::Connect(_)));
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

/// A proxy on loopback that tunnels to that place, or refuses to.
struct FakeProxy {
    address: std::net::SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    async fn start(behind: Option<&str>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let (heads, behind) = (Arc::clone(&proxy.heads), behind.map(str::to_owned));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heads, behind, tls) = (Arc::clone(&heads), behind.clone(), tls.clone());
                tokio::spawn(async move {
                    // A client that does not trust the proxy ends the handshake.
                    match tls {
                        None => tunnel(stream, behind, &heads).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                tunnel(stream, behind, &heads).await;
                            }
                        }
                    }
                });
            }
        });
        proxy
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn tunnel(mut stream: impl AsyncRead + AsyncWrite + Unpin, behind: Option<String>, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let Some(behind) = behind else {
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
    let mut onward = TcpStream::connect(behind).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut onward).await;
}

/// An entry of `https://issuer.example` behind that proxy, with a bearer token.
fn proxied(folder: &Folder, own: &Authority, proxy: &str) -> EntrySpec {
    EntrySpec {
        network: NetworkRule::default(),
        bearer_token_file: Some(folder.write("token", "secret-1")),
        proxy: Some(ProxyUrl::parse(proxy).unwrap()),
        ..entry(
            "https://issuer.example",
            KeySource::Url(format!("https://issuer.example{KEYS}")),
            Some(folder.write("ca.pem", &own.pem())),
        )
    }
}

#[tokio::test]
async fn c107_a_proxy_is_asked_for_a_tunnel_and_never_sees_the_token() {
    let (folder, own) = (Folder::new(), Authority::new());
    let issuer = SecureIssuer::start(own.acceptor("issuer.example")).await;
    let behind = issuer.url.strip_prefix("https://");
    for tls in [false, true] {
        let acceptor = tls.then(|| own.acceptor("127.0.0.1"));
        let proxy = FakeProxy::start(behind, acceptor).await;
        let scheme = if tls { "https" } else { "http" };
        let entry = proxied(&folder, &own, &format!("{scheme}://user:hunter2@{}", proxy.address));
        assert!(!format!("{entry:?}").contains("hunter2"));
        let cache = Outside::new().cache([entry]);
        cache.refresh(&name("a")).await.unwrap();
        assert_eq!(issuer.authorization().as_deref(), Some("Bearer secret-1"));
        let heads = proxy.heads();
        assert_eq!(heads.len(), 1);
        assert!(heads[0].starts_with("CONNECT issuer.example:443 HTTP/1.1\r\n"), "{}", heads[0]);
        assert!(heads[0].to_lowercase().contains("proxy-authorization: basic dxnlcjpodw50zxiy\r\n"), "{}", heads[0]);
        assert!(!heads[0].contains("secret-1"));
    }
}

#[tokio::test]
async fn c107_a_proxy_that_refuses_or_is_not_trusted_is_a_fault_that_names_no_credentials() {
    let (folder, own, other) = (Folder::new(), Authority::new(), Authority::new());
    let refusing = FakeProxy::start(None, None).await;
    let untrusted = FakeProxy::start(None, Some(other.acceptor("127.0.0.1"))).await;
    for url in [
        format!("http://user:hunter2@{}", refusing.address),
        format!("https://user:hunter2@{}", untrusted.address),
        "http://user:hunter2@127.0.0.1:9".to_owned(),
    ] {
        let cache = Outside::new().cache([proxied(&folder, &own, &url)]);
        let error = refused(&cache).await;
        assert!(matches!(error.fault, FetchErrorKind::Connect(_)), "{error}");
        let shown = format!("{error} {error:?} {:?} {cache:?}", cache.status());
        assert!(!shown.contains("hunter2") && !shown.contains("secret-1"), "{shown}");
    }
    assert_eq!((refusing.heads().len(), untrusted.heads().len()), (1, 0));
}

#[tokio::test]
async fn a_key_set_elsewhere_that_wants_the_withheld_token_is_told_what_to_configure() {
    let (folder, own) = (Folder::new(), Authority::new());
    let ca = folder.write("ca.pem", &own.pem());
    let issuer = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    let elsewhere = SecureIssuer::start(own.acceptor("127.0.0.1")).await;
    issuer.keys_at(&elsewhere.url);
    elsewhere.inner.reply(KEYS, Reply::status(401));
    let with_token =
        EntrySpec { bearer_token_file: Some(folder.write("token", "secret-1\n")), ..issuer.entry(Some(ca.clone())) };
    let error = refused(&Outside::new().cache([with_token])).await;
    assert_eq!(error.fault, FetchErrorKind::BearerWithheld(401));
    assert!(error.to_string().contains("`jwks_url`") && error.to_string().contains(&elsewhere.url), "{error}");
    assert!(!error.to_string().contains("secret-1"));
    // Without a token there is none to give.
    let error = refused(&Outside::new().cache([issuer.entry(Some(ca))])).await;
    assert_eq!(error.fault, FetchErrorKind::Status { status: 401, retry_after: None });
}

#[tokio::test]
async fn c089_an_internal_address_is_not_asked_of_a_proxy_either() {
    let proxy = ProxyUrl::parse("http://127.0.0.1:9").unwrap();
    let network = NetworkRule::default();
    let internal = entry("https://169.254.169.254", KeySource::Discovery, None);
    let error = refusal(EntrySpec { network, proxy: Some(proxy), ..internal });
    assert!(error.message.contains("never dialled"), "{error}");
}
