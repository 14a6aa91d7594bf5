//! Renders findings as text for people.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::diagnostic::{Diagnostic, Diagnostics, Excerpt, Place, Severity, SourceLocation};
use crate::quote::{is_invisible, printable};

/// Longest excerpt of a source line, in terminal columns.
const WIDEST: usize = 110;
/// Columns to keep before the underlined part when a long line is cut.
const BEFORE: usize = 40;
const TAB: &str = "    ";

impl Diagnostics {
    /// Renders every finding with its underlined source line and the code of its rule, then a line
    /// with the number of findings. Ends with a line break unless empty.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for diagnostic in self.iter() {
            diagnostic.render(&mut out, Palette(color));
            out.push('\n');
        }
        if let Some(summary) = self.summary() {
            let _ = writeln!(out, "{summary}");
        }
        out
    }

    fn summary(&self) -> Option<String> {
        let count = |severities: &[Severity]| {
            self.iter().filter(|diagnostic| severities.contains(&diagnostic.severity)).count()
        };
        let mut parts = Vec::new();
        for (number, one, many) in [
            (count(&[Severity::Error]) + self.dropped_errors, "error", "errors"),
            (count(&[Severity::Unsafe]), "unsafe rule", "unsafe rules"),
            (count(&[Severity::TestFailed]), "failing test", "failing tests"),
            (count(&[Severity::Warning]) + self.dropped - self.dropped_errors, "warning", "warnings"),
            (count(&[Severity::Note]), "note", "notes"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {}", if number == 1 { one } else { many }));
            }
        }
        if self.dropped > 0 {
            parts.push(format!("{} of them not shown", self.dropped));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Diagnostic {
    fn render(&self, out: &mut String, palette: Palette) {
        let label = match self.severity {
            Severity::Error => palette.error("error"),
            Severity::Unsafe => palette.error("error[unsafe]"),
            Severity::TestFailed => palette.error("error[test]"),
            Severity::Warning => palette.warning("warning"),
            Severity::Note => palette.warning("note"),
        };
        let _ = writeln!(out, "{label}: {}", self.message);
        let location = self.place.as_ref().and_then(Place::file);
        let gutter = location.map_or(0, |location| location.line.to_string().len());
        match &self.place {
            Some(Place::File(location)) => location.render(out, palette, gutter),
            Some(Place::Object(at)) => {
                let _ = writeln!(out, "{:gutter$}{} {}", "", palette.frame("-->"), printable(&at.to_string()));
            }
            None => {}
        }
        if let Some(help) = &self.help {
            let mut lines = help.lines();
            let _ = writeln!(out, "{:gutter$} {} {}", "", palette.frame("="), palette.help(lines.next().unwrap_or("")));
            for line in lines {
                let _ = writeln!(out, "{:gutter$}         {line}", "");
            }
        }
        let _ = writeln!(out, "{:gutter$} {} rule: {}", "", palette.frame("="), self.code);
    }
}

impl SourceLocation {
    fn render(&self, out: &mut String, palette: Palette, gutter: usize) {
        let file = printable(&self.file.to_string_lossy());
        let _ = writeln!(out, "{:gutter$}{} {file}:{}:{}", "", palette.frame("-->"), self.line, self.column);
        let Some(excerpt) = &self.excerpt else { return };
        let (line, indent, width) = excerpt.fit(usize::try_from(self.length).unwrap_or(usize::MAX));
        let bar = palette.frame("|");
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let _ = writeln!(out, "{} {bar} {line}", palette.frame(&self.line.to_string()));
        let _ = writeln!(out, "{:gutter$} {bar} {:indent$}{}", "", "", palette.error(&"^".repeat(width)));
    }
}

impl Excerpt {
    /// Cuts the line to fit. Returns the text to show, the indentation of the underline, and its
    /// width, both in columns.
    fn fit(&self, length: usize) -> (String, usize, usize) {
        let cells: Vec<(String, usize)> = self.text.chars().map(cell).collect();
        let columns = |cells: &[(String, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();
        let offset = self.offset.min(cells.len());
        let (before, rest) = cells.split_at(offset);
        let (marked, after) = rest.split_at(length.min(rest.len()));

        let is_cut = self.cut_before || columns(&cells) > WIDEST;
        let skip = if is_cut { before.len() - tail_within(before, BEFORE) } else { 0 };
        let shown_before = before.get(skip..).unwrap_or_default();
        let mut line = String::new();
        if skip > 0 || self.cut_before {
            line.push('…');
        }
        let lead = line.chars().count();
        shown_before.iter().for_each(|(text, _)| line.push_str(text));
        let indent = lead + columns(shown_before);
        let mut used = indent;
        let mut underlined = 0;
        let mut cut = self.cut_after;
        for (index, (text, width)) in marked.iter().chain(after).enumerate() {
            if used + width > WIDEST {
                cut = true;
                break;
            }
            line.push_str(text);
            used += width;
            if index < marked.len() {
                underlined += width;
            }
        }
        if cut {
            line.push('…');
        }
        (line.trim_end().to_owned(), indent, underlined.max(1))
    }
}

/// The number of cells at the end that fit into `room` columns.
fn tail_within(cells: &[(String, usize)], room: usize) -> usize {
    let mut used = 0;
    cells
        .iter()
        .rev()
        .take_while(|(_, width)| {
            used += width;
            used <= room
        })
        .count()
}

/// The printed form of a character, and its width in columns.
fn cell(c: char) -> (String, usize) {
    match c {
        '\t' => (TAB.to_owned(), TAB.len()),
        c if is_invisible(c) => ("\u{fffd}".to_owned(), 1),
        c => (c.to_string(), c.width().unwrap_or(1)),
    }
}

/// Paints with ANSI colours, or not at all.
#[derive(Clone, Copy)]
struct Palette(bool);

impl Palette {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn warning(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    fn frame(self, text: &str) -> String {
        self.paint("1;34", text)
    }

    fn help(self, text: &str) -> String {
        format!("{}: {text}", self.paint("1;36", "help"))
    }
}

#[cfg(test)]
mod tests {
    use sts_types::{CheckCode, JsonPointer, ObjectKind, ObjectPointer, ObjectRef};

    use super::*;

    fn rendered(name: &str, pointer: JsonPointer) -> String {
        let object = ObjectRef { kind: ObjectKind::ServiceAccount, name: name.to_owned() };
        let mut findings = Diagnostics::default();
        findings.push(Diagnostic {
            code: CheckCode::UnknownIssuerEntry,
            severity: Severity::Error,
            place: Some(Place::Object(ObjectPointer { object, pointer })),
            message: "no issuer entry has this name".to_owned(),
            witness: None,
            help: Some("write `github`".to_owned()),
        });
        findings.render(false)
    }

    #[test]
    fn a_finding_in_an_object_names_the_object_and_the_member() {
        let subject = JsonPointer::default().member("identities").item(0).member("subject");
        assert_eq!(
            rendered("bot", subject),
            "error: no issuer entry has this name\n\
             --> service-accounts/bot: /identities/0/subject\n = help: write `github`\n = rule: unknown-issuer-entry\n\n1 error\n"
        );
        assert!(rendered("bot", JsonPointer::default()).contains("\n--> service-accounts/bot\n"));
    }

    #[test]
    fn a_pointer_prints_nothing_that_a_terminal_would_interpret() {
        let text = rendered("bot", JsonPointer::default().member("claims").member("a\u{1b}[31m/b~"));
        assert!(text.contains("--> service-accounts/bot: /claims/a\u{fffd}[31m~1b~0\n"), "{text}");
    }
}
