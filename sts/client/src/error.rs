//! Why there is no access token.

use std::process::ExitCode;
use std::time::Duration;

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The command is used wrongly, or nothing tells where this runs.
    #[error("{0}")]
    Usage(String),
    /// It was refused, or something did not answer.
    #[error("{text}")]
    Failed {
        /// What, where, and what to do.
        text: String,
        /// Whether another attempt may help.
        retry: Retry,
    },
}

/// Whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    No,
    /// After a pause that grows.
    Soon,
    /// After what the server asked for.
    After(Duration),
}

impl ClientError {
    /// A failure that is final.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed { text: text.into(), retry: Retry::No }
    }

    /// A failure that may pass.
    pub(crate) fn passing(text: impl Into<String>) -> Self {
        Self::Failed { text: text.into(), retry: Retry::Soon }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed { .. } => ExitCode::FAILURE,
        }
    }
}
