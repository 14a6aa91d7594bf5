//! What the keyring needs of the place that keeps the private keys.

use std::sync::Arc;

use sts_jose::Signer;
use sts_types::{Algorithm, Kid, UnixTime};

use crate::{DirectoryLock, KeyringError};

/// Keeps signing keys: the key directory, or a device that never reveals them.
///
/// Its methods may block. The keyring calls them at start, for maintenance and for a rotation, never
/// while an exchange waits. Several processes may use one store at once. They take the lock of their
/// common directory before they change something.
pub trait KeyStore: Send + Sync + 'static {
    /// Every signing key that is kept.
    ///
    /// # Errors
    /// [`KeyringError`] if a key cannot be read.
    fn load(&self) -> Result<Vec<StoredKey>, KeyringError>;

    /// Creates a key and keeps it.
    ///
    /// # Errors
    /// [`KeyringError`] if the key cannot be made or kept.
    fn create(&self, lock: &DirectoryLock, algorithm: Algorithm, created: UnixTime) -> Result<StoredKey, KeyringError>;

    /// Destroys a key whose last token has expired. It may be gone already.
    ///
    /// # Errors
    /// [`KeyringError`] if the key is still there.
    fn remove(&self, lock: &DirectoryLock, kid: &Kid, algorithm: Algorithm) -> Result<(), KeyringError>;
}

/// A signing key and its creation time.
#[derive(Clone)]
pub struct StoredKey {
    /// Signs with the key.
    pub signer: Arc<dyn Signer>,
    /// When it was created.
    pub created: UnixTime,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey")
            .field("kid", self.signer.kid())
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
