//! What operators see of an entry.

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
    /// The same, and how good they are.
    pub state: EntryState,
    /// How many of its keys tokens are verified with now.
    pub usable: usize,
    /// A digest of its usable keys, whatever their order; it is another one for another set.
    pub set_hash: Option<String>,
    /// Its keys, those of a set past `stale_until` too.
    pub keys: Vec<KeyStatus>,
    /// Keys of its key set that are not used.
    pub skipped: Vec<SkippedKeyStatus>,
    /// When the set was fetched, or its file read.
    pub fetched_at: Option<UnixTime>,
    /// The seconds since then.
    pub age: Option<u64>,
    /// Until when it is fresh; none for static sets.
    pub fresh_until: Option<UnixTime>,
    /// Until when it serves while the issuer cannot be reached; none for static sets.
    pub stale_until: Option<UnixTime>,
    /// When the next fetch, or look at its file, is due without anybody asking; none for keys in the configuration.
    pub next_refresh_at: Option<UnixTime>,
    /// What the last fetch came to.
    pub last_fetch: Option<LastFetch>,
    /// The last failure since the last success.
    pub last_error: Option<LastError>,
    /// Fetches since the start.
    pub fetches: FetchCounts,
    /// How often its set had another key under a kid that named one before.
    pub kids_reused: u64,
}

/// How good an entry's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// There never were any.
    Absent,
    /// Static, or not yet due to expire.
    Fresh,
    /// Past their freshness, and used until `max_stale`.
    Stale,
    /// Past `max_stale`, and not used.
    Expired,
}

impl EntryState {
    /// Its name, as it is serialised.
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
    /// The form of its issuers.
    pub issuer_template: String,
    /// The members that were asked for lately, by issuer.
    pub members: Vec<EntryStatus>,
    /// Fetches since the start, those for members that are forgotten by now too.
    pub fetches: FetchCounts,
    /// How often a new member found no room since the start.
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
    /// Entries of the same issuer that hold the same key: while there is one, the key is used for none of them.
    pub shared_with: Vec<EntryName>,
}

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct SkippedKeyStatus {
    /// Its place in the key set, from 0.
    pub index: usize,
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// Why, as a short stable name.
    pub reason: &'static str,
    /// Why, in words.
    pub message: String,
    /// Whether it is private or symmetric material, which its publisher must hear about.
    pub alarming: bool,
}

/// A fetch, or a reading of a file, that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastFetch {
    /// When.
    pub at: UnixTime,
    /// `replaced`, `unchanged`, or what went wrong, by [`crate::FetchFault::kind`].
    pub outcome: &'static str,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LastError {
    /// When.
    pub at: UnixTime,
    /// What, and what to do; bounded, without any response body.
    pub message: String,
}

/// Fetches and file reads by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FetchCounts {
    /// Those that brought another set.
    pub replaced: u64,
    /// Those that brought the same set (304 included).
    pub unchanged: u64,
    /// Those that failed, by [`crate::FetchFault::kind`].
    pub failed: BTreeMap<&'static str, u64>,
}

impl FetchCounts {
    /// Counts what `other` counted too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.replaced += other.replaced;
        self.unchanged += other.unchanged;
        for (kind, count) in &other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }
}

/// What a refresh brought.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RefreshReport {
    /// Usable keys in the set.
    pub keys: usize,
    /// Keys of it that are not used.
    pub skipped: usize,
    /// Whether the set is another than before.
    pub changed: bool,
    /// How long it is fresh, in seconds when serialised; none for static sets.
    #[serde(serialize_with = "seconds")]
    pub fresh_for: Option<Duration>,
}

fn algorithm_name<S: serde::Serializer>(algorithm: &Algorithm, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(algorithm.name())
}

fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.map(|time| time.as_secs()), serializer)
}
