//! The settings of the server.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sts_audit::AuditSpec;
use sts_directory::DirectorySpec;
use sts_keyring::KeyringSpec;
use sts_store::spec::StoreSpec;
use sts_types::{DirectoryName, IpNetwork, Issuer, Located, ObjectKind};
use url::Url;
use zeroize::Zeroizing;

/// The settings of the server itself, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our own `iss`.
    pub issuer: Issuer,
    /// The public listener.
    pub listen: SocketAddr,
    /// The public listener's certificate, if it terminates TLS itself.
    pub tls: Option<TlsFiles>,
    /// Proxies whose forwarding headers are trusted. Empty if no proxy terminates TLS.
    pub behind_tls_proxy: Vec<IpNetwork>,
    /// The admin listener.
    pub admin: AdminSettings,
    /// Directory of the embedded store, the signing keys, the admin token and the last good issuer
    /// keys.
    pub data_dir: PathBuf,
    /// The store of token records.
    pub store: StoreSpec,
    /// Our signing keys, and the longest lifetime of a minted token.
    pub keyring: KeyringSpec,
    /// Whether minted tokens refer to a status list (`status_list`).
    pub status_list: bool,
    /// Whether a minted token expires no later than its subject token (`tokens.cap_to_subject`).
    pub cap_to_subject: bool,
    /// Limits on callers.
    pub limits: Limits,
    /// How long a stopping server goes on serving requests after it has turned unready.
    pub drain: Duration,
    /// Logging.
    pub log: LogSettings,
    /// The audit trail.
    pub audit: AuditSpec,
    /// `metrics.listen`: a listener for the metrics alone.
    pub metrics_listen: Option<SocketAddr>,
    /// `telemetry.otlp`: the collector of traces.
    pub otlp: Option<Url>,
    /// `api_keys:`.
    pub api_keys: ApiKeySettings,
    /// `manage.kinds`: the kinds of objects that may be changed in the store.
    pub managed_kinds: Vec<ObjectKind>,
    /// `directories:`, in file order.
    pub directories: Vec<DirectorySpec>,
}

impl Settings {
    /// The names of the directories.
    #[must_use]
    pub fn directory_names(&self) -> Vec<Located<DirectoryName>> {
        self.directories.iter().map(|directory| Located::nowhere(directory.name.clone())).collect()
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// `admin:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The listener. Without TLS it is on loopback.
    pub listen: SocketAddr,
    /// Accepted values of `Host`, in addition to IP literals and `localhost`. Lower case.
    pub hosts: Vec<String>,
    /// The listener's certificate.
    pub tls: Option<TlsFiles>,
}

/// `limits:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Allowed rate of refused requests per source address; 0 for no limit.
    pub failures_per_second: u32,
    /// Refused requests that a source address may send in one burst.
    pub failure_burst: u32,
    /// Maximum number of open connections.
    pub connections: u32,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
}

/// `api_keys:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiKeySettings {
    /// Whether API keys get tokens and can be created.
    pub enabled: bool,
    /// Lifetime of a key that is created without one, in seconds.
    pub default_ttl: u64,
    /// The longest lifetime of a key, in seconds.
    pub max_ttl: u64,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { enabled: true, default_ttl: 30 * DAY, max_ttl: 90 * DAY }
    }
}

/// `log:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Format of the log lines.
    pub format: LogFormat,
    /// Least severe level that is logged.
    pub level: LogLevel,
    /// Whether decision events contain the claims of the subject token.
    pub claims: bool,
}

/// Format of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the usual names")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A secret from a file. `Debug` does not print it, and dropping it wipes its memory.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The secret. Compare it in constant time.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new(Zeroizing::new("correct horse".to_owned()));
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
        assert_eq!(secret.expose(), "correct horse");
    }
}
