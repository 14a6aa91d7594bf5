//! Plain data that describes issuer entries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Algorithm, EntryName, Issuer, IssuerTemplate, NameError};

use crate::ProxyUrl;

/// The keys of one issuer entry: where they come from and how to fetch them.
#[derive(Clone, Debug, PartialEq)]
pub struct EntrySpec {
    /// The entry's name, which identifies it in the cache.
    pub name: EntryName,
    /// The issuer identifier. The discovery document must name it byte for byte.
    pub issuer: Issuer,
    /// Where the keys come from.
    pub source: KeySource,
    /// Algorithms that the keys may be bound to. For an RSA key without `alg`, the first RSA
    /// algorithm in this list wins.
    pub algorithms: Vec<Algorithm>,
    /// How long a stale set may be used while the issuer is unreachable. Default 24 h.
    pub max_stale: Duration,
    /// Minimum time between two fetches for unknown kids. Default 30 s.
    pub refresh_cooldown: Duration,
    /// Whether a bad signature under a known kid may trigger one fetch per cool-down. For issuers
    /// that keep a kid across rotations, as Jenkins does.
    pub kid_reuse: bool,
    /// Which addresses may be dialled.
    pub network: NetworkRule,
    /// PEM bundle of the only trusted roots for this entry, in place of the system's. Each fetch
    /// reads the file again.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token for fetches; one line break at its end is ignored. Each fetch
    /// reads the file again. The token goes only to the origin of `issuer`, or of the configured
    /// key set URL, and never to another host that a `jwks_uri` names.
    pub bearer_token_file: Option<PathBuf>,
    /// Outbound proxy for fetches. The proxy resolves and dials, so [`NetworkRule`] does not check
    /// names here and the proxy must decide what may be reached. `ca_file` also applies to an https
    /// proxy.
    pub proxy: Option<ProxyUrl>,
}

impl EntrySpec {
    /// An entry with the defaults: RS256, ES256 and EdDSA; `max_stale` 24 h; `refresh_cooldown` 30
    /// s; public addresses over https only.
    ///
    /// # Errors
    /// An invalid name or issuer.
    pub fn new(name: &str, issuer: &str, source: KeySource) -> Result<Self, NameError> {
        Ok(Self {
            name: EntryName::new(name)?,
            issuer: Issuer::new(issuer)?,
            source,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            max_stale: Duration::from_secs(24 * 3600),
            refresh_cooldown: Duration::from_secs(30),
            kid_reuse: false,
            network: NetworkRule::default(),
            ca_file: None,
            bearer_token_file: None,
            proxy: None,
        })
    }
}

/// Issuers of one form, under one name. Each has its own keys, which OpenID Connect Discovery finds
/// when its first token arrives.
///
/// There is no bearer token for a family: any member would receive it.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySpec {
    /// The entry's name.
    pub name: EntryName,
    /// The form of its issuer identifiers.
    pub template: Arc<IssuerTemplate>,
    /// See [`EntrySpec::algorithms`].
    pub algorithms: Vec<Algorithm>,
    /// See [`EntrySpec::max_stale`].
    pub max_stale: Duration,
    /// See [`EntrySpec::refresh_cooldown`].
    pub refresh_cooldown: Duration,
    /// See [`EntrySpec::kid_reuse`].
    pub kid_reuse: bool,
    /// See [`EntrySpec::network`].
    pub network: NetworkRule,
    /// See [`EntrySpec::ca_file`].
    pub ca_file: Option<PathBuf>,
    /// See [`EntrySpec::proxy`].
    pub proxy: Option<ProxyUrl>,
    /// Members that the rules name. They have separate places, so no flood of tokens can evict them
    /// or keep them out.
    pub named: Vec<Issuer>,
}

impl FamilySpec {
    /// Whether `other` is the same family. Its named members may differ.
    pub(crate) fn is_same_family(&self, other: &Self) -> bool {
        *other == Self { named: other.named.clone(), ..self.clone() }
    }

    /// The entry of one member.
    pub(crate) fn member(&self, issuer: Issuer) -> EntrySpec {
        EntrySpec {
            name: self.name.clone(),
            issuer,
            source: KeySource::Discovery,
            algorithms: self.algorithms.clone(),
            max_stale: self.max_stale,
            refresh_cooldown: self.refresh_cooldown,
            kid_reuse: self.kid_reuse,
            network: self.network,
            ca_file: self.ca_file.clone(),
            bearer_token_file: None,
            proxy: self.proxy.clone(),
        }
    }
}

/// Everything that a cache is built from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Specs {
    /// Entries with one issuer each.
    pub entries: Vec<EntrySpec>,
    /// Families of issuers.
    pub families: Vec<FamilySpec>,
}

impl From<Vec<EntrySpec>> for Specs {
    fn from(entries: Vec<EntrySpec>) -> Self {
        Self { entries, families: Vec::new() }
    }
}

/// Where an entry's keys come from.
#[derive(Clone, Debug, PartialEq)]
pub enum KeySource {
    /// OpenID Connect Discovery under the issuer.
    Discovery,
    /// A key set at this URL.
    Url(String),
    /// A key set in this file.
    File(PathBuf),
    /// A key set written in the configuration.
    Inline(serde_json::Value),
}

/// Addresses that an entry may dial besides public ones over https.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkRule {
    /// Also allows RFC 1918, ULA, CGNAT and loopback addresses. Link-local and multicast are never
    /// allowed.
    pub allow_private_network: bool,
    /// Also allows plain http, and with it loopback addresses.
    pub allow_http: bool,
}
