//! Files that the configuration names and another crate reads.

use std::path::PathBuf;

use crate::source::Span;

#[derive(Clone)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    pub(crate) span: Span,
    pub(crate) kind: FileKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Readable by everybody.
    Public,
    /// A certificate chain. It is usually deployed together with its key.
    Certificate,
    /// A private key.
    Secret,
}
