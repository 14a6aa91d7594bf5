//! What the exchange needs of a key cache.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sts_jose::VerifyingKey;
use sts_types::{Algorithm, EntryName, Kid};

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

/// The verification keys of issuer entries.
pub trait IssuerKeys: Send + Sync + 'static {
    /// The keys at hand; `None` when the entry must be asked. No I/O, no lock.
    fn cached(&self, entry: &EntryName, kid: Option<&Kid>, algorithm: Algorithm) -> Option<Candidates>;

    /// The keys, asking the entry's issuer when none is at hand.
    fn find<'a>(&'a self, entry: &'a EntryName, kid: Option<&'a Kid>, algorithm: Algorithm)
    -> BoxFuture<'a, KeyAnswer>;

    /// Told that a key at hand did not verify a token: newer keys, for entries known to reuse a kid.
    fn signature_failed<'a>(
        &'a self,
        entry: &'a EntryName,
        kid: Option<&'a Kid>,
        algorithm: Algorithm,
    ) -> BoxFuture<'a, Option<Candidates>>;
}
