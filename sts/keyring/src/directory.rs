//! The key directory: one JSON file per signing key, and the key of the store's seal. Files have
//! mode 0600, are written atomically and never overwritten. Of a key on a device, the file has the
//! public half.
//!
//! Any number of processes may share the directory. A process takes the lock before it changes
//! something and then reads again, because another process may have made the change. The system
//! releases the lock of a process that dies.

use std::io;
use std::path::{Path, PathBuf};

use sts_jose::HmacSeal;
use sts_types::{
    Durability, Entropy, GroupAccess, NewFileOwner, SecretFileError, SecretOwner, create_file, read_secret_file,
    replace_file,
};
use zeroize::Zeroizing;

use crate::key_file::KeyFile;
use crate::{KeyStore, KeyringError, SealKey, StoredKey, StoredKeys};

/// The file with the longest token lifetime ever configured. A retired key stays published that
/// long.
const LONGEST_LIFE_FILE: &str = "longest-life";
const LOCK_FILE: &str = "lock";
pub(super) const SEAL_FILE: &str = "seal.key";
const SEAL_BYTES: usize = 32;
/// Larger than any key file.
const MAX_FILE: u64 = 64 * 1024;

/// A directory that keeps signing keys.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

/// The exclusive right to change the keys of a directory. Dropping it releases the lock.
struct DirectoryLock(#[expect(dead_code, reason = "closing the file releases the lock")] std::fs::File);

impl Directory {
    /// Creates the directory where it is missing.
    ///
    /// # Errors
    /// [`KeyringError`] if it cannot be created.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        make_private_directory(path).map_err(|error| KeyringError::Io {
            doing: "create",
            path: path.to_owned(),
            error,
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Waits for the exclusive right to change the directory.
    fn lock(&self) -> Result<DirectoryLock, KeyringError> {
        let path = self.path.join(LOCK_FILE);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let locked = options.open(&path).and_then(|file| file.lock().map(|()| file));
        locked.map(DirectoryLock).map_err(|error| self.io("lock", path, error))
    }

    /// The longest token lifetime on disk, in seconds; 0 if there is no file.
    fn longest_life(&self) -> Result<u32, KeyringError> {
        let path = self.path.join(LONGEST_LIFE_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                text.trim().parse().map_err(|_| KeyringError::Content { path, why: "it is not a number of seconds" })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.io("read", path, error)),
        }
    }

    fn key_path(&self, key: &StoredKey) -> PathBuf {
        // Our kids are thumbprints: base64url, which is safe in a file name.
        self.path.join(format!("{}-{}.json", key.algorithm().name().to_ascii_lowercase(), key.kid()))
    }

    fn write_key(&self, key: &StoredKey) -> Result<(), KeyringError> {
        let text = serde_json::to_vec(&KeyFile::of(key)).map_err(|_| KeyringError::Generate(key.algorithm()))?;
        self.write_new(&self.key_path(key), &Zeroizing::new(text))
    }

    /// Removes a key, which may be gone already.
    fn remove_key(&self, key: &StoredKey) -> Result<(), KeyringError> {
        let path = self.key_path(key);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove", path, error)),
            _ => Ok(()),
        }
    }

    fn write_longest_life(&self, seconds: u32) -> Result<(), KeyringError> {
        let path = self.path.join(LONGEST_LIFE_FILE);
        let replaced = replace_file(&path, format!("{seconds}\n").as_bytes(), Durability::Durable);
        replaced.map_err(|error| self.io("write", path, error))
    }

    /// Writes a new file, all or nothing. Root may run this for a server of another user, who must be
    /// able to read the file.
    fn write_new(&self, path: &Path, content: &[u8]) -> Result<(), KeyringError> {
        create_file(path, content, NewFileOwner::OwnerOfFolder)
            .map_err(|error| self.io("write", path.to_owned(), error))
    }

    fn io(&self, doing: &'static str, path: PathBuf, error: io::Error) -> KeyringError {
        KeyringError::Io { doing, path, error }
    }
}

impl KeyStore for Directory {
    fn load(&self) -> Result<StoredKeys, KeyringError> {
        let listing = std::fs::read_dir(&self.path).map_err(|error| self.io("list", self.path.clone(), error))?;
        let mut keys = Vec::new();
        for entry in listing {
            let path = entry.map_err(|error| self.io("list", self.path.clone(), error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match read_key(&path) {
                    // Another process removed this retired key after the listing.
                    Err(KeyringError::Secret(error)) if error.is_missing() => {}
                    key => keys.push(key?),
                }
            }
        }
        Ok(StoredKeys { keys, longest_life: self.longest_life()? })
    }

    fn update(&self, change: &mut dyn FnMut(&mut StoredKeys)) -> Result<StoredKeys, KeyringError> {
        let _lock = self.lock()?;
        let before = self.load()?;
        let mut after = before.clone();
        change(&mut after);
        if after.longest_life != before.longest_life {
            self.write_longest_life(after.longest_life)?;
        }
        for key in after.keys_beyond(&before) {
            self.write_key(key)?;
        }
        for key in before.keys_beyond(&after) {
            self.remove_key(key)?;
        }
        Ok(after)
    }

    fn seal_key(&self, entropy: &dyn Entropy) -> Result<SealKey, KeyringError> {
        if let Some(key) = read_seal_key(&self.path)? {
            return Ok(key);
        }
        let _lock = self.lock()?;
        // Read again under the lock: another process may have created it.
        if let Some(key) = read_seal_key(&self.path)? {
            return Ok(key);
        }
        let mut key = SealKey::default();
        entropy.fill(&mut *key);
        let text = Zeroizing::new(sts_jose::base64url(&*key));
        self.write_new(&self.path.join(SEAL_FILE), text.as_bytes())?;
        Ok(key)
    }
}

/// What a directory keeps that kept the keys before.
pub(crate) struct EarlierKeys {
    pub(crate) seal_key: Option<SealKey>,
    pub(crate) stored: StoredKeys,
}

impl EarlierKeys {
    /// Reads the directory. `None` if it has no keys. Creates nothing.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, KeyringError> {
        let stored = match (Directory { path: path.to_owned() }).load() {
            Err(KeyringError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stored => stored?,
        };
        let seal_key = read_seal_key(path)?;
        Ok((seal_key.is_some() || !stored.keys.is_empty()).then_some(Self { seal_key, stored }))
    }
}

/// Reads the key that seals what the store holds, and the signing keys, from the key directory. The
/// seal is `None` if there is none yet. Creates nothing.
///
/// # Errors
/// [`KeyringError`] if a file cannot be read, or has the wrong content.
pub fn read_directory_keys(directory: &Path) -> Result<(Option<HmacSeal>, StoredKeys), KeyringError> {
    Ok(EarlierKeys::read(directory)?.map_or_else(Default::default, |EarlierKeys { seal_key, stored }| {
        (seal_key.map(|key| HmacSeal::new(&key)), stored)
    }))
}

fn read_seal_key(path: &Path) -> Result<Option<SealKey>, KeyringError> {
    let path = path.join(SEAL_FILE);
    let bytes = match read_private(&path) {
        Err(error) if error.is_missing() => return Ok(None),
        bytes => bytes?,
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end();
    let decoded = Zeroizing::new(sts_jose::decode_base64url(text).unwrap_or_default());
    if decoded.len() != SEAL_BYTES {
        return Err(KeyringError::Content { path, why: "it is not 32 bytes in base64url" });
    }
    let mut key = SealKey::default();
    key.copy_from_slice(&decoded);
    Ok(Some(key))
}

fn read_key(path: &Path) -> Result<StoredKey, KeyringError> {
    let wrong = |why| KeyringError::Content { path: path.to_owned(), why };
    let bytes = read_private(path)?;
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|_| wrong("it is not the JSON that sts writes"))?;
    file.read().map_err(wrong)
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    read_secret_file(path, SecretOwner::Ours, MAX_FILE).map(|file| file.bytes)
}

/// Checks every secret file in `directory` as it is checked when read. Returns those that a group
/// can access. A missing directory has no files.
///
/// # Errors
/// The first file that cannot be used.
pub fn check_key_files(directory: &Path) -> Result<Vec<GroupAccess>, KeyringError> {
    let failed = |error| KeyringError::Io { doing: "list", path: directory.to_owned(), error };
    let listing = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut open_to_groups = Vec::new();
    for entry in listing {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| name == SEAL_FILE)
            || path.extension().is_some_and(|extension| extension == "json")
        {
            match read_secret_file(&path, SecretOwner::Ours, MAX_FILE) {
                Ok(file) => open_to_groups.extend(file.group),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(open_to_groups)
}

fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
