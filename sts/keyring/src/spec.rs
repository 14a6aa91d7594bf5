//! Settings of the keyring.

use std::path::PathBuf;

use sts_types::Algorithm;

/// Settings of the keyring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringSpec {
    /// Where the keys are kept.
    pub store: KeyStoreSpec,
    /// The device that makes private keys and never reveals them. Without one, the store has them.
    pub device: Option<Pkcs11Spec>,
    /// Algorithms to sign with. The first is the default.
    pub algorithms: Vec<Algorithm>,
    /// How long a key signs, in seconds; `None` turns scheduled rotation off.
    pub rotate_every: Option<u64>,
    /// Longest lifetime of a token, in seconds.
    pub max_ttl: u32,
}

/// Where the keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStoreSpec {
    /// In the files of a directory, which any number of servers may share.
    Directory(PathBuf),
    /// In the Redis of the store, sealed under the key of the first file. The others open what was
    /// sealed before.
    Redis {
        /// The files, at least one.
        seal_key_files: Vec<PathBuf>,
        /// The directory that kept the keys before, if there was one. Its keys are taken over if Redis
        /// has none.
        earlier: PathBuf,
    },
}

impl KeyStoreSpec {
    /// The directory, if the keys are in one.
    #[must_use]
    pub fn directory(&self) -> Option<&PathBuf> {
        match self {
            Self::Directory(directory) => Some(directory),
            Self::Redis { .. } => None,
        }
    }

    /// The directory that keeps the keys, or kept them before.
    #[must_use]
    pub fn directory_or_earlier(&self) -> &PathBuf {
        match self {
            Self::Directory(directory) => directory,
            Self::Redis { earlier, .. } => earlier,
        }
    }

    /// The file of the key that seals what the store holds, if it is in a file.
    #[must_use]
    pub fn seal_file(&self) -> Option<PathBuf> {
        self.directory().map(|directory| directory.join(crate::directory::SEAL_FILE))
    }
}

/// A token of a PKCS#11 module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Spec {
    /// The module, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub token_label: String,
    /// The file with the user's PIN. It is read at each login.
    pub pin_file: PathBuf,
}
