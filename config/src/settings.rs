//! The settings of the server.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use sts_keyring::KeyringSpec;
use sts_store::spec::StoreSpec;
use sts_types::Issuer;
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
    pub audit: AuditSettings,
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

/// `audit:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether to refuse a request whose decision event no sink takes.
    pub required: bool,
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

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork(IpNet);

impl IpNetwork {
    /// Parses `ADDRESS/PREFIX` or a single address. `None` if the text is neither, or has host bits
    /// set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        // The standard library is stricter than `IpNet` about how an address is written.
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = match prefix {
            None if address.is_ipv4() => 32,
            None => 128,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        // `contains` compares an IPv4-mapped address as IPv4, so a mapped block becomes an IPv4
        // block.
        let network = match (address.to_canonical(), prefix.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => IpNet::new(v4, prefix),
            _ => IpNet::new(address, prefix),
        };
        network.ok().filter(|network| network.trunc() == *network).map(Self)
    }

    /// Whether the block is larger than one subnet: an IPv4 /24 or an IPv6 /64.
    pub(crate) fn is_wide(&self) -> bool {
        self.0.prefix_len() < if self.0.addr().is_ipv4() { 24 } else { 64 }
    }

    /// Whether `address` is in the block. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_own_addresses_only() {
        let has = |network: &str, address: &str| IpNetwork::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.1.2"));
        assert!(!has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(!has("0.0.0.0/0", "::1"));
        assert!(has("0.0.0.0/0", "255.255.255.255"));
        assert!(has("::/0", "fe80::1"));
        assert!(has("fd00::/8", "fdff::1"));
        assert!(has("192.0.2.1", "192.0.2.1"));
        assert!(has("::ffff:10.0.0.0/104", "10.255.1.2"));
        assert!(has("::ffff:10.0.0.0/104", "::ffff:10.255.1.2"));
        assert!(has("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!has("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(!has("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn a_network_with_host_bits_or_a_wrong_prefix_is_none() {
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "::ffff:10.0.0.1/104",
            "::ffff:10.0.0.0/129",
            "x",
            "",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "10.0.0.0/08/",
            "10.0/8",
            " 10.0.0.0/8",
        ] {
            assert_eq!(IpNetwork::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn f9_a_block_is_wide_when_it_is_more_than_a_subnet() {
        let is_wide = |network: &str| IpNetwork::parse(network).unwrap().is_wide();
        for wide in ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/23", "::/0", "fd00::/63", "::ffff:10.0.0.0/104"] {
            assert!(is_wide(wide), "{wide}");
        }
        for narrow in ["10.0.0.0/24", "10.0.0.1/32", "10.0.0.1", "fd00::/64", "fd00::1", "::ffff:10.0.0.0/120"] {
            assert!(!is_wide(narrow), "{narrow}");
        }
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new(Zeroizing::new("correct horse".to_owned()));
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
        assert_eq!(secret.expose(), "correct horse");
    }
}
