//! The `audit` block of a configuration.

use std::path::PathBuf;

/// Default of `audit.file.max_size`, in bytes.
pub const DEFAULT_MAX_SIZE: u64 = 100 * 1024 * 1024;
/// Default of `audit.file.max_files`.
pub const DEFAULT_MAX_FILES: u32 = 10;

/// Where the audit trail goes besides standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSpec {
    /// The hash-chained file.
    pub file: Option<FileSpec>,
    /// The syslog receiver.
    pub syslog: Option<SyslogTarget>,
    /// Whether a decision that no sink can take is refused.
    pub required: bool,
}

/// The hash-chained file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Its path.
    pub path: PathBuf,
    /// The size in bytes after which another file follows.
    pub max_size: u64,
    /// How many full files are kept beside it.
    pub max_files: u32,
}

/// A receiver of syslog messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A socket of this machine.
    Unix(PathBuf),
    /// A receiver over TLS (RFC 5425).
    Tls {
        /// Its name, which its certificate must have.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl std::fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { host, port } if host.contains(':') => write!(f, "tls://[{host}]:{port}"),
            Self::Tls { host, port } => write!(f, "tls://{host}:{port}"),
        }
    }
}
