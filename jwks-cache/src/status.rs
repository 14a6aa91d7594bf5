//! The state of an entry, for operators.

use std::collections::BTreeMap;
use std::time::Duration;

use sts_types::{Algorithm, EntryName, Issuer, Kid, UnixTime};

use crate::KeySource;

/// The state of one entry at one moment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EntryStatus {
    /// The entry's name.
    pub name: EntryName,
    /// Its issuer identifier.
    pub issuer: Issuer,
    /// Where its keys come from.
    pub source: SourceKind,
    /// Whether it has keys that may be used now.
    pub ready: bool,
    /// How current its keys are.
    pub state: EntryState,
    /// How many keys verify tokens now.
    pub usable: usize,
    /// Digest of the usable keys, independent of their order. A different set has a different
    /// digest.
    pub set_hash: Option<String>,
    /// Its keys, including those of a set past `stale_until`.
    pub keys: Vec<KeyStatus>,
    /// Keys of the set that are not used.
    pub skipped: Vec<SkippedKeyStatus>,
    /// When the set was fetched, or its file was read.
    pub fetched_at: Option<UnixTime>,
    /// Seconds since then.
    pub age: Option<u64>,
    /// End of the set's freshness; none for static sets.
    pub fresh_until: Option<UnixTime>,
    /// Until when it may be used while the issuer is unreachable; none for static sets.
    pub stale_until: Option<UnixTime>,
    /// When the next scheduled fetch or file check is due; none for keys in the configuration.
    pub next_refresh_at: Option<UnixTime>,
    /// The last completed fetch.
    pub last_fetch: Option<LastFetch>,
    /// The last failure; none after a success.
    pub last_error: Option<LastError>,
    /// Fetches since the start.
    pub fetches: FetchCounts,
    /// How often a kid named another key than before.
    pub kids_reused: u64,
}

/// How current an entry's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// No set was ever loaded.
    Absent,
    /// Static, or fetched and still fresh.
    Fresh,
    /// No longer fresh, but in use until `max_stale`.
    Stale,
    /// Past `max_stale` and not in use.
    Expired,
}

impl EntryState {
    /// The name as serialised.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

/// The state of a family at one moment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FamilyStatus {
    /// The entry's name.
    pub name: EntryName,
    /// The form of its issuer identifiers.
    pub issuer_template: String,
    /// Its current members, sorted by issuer.
    pub members: Vec<EntryStatus>,
    /// Fetches since the start, including those for forgotten members.
    pub fetches: FetchCounts,
    /// How many new members found no room since the start.
    pub turned_away: u64,
}

/// Where an entry's keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// OpenID Connect Discovery.
    Discovery,
    /// A configured URL.
    Url,
    /// A file.
    File,
    /// The configuration itself.
    Inline,
}

impl From<&KeySource> for SourceKind {
    fn from(source: &KeySource) -> Self {
        match source {
            KeySource::Discovery => Self::Discovery,
            KeySource::Url(_) => Self::Url,
            KeySource::File(_) => Self::File,
            KeySource::Inline(_) => Self::Inline,
        }
    }
}

/// A usable key.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct KeyStatus {
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// The algorithm that it is bound to.
    #[serde(serialize_with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
    /// Other entries of the same issuer with the same key. While there are any, the key is used for
    /// none of them.
    pub shared_with: Vec<EntryName>,
}

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SkippedKeyStatus {
    /// Its index in the key set, from 0.
    pub index: usize,
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// A short stable name of the reason.
    pub reason: &'static str,
    /// The reason in words.
    pub message: String,
    /// Whether it is private or symmetric key material. Its publisher must be told.
    pub alarming: bool,
}

/// A completed fetch or file read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastFetch {
    /// When it ended.
    pub at: UnixTime,
    /// `replaced`, `unchanged`, or a failure as named by [`crate::FetchErrorKind::kind`].
    pub outcome: &'static str,
}

/// A failed fetch or file read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastError {
    /// When it failed.
    pub at: UnixTime,
    /// The error and what to do about it; bounded, without any response body.
    pub message: String,
}

/// Counts of fetches and file reads by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FetchCounts {
    /// Fetches that brought a different set.
    pub replaced: u64,
    /// Fetches that brought the same set, 304 included.
    pub unchanged: u64,
    /// Failures by [`crate::FetchErrorKind::kind`].
    pub failed: BTreeMap<&'static str, u64>,
}

impl FetchCounts {
    /// Adds the counts of `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.replaced += other.replaced;
        self.unchanged += other.unchanged;
        for (kind, count) in &other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }
}

/// Result of a refresh.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RefreshReport {
    /// Number of usable keys in the set.
    pub keys: usize,
    /// Number of keys in the set that are not used.
    pub skipped: usize,
    /// Whether the set differs from the previous one.
    pub changed: bool,
    /// How long the set is fresh, serialised in seconds; none for static sets.
    #[serde(serialize_with = "seconds")]
    pub fresh_for: Option<Duration>,
}

fn algorithm_name<S: serde::Serializer>(algorithm: &Algorithm, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(algorithm.name())
}

fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.map(|time| time.as_secs()), serializer)
}
