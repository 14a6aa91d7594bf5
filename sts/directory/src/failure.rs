//! Why a refresh failed.

use std::fmt;

/// The kind of a failure, as the metric has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The host's name does not resolve, or the connection was refused or broken.
    Connection,
    /// A deadline passed.
    Timeout,
    /// The TLS handshake failed: the certificate's name, authority or dates, or no TLS at all.
    Tls,
    /// The server refused the bind.
    Bind,
    /// `base` does not exist, or the bind account does not see it.
    Base,
    /// The server refused a search.
    Search,
    /// The answer exceeds a limit.
    Limit,
    /// The answer is not LDAP.
    Protocol,
    /// The password file or the file of authorities cannot be used.
    File,
}

impl FailureCause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Connection,
        Self::Timeout,
        Self::Tls,
        Self::Bind,
        Self::Base,
        Self::Search,
        Self::Limit,
        Self::Protocol,
        Self::File,
    ];

    /// The value of the metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Bind => "bind",
            Self::Base => "base",
            Self::Search => "search",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::File => "file",
        }
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a directory could not be asked. The text has no secret: a server's own words are bounded and
/// their control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DirectoryError {
    /// The kind of failure.
    pub cause: FailureCause,
    /// The server and what happened.
    pub message: String,
}

impl DirectoryError {
    pub(crate) fn new(cause: FailureCause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }

    /// The same with the server it happened at.
    pub(crate) fn at(mut self, server: &impl fmt::Display) -> Self {
        self.message = format!("{server}: {}", self.message);
        self
    }
}

/// Words of a server, as they may stand in a message: bounded, on one line.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let mut quoted: String = text.trim_end_matches('\0').chars().take(MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().count() > MAX_CHARS {
        quoted.push('…');
    }
    quoted
}
