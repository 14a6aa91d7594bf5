//! What the exchange needs of a key cache.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sts_jose::VerifyingKey;
use sts_types::{Algorithm, EntryName, Issuer, Kid};

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

/// The verification keys of issuer entries.
pub trait IssuerKeys: Send + Sync + 'static {
    /// The keys at hand; `None` when the issuer must be asked. No I/O, no lock.
    fn cached(&self, question: KeyQuestion<'_>) -> Option<Candidates>;

    /// The keys, asking the issuer when none is at hand.
    fn find<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer>;

    /// Told that a key at hand did not verify a token: newer keys, for entries known to reuse a kid.
    fn signature_failed<'a>(&'a self, question: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>>;
}
