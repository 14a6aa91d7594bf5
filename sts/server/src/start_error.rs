//! Why the server does not start: what, where, and what to do. Each error ends the process with
//! exit code 2.

use std::io;
use std::path::PathBuf;

use sts_config::Diagnostics;
use sts_keyring::KeyringError;
use sts_store_embedded::OpenError;
use sts_store_redis::RedisOpenError;
use sts_types::{CheckCode, SecretFileError, shown_path};

use crate::http::BindError;

/// The cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{}", .0.render(false))]
    Configuration(Diagnostics),
    #[error(
        "cannot use {} as `data_dir`: {error}; make it a directory that this user may write, or set another",
        shown_path(path)
    )]
    DataDir { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Keys(#[from] KeyringError),
    #[error("{0}")]
    Store(#[from] OpenError),
    #[error("{0}")]
    Redis(#[from] RedisOpenError),
    #[error("{0}")]
    Listen(#[from] BindError),
    #[error("{0}")]
    Secret(SecretFileError),
    #[error("`{key}`: {error}")]
    Folder { key: &'static str, error: SecretFileError },
    #[error("cannot {doing} the admin token {}: {why}", shown_path(path))]
    AdminToken { doing: &'static str, path: PathBuf, why: String },
    /// The arguments contradict each other, or one is invalid.
    #[error("{0}")]
    Usage(String),
    /// The configuration does not say for certain where its server listens.
    #[error("{}error: {}", .0.render(false), self.advice())]
    AdminUnknown(Diagnostics),
    /// No server runs, and the configuration lacks what the work needs.
    #[error("{}error: {}", diagnostics.render(false), self.advice())]
    StoreNotOpened { missing: String, diagnostics: Diagnostics },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

impl StartError {
    /// The check code that `sts check` would name. `None` if no check covers the error.
    pub(crate) fn code(&self) -> Option<CheckCode> {
        match self {
            Self::Listen(error) => error.code(),
            Self::Secret(error) | Self::Folder { error, .. } => Some(error.code()),
            Self::Keys(_) => Some(CheckCode::UnusableSigningKeys),
            _ => None,
        }
    }

    /// What to do, if the findings in the configuration do not say it.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::AdminUnknown(_) => {
                "the configuration does not say for certain where the server is: give --admin-url and \
                                      --admin-token-file"
                    .to_owned()
            }
            Self::StoreNotOpened { missing, .. } => format!(
                "{missing}; without a server this is done here, which takes more of the configuration than can be read"
            ),
            other => other.to_string(),
        }
    }
}
