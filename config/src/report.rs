//! What is collected while the files are read: sources and findings.

use std::path::{Path, PathBuf};

use sts_types::CheckCode;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceLocation};
use crate::source::{FileId, Sources, Span};

/// The files read so far, and what was found in them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sources: Sources,
    pub(crate) findings: Diagnostics,
    /// Lines that may hold a secret which somebody wrote in place of its file.
    secret_lines: Vec<(FileId, u32)>,
    /// Paths that may be a secret which somebody wrote in place of its file.
    secret_paths: Vec<PathBuf>,
}

impl Report {
    /// An error at `span`.
    pub(crate) fn error(&mut self, code: CheckCode, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = SourceLocation::new(&self.sources, span);
        self.at(code, Severity::Error, Some(place), message.into(), help);
    }

    /// A finding at a place that was prepared by the caller.
    pub(crate) fn at(
        &mut self,
        code: CheckCode,
        severity: Severity,
        place: Option<SourceLocation>,
        message: String,
        help: Option<String>,
    ) {
        self.findings.push(Diagnostic { code, severity, place, message, help });
    }

    /// Keeps the line of `span` out of every finding.
    pub(crate) fn hide_line(&mut self, span: Span) {
        self.secret_lines.push((span.file, span.line));
    }

    /// Keeps `path` out of every finding.
    pub(crate) fn hide_path(&mut self, path: &Path) {
        self.secret_paths.push(path.to_owned());
    }

    /// Every finding, in the order of the files, and the sources. Lines that may hold a secret are not shown.
    pub(crate) fn finish(self) -> (Diagnostics, Sources) {
        let Self { sources, mut findings, secret_lines, secret_paths } = self;
        findings.hide_paths(&secret_paths);
        let is_secret = |place: &SourceLocation| {
            secret_lines.iter().any(|(file, line)| (sources.path(*file), *line) == (place.file.as_path(), place.line))
        };
        findings.finish(|path| sources.position(path), is_secret);
        (findings, sources)
    }

    /// How many findings refuse the load so far.
    pub(crate) fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity.refuses()).count() + self.findings.dropped_errors
    }

    /// Whether something was found at the first character of `span` already.
    pub(crate) fn has_finding_at(&self, span: Span) -> bool {
        self.has_at(span, |_| true)
    }

    /// Whether something that refuses the load was found at the first character of `span` already.
    pub(crate) fn has_refusal_at(&self, span: Span) -> bool {
        self.has_at(span, |finding| finding.severity.refuses())
    }

    fn has_at(&self, span: Span, counts: impl Fn(&Diagnostic) -> bool) -> bool {
        let file = self.sources.path(span.file);
        self.findings
            .iter()
            .filter(|finding| counts(finding))
            .filter_map(|finding| finding.place.as_ref())
            .any(|place| place.file == file && (place.line, place.column) == (span.line, span.column))
    }
}
