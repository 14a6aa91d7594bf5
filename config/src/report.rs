//! Collects sources and findings while the files are read.

use std::path::{Path, PathBuf};

use sts_types::{CheckCode, Origin};

use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity, SourceLocation};
use crate::source::{FileId, Sources, Span};

/// The files read so far, and the findings about them.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) sources: Sources,
    pub(crate) findings: Diagnostics,
    /// Lines that may contain a secret, because somebody wrote it in place of its file.
    secret_lines: Vec<(FileId, u32)>,
    /// Paths that may be a secret, because somebody wrote it in place of its file.
    secret_paths: Vec<PathBuf>,
}

impl Report {
    /// A report whose origins are no origins of a configuration.
    pub(crate) fn of_changes() -> Self {
        Self { sources: Sources::of_changes(), ..Self::default() }
    }

    /// An error at `span`.
    pub(crate) fn error(&mut self, code: CheckCode, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = Place::of_span(&self.sources, span);
        self.at(code, Severity::Error, Some(place), message.into(), help);
    }

    /// A finding at a given place.
    pub fn at(
        &mut self,
        code: CheckCode,
        severity: Severity,
        place: Option<Place>,
        message: String,
        help: Option<String>,
    ) {
        self.findings.push(Diagnostic { code, severity, place, message, help, witness: None });
    }

    /// Keeps the line of `span` out of every finding.
    pub(crate) fn hide_line(&mut self, span: Span) {
        // A finding in an object shows no line.
        if !self.sources.is_object(span.file) {
            self.secret_lines.push((span.file, span.line));
        }
    }

    /// Keeps `path` out of every finding.
    pub(crate) fn hide_path(&mut self, path: &Path) {
        self.secret_paths.push(path.to_owned());
    }

    /// All findings, in the order of the files, and the sources. Lines that may contain a secret are
    /// not shown.
    #[must_use]
    pub fn finish(self) -> (Diagnostics, Sources) {
        let Self { sources, mut findings, secret_lines, secret_paths } = self;
        findings.hide_paths(&secret_paths);
        let is_secret = |place: &SourceLocation| {
            secret_lines.iter().any(|(file, line)| (sources.path(*file), *line) == (place.file.as_path(), place.line))
        };
        findings.finish(|path| sources.position(path), is_secret);
        (findings, sources)
    }

    /// Number of findings so far that refuse the load.
    pub(crate) fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity.refuses()).count() + self.findings.dropped_errors
    }

    /// Adds a finding at `origin`.
    pub fn add(&mut self, code: CheckCode, severity: Severity, origin: Origin, message: String, help: Option<String>) {
        let place = self.sources.place(origin);
        self.at(code, severity, place, message, help);
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// The place of `origin`.
    #[must_use]
    pub fn place(&self, origin: Origin) -> Option<Place> {
        self.sources.place(origin)
    }

    /// Whether there is a finding at `origin` already.
    #[must_use]
    pub fn has_finding_at(&self, origin: Origin) -> bool {
        self.has_at(self.sources.place(origin), |_| true)
    }

    /// Whether there is a finding at `origin` already that refuses the load.
    #[must_use]
    pub fn has_refusal_at(&self, origin: Origin) -> bool {
        self.has_at(self.sources.place(origin), |finding| finding.severity.refuses())
    }

    /// Whether there is a finding at the first character of `span` already.
    pub(crate) fn has_finding_at_span(&self, span: Span) -> bool {
        self.has_at(Some(Place::of_span(&self.sources, span)), |_| true)
    }

    fn has_at(&self, place: Option<Place>, counts: impl Fn(&Diagnostic) -> bool) -> bool {
        let Some(place) = place else { return false };
        let mut places =
            self.findings.iter().filter(|finding| counts(finding)).filter_map(|finding| finding.place.as_ref());
        places.any(|other| other.is_start_of(&place))
    }
}
