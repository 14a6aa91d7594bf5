//! The files of the configuration, and positions in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_types::{ObjectPointer, Origin};

/// Identifies a file of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u32);

/// A range of characters in one file. Lines and columns count from 1; columns are characters, not
/// bytes. The end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: FileId,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_line: u32,
    pub(crate) end_column: u32,
}

impl Span {
    /// The first character of `file`.
    pub(crate) const fn start_of(file: FileId) -> Self {
        Self { file, line: 1, column: 1, end_line: 1, end_column: 2 }
    }
}

/// What an [`Origin`] stands for.
#[derive(Debug)]
pub(crate) enum Declared {
    InFile(Span),
    InObject(Box<ObjectPointer>),
}

/// The text of every file, and the table that maps an [`Origin`] to its place in a file or in a
/// managed object.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
    declared: Vec<Declared>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: Arc<str>,
    /// Byte offset of each line's first character.
    lines: Vec<usize>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: &Path, text: Arc<str>) -> FileId {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect();
        self.files.push(Source { path: path.to_owned(), text, lines });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The path that `file` was opened by.
    pub(crate) fn path(&self, file: FileId) -> &Path {
        self.source(file).map_or(Path::new(""), |source| &source.path)
    }

    /// Index of the file that was opened by `path`, in the order of reading.
    pub(crate) fn position(&self, path: &Path) -> Option<usize> {
        self.files.iter().position(|source| source.path == path)
    }

    /// One line (from 1) without its line break.
    pub(crate) fn line(&self, file: FileId, line: u32) -> Option<&str> {
        let source = self.source(file)?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *source.lines.get(index)?;
        let rest = source.text.get(start..)?;
        rest.split('\n').next()
    }

    /// Returns `span`, or the start of the last line if `span` is past the end of the file. The
    /// YAML parser reports such positions for mistakes it sees at the end.
    pub(crate) fn within(&self, span: Span) -> Span {
        let lines = self.source(span.file).map_or(1, |source| u32::try_from(source.lines.len()).unwrap_or(u32::MAX));
        if span.line <= lines {
            return span;
        }
        Span { line: lines, end_line: lines, ..Span::start_of(span.file) }
    }

    /// Registers `span` and returns its handle, for specs that other crates check.
    pub(crate) fn origin(&mut self, span: Span) -> Origin {
        self.register(Declared::InFile(span))
    }

    /// Registers a place in a managed object and returns its handle.
    pub fn origin_in_object(&mut self, pointer: ObjectPointer) -> Origin {
        self.register(Declared::InObject(Box::new(pointer)))
    }

    fn register(&mut self, declared: Declared) -> Origin {
        self.declared.push(declared);
        Origin(u32::try_from(self.declared.len() - 1).unwrap_or(u32::MAX))
    }

    /// The span that [`Self::origin`] registered.
    pub(crate) fn span(&self, origin: Origin) -> Option<Span> {
        match self.declared(origin)? {
            Declared::InFile(span) => Some(*span),
            Declared::InObject(_) => None,
        }
    }

    pub(crate) fn declared(&self, origin: Origin) -> Option<&Declared> {
        self.declared.get(usize::try_from(origin.0).ok()?)
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(usize::try_from(file.0).ok()?)
    }
}
