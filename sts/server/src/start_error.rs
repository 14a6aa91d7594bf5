//! Why the server does not start: what, where, and what to do. Each ends the process with exit code 2.

use std::io;
use std::path::PathBuf;

use jwks_cache::EntryError;
use sts_config::Diagnostics;
use sts_store::{OpenError, RedisOpenError};
use sts_token::KeyringError;

use crate::http::BindError;

/// The cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{}", .0.render(false))]
    Configuration(Diagnostics),
    #[error("cannot use `{}` as `data_dir`: {error}; make it a directory that this user may write, or set another", path.display())]
    DataDir { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Keys(#[from] KeyringError),
    #[error("{0}")]
    Store(#[from] OpenError),
    #[error("{0}")]
    Redis(#[from] RedisOpenError),
    #[error("{}", entries(.0))]
    Issuers(Vec<EntryError>),
    #[error("{0}")]
    Listen(#[from] BindError),
    #[error("cannot {doing} the admin token `{}`: {why}", path.display())]
    AdminToken { doing: &'static str, path: PathBuf, why: String },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

fn entries(errors: &[EntryError]) -> String {
    let line = |error: &EntryError| format!("issuer entry `{}`: {}; {}", error.entry, error.message, error.help);
    errors.iter().map(line).collect::<Vec<_>>().join("\nerror: ")
}
