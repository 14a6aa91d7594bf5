//! The fake issuer behind TLS, with certificates of an authority of its own.

use std::path::PathBuf;
use std::sync::Arc;

use jwks_cache::{EntrySpec, KeySource, NetworkRule};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{DISCOVERY, FakeIssuer, KEYS, Reply, jwk, spec};

/// An authority that nobody but these tests trusts.
pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        acceptor(certificate, &key)
    }

    /// One that talks only to clients with a certificate of the authority.
    pub fn acceptor_for_clients(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        acceptor_of(certificate, &key, verifier)
    }
}

pub fn acceptor(certificate: rcgen::Certificate, key: &KeyPair) -> TlsAcceptor {
    acceptor_of(certificate, key, WebPkiClientVerifier::no_client_auth())
}

fn acceptor_of(certificate: rcgen::Certificate, key: &KeyPair, clients: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A fake issuer behind TLS on 127.0.0.1.
pub struct SecureIssuer {
    pub inner: FakeIssuer,
    pub url: String,
}

impl SecureIssuer {
    pub async fn start(acceptor: TlsAcceptor) -> Self {
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
    pub fn keys_at(&self, origin: &str) {
        let document = json!({ "issuer": self.url, "jwks_uri": format!("{origin}{KEYS}") });
        self.inner.reply(DISCOVERY, Reply::json(&document));
    }

    pub fn entry(&self, ca_file: Option<PathBuf>) -> EntrySpec {
        entry(&self.url, KeySource::Discovery, ca_file)
    }

    /// The `Authorization` of the last request.
    pub fn authorization(&self) -> Option<String> {
        let head = self.inner.last_head();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value.to_owned())
    }
}

/// An entry that may reach a fake issuer behind TLS.
pub fn entry(issuer: &str, source: KeySource, ca_file: Option<PathBuf>) -> EntrySpec {
    let network = NetworkRule { allow_private_network: true, allow_http: false };
    EntrySpec { network, ca_file, ..spec("a", issuer, source) }
}
