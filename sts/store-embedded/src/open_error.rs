//! Why the embedded store does not open: what, where, and what to do about it.

use std::path::PathBuf;

/// Why [`crate::EmbeddedLedger::open`] failed. A file that is not a sound store is never
/// overwritten and never taken for an empty one: an empty ledger would forget every revocation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store `{path}` is held by another process: stop that one, or use Redis to run several")]
    Held {
        /// The store's file.
        path: PathBuf,
    },
    /// The file or its directory cannot be read, written or created.
    #[error("the store `{path}` cannot be {doing}: {cause}")]
    Io {
        /// The store's file.
        path: PathBuf,
        /// `created`, `opened`, `written` or `served by a thread`.
        doing: &'static str,
        /// The error of the operating system.
        #[source]
        cause: std::io::Error,
    },
    /// The file exists, but is not a sound store: empty, truncated, damaged, or something else.
    #[error(
        "the store `{path}` is damaged or not a store ({what}): restore it from a backup, or move it away to start with an empty one, \
         which forgets all tokens and revocations; where tokens were revoked, `sts store accept-epoch` is needed after either"
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A newer version wrote it.
    #[error(
        "the store `{path}` has schema version {found}, this sts knows {known}: run the version of sts that wrote it, or a newer one"
    )]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Its schema version.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
}
