//! What is collected while the files are read: sources and findings.

use crate::diagnostic::{Diagnostic, Diagnostics, Place, Severity};
use crate::source::{Sources, Span};

/// The files read so far, and what was found in them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sources: Sources,
    pub(crate) findings: Diagnostics,
}

impl Report {
    /// An error at `span`.
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = Place::new(&self.sources, span);
        self.at(Severity::Error, Some(place), message.into(), help);
    }

    /// A finding at a place that was prepared by the caller.
    pub(crate) fn at(&mut self, severity: Severity, place: Option<Place>, message: String, help: Option<String>) {
        self.findings.push(Diagnostic { severity, place, message, help });
    }

    /// How many findings refuse the load so far.
    pub(crate) fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity != Severity::Warning).count() + self.findings.dropped
    }

    /// Whether something was found at the first character of `span` already.
    pub(crate) fn has_finding_at(&self, span: Span) -> bool {
        let file = self.sources.path(span.file);
        self.findings
            .iter()
            .filter_map(|finding| finding.place.as_ref())
            .any(|place| place.file == file && (place.line, place.column) == (span.line, span.column))
    }
}
