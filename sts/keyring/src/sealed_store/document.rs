//! What is sealed: the keys, what was removed from them, and the key of the store's seal.

use sts_jose::SealingKey;
use sts_types::{Entropy, Kid};
use zeroize::Zeroizing;

use crate::directory::EarlierKeys;
use crate::key_file::KeyFile;
use crate::{SealKey, StoredKey, StoredKeys};

const VERSION: u32 = 1;
/// How many removed kids are remembered. With a rotation every day they last for years.
const MOST_REMOVED: usize = 1000;

/// The keys in clear.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) seal_key: SealKey,
    pub(super) stored: StoredKeys,
    /// The kids of keys that are gone for good, the latest last.
    removed: Vec<Kid>,
}

/// The JSON that is sealed.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    /// The key of the store's seal, in base64url.
    seal_key: Zeroizing<String>,
    longest_life: u32,
    keys: Vec<KeyFile>,
    removed: Vec<Kid>,
}

/// The JSON that is stored.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    version: u32,
    /// The name of the sealing key.
    sealed_by: String,
    /// [`Plain`], sealed, in base64url.
    sealed: String,
}

impl Document {
    /// The first document, with the keys from before if there are any.
    pub(super) fn new(earlier: Option<EarlierKeys>, entropy: &dyn Entropy) -> Self {
        let (seal_key, mut stored) =
            earlier.map_or_else(Default::default, |EarlierKeys { seal_key, stored }| (seal_key, stored));
        sort(&mut stored.keys);
        let seal_key = seal_key.unwrap_or_else(|| {
            let mut seal_key = SealKey::default();
            entropy.fill(&mut *seal_key);
            seal_key
        });
        Self { seal_key, stored, removed: Vec::new() }
    }

    /// The same with `keys`. Those that are missing are gone for good.
    pub(super) fn with(&self, mut keys: StoredKeys) -> Self {
        let mut removed = self.removed.clone();
        removed.extend(self.stored.keys_beyond(&keys).map(|key| key.kid().clone()));
        sort(&mut keys.keys);
        Self { seal_key: self.seal_key.clone(), stored: keys, removed: latest(removed) }
    }

    /// Everything that either has, without what either removed. `None` if they are not of one origin.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        if self.seal_key != other.seal_key {
            return None;
        }
        // Its own come first, so that those which `other` has forgotten are forgotten again.
        let own = self.removed.iter().filter(|kid| !other.removed.contains(kid));
        let removed: Vec<Kid> = own.chain(&other.removed).cloned().collect();
        let mut keys: Vec<StoredKey> = other.stored.keys.clone();
        keys.extend(self.stored.keys_beyond(&other.stored).cloned());
        keys.retain(|key| !removed.contains(key.kid()));
        sort(&mut keys);
        let longest_life = self.stored.longest_life.max(other.stored.longest_life);
        Some(Self {
            seal_key: self.seal_key.clone(),
            stored: StoredKeys { keys, longest_life },
            removed: latest(removed),
        })
    }

    /// Seals it for the value of that name. `None` if that fails.
    pub(super) fn seal(&self, key: &SealingKey, name: &str) -> Option<Vec<u8>> {
        let plain = Plain {
            seal_key: Zeroizing::new(sts_jose::base64url(&*self.seal_key)),
            longest_life: self.stored.longest_life,
            keys: self.stored.keys.iter().map(KeyFile::of).collect(),
            removed: self.removed.clone(),
        };
        let plain = Zeroizing::new(serde_json::to_vec(&plain).ok()?);
        let sealed = sts_jose::base64url(&key.seal(&context(name), &plain)?);
        serde_json::to_vec(&Envelope { version: VERSION, sealed_by: key.name().to_owned(), sealed }).ok()
    }

    /// Opens `stored`, and says whether the first of `keys` sealed it; or what is wrong.
    pub(super) fn open(stored: &[u8], keys: &[SealingKey], name: &str) -> Result<(Self, bool), &'static str> {
        const ALTERED: &str = "they were altered, or belong to another store: restore them, or remove them to have those \
                               put back that a server has";
        let envelope: Envelope = serde_json::from_slice(stored).map_err(|_| ALTERED)?;
        if envelope.version > VERSION {
            return Err("they were written by a newer version of sts");
        }
        let (index, key) = keys.iter().enumerate().find(|(_, key)| key.name() == envelope.sealed_by).ok_or(
            "they are sealed under another key than those in `signing.seal_key_file`: name the file of that key there, \
             too",
        )?;
        let sealed = sts_jose::decode_base64url(&envelope.sealed).ok_or(ALTERED)?;
        let plain = key.open(&context(name), &sealed).ok_or(ALTERED)?;
        let plain: Plain = serde_json::from_slice(&plain).map_err(|_| "they were written by another version of sts")?;
        let mut seal_key = SealKey::default();
        let decoded = Zeroizing::new(sts_jose::decode_base64url(&plain.seal_key).ok_or(ALTERED)?);
        if decoded.len() != seal_key.len() {
            return Err(ALTERED);
        }
        seal_key.copy_from_slice(&decoded);
        let mut stored_keys = plain.keys.iter().map(KeyFile::read).collect::<Result<Vec<_>, _>>()?;
        sort(&mut stored_keys);
        let stored = StoredKeys { keys: stored_keys, longest_life: plain.longest_life };
        Ok((Self { seal_key, stored, removed: plain.removed }, index == 0))
    }
}

/// Whether both have the same keys. Each kid stands for one key.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        let kids = |document: &Self| document.stored.keys.iter().map(|key| key.kid().clone()).collect::<Vec<_>>();
        self.seal_key == other.seal_key
            && self.stored.longest_life == other.stored.longest_life
            && kids(self) == kids(other)
            && self.removed == other.removed
    }
}

fn context(name: &str) -> Vec<u8> {
    [b"sts signing keys\0".as_slice(), name.as_bytes()].concat()
}

fn sort(keys: &mut [StoredKey]) {
    keys.sort_by(|a, b| (a.created, a.kid().as_str()).cmp(&(b.created, b.kid().as_str())));
}

fn latest(mut removed: Vec<Kid>) -> Vec<Kid> {
    let surplus = removed.len().saturating_sub(MOST_REMOVED);
    removed.drain(..surplus);
    removed
}
