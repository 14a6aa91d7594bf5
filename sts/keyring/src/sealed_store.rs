//! Keys in one sealed value of a store that all servers share.
//!
//! The value is encrypted and authenticated as a whole, bound to its place, so nobody who can write
//! to the store reads a key, adds one, or brings one from elsewhere. A change is a compare-and-set.
//!
//! A store can lose or be given an earlier value. So each server keeps the value that it last saw, in
//! memory and in a file, and what it saw is joined with what it reads: a key that was there stays,
//! and a key that was removed stays removed. The file also lets a server start while the store is
//! away.

mod document;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sts_jose::{HmacSeal, SealingKey};
use sts_types::{Durability, Entropy, Kid, SecretOwner, read_secret_file, replace_file, shown_path};

use self::document::Document;
use crate::directory::EarlierKeys;
use crate::{KeyStore, KeyringError, SealKey, StoredKeys};

/// A value that several servers share.
pub trait SharedValue: Send + Sync + 'static {
    /// The value, if there is one. May block.
    ///
    /// # Errors
    /// Why it cannot be read, without any value.
    fn read(&self) -> Result<Option<Vec<u8>>, String>;

    /// Writes `new` if the value is still `expected`. Returns whether it was. May block.
    ///
    /// # Errors
    /// Why it cannot be written, without any value. It may be written all the same.
    fn replace(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<bool, String>;

    /// The name of the value in its store. What is sealed is bound to it.
    fn name(&self) -> &str;
}

/// What a [`SealedKeyStore`] consists of.
pub struct SealedStoreParts<'a> {
    /// The shared value.
    pub value: Arc<dyn SharedValue>,
    /// Files with the sealing keys. The first seals, the others open what was sealed before.
    pub seal_key_files: &'a [PathBuf],
    /// The file of the value that this server last saw.
    pub copy: PathBuf,
    /// Whether the first keys may be made here.
    pub may_create: bool,
    /// The directory that kept the keys before. It may be missing.
    pub earlier: &'a Path,
    /// Makes the key of the store's seal.
    pub entropy: &'a dyn Entropy,
}

impl std::fmt::Debug for SealedStoreParts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedStoreParts").field("copy", &self.copy).finish_non_exhaustive()
    }
}

/// Keys in a sealed value.
pub struct SealedKeyStore {
    value: Arc<dyn SharedValue>,
    sealing_keys: Vec<SealingKey>,
    copy: PathBuf,
    last_seen: Mutex<LastSeen>,
}

#[derive(Default)]
struct LastSeen {
    document: Option<Document>,
    /// Whether the next read is answered from the file, because the store was away at the start.
    starts_from_copy: bool,
}

impl std::fmt::Debug for SealedKeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedKeyStore").field("name", &self.value.name()).finish_non_exhaustive()
    }
}

/// How often a change starts over because another process was faster.
const ATTEMPTS: u32 = 50;
/// Larger than any copy.
const MAX_COPY: u64 = 4 * 1024 * 1024;
/// Larger than any sealing key.
const MAX_KEY: u64 = 4096;

impl SealedKeyStore {
    /// Opens the keys that are in the value, or makes a value without keys if there never was one.
    ///
    /// # Errors
    /// [`KeyringError`] if a file cannot be used, if the value does not open with the sealing keys, or
    /// if the store is away and this server has never seen the value.
    pub fn open(parts: SealedStoreParts<'_>) -> Result<Self, KeyringError> {
        let SealedStoreParts { value, seal_key_files, copy, may_create, earlier, entropy } = parts;
        let sealing_keys = seal_key_files.iter().map(|path| read_sealing_key(path));
        let sealing_keys = sealing_keys.collect::<Result<Vec<_>, KeyringError>>()?;
        let store = Self { value, sealing_keys, copy, last_seen: Mutex::default() };
        let seen = store.read_copy()?;
        let mut last_seen = store.last_seen();
        last_seen.document = seen;
        let found = store.synchronize(&mut last_seen);
        match found {
            Err(error @ KeyringError::Unreachable { .. }) if last_seen.document.is_none() => return Err(error),
            Err(KeyringError::Unreachable { .. }) => last_seen.starts_from_copy = true,
            Err(KeyringError::Missing { .. }) if may_create => store.create(&mut last_seen, earlier, entropy)?,
            found => drop(found?),
        }
        if may_create {
            warn_of_other_keys(last_seen.document.as_ref(), earlier);
        }
        drop(last_seen);
        Ok(store)
    }

    /// Makes the first value, unless another process was faster. Where the keys were in a directory
    /// before, they go on: new ones would end every token, and make the store's records seem forged.
    fn create(&self, last_seen: &mut LastSeen, earlier: &Path, entropy: &dyn Entropy) -> Result<(), KeyringError> {
        let found = EarlierKeys::read(earlier)?;
        let taken_over: Option<Vec<Kid>> =
            found.as_ref().map(|found| found.stored.keys.iter().map(|key| key.kid().clone()).collect());
        let is_ours = self.write(None, &Document::new(found, entropy))?.is_some();
        if let Some(kids) = taken_over.filter(|_| is_ours) {
            let directory = shown_path(earlier);
            tracing::warn!(
                directory,
                ?kids,
                "there were no signing keys in Redis, so those of the directory were taken over; remove it when every \
                 server keeps its keys in Redis"
            );
        }
        self.synchronize(last_seen).map(drop)
    }

    fn last_seen(&self) -> MutexGuard<'_, LastSeen> {
        self.last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the value and joins it with what was last seen. Writes the result where the value lacks
    /// something, or is sealed by another key than the first. Returns the value as it is stored.
    fn synchronize(&self, last_seen: &mut LastSeen) -> Result<(Document, Vec<u8>), KeyringError> {
        for _ in 0..ATTEMPTS {
            let stored = self.value.read().map_err(|why| self.unreachable(why))?;
            let (read, sealed_by_first) = match &stored {
                Some(stored) => self.open_value(stored).map(|(read, first)| (Some(read), first))?,
                None => (None, false),
            };
            let joined = match (&last_seen.document, &read) {
                (None, None) => return Err(KeyringError::Missing { place: self.place() }),
                (Some(seen), None) => seen.clone(),
                (None, Some(read)) => read.clone(),
                (Some(seen), Some(read)) => seen.join(read).ok_or_else(|| self.foreign())?,
            };
            let written = if read.as_ref() == Some(&joined) && sealed_by_first {
                stored
            } else {
                self.write(stored.as_deref(), &joined)?
            };
            if let Some(written) = written {
                self.note(last_seen, &joined, &written);
                return Ok((joined, written));
            }
        }
        Err(KeyringError::Conflict { place: self.place() })
    }

    /// Writes `document` in place of the value `expected`. `None` if another process was faster.
    fn write(&self, expected: Option<&[u8]>, document: &Document) -> Result<Option<Vec<u8>>, KeyringError> {
        let sealed = self
            .sealing_keys
            .first()
            .and_then(|key| document.seal(key, self.value.name()))
            .ok_or_else(|| self.unusable("they cannot be sealed"))?;
        let written = self.value.replace(expected, &sealed).map_err(|why| self.unreachable(why))?;
        Ok(written.then_some(sealed))
    }

    /// Keeps what was seen, in memory and in the file. A full disk must not keep a server from
    /// following a withdrawal, so it is no error.
    fn note(&self, last_seen: &mut LastSeen, document: &Document, stored: &[u8]) {
        last_seen.document = Some(document.clone());
        if std::fs::read(&self.copy).ok().as_deref() == Some(stored) {
            return;
        }
        if let Err(error) = replace_file(&self.copy, stored, Durability::Durable) {
            let file = shown_path(&self.copy);
            tracing::error!(%error, file, "the copy of the signing keys could not be written");
        }
    }

    fn read_copy(&self) -> Result<Option<Document>, KeyringError> {
        let stored = match read_secret_file(&self.copy, SecretOwner::Ours, MAX_COPY) {
            Err(error) if error.is_missing() => return Ok(None),
            stored => stored?.bytes,
        };
        self.open_value(&stored).map(|(document, _)| Some(document)).map_err(|error| match error {
            KeyringError::Sealed { why, .. } => {
                let place = format!("{}, a copy of those in {}", shown_path(&self.copy), self.place());
                KeyringError::Sealed { place, why }
            }
            error => error,
        })
    }

    /// The document in `stored`, and whether the first key sealed it.
    fn open_value(&self, stored: &[u8]) -> Result<(Document, bool), KeyringError> {
        Document::open(stored, &self.sealing_keys, self.value.name()).map_err(|why| self.unusable(why))
    }

    fn place(&self) -> String {
        place(&*self.value)
    }

    fn unusable(&self, why: &'static str) -> KeyringError {
        KeyringError::Sealed { place: self.place(), why }
    }

    fn foreign(&self) -> KeyringError {
        self.unusable(
            "they are not those that this server has used so far, as if the store had been emptied and begun anew; if \
             that was meant, stop the server and remove `keys.sealed` from its `data_dir`",
        )
    }

    fn unreachable(&self, why: String) -> KeyringError {
        KeyringError::Unreachable { place: self.place(), why }
    }
}

impl KeyStore for SealedKeyStore {
    fn load(&self) -> Result<StoredKeys, KeyringError> {
        let mut last_seen = self.last_seen();
        if std::mem::take(&mut last_seen.starts_from_copy)
            && let Some(document) = &last_seen.document
        {
            return Ok(document.stored.clone());
        }
        Ok(self.synchronize(&mut last_seen)?.0.stored)
    }

    fn update(&self, change: &mut dyn FnMut(&mut StoredKeys)) -> Result<StoredKeys, KeyringError> {
        let mut last_seen = self.last_seen();
        for _ in 0..ATTEMPTS {
            let (before, stored) = self.synchronize(&mut last_seen)?;
            let mut keys = before.stored.clone();
            change(&mut keys);
            let after = before.with(keys);
            if after == before {
                return Ok(after.stored);
            }
            if let Some(written) = self.write(Some(&stored), &after)? {
                self.note(&mut last_seen, &after, &written);
                return Ok(after.stored);
            }
        }
        Err(KeyringError::Conflict { place: self.place() })
    }

    fn seal_key(&self, _: &dyn Entropy) -> Result<SealKey, KeyringError> {
        let last_seen = self.last_seen();
        let document = last_seen.document.as_ref();
        document.map(|document| document.seal_key.clone()).ok_or_else(|| KeyringError::Missing { place: self.place() })
    }
}

/// Tells the operator if the keys that were in use before are not those in the store.
fn warn_of_other_keys(document: Option<&Document>, earlier: &Path) {
    // A directory that cannot be read is no reason to do without the keys in the store.
    if let (Some(document), Ok(Some(EarlierKeys { seal_key: Some(seal_key), .. }))) =
        (document, EarlierKeys::read(earlier))
        && document.seal_key != seal_key
    {
        let directory = shown_path(earlier);
        tracing::error!(
            directory,
            "the signing keys in the directory are not those in Redis, and are not used: tokens signed with them are not \
             accepted, and what was stored under their seal is not trusted; remove the directory if that is meant"
        );
    }
}

fn place(value: &dyn SharedValue) -> String {
    format!("Redis (`{}`)", value.name())
}

/// Reads the key that seals what the store holds, and the signing keys, from the sealed value. `None`
/// if there are none yet. Writes nothing.
///
/// # Errors
/// As for [`SealedKeyStore::open`].
pub fn read_sealed_keys(
    value: &dyn SharedValue,
    seal_key_files: &[PathBuf],
) -> Result<Option<(HmacSeal, StoredKeys)>, KeyringError> {
    let keys = seal_key_files.iter().map(|path| read_sealing_key(path)).collect::<Result<Vec<_>, _>>()?;
    let stored = value.read().map_err(|why| KeyringError::Unreachable { place: place(value), why })?;
    let Some(stored) = stored else { return Ok(None) };
    let (document, _) = Document::open(&stored, &keys, value.name())
        .map_err(|why| KeyringError::Sealed { place: place(value), why })?;
    Ok(Some((HmacSeal::new(&document.seal_key), document.stored)))
}

fn read_sealing_key(path: &Path) -> Result<SealingKey, KeyringError> {
    let file = read_secret_file(path, SecretOwner::Configured, MAX_KEY)?;
    let text = std::str::from_utf8(&file.bytes).unwrap_or_default();
    SealingKey::from_base64(text).map_err(|error| KeyringError::SealingKey { path: path.to_owned(), error })
}
