//! Our signing keys. A key is rotated in time, published before it signs, and stays published until
//! its last token has expired, so a verifier with a cached key set can verify every valid token.
//!
//! The phase of a key depends only on the stored keys and the clock. Processes that read the same
//! store at the same moment sign with the same key.

mod directory;
mod error;
mod held_key;
mod key_file;
mod key_store;
mod new_keys;
mod pkcs11;
mod sealed_store;
mod spec;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use sts_jose::{HmacSeal, SignError, Signer, VerifyingKey, VerifyingKeys};
use sts_types::{Algorithm, Digest256, Entropy, Kid, UnixTime};

pub use directory::{Directory, check_key_files, read_directory_keys};
pub use error::{KeyringError, WithdrawError};
pub use held_key::{HeldKey, KeyPhase};
use held_key::{OpenedKey, newest, schedule};
pub use key_store::{DeviceKey, KeyDevice, KeyMaterial, KeyStore, SealKey, StoredKey, StoredKeys};
use new_keys::{NewKeys, Settled};
pub use pkcs11::{Pkcs11Device, missing_on_device};
pub use sealed_store::{SealedKeyStore, SealedStoreParts, SharedValue, read_sealed_keys};
pub use spec::{KeyStoreSpec, KeyringSpec, Pkcs11Spec};

/// How long verifiers may cache our key set, in seconds.
pub const MAX_AGE: i64 = 300;

/// How long a new key is published before it signs, in seconds. In that time every process that
/// shares the store must read and publish the key (within a minute), and cached key sets
/// without it must expire ([`MAX_AGE`]). The other four minutes cover clock differences.
const LEAD: i64 = 2 * MAX_AGE;

const LEFT_ON_DEVICE: &str =
    "a signing key that is used no more may still be on its device: destroy the key with this label there";
const MAYBE_UNRECORDED: &str = "a signing key was made on the device and may be on no record; the server destroys it within a minute unless it is. If \
                                the server stops before, destroy the key with this label on the device, unless `sts keys list` shows it";

/// What a rotation made.
#[derive(Debug)]
pub struct Rotation {
    /// The kids of the new keys.
    pub made: Vec<Kid>,
    /// Why an algorithm got no successor, although another did.
    pub not_made: Option<KeyringError>,
}

/// What was done when a key was withdrawn.
#[derive(Debug)]
pub struct Withdrawal {
    /// The kids of the keys that were made in its place.
    pub made: Vec<Kid>,
    /// Why an algorithm is without a key now. [`Keyring::maintain`] tries again.
    pub not_replaced: Option<KeyringError>,
    /// Why the private half may still be on its device, where its label is the kid. No server uses
    /// it.
    pub not_destroyed: Option<KeyringError>,
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
    store: Arc<dyn KeyStore>,
    /// Makes new keys and signs with those that it holds. Without one, keys are in memory.
    device: Option<Arc<dyn KeyDevice>>,
    seal: HmacSeal,
    state: ArcSwap<KeyState>,
    /// Held from a read of the store until `state` has what was read. Otherwise keys that were read
    /// before another operation's change could replace those read after it, and a withdrawn key would
    /// sign again.
    reading: Mutex<()>,
    /// Keys that were made on the device and may not be on record.
    unrecorded: Mutex<Vec<Kid>>,
    /// The largest `max_ttl` that any key here has signed under, in seconds.
    longest_life: AtomicU32,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Opens a keyring whose keys are in `store` and, with a device, on that. Creates what is
    /// missing: a key per algorithm, and the seal's key.
    ///
    /// While the store or the device does not answer, the keys that are known serve.
    ///
    /// # Errors
    /// [`KeyringError`] if the keys cannot be read, or a first key of an algorithm cannot be made.
    pub fn open(
        spec: KeyringSpec,
        store: Arc<dyn KeyStore>,
        device: Option<Arc<dyn KeyDevice>>,
        entropy: &dyn Entropy,
        now: UnixTime,
    ) -> Result<Self, KeyringError> {
        let seal = HmacSeal::new(&*store.seal_key(entropy)?);
        let state = ArcSwap::from_pointee(KeyState::new(Vec::new()));
        let longest_life = AtomicU32::new(spec.max_ttl);
        let (reading, unrecorded) = (Mutex::default(), Mutex::default());
        let keyring = Self { spec, store, device, seal, state, reading, unrecorded, longest_life };
        match keyring.maintain(now) {
            Err(error) if !(error.is_passing() && keyring.has_every_algorithm()) => Err(error),
            _ => Ok(keyring),
        }
    }

    /// Like [`Keyring::open`], with keys in the files of a directory.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. Never overwrites a file.
    pub fn in_directory(
        spec: KeyringSpec,
        directory: &std::path::Path,
        entropy: &dyn Entropy,
        now: UnixTime,
    ) -> Result<Self, KeyringError> {
        Self::open(spec, Arc::new(Directory::open(directory)?), None, entropy, now)
    }

    fn has_every_algorithm(&self) -> bool {
        let state = self.state.load();
        self.spec.algorithms.iter().all(|&algorithm| newest(&state.keys, algorithm).is_some())
    }

    /// Reads the store again, creates due successors and deletes dead keys. Returns whether the
    /// published keys changed.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. The current keys stay in use.
    pub fn maintain(&self, now: UnixTime) -> Result<bool, KeyringError> {
        let is_dead = |key: &HeldKey| !key.is_published(now);
        let reading = self.reading();
        let stored = self.store.load()?;
        let keys = self.scheduled(&stored);
        let is_settled =
            self.due(&keys, now).next().is_none() && stored.longest_life >= self.longest_life.load(Ordering::Relaxed);
        let (dead, live): (Vec<_>, Vec<_>) = keys.into_iter().partition(is_dead);
        let changed = self.replace_keys(live);
        drop(reading);
        let left_over = self.destroy_unrecorded(&stored);
        if is_settled && dead.is_empty() {
            return left_over.map(|()| changed);
        }
        // A key that may still be on its device stays on record, so that it is destroyed later.
        let (kept, failure) = self.destroy_dead(&dead);
        let mut new_keys = NewKeys::new(self.device.as_deref());
        let reading = self.reading();
        // Looks at the keys anew: another process may have done all of it.
        let updated = self.store.update(&mut |stored| {
            let keys = self.scheduled(stored);
            stored.longest_life = self.longest_life.load(Ordering::Relaxed);
            let due: Vec<Algorithm> = self.due(&keys, now).collect();
            stored.keys.extend(new_keys.make(due.into_iter().map(|algorithm| (algorithm, now))));
            let is_over = |key: &HeldKey| is_dead(key) && !kept.contains(key.kid());
            stored.keys.retain(|stored| !keys.iter().any(|key| key.kid() == stored.kid() && is_over(key)));
        });
        let changed = updated.as_ref().map(|stored| {
            let mut keys = self.scheduled(stored);
            keys.retain(|key| !is_dead(key));
            self.replace_keys(keys) || changed
        });
        drop(reading);
        let not_made = self.settle(new_keys, updated.as_ref()).not_made;
        let changed = changed.is_ok_and(|changed| changed);
        updated?;
        not_made.or(failure).or(left_over.err()).map_or(Ok(changed), Err)
    }

    /// Reads the store again without creating or deleting keys, for times when the clock cannot be
    /// trusted. Picks up keys that another process created. Returns whether the published keys
    /// changed.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. The current keys stay in use.
    pub fn reread(&self) -> Result<bool, KeyringError> {
        let _reading = self.reading();
        Ok(self.replace_keys(self.scheduled(&self.store.load()?)))
    }

    fn reading(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_keys(&self, keys: Vec<HeldKey>) -> bool {
        let state = KeyState::new(keys);
        let changed = state.etag != self.state.load().etag;
        self.state.store(Arc::new(state));
        changed
    }

    /// The stored keys with their schedules.
    fn scheduled(&self, stored: &StoredKeys) -> Vec<HeldKey> {
        let known = self.longest_life.fetch_max(stored.longest_life, Ordering::Relaxed);
        let state = self.state.load();
        let open = |stored: &StoredKey| {
            let held = state.keys.iter().find(|key| key.kid() == stored.kid());
            let signer = held.map_or_else(|| self.signer_of(&stored.key), |key| Arc::clone(&key.signer));
            let is_on_device = matches!(stored.key, KeyMaterial::OnDevice(_));
            OpenedKey { signer, created: stored.created, is_on_device }
        };
        schedule(stored.keys.iter().map(open).collect(), i64::from(known.max(stored.longest_life)))
    }

    fn signer_of(&self, key: &KeyMaterial) -> Arc<dyn Signer> {
        match (key, &self.device) {
            (KeyMaterial::InMemory(key), _) => Arc::clone(key) as _,
            (KeyMaterial::OnDevice(key), Some(device)) => device.signer(key),
            (KeyMaterial::OnDevice(key), None) => Arc::new(new_keys::WithoutDevice::new(key)),
        }
    }

    /// Destroys keys of which every token has expired. Returns those that may still be on the device,
    /// and why.
    fn destroy_dead(&self, dead: &[HeldKey]) -> (Vec<Kid>, Option<KeyringError>) {
        let (mut kept, mut failure) = (Vec::new(), None);
        for key in dead.iter().filter(|key| key.is_on_device) {
            match &self.device {
                Some(device) => {
                    if let Err(error) = device.destroy(key.kid()) {
                        kept.push(key.kid().clone());
                        failure = Some(error);
                    }
                }
                // This server cannot destroy it, and to keep it on record would keep it for good.
                None => {
                    let kid = key.kid();
                    tracing::error!(%kid, "{LEFT_ON_DEVICE}, because `signing.pkcs11` names none here");
                }
            }
        }
        (kept, failure)
    }

    /// Ends a change that made keys. On the device, a key that did not get on record is destroyed.
    fn settle(&self, new_keys: NewKeys<'_>, updated: Result<&StoredKeys, &KeyringError>) -> Rotation {
        let read_back;
        let kept = match updated {
            Ok(kept) => Some(kept),
            // The change may still be on its way to the store, so what can be read now decides nothing.
            Err(KeyringError::Unreachable { .. }) => None,
            Err(_) => {
                read_back = self.store.load().ok();
                read_back.as_ref()
            }
        };
        let Settled { made, not_made, unrecorded } = new_keys.settle(kept);
        for kid in &unrecorded {
            tracing::error!(%kid, "{MAYBE_UNRECORDED}");
        }
        self.unrecorded().extend(unrecorded);
        Rotation { made, not_made }
    }

    /// Destroys the keys on the device that turned out not to be on record in `stored`.
    fn destroy_unrecorded(&self, stored: &StoredKeys) -> Result<(), KeyringError> {
        let Some(device) = &self.device else { return Ok(()) };
        let unrecorded = std::mem::take(&mut *self.unrecorded());
        let is_recorded = |kid: &Kid| stored.keys.iter().any(|key| key.kid() == kid);
        let mut failure = None;
        for kid in unrecorded.into_iter().filter(|kid| !is_recorded(kid)) {
            match device.destroy(&kid) {
                Ok(()) => tracing::info!(%kid, "a key that is on no record was destroyed on its device"),
                Err(error) => {
                    failure = Some(error);
                    self.unrecorded().push(kid);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn unrecorded(&self) -> MutexGuard<'_, Vec<Kid>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Algorithms that need a new key: those without one, those whose newest key will be too old when
    /// a successor created now may start to sign, and those without a key on the device.
    ///
    /// A server without the device leaves the keys on it to those that have it. Otherwise the two would
    /// make successors to each other's keys.
    fn due(&self, keys: &[HeldKey], now: UnixTime) -> impl Iterator<Item = Algorithm> {
        let (lead, every) = (LEAD.unsigned_abs(), self.spec.rotate_every);
        let has_device = self.device.is_some();
        self.spec.algorithms.iter().copied().filter(move |&algorithm| {
            newest(keys, algorithm).is_none_or(|newest| {
                if newest.is_on_device && !has_device {
                    return false;
                }
                let is_on_device = |key: &HeldKey| key.algorithm() == algorithm && key.is_on_device;
                let age = u64::try_from(now.since(newest.created)).unwrap_or(0);
                // A key must at least outlive the lead of its successor, or a new one would be due
                // at once.
                (has_device && !keys.iter().any(is_on_device))
                    || every.is_some_and(|every| age.saturating_add(lead) >= every.max(lead * 2))
            })
        })
    }

    /// Records a new maximum token lifetime, in seconds. A larger one keeps retired keys published
    /// longer. A smaller one has no effect, because tokens with the old lifetime are still in use.
    ///
    /// # Errors
    /// [`KeyringError`] if the value cannot be kept.
    pub fn raise_longest_life(&self, max_ttl: u32) -> Result<(), KeyringError> {
        if self.longest_life.load(Ordering::Relaxed) < max_ttl {
            self.store.update(&mut |stored| stored.longest_life = stored.longest_life.max(max_ttl))?;
            self.longest_life.fetch_max(max_ttl, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Creates a successor for each algorithm's key now. A successor starts to sign once verifiers
    /// have had time to fetch it. If one is already waiting, it is kept, so several processes that
    /// rotate at once create one key.
    ///
    /// # Errors
    /// As for [`Keyring::open`]. No key was made.
    pub fn rotate(&self, now: UnixTime) -> Result<Rotation, KeyringError> {
        let mut new_keys = NewKeys::new(self.device.as_deref());
        let reading = self.reading();
        let updated = self.store.update(&mut |stored| {
            let keys = self.scheduled(stored);
            let created = |&algorithm: &Algorithm| match newest(&keys, algorithm) {
                Some(newest) if newest.succeeds && newest.phase(now) == KeyPhase::Next => None,
                // Keys sign in the order of their creation times. If two had the same second, the
                // new one might sort first and sign before verifiers know it.
                newest => Some((algorithm, newest.map_or(now, |newest| now.max(newest.created.plus(1))))),
            };
            stored.keys.extend(new_keys.make(self.spec.algorithms.iter().filter_map(created)));
        });
        if let Ok(stored) = &updated {
            self.replace_keys(self.scheduled(stored));
        }
        drop(reading);
        let rotation = self.settle(new_keys, updated.as_ref());
        updated?;
        match rotation {
            Rotation { made, not_made: Some(error) } if made.is_empty() => Err(error),
            rotation => {
                // The keys are made. What else is due may fail, and is tried again within a minute.
                let _ = self.maintain(now);
                Ok(rotation)
            }
        }
    }

    /// Destroys a key before its time: it signs nothing more, and nobody takes a token of it. If it
    /// was the last of its algorithm, another is made, which signs at once. `None` if there is no
    /// such key.
    ///
    /// # Errors
    /// [`WithdrawError`], which says whether the key is still in use.
    pub fn withdraw(&self, kid: &Kid, now: UnixTime) -> Result<Option<Withdrawal>, WithdrawError> {
        let has_key = |stored: &StoredKeys| stored.keys.iter().any(|key| key.kid() == kid);
        let (mut withdrawn, mut was_tried) = (None, false);
        let reading = self.reading();
        let updated = self.store.update(&mut |stored| {
            was_tried = true;
            withdrawn = stored.keys.iter().find(|key| key.kid() == kid).cloned();
            stored.keys.retain(|key| key.kid() != kid);
        });
        let kept = match updated {
            Ok(kept) => kept,
            Err(error) if !was_tried => return Err(WithdrawError::InUse(error)),
            // The store may have taken the change all the same.
            Err(error) => match self.store.load() {
                Ok(stored) if has_key(&stored) => return Err(WithdrawError::InUse(error)),
                Ok(stored) => stored,
                Err(_) => return Err(WithdrawError::Unknown(error)),
            },
        };
        let before: Vec<Kid> = kept.keys.iter().map(|key| key.kid().clone()).collect();
        // Before `maintain`, which may fail: this process must not go on with the key.
        self.replace_keys(self.scheduled(&kept));
        drop(reading);
        let Some(withdrawn) = withdrawn else { return Ok(None) };
        let not_destroyed = self.destroy(&withdrawn).err();
        if let Some(error) = &not_destroyed {
            // No server uses it any more, since it is on no record.
            tracing::error!(%error, %kid, "{LEFT_ON_DEVICE}");
        }
        let maintained = self.maintain(now);
        let keys = self.keys();
        let is_without_key = |algorithm: &Algorithm| newest(&keys, *algorithm).is_none();
        // Any other fault is met again, and told, by the next `maintain`.
        let not_replaced = maintained.err().filter(|_| self.spec.algorithms.iter().any(is_without_key));
        let made = keys.iter().map(HeldKey::kid).filter(|kid| !before.contains(kid)).cloned().collect();
        Ok(Some(Withdrawal { made, not_replaced, not_destroyed }))
    }

    /// Destroys the private half of a key that is on no record any more.
    fn destroy(&self, key: &StoredKey) -> Result<(), KeyringError> {
        match (&key.key, &self.device) {
            (KeyMaterial::InMemory(_), _) => Ok(()),
            (KeyMaterial::OnDevice(key), Some(device)) => device.destroy(key.kid()),
            (KeyMaterial::OnDevice(_), None) => {
                Err(KeyringError::Device("`signing.pkcs11` names none at this server".to_owned()))
            }
        }
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
