//! Our signing keys. A key is rotated in time, published before it signs, and stays published until
//! its last token has expired, so a verifier with a cached key set can verify every valid token.
//!
//! The phase of a key depends only on the key files and the clock. Processes that read the same
//! directory at the same moment sign with the same key.

mod directory;
mod held_key;
mod key_store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use sts_jose::{HmacSeal, SignError, Signer, VerifyingKey, VerifyingKeys};
use sts_types::{Algorithm, Digest256, Entropy, Kid, UnixTime};

use directory::Directory;
pub use directory::{DirectoryLock, KeyringError, check_key_files};
pub use held_key::{HeldKey, KeyPhase};
use held_key::{newest, schedule};
pub use key_store::{KeyStore, StoredKey};

/// How long verifiers may cache our key set, in seconds.
pub const MAX_AGE: i64 = 300;

/// How long a new key is published before it signs, in seconds. In that time every process that
/// shares the directory must read and publish the key (within a minute), and cached key sets
/// without it must expire ([`MAX_AGE`]). The other four minutes cover clock differences.
const LEAD: i64 = 2 * MAX_AGE;

/// Settings of the keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringSpec {
    /// Directory of the key files.
    pub directory: PathBuf,
    /// Algorithms to sign with. The first is the default.
    pub algorithms: Vec<Algorithm>,
    /// How long a key signs, in seconds; `None` turns scheduled rotation off.
    pub rotate_every: Option<u64>,
    /// Longest lifetime of a token, in seconds.
    pub max_ttl: u32,
}

impl KeyringSpec {
    /// The file of the key that seals what the store holds.
    #[must_use]
    pub fn seal_file(&self) -> PathBuf {
        self.directory.join(directory::SEAL_FILE)
    }
}

/// The keys at one moment, and the key set document that is served.
struct KeyState {
    keys: Vec<HeldKey>,
    document: Arc<[u8]>,
    etag: Arc<str>,
}

/// Our signing keys, and the key of the store's seal.
pub struct Keyring {
    spec: KeyringSpec,
    /// Has the lock, the seal's key and the longest lifetime.
    directory: Directory,
    /// Has the signing keys.
    store: Arc<dyn KeyStore>,
    seal: HmacSeal,
    state: ArcSwap<KeyState>,
    /// The largest `max_ttl` that any key here has signed under, in seconds.
    longest_life: AtomicU32,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens the key directory. Creates what is missing: the directory, a key per algorithm, and
    /// the seal's key.
    ///
    /// # Errors
    /// [`KeyringError`] if a file cannot be read or written, or has the wrong content. Never
    /// overwrites a file.
    pub fn open(spec: KeyringSpec, entropy: &dyn Entropy, now: UnixTime) -> Result<Self, KeyringError> {
        let store = Arc::new(Directory::open(&spec.directory)?);
        Self::open_with(spec, store, entropy, now)
    }

    /// Like [`Keyring::open`], with the signing keys in `store`. The directory still has the seal's
    /// key and what processes that share the store agree on.
    ///
    /// # Errors
    /// As for [`Keyring::open`], and those of `store`.
    pub fn open_with(
        spec: KeyringSpec,
        store: Arc<dyn KeyStore>,
        entropy: &dyn Entropy,
        now: UnixTime,
    ) -> Result<Self, KeyringError> {
        let directory = Directory::open(&spec.directory)?;
        let seal = HmacSeal::new(&*directory.seal_key(entropy)?);
        let state = ArcSwap::from_pointee(KeyState::new(Vec::new()));
        let longest_life = AtomicU32::new(directory.raise_longest_life(spec.max_ttl)?);
        let keyring = Self { spec, directory, store, seal, state, longest_life };
        keyring.maintain(now)?;
        Ok(keyring)
    }

    /// Reads the directory again, creates due successors and deletes dead keys. Returns whether the
    /// published keys changed.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. The current keys stay in use.
    pub fn maintain(&self, now: UnixTime) -> Result<bool, KeyringError> {
        let longest_life = self.directory.raise_longest_life(self.spec.max_ttl)?;
        self.longest_life.fetch_max(longest_life, Ordering::Relaxed);
        let mut keys = self.scheduled()?;
        if keys.iter().any(|key| !key.is_published(now)) || self.due(&keys, now).next().is_some() {
            let lock = self.directory.lock()?;
            // Read again under the lock: another process may have done all of it.
            keys = self.scheduled()?;
            let due: Vec<Algorithm> = self.due(&keys, now).collect();
            for &algorithm in &due {
                self.store.create(&lock, algorithm, now)?;
            }
            for dead in keys.iter().filter(|key| !key.is_published(now)) {
                self.store.remove(&lock, dead.kid(), dead.algorithm())?;
            }
            if !due.is_empty() {
                keys = self.scheduled()?;
            }
            keys.retain(|key| key.is_published(now));
        }
        Ok(self.replace_keys(keys))
    }

    /// Reads the directory again without creating or deleting keys, for times when the clock cannot
    /// be trusted. Picks up keys that another process created. Returns whether the published keys
    /// changed.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. The current keys stay in use.
    pub fn reread(&self) -> Result<bool, KeyringError> {
        Ok(self.replace_keys(self.scheduled()?))
    }

    fn replace_keys(&self, keys: Vec<HeldKey>) -> bool {
        let state = KeyState::new(keys);
        let changed = state.etag != self.state.load().etag;
        self.state.store(Arc::new(state));
        changed
    }

    /// The keys in the directory with their schedules.
    fn scheduled(&self) -> Result<Vec<HeldKey>, KeyringError> {
        Ok(schedule(self.store.load()?, i64::from(self.longest_life.load(Ordering::Relaxed))))
    }

    /// Algorithms without a key, or whose newest key will be too old when a successor created now
    /// may start to sign.
    fn due(&self, keys: &[HeldKey], now: UnixTime) -> impl Iterator<Item = Algorithm> {
        let (lead, every) = (LEAD.unsigned_abs(), self.spec.rotate_every);
        self.spec.algorithms.iter().copied().filter(move |&algorithm| {
            newest(keys, algorithm).is_none_or(|newest| {
                let age = u64::try_from(now.since(newest.created)).unwrap_or(0);
                // A key must at least outlive the lead of its successor, or a new one would be due
                // at once.
                every.is_some_and(|every| age.saturating_add(lead) >= every.max(lead * 2))
            })
        })
    }

    /// Records a new maximum token lifetime, in seconds. A larger one keeps retired keys published
    /// longer. A smaller one has no effect, because tokens with the old lifetime are still in use.
    ///
    /// # Errors
    /// [`KeyringError`] if the value cannot be written.
    pub fn raise_longest_life(&self, max_ttl: u32) -> Result<(), KeyringError> {
        self.longest_life.store(self.directory.raise_longest_life(max_ttl)?, Ordering::Relaxed);
        Ok(())
    }

    /// Creates a successor for each algorithm's key now, and returns the new kids. A successor
    /// starts to sign once verifiers have had time to fetch it. If one is already waiting, it is
    /// kept, so several processes that rotate at once create one key.
    ///
    /// # Errors
    /// As for [`Keyring::open`].
    pub fn rotate(&self, now: UnixTime) -> Result<Vec<Kid>, KeyringError> {
        let lock = self.directory.lock()?;
        let keys = self.scheduled()?;
        let mut new_kids = Vec::new();
        for &algorithm in &self.spec.algorithms {
            let newest = newest(&keys, algorithm);
            if newest.is_some_and(|newest| newest.succeeds && newest.phase(now) == KeyPhase::Next) {
                continue;
            }
            // Keys sign in the order of their creation times. If two had the same second, the new
            // one might sort first and sign before verifiers know it.
            let created = newest.map_or(now, |newest| now.max(newest.created.plus(1)));
            new_kids.push(self.store.create(&lock, algorithm, created)?.signer.kid().clone());
        }
        drop(lock);
        self.maintain(now).map(|_| new_kids)
    }

    /// The key that signs with `algorithm` at `now`.
    ///
    /// # Errors
    /// [`SignError::Algorithm`] if there is no key of that algorithm.
    pub fn signer(&self, algorithm: Algorithm, now: UnixTime) -> Result<Arc<dyn Signer>, SignError> {
        let state = self.state.load();
        let of_algorithm = || state.keys.iter().filter(|key| key.algorithm() == algorithm);
        // After the clock was set back, no key may be in its signing phase. The oldest key is the
        // one that verifiers know.
        of_algorithm()
            .find(|key| key.phase(now) == KeyPhase::Signing)
            .or_else(|| of_algorithm().min_by_key(|key| key.created))
            .map(|key| Arc::clone(&key.signer))
            .ok_or(SignError::Algorithm)
    }

    /// Whether every key that signs at `now` can do so. Keys in memory always can. A device is
    /// asked, so the answer may take as long as the device.
    ///
    /// # Errors
    /// The first key's that cannot.
    pub async fn check(&self, now: UnixTime) -> Result<(), SignError> {
        for &algorithm in &self.spec.algorithms {
            self.signer(algorithm, now)?.check().outcome().await?;
        }
        Ok(())
    }

    /// The default signing algorithm: the first in the configuration.
    #[must_use]
    pub fn default_algorithm(&self) -> Algorithm {
        self.spec.algorithms.first().copied().unwrap_or(Algorithm::ES256)
    }

    /// The configured signing algorithms.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.spec.algorithms
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<HeldKey> {
        self.state.load().keys.clone()
    }

    /// The key set document (RFC 7517 section 5). It has public members only.
    #[must_use]
    pub fn document(&self) -> Arc<[u8]> {
        Arc::clone(&self.state.load().document)
    }

    /// The strong ETag of [`Keyring::document`], including quotes.
    #[must_use]
    pub fn etag(&self) -> Arc<str> {
        Arc::clone(&self.state.load().etag)
    }

    /// The seal for records in the store.
    #[must_use]
    pub fn seal(&self) -> HmacSeal {
        self.seal.clone()
    }
}

impl VerifyingKeys for Keyring {
    fn verifying_key(&self, kid: &Kid, now: UnixTime) -> Option<Arc<VerifyingKey>> {
        let state = self.state.load();
        state.keys.iter().find(|key| key.kid() == kid && key.is_published(now)).map(|key| Arc::clone(&key.verifying))
    }
}

impl KeyState {
    fn new(keys: Vec<HeldKey>) -> Self {
        let published: Vec<&Value> = keys.iter().map(|key| key.signer.public_jwk()).collect();
        let document: Arc<[u8]> = json!({ "keys": published }).to_string().into_bytes().into();
        let Digest256(digest) = sts_jose::sha256(&document);
        let etag = format!("\"{}\"", sts_jose::base64url(digest.get(..16).unwrap_or_default())).into();
        Self { keys, document, etag }
    }
}
