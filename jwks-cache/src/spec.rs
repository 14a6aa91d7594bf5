//! What an issuer entry is made from: plain data.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Algorithm, EntryName, Issuer, IssuerTemplate, NameError};

use crate::ProxyUrl;

/// One issuer entry, as far as its keys go.
#[derive(Clone, Debug, PartialEq)]
pub struct EntrySpec {
    /// The entry's name: the key of the cache.
    pub name: EntryName,
    /// The issuer identifier, compared byte for byte with the discovery document's.
    pub issuer: Issuer,
    /// Where the keys come from.
    pub source: KeySource,
    /// Algorithms that its keys may be bound to, in order of preference for an RSA key that names none.
    pub algorithms: Vec<Algorithm>,
    /// How long stale keys serve while the issuer cannot be reached. Default 24 h.
    pub max_stale: Duration,
    /// The least time between two refreshes that an unknown kid asks for. Default 30 s.
    pub refresh_cooldown: Duration,
    /// Whether a bad signature under a known kid may ask for one refresh per cool-down (Jenkins keeps a kid over rotations).
    pub kid_reuse: bool,
    /// Which addresses may be dialled.
    pub network: NetworkRule,
    /// PEM bundle of the only roots that are trusted for this entry's fetches, in place of the system's. Read for each fetch.
    pub ca_file: Option<PathBuf>,
    /// File with the bearer token that fetches show, but for one line break at its end. Read for each fetch. Only the origin
    /// of `issuer`, or of the key set's URL where that is configured, sees it; another host that a `jwks_uri` names never does.
    pub bearer_token_file: Option<PathBuf>,
    /// An outbound proxy for fetches. It resolves and dials by itself, so names are not judged by [`NetworkRule`] here: what may
    /// be reached is for the proxy to say. An https proxy is held to `ca_file`, too.
    pub proxy: Option<ProxyUrl>,
}

impl EntrySpec {
    /// An entry with the defaults: RS256, ES256 and EdDSA, keys that serve for 24 h while the issuer is down, one fetch for unknown
    /// kids in 30 s, public addresses over https only.
    ///
    /// # Errors
    /// What is wrong with the name or the issuer.
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

/// Issuers of one form under one name. Each has keys of its own, found by OpenID Connect Discovery when its first token comes.
///
/// They have no bearer token in common: whoever is a member would see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySpec {
    /// The entry's name.
    pub name: EntryName,
    /// The form of its issuers.
    pub template: Arc<IssuerTemplate>,
    /// As of [`EntrySpec::algorithms`].
    pub algorithms: Vec<Algorithm>,
    /// As of [`EntrySpec::max_stale`].
    pub max_stale: Duration,
    /// As of [`EntrySpec::refresh_cooldown`].
    pub refresh_cooldown: Duration,
    /// As of [`EntrySpec::kid_reuse`].
    pub kid_reuse: bool,
    /// As of [`EntrySpec::network`].
    pub network: NetworkRule,
    /// As of [`EntrySpec::ca_file`].
    pub ca_file: Option<PathBuf>,
    /// As of [`EntrySpec::proxy`].
    pub proxy: Option<ProxyUrl>,
    /// Members that the rules name. They have places of their own: no token pushes one out or keeps one
    /// from being looked up.
    pub named: Vec<Issuer>,
}

impl FamilySpec {
    /// Whether `other` is the same family, whichever members are named.
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

/// What a cache is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Specs {
    /// Entries of one issuer each.
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

/// Which addresses an entry may dial, beside public ones over https.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkRule {
    /// RFC 1918, ULA, CGNAT and loopback addresses too; never link-local or multicast.
    pub allow_private_network: bool,
    /// Plain http to loopback addresses, which it then allows.
    pub allow_http: bool,
}
