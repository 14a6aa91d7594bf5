//! Certificates for a Redis with TLS and client certificates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// An authority, a server's certificate for 127.0.0.1 and localhost, and a client's, as PEM files.
#[derive(Debug)]
pub struct RedisCertificates(TempDir);

impl RedisCertificates {
    /// Creates them.
    #[must_use]
    pub fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, text: String| {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(directory.path().join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("ca.crt", authority.pem());
        for (name, subjects) in
            [("server", vec!["127.0.0.1".to_owned(), "localhost".to_owned()]), ("client", vec!["sts".to_owned()])]
        {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(subjects).unwrap();
            // A certificate with the authority's name would count as self-signed.
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.crt"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self(directory)
    }

    /// One of `ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Arguments for a redis-server that speaks TLS only, and only with clients that have a
    /// certificate of the authority.
    #[must_use]
    pub fn server_lines(&self) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "port 0\ntls-port {{port}}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients yes\n",
            path("server.crt"),
            path("server.key"),
            path("ca.crt")
        )
    }
}
