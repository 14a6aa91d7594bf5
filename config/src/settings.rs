//! What a configuration comes to: one immutable, validated snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Algorithm, ApiName, Issuer, Lifetime};
use zeroize::Zeroizing;

use crate::outline::Outline;
use crate::source::Sources;

/// Everything that the configuration says, checked and with its defaults filled in.
pub struct Settings {
    /// Our own `iss`.
    pub issuer: Issuer,
    /// The public listener.
    pub listen: SocketAddr,
    /// The public listener's certificate, when it speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Peers whose forwarding headers are believed; empty when no proxy terminates TLS.
    pub behind_tls_proxy: Vec<IpNetwork>,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The embedded store, the signing keys, the admin token and the last good issuer keys.
    pub data_dir: PathBuf,
    /// Where tokens are recorded.
    pub store: StoreSettings,
    /// Our signing keys.
    pub signing: SigningSettings,
    /// Algorithms of APIs that set `signing_algorithm`; each is one of `signing.algorithms`.
    pub api_signing: BTreeMap<ApiName, Algorithm>,
    /// Whether minted tokens point to a status list (`status_list`).
    pub status_list: bool,
    /// Whether a minted token ends no later than the subject token (`tokens.cap_to_subject`).
    pub cap_to_subject: bool,
    /// Limits on callers.
    pub limits: Limits,
    /// How long requests are still served after readiness has ended.
    pub drain: Duration,
    /// Logging.
    pub log: LogSettings,
    /// The audit trail.
    pub audit: AuditSettings,
    /// The issuer entries, as far as their keys go.
    pub entries: jwks_cache::Specs,
    /// The issuer entries, as far as verification goes; the same entries.
    pub trust: Vec<sts_token::TrustSpec>,
    /// The longest lifetime that a minted token has (`tokens.max_ttl`).
    pub max_ttl: Lifetime,
    /// The compiled rules.
    pub rules: Arc<sts_policy::RuleSet>,
    /// Whether the rules are those of the configuration; [`crate::store_access`] reads none.
    pub has_rules: bool,
    /// Introspection secrets, by API.
    pub apis_secrets: BTreeMap<ApiName, Secret>,
    /// Names this snapshot: 16 hexadecimal digits of a digest over every file and environment value that took part.
    pub generation: String,
    /// What was written, to tell what a reload changes.
    pub outline: Outline,
    /// Every file that took part, to be watched for changes.
    pub files: Vec<PathBuf>,
}

/// What was written, for those who look at it. A server lets go of it when it serves: it is several times as large as the
/// rules that came of it.
pub struct Written {
    /// What the rules were compiled from.
    pub policy: sts_policy::Spec,
    /// The policy tests of every file; see [`crate::run_policy_tests`].
    pub tests: Vec<sts_policy::TestSpec>,
    pub(crate) sources: Sources,
}

/// Prints how much there is only.
impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("accounts", &self.policy.accounts.len()).finish_non_exhaustive()
    }
}

/// Prints the generation only: a snapshot is large, and holds secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("generation", &self.generation).finish_non_exhaustive()
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
    /// The listener; on loopback unless it speaks TLS.
    pub listen: SocketAddr,
    /// Values of `Host` that are accepted beside IP literals and `localhost`; lower case.
    pub hosts: Vec<String>,
    /// The listener's certificate.
    pub tls: Option<TlsFiles>,
}

/// `store:`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreSettings {
    /// The embedded store, in `data_dir`.
    #[default]
    Embedded,
    /// A Redis that several processes may share.
    Redis(Box<RedisSettings>),
}

/// Which Redis, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub topology: RedisTopology,
    /// The number of the database.
    pub database: u32,
    /// Set when TLS is spoken.
    pub tls: Option<RedisTlsFiles>,
    /// The ACL user; `None` for the default one.
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: String,
    /// The deadline of one operation.
    pub timeout: Duration,
    /// How many replicas must have a revocation before it is answered.
    pub wait_replicas: u32,
}

/// Where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// There.
    Single(RedisAddress),
    /// A Redis Cluster, with nodes that know it.
    Cluster(Vec<RedisAddress>),
    /// Where sentinels say.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<RedisAddress>,
        /// The name by which they know it.
        name: String,
    },
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The files of TLS to Redis, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTlsFiles {
    /// The only CA certificates that are trusted.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain and private key of ours.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// `signing:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSettings {
    /// One key is kept for each; the first is the default. Never empty.
    pub algorithms: Vec<Algorithm>,
    /// How often keys are replaced; `None` for never.
    pub rotate_every: Option<Duration>,
    /// Where keys are kept, when not in `data_dir`.
    pub keys_dir: Option<PathBuf>,
}

/// `limits:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Refused requests per source address and second; 0 for no limit.
    pub failures_per_second: u32,
    /// Refused requests in one burst.
    pub failure_burst: u32,
    /// Open connections.
    pub connections: u32,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
}

/// `audit:`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether a decision that no sink can take is refused.
    pub required: bool,
}

/// `log:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The shape of a line.
    pub format: LogFormat,
    /// The least severity that is written.
    pub level: LogLevel,
    /// Whether decision events hold the subject token's claims.
    pub claims: bool,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The least severity that is logged.
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
    /// The name as it is configured.
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

/// A secret read from a file. `Debug` prints nothing of it, and its memory is wiped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The secret itself, for comparison in constant time.
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
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Parses `ADDRESS/PREFIX`, or one address. `None` when it is neither, or has bits set past the prefix.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = match prefix {
            None if address.is_ipv4() => 32,
            None => 128,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let network = Self { address, prefix };
        // Addresses are compared in their IPv4 form.
        let network = match (address.to_canonical(), prefix.checked_sub(96)) {
            (v4 @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Self { address: v4, prefix },
            _ => network,
        };
        (u32::from(network.prefix) <= bits(network.address).0 && bits(network.address).1 & !network.mask() == 0)
            .then_some(network)
    }

    /// Whether it holds more addresses than a subnet has: more than a /24 of IPv4, or a /64 of IPv6.
    pub(crate) const fn is_wide(&self) -> bool {
        self.prefix < if self.address.is_ipv4() { 24 } else { 64 }
    }

    /// Whether `address` is in the block. An IPv4-mapped IPv6 address counts as its IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own_width, own) = bits(self.address);
        let (width, other) = bits(address.to_canonical());
        own_width == width && other & self.mask() == own
    }

    /// Ones for the bits of the prefix, at the width of the address.
    fn mask(self) -> u128 {
        let (width, _) = bits(self.address);
        let host = width.saturating_sub(u32::from(self.prefix));
        let all = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
        all.checked_shr(host).and_then(|ones| ones.checked_shl(host)).unwrap_or(0)
    }
}

/// The width of an address and its bits.
fn bits(address: IpAddr) -> (u32, u128) {
    match address {
        IpAddr::V4(v4) => (32, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (128, v6.to_bits()),
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
