//! Findings as text for people.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::diagnostic::{Diagnostic, Diagnostics, Excerpt, Place, Severity};

/// The widest part of a line that is shown, in columns of the terminal.
const WIDEST: usize = 110;
/// Columns kept before a finding on a line that is cut.
const BEFORE: usize = 40;
const TAB: &str = "    ";

impl Diagnostics {
    /// Every finding with its source line underlined and the code of its rule, and a last line with their number. Ends with a line break unless empty.
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
        let gutter = self.place.as_ref().map_or(0, |place| place.line.to_string().len());
        if let Some(place) = &self.place {
            place.render(out, palette, gutter);
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

impl Place {
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
    /// The text to show, how far to indent the underline, and how wide it is, in columns.
    fn fit(&self, length: usize) -> (String, usize, usize) {
        let cells: Vec<(String, usize)> = self.text.chars().map(cell).collect();
        let columns = |cells: &[(String, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();
        let offset = self.offset.min(cells.len());
        let (before, rest) = cells.split_at(offset);
        let (marked, after) = rest.split_at(length.min(rest.len()));

        let cuts = self.cut_before || columns(&cells) > WIDEST;
        let skip = if cuts { before.len() - tail_within(before, BEFORE) } else { 0 };
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
        for (at, (text, width)) in marked.iter().chain(after).enumerate() {
            if used + width > WIDEST {
                cut = true;
                break;
            }
            line.push_str(text);
            used += width;
            if at < marked.len() {
                underlined += width;
            }
        }
        if cut {
            line.push('…');
        }
        (line.trim_end().to_owned(), indent, underlined.max(1))
    }
}

/// How many of the last cells fit into `room` columns.
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

/// How a character is shown, and how many columns that takes.
fn cell(c: char) -> (String, usize) {
    match c {
        '\t' => (TAB.to_owned(), TAB.len()),
        c if is_invisible(c) => ("\u{fffd}".to_owned(), 1),
        c => (c.to_string(), c.width().unwrap_or(1)),
    }
}

/// Controls, and marks that reorder or hide text around them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `text` with everything replaced that a terminal would act upon.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// User text in back-ticks: bounded, and with nothing in it that a terminal would act upon.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = printable(text).chars().take(MOST).map(|c| if c == '`' { '\'' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// ANSI colours, or none.
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
