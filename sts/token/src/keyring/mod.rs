//! Our signing keys: held parsed, rotated before they are old, published before they sign and until the last token under
//! them is dead, so that a verifier with a cached key set can verify every live token.
//!
//! The state of a key is a function of the key files and the clock, nothing else: whoever reads the same directory at the same
//! moment signs with the same key.

mod directory;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use sts_jose::{HmacSeal, SignError, Signer, SigningKey, VerifyingKey};
use sts_types::{Algorithm, Digest256, Entropy, Kid, UnixTime};

use directory::{Directory, StoredKey};
pub use directory::{KeyringError, check_key_files};

/// How long others may cache our key set, in seconds.
pub const MAX_AGE: i64 = 300;

/// How long a new key is published before it signs, in seconds. Whoever shares the key directory must have read it, publish it in
/// turn, and everybody's copy of the key set from before that must be out of date by then: within a minute, plus [`MAX_AGE`]. The
/// other four minutes are for clocks that differ.
const LEAD: i64 = 2 * MAX_AGE;

/// What the keyring needs to know.
#[derive(Clone, Debug)]
pub struct KeyringSpec {
    /// The directory of the key files.
    pub directory: PathBuf,
    /// The algorithms that sign; the first is the default.
    pub algorithms: Vec<Algorithm>,
    /// How long a key signs, in seconds; `None` for no rotation by itself.
    pub rotate_every: Option<u64>,
    /// The longest life of a token, in seconds.
    pub max_ttl: u32,
}

/// What a key is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPhase {
    /// Published, and not signing yet.
    Next,
    /// Signing.
    Signing,
    /// Published until the last token under it is dead.
    Retiring,
}

/// One key of ours.
#[derive(Clone)]
pub struct HeldKey {
    signer: Arc<SigningKey>,
    verifying: Arc<VerifyingKey>,
    /// When it was made.
    pub created: UnixTime,
    /// When it begins to sign.
    pub signs_from: UnixTime,
    /// When its successor begins to sign.
    pub signs_until: Option<UnixTime>,
    /// When the last token under it is dead.
    pub published_until: Option<UnixTime>,
    /// Whether there was a key of its algorithm before it.
    succeeds: bool,
}

impl HeldKey {
    /// Its `kid`.
    #[must_use]
    pub fn kid(&self) -> &Kid {
        self.signer.kid()
    }

    /// Its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.signer.algorithm()
    }

    /// What it is doing at `now`.
    #[must_use]
    pub fn phase(&self, now: UnixTime) -> KeyPhase {
        if now < self.signs_from {
            KeyPhase::Next
        } else if self.signs_until.is_none_or(|until| now < until) {
            KeyPhase::Signing
        } else {
            KeyPhase::Retiring
        }
    }

    fn is_published(&self, now: UnixTime) -> bool {
        self.published_until.is_none_or(|until| now < until)
    }
}

/// The keys at one moment, with the key set as it is served.
struct Held {
    keys: Vec<HeldKey>,
    document: Arc<[u8]>,
    etag: Arc<str>,
}

/// Our signing keys and the key of the store's seal.
pub struct Keyring {
    spec: KeyringSpec,
    directory: Directory,
    seal: HmacSeal,
    held: ArcSwap<Held>,
    /// The longest `max_ttl` that any key here has signed under, in seconds.
    longest_life: AtomicU32,
}

impl Keyring {
    /// Opens the key directory, making it and what is missing in it: a key for each algorithm, and the seal's key.
    ///
    /// # Errors
    /// When a file cannot be read or written, or does not hold what its name says. Nothing is ever overwritten.
    pub fn open(spec: KeyringSpec, entropy: &dyn Entropy, now: UnixTime) -> Result<Self, KeyringError> {
        let directory = Directory::open(&spec.directory)?;
        let seal = HmacSeal::new(&*directory.seal_key(entropy)?);
        let held = ArcSwap::from_pointee(Held::new(Vec::new()));
        let longest_life = AtomicU32::new(directory.raise_longest_life(spec.max_ttl)?);
        let keyring = Self { spec, directory, seal, held, longest_life };
        keyring.turn(now)?;
        Ok(keyring)
    }

    /// Reads the directory again, makes what is due, and drops what is dead; answers whether the published keys changed.
    ///
    /// # Errors
    /// As [`Keyring::open`]; the keys held so far go on.
    pub fn turn(&self, now: UnixTime) -> Result<bool, KeyringError> {
        let longest_life = self.directory.raise_longest_life(self.spec.max_ttl)?;
        self.longest_life.fetch_max(longest_life, Ordering::Relaxed);
        let mut keys = self.scheduled()?;
        if keys.iter().any(|key| !key.is_published(now)) || self.due(&keys, now).next().is_some() {
            let lock = self.directory.lock()?;
            // Whoever held the lock before may have done all of it.
            keys = self.scheduled()?;
            let due: Vec<Algorithm> = self.due(&keys, now).collect();
            for &algorithm in &due {
                self.directory.create(&lock, algorithm, now)?;
            }
            for dead in keys.iter().filter(|key| !key.is_published(now)) {
                self.directory.remove(&lock, dead.kid(), dead.algorithm())?;
            }
            if !due.is_empty() {
                keys = self.scheduled()?;
            }
            keys.retain(|key| key.is_published(now));
        }
        Ok(self.hold(keys))
    }

    /// Reads the directory again, and neither makes nor drops a key: for as long as the time cannot be trusted. What another process
    /// that shares the directory made is held from then on. Answers whether the published keys changed.
    ///
    /// # Errors
    /// As [`Keyring::open`]; the keys held so far go on.
    pub fn reread(&self) -> Result<bool, KeyringError> {
        Ok(self.hold(self.scheduled()?))
    }

    fn hold(&self, keys: Vec<HeldKey>) -> bool {
        let held = Held::new(keys);
        let changed = held.etag != self.held.load().etag;
        self.held.store(Arc::new(held));
        changed
    }

    /// The keys in the directory, each with its times.
    fn scheduled(&self) -> Result<Vec<HeldKey>, KeyringError> {
        Ok(schedule(self.directory.load()?, i64::from(self.longest_life.load(Ordering::Relaxed))))
    }

    /// The algorithms that lack a key, or whose newest will be old by the time its successor may sign.
    fn due(&self, keys: &[HeldKey], now: UnixTime) -> impl Iterator<Item = Algorithm> {
        let (lead, every) = (LEAD.unsigned_abs(), self.spec.rotate_every);
        self.spec.algorithms.iter().copied().filter(move |&algorithm| {
            newest(keys, algorithm).is_none_or(|newest| {
                let age = u64::try_from(now.since(newest.created)).unwrap_or(0);
                every.is_some_and(|every| age.saturating_add(lead) >= every.max(lead * 2))
            })
        })
    }

    /// Told of the longest life that tokens may have from now on, in seconds. A longer one keeps retired keys published longer; a
    /// shorter one changes nothing, since tokens of the longer life are out there.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn raise_longest_life(&self, max_ttl: u32) -> Result<(), KeyringError> {
        self.longest_life.store(self.directory.raise_longest_life(max_ttl)?, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a successor for the key of each algorithm now, to sign once verifiers have had time to learn it, and answers the new
    /// keys. Where a successor waits already, it is kept: of several processes that rotate at once, one makes the key.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn rotate(&self, now: UnixTime) -> Result<Vec<Kid>, KeyringError> {
        let lock = self.directory.lock()?;
        let keys = self.scheduled()?;
        let mut made = Vec::new();
        for &algorithm in &self.spec.algorithms {
            let newest = newest(&keys, algorithm);
            if newest.is_some_and(|newest| newest.succeeds && newest.phase(now) == KeyPhase::Next) {
                continue;
            }
            // Keys sign in the order they were made: of two made in one second, the new one might come first, and sign before
            // anybody knows it.
            let created = newest.map_or(now, |newest| now.max(newest.created.plus(1)));
            made.push(self.directory.create(&lock, algorithm, created)?.signer.kid().clone());
        }
        drop(lock);
        self.turn(now).map(|_| made)
    }

    /// The key that signs with `algorithm` at `now`.
    ///
    /// # Errors
    /// When no key of that algorithm is held.
    pub fn signer(&self, algorithm: Algorithm, now: UnixTime) -> Result<Arc<SigningKey>, SignError> {
        let held = self.held.load();
        let of_algorithm = || held.keys.iter().filter(|key| key.algorithm() == algorithm);
        // A clock that went back finds no key that signs yet: the oldest one is the one that others know.
        of_algorithm()
            .find(|key| key.phase(now) == KeyPhase::Signing)
            .or_else(|| of_algorithm().min_by_key(|key| key.created))
            .map(|key| Arc::clone(&key.signer))
            .ok_or(SignError::Algorithm)
    }

    /// The default signing algorithm: the first configured.
    #[must_use]
    pub fn default_algorithm(&self) -> Algorithm {
        self.spec.algorithms.first().copied().unwrap_or(Algorithm::ES256)
    }

    /// The configured signing algorithms.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.spec.algorithms
    }

    /// The published key of that `kid`.
    #[must_use]
    pub fn verifying_key(&self, kid: &Kid, now: UnixTime) -> Option<Arc<VerifyingKey>> {
        let held = self.held.load();
        held.keys.iter().find(|key| key.kid() == kid && key.is_published(now)).map(|key| Arc::clone(&key.verifying))
    }

    /// Whether the key of that `kid` is published.
    #[must_use]
    pub fn publishes(&self, kid: &Kid, now: UnixTime) -> bool {
        self.held.load().keys.iter().any(|key| key.kid() == kid && key.is_published(now))
    }

    /// Every key that is held, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<HeldKey> {
        self.held.load().keys.clone()
    }

    /// The key set as served (RFC 7517 section 5): public members only.
    #[must_use]
    pub fn document(&self) -> Arc<[u8]> {
        Arc::clone(&self.held.load().document)
    }

    /// The strong entity tag of [`Keyring::document`], quotes included.
    #[must_use]
    pub fn etag(&self) -> Arc<str> {
        Arc::clone(&self.held.load().etag)
    }

    /// The seal for what the store holds.
    #[must_use]
    pub fn seal(&self) -> HmacSeal {
        self.seal.clone()
    }
}

impl Held {
    fn new(keys: Vec<HeldKey>) -> Self {
        let published: Vec<&Value> = keys.iter().map(|key| key.signer.public_jwk()).collect();
        let document: Arc<[u8]> = json!({ "keys": published }).to_string().into_bytes().into();
        let Digest256(digest) = sts_jose::sha256(&document);
        let etag = format!("\"{}\"", sts_jose::base64url(digest.get(..16).unwrap_or_default())).into();
        Self { keys, document, etag }
    }
}

/// The key of an algorithm that was made last.
fn newest(keys: &[HeldKey], algorithm: Algorithm) -> Option<&HeldKey> {
    keys.iter().rev().find(|key| key.algorithm() == algorithm)
}

/// Gives each key its times: within one algorithm, keys sign one after the other in the order they were made.
fn schedule(mut stored: Vec<StoredKey>, max_ttl: i64) -> Vec<HeldKey> {
    stored.sort_by(|a, b| (a.created, a.signer.kid().as_str()).cmp(&(b.created, b.signer.kid().as_str())));
    let mut keys: Vec<HeldKey> = Vec::with_capacity(stored.len());
    for StoredKey { signer, created } in stored {
        let before = keys.iter_mut().rev().find(|key| key.algorithm() == signer.algorithm());
        let succeeds = before.is_some();
        let signs_from = match before {
            // The first key of an algorithm signs at once: nobody has a token under another yet.
            None => created,
            Some(before) => {
                let from = created.plus(LEAD).max(before.signs_from);
                before.signs_until = Some(from);
                before.published_until = Some(from.plus(max_ttl).plus(LEAD));
                from
            }
        };
        let verifying = Arc::new(signer.verifying_key());
        keys.push(HeldKey {
            signer: Arc::new(signer),
            verifying,
            created,
            signs_from,
            signs_until: None,
            published_until: None,
            succeeds,
        });
    }
    keys
}
