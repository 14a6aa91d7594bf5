//! Certificates for a Redis with TLS and client certificates.

use crate::tls_files::write_certificates;
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
        let server = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        write_certificates(directory.path(), &[("server", server), ("client", vec!["sts".to_owned()])]);
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
