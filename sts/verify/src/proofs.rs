//! Proofs of possession (DPoP, RFC 9449) that were used.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sts_jose::{DpopError, DpopProof};
use sts_types::{Digest256, UnixTime};
use url::Url;

use crate::VerifyError;

/// Limit of the proofs that are remembered. At the limit further proofs are refused: to forget one
/// would allow its replay.
const MAX_PROOFS: usize = 1_000_000;

/// When a caller may come back while that many are remembered.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What proofs are checked with.
pub(crate) struct ProofCheck {
    /// The origin of this service as its callers see it.
    pub(crate) origin: Url,
    used: Mutex<UsedProofs>,
}

impl ProofCheck {
    pub(crate) fn new(origin: Url) -> Self {
        Self { origin, used: Mutex::default() }
    }

    /// The URL of a request for `path`, as a proof names it.
    pub(crate) fn uri(&self, path: &str) -> String {
        let origin = self.origin.as_str().trim_end_matches('/');
        format!("{origin}/{}", path.trim_start_matches('/'))
    }

    /// Takes the proof's one use.
    ///
    /// # Errors
    /// [`VerifyError::Proof`] if it was used before, or `Unavailable` if no more can be remembered.
    pub(crate) fn take(&self, proof: &DpopProof, now: UnixTime) -> Result<(), VerifyError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.take(proof.replay_key(), proof.replay_until(), now, MAX_PROOFS)
    }
}

/// The proofs that could be replayed.
#[derive(Default)]
struct UsedProofs {
    digests: HashSet<Digest256>,
    /// The digests by the time from which the proof is too old to be replayed.
    by_end: BTreeMap<UnixTime, Vec<Digest256>>,
}

impl UsedProofs {
    fn take(&mut self, digest: Digest256, end: UnixTime, now: UnixTime, limit: usize) -> Result<(), VerifyError> {
        while let Some(first) = self.by_end.first_entry().filter(|first| *first.key() <= now) {
            for digest in first.remove() {
                self.digests.remove(&digest);
            }
        }
        if self.digests.contains(&digest) {
            return Err(DpopError("the DPoP proof was used before: make one for each request").into());
        }
        if self.digests.len() >= limit {
            let what = "too many DPoP proofs were used in the last minutes";
            return Err(VerifyError::Unavailable { what, retry_after: RETRY_AFTER });
        }
        self.digests.insert(digest);
        self.by_end.entry(end).or_default().push(digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn a_proof_is_taken_once_and_forgotten_when_it_is_too_old_to_be_replayed() {
        let mut used = UsedProofs::default();
        let (one, two) = (Digest256([1; 32]), Digest256([2; 32]));
        assert!(used.take(one, at(100), at(40), 9).is_ok());
        assert!(matches!(used.take(one, at(100), at(99), 9), Err(VerifyError::Proof(_))));
        assert!(used.take(two, at(200), at(100), 9).is_ok());
        assert_eq!((used.digests.len(), used.by_end.len()), (1, 1), "the first is forgotten");
    }

    #[test]
    fn at_the_limit_nothing_is_forgotten_early_and_nothing_accepted() {
        let mut used = UsedProofs::default();
        let digest = |n: u8| Digest256([n; 32]);
        assert!(used.take(digest(1), at(100), at(40), 1).is_ok());
        assert!(matches!(used.take(digest(2), at(100), at(41), 1), Err(VerifyError::Unavailable { .. })));
        assert!(matches!(used.take(digest(1), at(100), at(41), 1), Err(VerifyError::Proof(_))));
        assert!(used.take(digest(2), at(200), at(100), 1).is_ok());
    }
}
