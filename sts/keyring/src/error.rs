//! Why the keys cannot be used.

use std::io;
use std::path::PathBuf;

use sts_jose::SealingKeyError;
use sts_types::{Algorithm, SecretFileError, shown_path};

/// Why the keys cannot be used. Names the place and the remedy, never the content.
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
    /// A file of `signing.seal_key_file` has no key.
    #[error("{} has no key for `signing.seal_key_file`: {error}", shown_path(path))]
    SealingKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SealingKeyError,
    },
    /// What is sealed does not open. No key is made in place of those that it has.
    #[error("the signing keys in {place} cannot be used: {why}")]
    Sealed {
        /// Where they are.
        place: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// The store that keeps the keys does not answer.
    #[error("cannot reach the signing keys in {place}: {why}")]
    Unreachable {
        /// Where they are.
        place: String,
        /// The cause.
        why: String,
    },
    /// Other processes changed the keys at each attempt.
    #[error("the signing keys in {place} were changed by others meanwhile; try again")]
    Conflict {
        /// Where they are.
        place: String,
    },
    /// There are no keys, and this process may not make the first.
    #[error("{place} has no signing keys yet: a server makes them when it starts")]
    Missing {
        /// Where they would be.
        place: String,
    },
    /// The process ends while the keys are changed.
    #[error("the server stops, so whether the signing keys changed is not certain: look at them after the start")]
    Interrupted,
    /// The device that holds private keys failed.
    #[error("the device with the signing keys: {0}")]
    Device(String),
}

impl KeyringError {
    /// Whether the same may succeed later although nobody changes the configuration. Keys that are
    /// known already stay in use meanwhile.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Conflict { .. } | Self::Device(_))
    }
}

/// Why a key is not withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// The key is still in use.
    #[error("{0}; the key is still in use")]
    InUse(#[source] KeyringError),
    /// The store failed in the middle of the change, and does not tell what it has.
    #[error("{0}; the key may still be in use")]
    Unknown(#[source] KeyringError),
}

impl WithdrawError {
    /// The error of the store.
    #[must_use]
    pub fn cause(&self) -> &KeyringError {
        match self {
            Self::InUse(cause) | Self::Unknown(cause) => cause,
        }
    }
}
