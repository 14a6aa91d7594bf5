//! The findings about a configuration: the fault, its place, and what to write instead.

use std::path::{Path, PathBuf};

use jwks_cache::EntryError;
use serde_json::json;
use sts_types::{CheckCode, HIDDEN_PATH, ObjectPointer, ObjectRef, Origin};

use crate::quote::quoted;
use crate::source::{Sources, Span};

/// Bound on the findings that are kept, so that a hostile or generated file cannot fill the screen.
const MOST: usize = 500;

/// Findings in the order of their discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Number of further findings.
    pub(crate) dropped: usize,
    /// Number of those that refuse the load.
    pub(crate) dropped_errors: usize,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule behind it.
    pub code: CheckCode,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is. `None` if it belongs to no file and no object.
    pub place: Option<Place>,
    /// What is wrong: lower case, user text in back-ticks.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A text of a stranger's token that an unsafe pattern accepts.
    pub witness: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is wrong: exit code 2.
    Error,
    /// A pattern or rule is refused as unsafe: exit code 1.
    Unsafe,
    /// A policy test fails: exit code 1.
    TestFailed,
    /// Worth a look.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// Whether a load with such a finding is refused.
    #[must_use]
    pub const fn refuses(self) -> bool {
        match self {
            Self::Error | Self::Unsafe | Self::TestFailed => true,
            Self::Warning | Self::Note => false,
        }
    }

    /// The word of the JSON form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Unsafe => "unsafe",
            Self::TestFailed => "test_failed",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Where a finding is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(SourceLocation),
    /// In a managed object.
    Object(ObjectPointer),
}

impl Place {
    /// The place of `span`: in a file, with its line to show, or in a managed object.
    pub(crate) fn of_span(sources: &Sources, span: Span) -> Self {
        match sources.in_object(span) {
            Some(pointer) => Self::Object(pointer),
            None => Self::File(SourceLocation::new(sources, span)),
        }
    }

    /// The place, if it is in a managed object.
    #[must_use]
    pub const fn object(&self) -> Option<&ObjectPointer> {
        match self {
            Self::Object(pointer) => Some(pointer),
            Self::File(_) => None,
        }
    }

    /// The place, if it is in a file.
    #[must_use]
    pub const fn file(&self) -> Option<&SourceLocation> {
        match self {
            Self::File(location) => Some(location),
            Self::Object(_) => None,
        }
    }

    /// Whether both start at the same character of a file, or are the same member of an object.
    pub(crate) fn is_start_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => {
                (&one.file, one.line, one.column) == (&other.file, other.line, other.column)
            }
            (Self::Object(one), Self::Object(other)) => one == other,
            _ => false,
        }
    }

    /// Files come first, by file and position, then objects. Findings about one object keep their
    /// order.
    fn order(&self, position: impl Fn(&Path) -> Option<usize>) -> PlaceOrder<'_> {
        match self {
            Self::File(location) => PlaceOrder::File(position(&location.file), location.line, location.column),
            Self::Object(pointer) => PlaceOrder::Object(&pointer.object),
        }
    }
}

impl Sources {
    /// The place that `origin` stands for; `None` for values that nobody wrote.
    #[must_use]
    pub fn place(&self, origin: Origin) -> Option<Place> {
        self.span(origin).map(|span| Place::of_span(self, span))
    }
}

/// The order of places.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum PlaceOrder<'p> {
    File(Option<usize>, u32, u32),
    Object(&'p ObjectRef),
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The path by which the file was opened.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
    /// The first character on that line, from 1.
    pub column: u32,
    /// Number of characters on that line.
    pub length: u32,
    /// The line, or a part of a long one. `None` if it must not be shown.
    pub(crate) excerpt: Option<Excerpt>,
}

/// The shown part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The characters.
    pub(crate) text: String,
    /// Whether the line begins before `text`.
    pub(crate) cut_before: bool,
    /// Whether the line continues after `text`.
    pub(crate) cut_after: bool,
    /// Where the finding begins in `text`, in characters from 0.
    pub(crate) offset: usize,
}

/// Characters of a line that are kept before a finding, and after its first character.
const CONTEXT: usize = 100;

impl SourceLocation {
    /// The place of `span`, with its line to show.
    pub(crate) fn new(sources: &Sources, span: Span) -> Self {
        let span = sources.within(span);
        let line = sources.line(span.file, span.line).unwrap_or("");
        let offset = usize::try_from(span.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let first = offset.saturating_sub(CONTEXT);
        let mut rest = line.chars().skip(first);
        let text: String = rest.by_ref().take(CONTEXT * 2).collect();
        let cut_after = rest.next().is_some();
        let length = if span.end_line == span.line {
            span.end_column.saturating_sub(span.column)
        } else {
            let line_length = u32::try_from(line.chars().count()).unwrap_or(u32::MAX);
            (line_length + 1).saturating_sub(span.column)
        };
        let excerpt = Excerpt { text, cut_before: first > 0, cut_after, offset: offset - first };
        Self {
            file: sources.path(span.file).to_owned(),
            line: span.line,
            column: span.column,
            length: length.max(1),
            excerpt: Some(excerpt),
        }
    }
}

impl Diagnostic {
    fn to_json(&self) -> serde_json::Value {
        let place = self.place.as_ref().and_then(Place::file);
        let mut json = json!({
            "rule": self.code.as_str(),
            "severity": self.severity.name(),
            "file": place.map(|place| place.file.to_string_lossy()),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "length": place.map(|place| place.length),
            "message": self.message,
            "help": self.help,
        });
        let Some(members) = json.as_object_mut() else { return json };
        if let Some(Place::Object(at)) = &self.place {
            members.insert("object".to_owned(), at.object.to_string().into());
            members.insert("pointer".to_owned(), at.pointer.as_str().into());
        }
        if let Some(witness) = &self.witness {
            members.insert("witness".to_owned(), witness.as_str().into());
        }
        json
    }
}

impl Diagnostics {
    /// Adds one finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.list.len() < MOST {
            self.list.push(diagnostic);
            return;
        }
        self.dropped += 1;
        // A refusal must never be lost among lints.
        if diagnostic.severity.refuses() {
            self.dropped_errors += 1;
            if let Some(lint) = self.list.iter().rposition(|diagnostic| !diagnostic.severity.refuses()) {
                self.list.remove(lint);
                self.list.push(diagnostic);
                self.dropped_errors -= 1;
            }
        }
    }

    /// Sorts by file (in the order of `position`), line and column. Removes the text of lines that are
    /// `secret`.
    pub(crate) fn finish(
        &mut self,
        position: impl Fn(&Path) -> Option<usize>,
        secret: impl Fn(&SourceLocation) -> bool,
    ) {
        self.list.sort_by(|one, other| {
            let one = one.place.as_ref().map(|place| place.order(&position));
            let other = other.place.as_ref().map(|place| place.order(&position));
            one.cmp(&other)
        });
        for place in self.list.iter_mut().filter_map(|diagnostic| diagnostic.place.as_mut()) {
            if let Place::File(location) = place
                && secret(location)
            {
                location.excerpt = None;
            }
        }
    }

    /// Removes `paths` from the messages.
    pub(crate) fn hide_paths(&mut self, paths: &[PathBuf]) {
        for path in paths {
            let shown = quoted(&path.to_string_lossy());
            for diagnostic in &mut self.list {
                diagnostic.message = diagnostic.message.replace(&shown, HIDDEN_PATH);
            }
        }
    }

    /// Adds a finding without a place.
    pub fn add(&mut self, code: CheckCode, severity: Severity, message: String, help: Option<String>) {
        self.push(Diagnostic { code, severity, place: None, message, help, witness: None });
    }

    /// The findings in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a load with these is refused.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.exit_code() != 0
    }

    /// `sts check`'s exit code: 2 for any error, 1 when unsafe rules or failing tests are all that is wrong, else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let has = |severity| self.list.iter().any(|diagnostic| diagnostic.severity == severity);
        match () {
            () if has(Severity::Error) || self.dropped_errors > 0 => 2,
            () if has(Severity::Unsafe) || has(Severity::TestFailed) => 1,
            () => 0,
        }
    }

    /// What a key cache says of issuer entries, which no file has a place for any more.
    #[must_use]
    pub fn of_entries(errors: impl IntoIterator<Item = EntryError>) -> Self {
        let mut findings = Self::default();
        for EntryError { code, entry, message, help, .. } in errors {
            findings.add(code, Severity::Error, format!("issuer entry `{entry}`: {message}"), Some(help));
        }
        findings
    }

    /// The exit code where warnings count as errors.
    #[must_use]
    pub fn strict_exit_code(&self) -> u8 {
        if self.iter().any(|finding| finding.severity == Severity::Warning) { 2 } else { self.exit_code() }
    }

    /// Adds all of `other`'s.
    pub fn extend(&mut self, other: Self) {
        self.dropped += other.dropped;
        self.dropped_errors += other.dropped_errors;
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// An array with one object per finding.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.list.iter().map(Diagnostic::to_json).collect()
    }
}

#[cfg(test)]
mod tests {
    use sts_types::{JsonPointer, ObjectKind};

    use super::*;

    fn finding(severity: Severity) -> Diagnostic {
        Diagnostic {
            code: CheckCode::UnknownKey,
            severity,
            place: None,
            message: String::new(),
            help: None,
            witness: None,
        }
    }

    #[test]
    fn any_number_of_lints_refuses_nothing_and_hides_no_refusal() {
        let mut findings = Diagnostics::default();
        (0..MOST + 7).for_each(|_| findings.push(finding(Severity::Warning)));
        assert_eq!((findings.exit_code(), findings.iter().count(), findings.dropped), (0, MOST, 7));
        findings.push(finding(Severity::Unsafe));
        assert_eq!((findings.exit_code(), findings.iter().count(), findings.dropped), (1, MOST, 8));
        findings.push(finding(Severity::Error));
        assert_eq!(findings.exit_code(), 2);
    }

    #[test]
    fn findings_about_files_come_before_those_about_objects() {
        let in_object = |name: &str, pointer: JsonPointer| {
            let object = ObjectRef { kind: ObjectKind::ServiceAccount, name: name.to_owned() };
            Some(Place::Object(ObjectPointer { object, pointer }))
        };
        let in_file = |line| {
            let file = PathBuf::from("sts.yaml");
            Some(Place::File(SourceLocation { file, line, column: 1, length: 1, excerpt: None }))
        };
        let second = JsonPointer::default().member("identities").item(1);
        let places = [
            in_object("octo", second.clone()),
            in_object("octo", JsonPointer::default()),
            in_object("bot", JsonPointer::default()),
            in_file(7),
            None,
            in_file(2),
        ];
        let mut findings = Diagnostics::default();
        for place in places {
            findings.push(Diagnostic { place, ..finding(Severity::Error) });
        }
        findings.finish(|_| Some(0), |_| false);
        let order: Vec<_> = findings.iter().map(|finding| finding.place.clone()).collect();
        let expected = [
            None,
            in_file(2),
            in_file(7),
            in_object("bot", JsonPointer::default()),
            in_object("octo", second),
            in_object("octo", JsonPointer::default()),
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn the_json_of_a_finding_in_an_object_has_its_pointer_in_place_of_a_line() {
        let object = ObjectRef { kind: ObjectKind::ServiceAccount, name: "bot".to_owned() };
        let pointer = JsonPointer::default().member("identities").item(0).member("subject");
        let place = Some(Place::Object(ObjectPointer { object, pointer }));
        let json = Diagnostic { place, ..finding(Severity::Error) }.to_json();
        assert_eq!(json["object"], "service-accounts/bot");
        assert_eq!(json["pointer"], "/identities/0/subject");
        assert!(json["file"].is_null() && json["line"].is_null());
        assert_eq!(finding(Severity::Error).to_json().get("object"), None);
    }

    #[test]
    fn c147_errors_past_the_most_that_are_kept_refuse_the_load_all_the_same() {
        let mut findings = Diagnostics::default();
        (0..MOST).for_each(|_| findings.push(finding(Severity::TestFailed)));
        findings.push(finding(Severity::Error));
        assert_eq!((findings.exit_code(), findings.dropped), (2, 1));
    }
}
