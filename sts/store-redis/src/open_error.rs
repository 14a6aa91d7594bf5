//! Why the Redis store cannot be set up. All reasons are local files. An unreachable Redis is no
//! such reason.

use std::path::PathBuf;

use sts_store::backend::WatermarkError;

/// Why [`crate::RedisLedger::open`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// A file that the configuration names cannot be read.
    #[error("{}, which the store needs, cannot be read: {cause}", sts_types::shown_path(path))]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        cause: std::io::Error,
    },
    /// A secret file cannot be read, or somebody else has access to it.
    #[error("{0}")]
    Secret(#[from] sts_types::SecretFileError),
    /// The password is not UTF-8.
    #[error("the password in `{}` is not UTF-8 text: write printable characters", path.display())]
    PasswordText {
        /// The file.
        path: PathBuf,
    },
    /// The password file is empty.
    #[error("{} is empty: write the password of the Redis user into it", sts_types::shown_path(path))]
    EmptyPassword {
        /// The file.
        path: PathBuf,
    },
    /// The certificates or the key of the store are not usable.
    #[error("the TLS files of `store` do not work: {0}")]
    Client(String),
    /// The watermark file cannot be read.
    #[error("{0}; restore it, or move it away to trust the Redis as it is")]
    Watermark(String),
}

impl From<WatermarkError> for RedisOpenError {
    fn from(error: WatermarkError) -> Self {
        Self::Watermark(error.to_string())
    }
}
