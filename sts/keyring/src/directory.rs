//! The key directory: one JSON file per signing key, and the key of the store's seal. Files have
//! mode 0600, are written atomically and never overwritten.
//!
//! Any number of processes may share the directory. A process takes the lock before it changes
//! something and then reads again, because another process may have made the change. The system
//! releases the lock of a process that dies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_jose::{Signer as _, SigningKey};
use sts_types::{
    Algorithm, Durability, Entropy, GroupAccess, Kid, NewFileOwner, SecretFileError, SecretOwner, UnixTime,
    create_file, read_secret_file, replace_file, shown_path,
};
use zeroize::Zeroizing;

use crate::{KeyStore, StoredKey};

/// Why the keys cannot be used. Names the file and the remedy, never the content.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file or the directory cannot be read or written.
    #[error("cannot {doing} {}: {error}", shown_path(path))]
    Io {
        /// The failed operation.
        doing: &'static str,
        /// Its target.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file has the wrong content.
    #[error(
        "{} is not a usable key file: {why}; restore it from a backup, or move it away to have a new key made",
        shown_path(path)
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file cannot be read, or others have access to it.
    #[error("{0}")]
    Secret(#[from] SecretFileError),
    /// A new key could not be made.
    #[error("cannot make a new {0} key")]
    Generate(Algorithm),
}

/// JSON of a key file.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    algorithm: String,
    created: UnixTime,
    /// PKCS #8 (RFC 5958) in base64url.
    pkcs8: Zeroizing<String>,
}

const VERSION: u32 = 1;
/// The file with the longest token lifetime ever configured. A retired key stays published that
/// long.
const LONGEST_LIFE_FILE: &str = "longest-life";
const LOCK_FILE: &str = "lock";
pub(super) const SEAL_FILE: &str = "seal.key";
const SEAL_BYTES: usize = 32;
/// Larger than any key file.
const MAX_FILE: u64 = 64 * 1024;

pub(super) struct Directory {
    path: PathBuf,
}

/// The exclusive right to change the keys of a directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "closing the file releases the lock")] std::fs::File);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, KeyringError> {
        make_private_directory(path).map_err(|error| KeyringError::Io {
            doing: "create",
            path: path.to_owned(),
            error,
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Waits for the exclusive right to change the directory.
    pub(super) fn lock(&self) -> Result<DirectoryLock, KeyringError> {
        let path = self.path.join(LOCK_FILE);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let locked = options.open(&path).and_then(|file| file.lock().map(|()| file));
        locked.map(DirectoryLock).map_err(|error| self.io("lock", path, error))
    }

    /// Reads the seal's key, or creates it if there is none.
    pub(super) fn seal_key(&self, entropy: &dyn Entropy) -> Result<Zeroizing<[u8; SEAL_BYTES]>, KeyringError> {
        if let Some(key) = self.read_seal_key()? {
            return Ok(key);
        }
        let _lock = self.lock()?;
        // Read again under the lock: another process may have created it.
        if let Some(key) = self.read_seal_key()? {
            return Ok(key);
        }
        let mut key = Zeroizing::new([0; SEAL_BYTES]);
        entropy.fill(&mut *key);
        let text = Zeroizing::new(sts_jose::base64url(&*key));
        self.write_new(&self.path.join(SEAL_FILE), text.as_bytes())?;
        Ok(key)
    }

    fn read_seal_key(&self) -> Result<Option<Zeroizing<[u8; SEAL_BYTES]>>, KeyringError> {
        let path = self.path.join(SEAL_FILE);
        let bytes = match read_private(&path) {
            Err(error) if error.is_missing() => return Ok(None),
            bytes => bytes?,
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end();
        let decoded = Zeroizing::new(sts_jose::decode_base64url(text).unwrap_or_default());
        if decoded.len() != SEAL_BYTES {
            return Err(KeyringError::Content { path, why: "it is not 32 bytes in base64url" });
        }
        let mut key = Zeroizing::new([0; SEAL_BYTES]);
        key.copy_from_slice(&decoded);
        Ok(Some(key))
    }

    /// Returns the larger of `max_ttl` and the value on disk, and writes it if it grew.
    pub(super) fn raise_longest_life(&self, max_ttl: u32) -> Result<u32, KeyringError> {
        let before = self.longest_life()?;
        if max_ttl <= before {
            return Ok(before);
        }
        let _lock = self.lock()?;
        // Read again under the lock: another process may have raised it.
        let before = self.longest_life()?;
        if max_ttl <= before {
            return Ok(before);
        }
        let path = self.path.join(LONGEST_LIFE_FILE);
        let replaced = replace_file(&path, format!("{max_ttl}\n").as_bytes(), Durability::Durable);
        replaced.map_err(|error| self.io("write", path, error))?;
        Ok(max_ttl)
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

    fn key_path(&self, kid: &Kid, algorithm: Algorithm) -> PathBuf {
        // Our kids are thumbprints: base64url, which is safe in a file name.
        self.path.join(format!("{}-{kid}.json", algorithm.name().to_ascii_lowercase()))
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
    fn load(&self) -> Result<Vec<StoredKey>, KeyringError> {
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
        Ok(keys)
    }

    fn create(
        &self,
        _lock: &DirectoryLock,
        algorithm: Algorithm,
        created: UnixTime,
    ) -> Result<StoredKey, KeyringError> {
        let signer = SigningKey::generate(algorithm).map_err(|_| KeyringError::Generate(algorithm))?;
        let file = KeyFile {
            version: VERSION,
            algorithm: algorithm.name().to_owned(),
            created,
            pkcs8: Zeroizing::new(sts_jose::base64url(&signer.to_pkcs8())),
        };
        let text = Zeroizing::new(serde_json::to_vec(&file).map_err(|_| KeyringError::Generate(algorithm))?);
        self.write_new(&self.key_path(signer.kid(), algorithm), &text)?;
        Ok(StoredKey { signer: Arc::new(signer), created })
    }

    fn remove(&self, _lock: &DirectoryLock, kid: &Kid, algorithm: Algorithm) -> Result<(), KeyringError> {
        let path = self.key_path(kid, algorithm);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io("remove", path, error)),
            _ => Ok(()),
        }
    }
}

fn read_key(path: &Path) -> Result<StoredKey, KeyringError> {
    let wrong = |why| KeyringError::Content { path: path.to_owned(), why };
    let bytes = read_private(path)?;
    let file: KeyFile = serde_json::from_slice(&bytes).map_err(|_| wrong("it is not the JSON that sts writes"))?;
    if file.version != VERSION {
        return Err(wrong("it was written by a newer version of sts"));
    }
    let algorithm = Algorithm::from_name(&file.algorithm).ok_or_else(|| wrong("its algorithm is unknown"))?;
    let der = Zeroizing::new(sts_jose::decode_base64url(&file.pkcs8).ok_or_else(|| wrong("its key is not base64url"))?);
    let signer = SigningKey::from_pkcs8(algorithm, &der).map_err(|_| wrong("its key is not one of its algorithm"))?;
    Ok(StoredKey { signer: Arc::new(signer), created: file.created })
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
