//! The service's interface to the key cache.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sts_jose::VerifyingKey;
use sts_types::{Algorithm, EntryName, Issuer, Kid, UnixTime};

/// Keys of one entry that match a header: one with a kid (more if the kid repeats), up to four
/// without.
pub type Candidates = Vec<Arc<VerifyingKey>>;

/// The result of a look-up.
#[derive(Debug)]
pub enum KeyAnswer {
    /// These keys match.
    Found(Candidates),
    /// The entry has no such key, and was fetched recently enough to be sure.
    Unknown,
    /// The keys could not be fetched.
    Unavailable(KeyUnavailable),
}

/// The keys could not be fetched.
#[derive(Clone, Copy, Debug)]
pub struct KeyUnavailable {
    /// When to try again.
    pub retry_after: Duration,
}

/// The keys that a token needs.
#[derive(Clone, Copy, Debug)]
pub struct KeyQuestion<'a> {
    /// An issuer entry that covers the issuer that the token claims.
    pub entry: &'a EntryName,
    /// That issuer.
    pub issuer: &'a Issuer,
    /// The header's `kid`.
    pub kid: Option<&'a Kid>,
    /// The header's `alg`.
    pub algorithm: Algorithm,
}

/// The state of one entry's keys, for explaining a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysView {
    /// The configuration key that sets the source of the keys: `issuer` (discovery), `jwks_url`,
    /// `jwks_file` or `jwks`.
    pub setting: &'static str,
    /// The URL or file of the current keys. `None` for inline keys, and for a copy on disk.
    pub place: Option<String>,
    /// `absent`, `fresh`, `stale` or `expired`. Only fresh and stale keys verify tokens.
    pub state: &'static str,
    /// The usable keys.
    pub keys: Vec<KeyView>,
    /// Keys of the set that are not used.
    pub skipped: Vec<SkippedKeyView>,
    /// When the set was fetched, or its file read.
    pub fetched_at: Option<UnixTime>,
    /// When the key file last changed.
    pub file_modified_at: Option<UnixTime>,
    /// The last failure since the last success.
    pub last_error: Option<KeysFailure>,
    /// The last key sets, oldest first, including the current one: at most eight.
    pub recent: Vec<KeySetView>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKeyView {
    /// Its `kid`.
    pub kid: Option<Kid>,
    /// Why it is not used.
    pub why: String,
}

/// A failed fetch, or a failed read of a key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFailure {
    /// When.
    pub at: UnixTime,
    /// A short stable name of the cause.
    pub kind: &'static str,
    /// Document, place and cause in words, with the setting that helps.
    pub message: String,
}

/// A former or current key set of the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetView {
    /// Since when it was in use.
    pub at: UnixTime,
    /// Its keys.
    pub keys: Vec<KeyView>,
}

/// The verification keys of issuer entries.
pub trait IssuerKeys: Send + Sync + 'static {
    /// The cached keys. `None` if the issuer must be asked. No I/O, no lock.
    fn cached(&self, question: KeyQuestion<'_>) -> Option<Candidates>;

    /// The keys, fetched from the issuer if none are cached.
    fn find<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer>;

    /// Reports that a cached key did not verify a token. Returns newer keys for entries that are
    /// known to reuse a kid.
    fn signature_failed<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>>;

    /// Reports that a key from this look-up verified a token. Only that shows that the issuer signs
    /// tokens: anybody can write the name of any member of a family into a token. No I/O.
    fn verified(&self, question: KeyQuestion<'_>);

    /// The state of the entry's keys. `None` if there is none. No I/O.
    fn view(&self, entry: &EntryName, issuer: &Issuer) -> Option<KeysView>;
}
