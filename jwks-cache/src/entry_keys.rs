//! The immutable key set of one entry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sts_jose::{KeySet, KeySetError, SkippedKey, VerifyingKey, digest_of_parts, sha256};
use sts_types::{Algorithm, Digest256, Kid, UnixTime};

use crate::Candidates;
use crate::monotonic_time::MonotonicTime;

/// The keys of an entry from one fetch or file read. A new set replaces it as a whole.
#[derive(Debug)]
pub struct EntryKeys {
    set: Arc<IndexedSet>,
    fetched_at: UnixTime,
    life: Option<Validity>,
}

/// Lifetime of a fetched set. A static set has none: it stays in use until it is replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    /// When the set was fetched.
    fetched: MonotonicTime,
    /// How long it is fresh after that.
    fresh: Duration,
    /// How long it may be used after that.
    usable: Duration,
}

impl Validity {
    /// The lifetime of a set fetched at `fetched`.
    pub(crate) fn new(fetched: MonotonicTime, fresh: Duration, max_stale: Duration) -> Self {
        Self { fetched, fresh, usable: max_stale.max(fresh) }
    }
}

impl EntryKeys {
    pub(crate) fn new(set: Arc<IndexedSet>, fetched_at: UnixTime, life: Option<Validity>) -> Self {
        Self { set, fetched_at, life }
    }

    /// When the set was fetched, or its file was read.
    #[must_use]
    pub fn fetched_at(&self) -> UnixTime {
        self.fetched_at
    }

    /// End of the set's freshness; `None` for static sets.
    #[must_use]
    pub fn fresh_until(&self) -> Option<UnixTime> {
        self.life.map(|life| self.fetched_at.plus(seconds(life.fresh)))
    }

    /// Until when the set may be used while its issuer is down; `None` for static sets.
    #[must_use]
    pub fn stale_until(&self) -> Option<UnixTime> {
        self.life.map(|life| self.fetched_at.plus(seconds(life.usable)))
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.keys.len()
    }

    /// Always false: a set without a usable key is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.keys.is_empty()
    }

    pub(crate) fn set(&self) -> &Arc<IndexedSet> {
        &self.set
    }

    /// Whether the set was fetched less than `age` ago. False for static sets.
    pub(crate) fn is_younger_than(&self, age: Duration, now: MonotonicTime) -> bool {
        self.life.is_some_and(|life| now < life.fetched.plus(age))
    }

    /// Whether the set is fresh at `now`. Static sets always are.
    pub(crate) fn is_fresh(&self, now: MonotonicTime) -> bool {
        self.life.is_none_or(|life| now < life.fetched.plus(life.fresh))
    }

    /// Whether the set may be used at `now`.
    pub(crate) fn is_usable(&self, now: MonotonicTime) -> bool {
        self.life.is_none_or(|life| now < life.fetched.plus(life.usable))
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A parsed key set and its indexes.
#[derive(Debug)]
pub(crate) struct IndexedSet {
    pub(crate) keys: Vec<Arc<VerifyingKey>>,
    pub(crate) skipped: Vec<SkippedKey>,
    /// The document that the set was parsed from. This is what is kept on disk.
    pub(crate) document: Bytes,
    pub(crate) digest: Digest256,
    /// Digest of the usable keys in a fixed order: some issuers publish the same keys in random
    /// order.
    pub(crate) keys_digest: Digest256,
    by_kid: HashMap<Kid, Vec<(Algorithm, Candidates)>>,
    by_algorithm: HashMap<Algorithm, Candidates>,
    /// Keys without a kid in an operator's own set. They are tried for any kid.
    for_any_kid: HashMap<Algorithm, Candidates>,
    thumbprints: HashSet<String>,
}

impl IndexedSet {
    /// Parses and indexes a key set that an issuer published.
    pub(crate) fn parse(document: Bytes, algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::index(document, algorithms, false)
    }

    /// Parses and indexes a key set that an operator wrote. A set made from a PEM file has no kids,
    /// but tokens may have one.
    pub(crate) fn parse_given(document: Bytes, algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::index(document, algorithms, true)
    }

    fn index(document: Bytes, algorithms: &[Algorithm], any_kid: bool) -> Result<Self, KeySetError> {
        // Editors on Windows put a byte order mark at the start of a file.
        let text = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&document);
        let KeySet { keys, skipped } = KeySet::parse(text, algorithms)?;
        let unnamed = |algorithm| {
            let fits = move |key: &&Arc<VerifyingKey>| any_kid && key.kid().is_none() && key.algorithm() == algorithm;
            keys.iter().filter(fits).cloned()
        };
        let mut by_kid: HashMap<Kid, Vec<(Algorithm, Candidates)>> = HashMap::new();
        for kid in keys.iter().filter_map(|key| key.kid()) {
            by_kid.entry(kid.clone()).or_insert_with(|| {
                Algorithm::ALL
                    .into_iter()
                    .filter_map(|algorithm| {
                        let fits = |key: &&Arc<VerifyingKey>| key.kid() == Some(kid) && key.algorithm() == algorithm;
                        let named = Candidates::of(keys.iter().filter(fits).cloned())?;
                        // Keys with this kid come first, then those without a kid.
                        Some((algorithm, Candidates::of(named.iter().cloned().chain(unnamed(algorithm)))?))
                    })
                    .collect()
            });
        }
        let by_algorithm = Algorithm::ALL
            .into_iter()
            .filter_map(|algorithm| {
                let fits = |key: &&Arc<VerifyingKey>| key.algorithm() == algorithm;
                Some((algorithm, Candidates::of(keys.iter().filter(fits).cloned())?))
            })
            .collect();
        let for_any_kid = Algorithm::ALL
            .into_iter()
            .filter_map(|algorithm| Some((algorithm, Candidates::of(unnamed(algorithm))?)))
            .collect();
        let thumbprints = keys.iter().map(|key| key.thumbprint().to_owned()).collect();
        let (digest, keys_digest) = (sha256(&document), digest_of_keys(&keys));
        Ok(Self { keys, skipped, document, digest, keys_digest, by_kid, by_algorithm, for_any_kid, thumbprints })
    }

    /// The keys to try for a token with this kid and algorithm.
    pub(crate) fn candidates(&self, kid: Option<&Kid>, algorithm: Algorithm) -> Option<&Candidates> {
        match kid {
            None => self.by_algorithm.get(&algorithm),
            Some(kid) => {
                let of_kid = self.by_kid.get(kid).into_iter().flatten();
                let named = of_kid.into_iter().find(|(bound, _)| *bound == algorithm).map(|(_, candidates)| candidates);
                named.or_else(|| self.for_any_kid.get(&algorithm))
            }
        }
    }

    pub(crate) fn holds(&self, thumbprint: &str) -> bool {
        self.thumbprints.contains(thumbprint)
    }
}

fn digest_of_keys(keys: &[Arc<VerifyingKey>]) -> Digest256 {
    let mut parts: Vec<_> = keys.iter().map(|key| (key.kid(), key.algorithm().name(), key.thumbprint())).collect();
    parts.sort_unstable();
    parts.dedup();
    let parts = parts.iter().map(|(kid, algorithm, thumbprint)| {
        // No kid is empty, so "" cannot collide with one.
        let kid = kid.map_or("", Kid::as_str);
        [kid.as_bytes(), algorithm.as_bytes(), thumbprint.as_bytes()]
    });
    digest_of_parts(parts.collect::<Vec<_>>().as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_jose::{Signer as _, SigningKey};

    #[test]
    fn the_digest_of_keys_tells_sets_apart_and_not_their_order() {
        let jwk = |kid: Option<&str>, key: &SigningKey| {
            let mut jwk = key.public_jwk().clone();
            match kid {
                Some(kid) => jwk["kid"] = kid.into(),
                None => drop(jwk.as_object_mut().map(|members| members.remove("kid"))),
            }
            jwk
        };
        let [one, two] = [(); 2].map(|()| SigningKey::generate(Algorithm::ES256).unwrap());
        let digest = |keys: &[serde_json::Value]| {
            let document = serde_json::json!({ "keys": keys }).to_string();
            IndexedSet::parse(document.into(), &[Algorithm::ES256]).unwrap().keys_digest
        };
        let (a, b) = (jwk(Some("a"), &one), jwk(Some("b"), &two));
        assert_eq!(digest(&[a.clone(), b.clone()]), digest(&[b.clone(), a.clone(), b.clone()]));
        let other = [vec![a.clone()], vec![b.clone()], vec![jwk(Some("a"), &two), jwk(Some("b"), &one)]];
        let digests: HashSet<_> = other.iter().map(|keys| digest(keys).to_hex()).collect();
        assert_eq!(digests.len(), 3);
        assert!(!digests.contains(&digest(&[a.clone(), b]).to_hex()));
        assert_ne!(digest(&[jwk(None, &one)]), digest(&[a]));
    }

    #[test]
    fn a_set_is_fresh_usable_and_young_until_that_very_moment() {
        let jwk = SigningKey::generate(Algorithm::ES256).unwrap().public_jwk().clone();
        let document = serde_json::json!({ "keys": [jwk] }).to_string();
        let set = Arc::new(IndexedSet::parse(document.into(), &[Algorithm::ES256]).unwrap());
        let of = |life| EntryKeys::new(Arc::clone(&set), UnixTime::from_secs(1000), life);
        let (fresh, stale) = (Duration::from_secs(10), Duration::from_secs(30));
        let at = |millis: u64| MonotonicTime::EPOCH.plus(Duration::from_millis(millis));
        let fetched = of(Some(Validity::new(MonotonicTime::EPOCH, fresh, stale)));
        assert!(fetched.is_fresh(at(9_999)) && !fetched.is_fresh(at(10_000)));
        assert!(fetched.is_usable(at(29_999)) && !fetched.is_usable(at(30_000)));
        assert!(fetched.is_younger_than(fresh, at(9_999)) && !fetched.is_younger_than(fresh, at(10_000)));
        assert_eq!(fetched.fresh_until(), Some(UnixTime::from_secs(1010)));
        assert_eq!(fetched.stale_until(), Some(UnixTime::from_secs(1030)));
        let longer = of(Some(Validity::new(MonotonicTime::EPOCH, stale, fresh)));
        assert!(longer.is_usable(at(29_999)), "a fresh set is usable");
        let given = of(None);
        assert!(given.is_fresh(at(1 << 40)) && given.is_usable(at(1 << 40)) && !given.is_younger_than(fresh, at(0)));
        assert_eq!((given.fresh_until(), given.stale_until()), (None, None));
        assert_eq!((given.len(), given.is_empty()), (1, false));
    }
}
