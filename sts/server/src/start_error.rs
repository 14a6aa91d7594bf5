//! Why the server does not start, or a command cannot open its store: what, where, and what to do.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

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
    #[error("cannot send traces to `telemetry.otlp`: {0}")]
    Traces(reqwest::Error),
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

impl StartError {
    /// The exit code: 2 for usage and configuration, 1 for what failed although both are right.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.is_of_configuration() { 2 } else { 1 })
    }

    fn is_of_configuration(&self) -> bool {
        match self {
            Self::Configuration(_) | Self::Usage(_) | Self::AdminUnknown(_) | Self::StoreNotOpened { .. } => true,
            Self::Secret(_) | Self::Folder { .. } => true,
            Self::DataDir { error, .. } => is_wrong_path(error.kind()),
            Self::AdminToken { doing, .. } => *doing == "read",
            Self::Keys(error) => match error {
                KeyringError::Io { error, .. } => is_wrong_path(error.kind()),
                KeyringError::Content { .. }
                | KeyringError::Secret(_)
                | KeyringError::SealingKey { .. }
                | KeyringError::Sealed { .. } => true,
                KeyringError::Generate(_)
                | KeyringError::Unreachable { .. }
                | KeyringError::Conflict { .. }
                | KeyringError::Missing { .. }
                | KeyringError::Interrupted
                | KeyringError::Device(_) => false,
            },
            Self::Redis(error) => !matches!(error, RedisOpenError::Watermark(_)),
            Self::Listen(error) => match error {
                BindError::Certificate { .. } | BindError::Key(_) => true,
                BindError::Address { error, .. } => error.kind() == io::ErrorKind::AddrNotAvailable,
                BindError::Server(_) => false,
            },
            Self::Store(_) | Self::Traces(_) | Self::Runtime(_) => false,
        }
    }

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

/// Whether an error of the operating system means that a setting names the wrong place. Any other
/// is trouble at the right one: a full disk, a device that does not answer.
fn is_wrong_path(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as K;
    matches!(kind, K::NotFound | K::NotADirectory | K::IsADirectory | K::AlreadyExists | K::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn what_the_configuration_says_wrong_is_2_and_what_fails_at_its_right_place_is_1() {
        let data_dir = |kind: io::ErrorKind| StartError::DataDir { path: "data".into(), error: kind.into() };
        let listen = |kind: io::ErrorKind| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
            StartError::from(BindError::Address { key: "listen", address, error: kind.into() })
        };
        let token = |doing| StartError::AdminToken { doing, path: "data/admin.token".into(), why: "x".to_owned() };
        for error in [
            StartError::Configuration(Diagnostics::default()),
            StartError::Usage("x".to_owned()),
            data_dir(io::ErrorKind::NotADirectory),
            listen(io::ErrorKind::AddrNotAvailable),
            token("read"),
        ] {
            assert_eq!(error.exit_code(), ExitCode::from(2), "{error:?}");
        }
        for error in [
            data_dir(io::ErrorKind::StorageFull),
            listen(io::ErrorKind::AddrInUse),
            token("write"),
            StartError::Runtime(io::ErrorKind::OutOfMemory.into()),
            OpenError::Held { path: "data/sts.redb".into() }.into(),
            OpenError::Damaged { path: "data/sts.redb".into(), what: "x".to_owned() }.into(),
        ] {
            assert_eq!(error.exit_code(), ExitCode::from(1), "{error:?}");
        }
    }
}
