//! The files of the configuration, and positions in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_types::{ObjectPointer, ObjectRef, Origin};

use crate::object_source::{ObjectSource, pointer};

/// Identifies a file of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u32);

impl FileId {
    /// No file, for trees that nobody wrote.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

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

/// The text of every file and object, and the table that maps an [`Origin`] to its place there.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
    /// The spans of [`Origin`]s, from `first` on.
    declared: Vec<Span>,
    first: u32,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: Arc<str>,
    /// Byte offset of each line's first character.
    lines: Vec<usize>,
    /// Set if this is no file but an object. `text` is then its JSON, and the line of a span is the
    /// number of a value in it.
    object: Option<ObjectRef>,
    reads_environment: bool,
}

impl Sources {
    pub(crate) fn add(&mut self, path: &Path, text: Arc<str>) -> FileId {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect();
        self.push(Source { path: path.to_owned(), text, lines, object: None, reads_environment: true })
    }

    /// Adds an object. Paths in it are relative to the file that declares it, or to `main`, the main
    /// file, if none does.
    pub(crate) fn add_object(&mut self, main: &Path, source: &ObjectSource) -> FileId {
        self.push(Source {
            path: source.file.as_ref().map_or(main, |(file, _)| &**file).to_owned(),
            text: Arc::clone(&source.spec),
            lines: Vec::new(),
            object: Some(source.object.clone()),
            reads_environment: source.file.is_some(),
        })
    }

    /// Sources whose origins differ from those of any configuration. A spec that was decoded earlier
    /// then has no place here, rather than a wrong one.
    pub(crate) fn of_changes() -> Self {
        Self { first: 1 << 31, ..Self::default() }
    }

    /// Whether `${NAME}` in `file` stands for an environment variable. Not in a managed object:
    /// the right to write one gives no right to read the server's environment.
    pub(crate) fn reads_environment(&self, file: FileId) -> bool {
        self.source(file).is_none_or(|source| source.reads_environment)
    }

    fn push(&mut self, source: Source) -> FileId {
        self.files.push(source);
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// Whether `file` is a managed object and no file.
    pub(crate) fn is_object(&self, file: FileId) -> bool {
        self.source(file).is_some_and(|source| source.object.is_some())
    }

    /// The member of a managed object that `span` stands for. `None` for a place in a file.
    pub(crate) fn in_object(&self, span: Span) -> Option<ObjectPointer> {
        let source = self.source(span.file)?;
        let object = source.object.clone()?;
        Some(ObjectPointer { object, pointer: pointer(&source.text, span.line) })
    }

    /// The path that `file` was opened by.
    pub(crate) fn path(&self, file: FileId) -> &Path {
        self.source(file).map_or(Path::new(""), |source| &source.path)
    }

    /// Index of the file that was opened by `path`, in the order of reading.
    pub(crate) fn position(&self, path: &Path) -> Option<usize> {
        self.files.iter().position(|source| source.object.is_none() && source.path == path)
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
        if self.is_object(span.file) {
            return span;
        }
        let lines = self.source(span.file).map_or(1, |source| u32::try_from(source.lines.len()).unwrap_or(u32::MAX));
        if span.line <= lines {
            return span;
        }
        Span { line: lines, end_line: lines, ..Span::start_of(span.file) }
    }

    /// Registers `span` and returns its handle, for specs that other crates check.
    pub(crate) fn origin(&mut self, span: Span) -> Origin {
        self.declared.push(span);
        let index = u32::try_from(self.declared.len() - 1).unwrap_or(u32::MAX);
        Origin(self.first.saturating_add(index))
    }

    /// The span that [`Self::origin`] registered.
    pub(crate) fn span(&self, origin: Origin) -> Option<Span> {
        let index = origin.0.checked_sub(self.first)?;
        self.declared.get(usize::try_from(index).ok()?).copied()
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(usize::try_from(file.0).ok()?)
    }
}
