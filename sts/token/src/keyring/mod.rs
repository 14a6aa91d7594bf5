//! Our signing keys: held parsed, rotated before they are old, published before they sign and until the last token under
//! them is dead (requirement MD-6).
//!
//! The state of a key is a function of the key files and the clock, nothing else: whoever reads the same directory at the same
//! moment signs with the same key.

mod directory;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use sts_jose::{HmacSeal, SignError, Signer, SigningKey, VerifyingKey};
use sts_types::{Algorithm, Digest256, Entropy, Kid, UnixTime};

pub use directory::KeyringError;
use directory::{Directory, StoredKey};

/// How long others may cache our key set, in seconds.
pub const MAX_AGE: i64 = 300;

/// How long a new key is published before it signs, in seconds.
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
        let held = ArcSwap::from_pointee(Held::new(Vec::new(), now));
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
        let mut stored = self.directory.load()?;
        for &algorithm in &self.spec.algorithms {
            let newest = stored.iter().filter(|key| key.signer.algorithm() == algorithm).map(|key| key.created).max();
            let due = newest.is_none_or(|created| {
                let age = u64::try_from(now.since(created)).unwrap_or(0);
                self.spec
                    .rotate_every
                    .is_some_and(|every| age.saturating_add(LEAD.unsigned_abs()) >= every.max(LEAD.unsigned_abs() * 2))
            });
            if due {
                stored.push(self.directory.create(algorithm, now)?);
            }
        }
        let keys = schedule(stored, i64::from(self.longest_life.load(Ordering::Relaxed)));
        let (live, dead): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.is_published(now));
        for key in dead {
            self.directory.remove(key.kid(), key.algorithm())?;
        }
        let held = Held::new(live, now);
        let changed = held.etag != self.held.load().etag;
        self.held.store(Arc::new(held));
        Ok(changed)
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

    /// Makes a successor for the key of each algorithm now, to sign once verifiers have had time to learn it.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn rotate(&self, now: UnixTime) -> Result<(), KeyringError> {
        let stored = self.directory.load()?;
        for &algorithm in &self.spec.algorithms {
            let newest = stored.iter().filter(|key| key.signer.algorithm() == algorithm).map(|key| key.created).max();
            // Keys sign in the order they were made: of two made in one second, the new one might come first, and sign before
            // anybody knows it.
            self.directory.create(algorithm, newest.map_or(now, |newest| now.max(newest.plus(1))))?;
        }
        self.turn(now).map(|_| ())
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
    fn new(keys: Vec<HeldKey>, now: UnixTime) -> Self {
        let published: Vec<&Value> =
            keys.iter().filter(|key| key.is_published(now)).map(|key| key.signer.public_jwk()).collect();
        let document: Arc<[u8]> = json!({ "keys": published }).to_string().into_bytes().into();
        let Digest256(digest) = sts_jose::sha256(&document);
        let etag = format!("\"{}\"", sts_jose::base64url(digest.get(..16).unwrap_or_default())).into();
        Self { keys, document, etag }
    }
}

/// Gives each key its times: within one algorithm, keys sign one after the other in the order they were made.
fn schedule(mut stored: Vec<StoredKey>, max_ttl: i64) -> Vec<HeldKey> {
    stored.sort_by(|a, b| (a.created, a.signer.kid().as_str()).cmp(&(b.created, b.signer.kid().as_str())));
    let mut keys: Vec<HeldKey> = Vec::with_capacity(stored.len());
    for StoredKey { signer, created } in stored {
        let before = keys.iter_mut().rev().find(|key| key.algorithm() == signer.algorithm());
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
        });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_jose::OsEntropy;

    const T0: UnixTime = UnixTime::from_secs(1_790_000_000);

    fn spec(directory: &std::path::Path) -> KeyringSpec {
        KeyringSpec {
            directory: directory.to_owned(),
            algorithms: vec![Algorithm::ES256],
            rotate_every: Some(30 * 86_400),
            max_ttl: 3600,
        }
    }

    #[test]
    fn md06_c145_a_new_key_is_published_before_it_signs_and_kept_until_its_last_token_is_dead() {
        let directory = tempfile::tempdir().unwrap();
        let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();

        let rotated = T0.plus(1000);
        ring.rotate(rotated).unwrap();
        let kids: Vec<Kid> = ring.keys().iter().map(|key| key.kid().clone()).collect();
        assert_eq!(kids.len(), 2);
        assert_eq!(
            *ring.signer(Algorithm::ES256, rotated.plus(LEAD - 1)).unwrap().kid(),
            first,
            "not before it is known"
        );
        let second = ring.signer(Algorithm::ES256, rotated.plus(LEAD)).unwrap().kid().clone();
        assert_ne!(second, first);

        let last_use = rotated.plus(LEAD);
        assert!(ring.verifying_key(&first, last_use.plus(3600)).is_some());
        assert!(ring.turn(last_use.plus(3600 + LEAD)).unwrap(), "the published set changed");
        assert!(ring.verifying_key(&first, last_use).is_none(), "dropped");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3, "one key, the seal, and the longest life");
    }

    #[test]
    fn md06_a_key_outlives_its_tokens_though_max_ttl_is_lowered() {
        let directory = tempfile::tempdir().unwrap();
        let day = KeyringSpec { max_ttl: 86_400, ..spec(directory.path()) };
        let ring = Keyring::open(day, &OsEntropy, T0).unwrap();
        let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
        ring.rotate(T0.plus(1)).unwrap();
        drop(ring);
        let lowered = KeyringSpec { max_ttl: 300, ..spec(directory.path()) };
        let last_token_dies = T0.plus(1 + LEAD + 86_400);
        let ring = Keyring::open(lowered, &OsEntropy, last_token_dies).unwrap();
        assert!(ring.verifying_key(&first, last_token_dies).is_some());
    }

    #[test]
    fn c145_a_successor_made_in_the_second_of_its_predecessor_or_by_a_clock_that_went_back_still_comes_second() {
        for (round, back) in (0..16).zip([0, 0, 0, 5].into_iter().cycle()) {
            let directory = tempfile::tempdir().unwrap();
            let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
            let first = ring.signer(Algorithm::ES256, T0).unwrap().kid().clone();
            ring.rotate(T0.plus(-back)).unwrap();
            assert_eq!(*ring.signer(Algorithm::ES256, T0).unwrap().kid(), first, "round {round}");
        }
    }

    #[test]
    fn keys_rotate_by_themselves_and_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let ring = Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap();
        assert!(!ring.turn(T0.plus(29 * 86_400)).unwrap());
        assert!(ring.turn(T0.plus(30 * 86_400)).unwrap());
        let again = Keyring::open(spec(directory.path()), &OsEntropy, T0.plus(30 * 86_400)).unwrap();
        assert_eq!(again.etag(), ring.etag());
        assert_eq!(again.keys().len(), 2);
    }

    #[test]
    fn j15_the_key_set_has_public_members_only() {
        let directory = tempfile::tempdir().unwrap();
        let both = KeyringSpec { algorithms: vec![Algorithm::ES256, Algorithm::RS256], ..spec(directory.path()) };
        let ring = Keyring::open(both, &OsEntropy, T0).unwrap();
        let document: Value = serde_json::from_slice(&ring.document()).unwrap();
        let keys = document["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            let names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert!(!names.contains(&private), "{private}");
            }
            assert_eq!(key["use"], "sig");
            assert!(key["kid"].is_string() && key["alg"].is_string());
        }
    }

    #[test]
    fn c144_a_wrong_key_file_is_named_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        drop(Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
        let file = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "json"))
            .unwrap();
        for wrong in ["", "{}", "garbage", "{\"version\":1,\"algorithm\":\"ES256\",\"created\":1,\"pkcs8\":\"AAAA\"}"] {
            std::fs::write(&file, wrong).unwrap();
            let error = Keyring::open(spec(directory.path()), &OsEntropy, T0).err().unwrap().to_string();
            assert!(error.contains(&file.display().to_string()), "{error}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), wrong);
        }
    }

    #[cfg(unix)]
    #[test]
    fn c144_key_files_are_private_to_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        drop(Keyring::open(spec(directory.path()), &OsEntropy, T0).unwrap());
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("longest-life") {
                continue;
            }
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            let error = Keyring::open(spec(directory.path()), &OsEntropy, T0).err().unwrap().to_string();
            assert!(error.contains("chmod 600"), "{error}");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}
