//! What the exchange needs of a key cache.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sts_jose::VerifyingKey;
use sts_types::{Algorithm, EntryName, Issuer, Kid, UnixTime};

/// Keys of one entry that fit a header: one with a kid (more where the kid repeats), up to four without.
pub type Candidates = Vec<Arc<VerifyingKey>>;

/// What a look-up came to.
pub enum KeyAnswer {
    /// These keys fit.
    Found(Candidates),
    /// The entry has no such key, and was asked lately enough to know.
    Unknown,
    /// The entry could not be asked.
    Unavailable(KeyUnavailable),
}

/// The keys could not be looked up.
#[derive(Clone, Copy, Debug)]
pub struct KeyUnavailable {
    /// When it may be otherwise.
    pub retry_after: Duration,
}

/// Which keys a token asks for.
#[derive(Clone, Copy, Debug)]
pub struct KeyQuestion<'a> {
    /// An issuer entry whose issuer, or one of whose issuers, the token claims to be from.
    pub entry: &'a EntryName,
    /// That issuer.
    pub issuer: &'a Issuer,
    /// The header's `kid`.
    pub kid: Option<&'a Kid>,
    /// The header's `alg`.
    pub algorithm: Algorithm,
}

/// What is known of one entry's keys, for explaining a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysView {
    /// The configuration key that the keys come from: `issuer` (discovery), `jwks_url`, `jwks_file` or `jwks`.
    pub setting: &'static str,
    /// The URL or file that the current keys were read from; `None` for inline keys, and for a copy on disk.
    pub place: Option<String>,
    /// `absent`, `fresh`, `stale` or `expired`. Only fresh and stale keys verify tokens.
    pub state: &'static str,
    /// The usable keys.
    pub keys: Vec<KeyView>,
    /// Keys of the set that are not used.
    pub skipped: Vec<SkippedKeyView>,
    /// When the set was fetched, or its file read.
    pub fetched_at: Option<UnixTime>,
    /// When the key file was last changed.
    pub file_modified_at: Option<UnixTime>,
    /// The last failure since the last success.
    pub last_error: Option<KeysFailure>,
    /// The last sets, oldest first, the current one included: at most eight.
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

/// A fetch, or the reading of a key file, that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFailure {
    /// When.
    pub at: UnixTime,
    /// A short stable name of the cause.
    pub kind: &'static str,
    /// Document, place and cause in words, with the setting that cures it.
    pub message: String,
}

/// A key set that the entry had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetView {
    /// Since when.
    pub at: UnixTime,
    /// Its keys.
    pub keys: Vec<KeyView>,
}

/// The verification keys of issuer entries.
pub trait IssuerKeys: Send + Sync + 'static {
    /// The keys at hand; `None` when the issuer must be asked. No I/O, no lock.
    fn cached(&self, question: KeyQuestion<'_>) -> Option<Candidates>;

    /// The keys, asking the issuer when none is at hand.
    fn find<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer>;

    /// Told that a key at hand did not verify a token: newer keys, for entries known to reuse a kid.
    fn signature_failed<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>>;

    /// Told that a key of that answer verified a token. Until then nobody has shown that the issuer signs
    /// anything: of a family, anyone can write the name of any member. No I/O.
    fn verified(&self, question: KeyQuestion<'_>);

    /// What is known of the entry's keys; `None` when there is nothing to know. No I/O.
    fn view(&self, entry: &EntryName, issuer: &Issuer) -> Option<KeysView>;
}
