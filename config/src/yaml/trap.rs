//! Explains syntax errors by what the author probably meant.
//!
//! Most of them are strings without quotes that YAML takes for something else. If the extent of
//! such a string is known, the finding underlines it and shows the quoted form.

use saphyr_parser::ScanError;
use sts_types::CheckCode;

use super::mistake::Mistake;
use crate::keys;
use crate::quote::{printable, quoted};
use crate::source::{FileId, Span};

/// A syntax error with its explanation.
pub(super) struct Trap {
    pub(super) mistake: Mistake,
    /// The text to replace so that the parser can go on. `None` if the extent of the mistake is
    /// unknown.
    pub(super) patch: Option<Span>,
}

impl Trap {
    fn new(code: CheckCode, span: Span, message: String, help: Option<String>, patch: Option<Span>) -> Self {
        Self { mistake: Mistake { code, span, message, help }, patch }
    }
}

/// Explains why `text` could not be parsed.
pub(super) fn explain(text: &str, file: FileId, error: &ScanError) -> Trap {
    let (mut number, mut column) = (error.marker().line(), error.marker().col());
    let last = text.trim_end().split('\n').count();
    if number > last {
        // The parser saw the mistake of the last line only at the end of the file.
        (number, column) = (last, Line::new(text, file, last).indentation());
    }
    let line = Line::new(text, file, number);
    let info = error.info();
    let found = line.at(column);

    if let Some(c) = found.filter(|c| "*&!@%`".contains(*c)) {
        let what = if c == '`' { "a back-tick".to_owned() } else { format!("`{c}`") };
        return line.unquoted(
            column,
            line.end_of_value(column),
            format!("a string that begins with {what} needs quotes"),
        );
    }
    if info.contains("escape") || info.contains("hexadecimal") {
        return line.bad_escape(column);
    }
    if found == Some('{') && column.checked_sub(1).and_then(|before| line.at(before)) == Some('$') {
        let end = (column..line.chars.len()).find(|i| line.at(*i) == Some('}')).map_or(line.chars.len(), |i| i + 1);
        return line.unquoted(column - 1, end, "`${...}` inside `[]` or `{}` needs quotes".to_owned());
    }
    if info.contains("tabs ") || info.contains(" tab") || line.at(0) == Some('\t') {
        return tab(text, file, number);
    }
    if let Some(finding) = missing_space(text, file, number) {
        return finding;
    }
    let start = line.value_start();
    let first = line.at(start);
    if info.contains("trailing content after") {
        return line.text_after_quotes(start, column);
    }
    let closed = line.chars.iter().take(column).rev().find(|c| **c != ' ').copied();
    if matches!((first, closed), (Some('{'), Some('}')) | (Some('['), Some(']')))
        || matches!(first, Some('>' | '|')) && info.contains("block scalar")
    {
        let message = format!("a string that begins with `{}` needs quotes", first.unwrap_or('{'));
        return line.unquoted(start, line.end_of_line(), message);
    }
    if info.contains("mapping values are not allowed") && start > 0 && column > start {
        return line.unquoted(start, line.end_of_line(), "a string that contains `: ` needs quotes".to_owned());
    }
    line.other(column, info)
}

/// The extent of the value on the line of `span`, and its quoted form, if the value begins with
/// `mark`. Otherwise `span` and `None`.
pub(super) fn value_with(text_line: &str, span: Span, mark: char) -> (Span, Option<String>) {
    let line = Line { file: span.file, number: span.line, chars: text_line.chars().collect() };
    let start = line.value_start();
    if line.at(start) != Some(mark) {
        return (span, None);
    }
    let end = line.end_of_value(start);
    (line.span(start, end), Some(line.quote(start, end)))
}

struct Line {
    file: FileId,
    number: u32,
    chars: Vec<char>,
}

impl Line {
    fn new(text: &str, file: FileId, number: usize) -> Self {
        let line = text.split('\n').nth(number.saturating_sub(1)).unwrap_or("");
        Self { file, number: u32::try_from(number).unwrap_or(u32::MAX), chars: line.chars().collect() }
    }

    fn at(&self, index: usize) -> Option<char> {
        self.chars.get(index).copied()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars.iter().take(to).skip(from).collect()
    }

    fn span(&self, from: usize, to: usize) -> Span {
        let column = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        Span {
            file: self.file,
            line: self.number,
            column: column(from),
            end_line: self.number,
            end_column: column(to.max(from + 1)),
        }
    }

    fn indentation(&self) -> usize {
        self.chars.iter().take_while(|c| c.is_whitespace()).count()
    }

    /// Start of the value on this line, after any `- ` and `key: `.
    fn value_start(&self) -> usize {
        let blank = |index: usize| self.at(index).is_none_or(|c| c == ' ' || c == '\t');
        let skip = |mut index: usize| {
            while index < self.chars.len() && blank(index) {
                index += 1;
            }
            index
        };
        let mut start = skip(0);
        while self.at(start) == Some('-') && blank(start + 1) {
            start = skip(start + 1);
        }
        let quote = self.at(start).filter(|c| *c == '"' || *c == '\'');
        let mut inside = false;
        for index in start..self.chars.len() {
            let c = self.at(index);
            if quote.is_some() && c == quote {
                inside = !inside;
            }
            if quote.is_none() && c.is_some_and(|c| "{[".contains(c)) {
                break;
            }
            if !inside && c == Some(':') && blank(index + 1) {
                return skip(index + 1);
            }
        }
        start
    }

    /// End of the line's content, without a comment and trailing blanks.
    fn end_of_line(&self) -> usize {
        let comment =
            (1..self.chars.len()).find(|i| self.at(*i) == Some('#') && self.at(i - 1).is_some_and(char::is_whitespace));
        let mut end = comment.unwrap_or(self.chars.len());
        while end > 0 && self.at(end - 1).is_some_and(char::is_whitespace) {
            end -= 1;
        }
        end
    }

    /// End of the value that begins at `start`: the colon after a key, the end of the item inside a
    /// flow collection, or the end of the line.
    fn end_of_value(&self, start: usize) -> usize {
        let end = self.end_of_line();
        if self.is_key_position(start) {
            let colon = (start + 1..end).find(|i| self.at(*i) == Some(':') && self.at(i + 1).is_none_or(|c| c == ' '));
            if let Some(colon) = colon {
                return colon;
            }
        }
        let before = self.chars.iter().take(start);
        let depth = before.fold(0i32, |depth, c| match c {
            '[' | '{' => depth + 1,
            ']' | '}' => depth - 1,
            _ => depth,
        });
        if depth <= 0 {
            return end.max(start + 1);
        }
        let item = (start..end).find(|i| self.at(*i).is_some_and(|c| ",]}".contains(c))).unwrap_or(end);
        let mut item = item.max(start + 1);
        while item > start + 1 && self.at(item - 1) == Some(' ') {
            item -= 1;
        }
        item
    }

    /// Whether only indentation and `- ` precede `start`, so that a key may begin there.
    fn is_key_position(&self, start: usize) -> bool {
        self.chars.iter().take(start).all(|c| matches!(c, ' ' | '-'))
    }

    /// The text from `from` to `to` as a single-quoted YAML string.
    fn quote(&self, from: usize, to: usize) -> String {
        format!("'{}'", self.text(from, to).replace('\'', "''"))
    }

    fn unquoted(&self, from: usize, to: usize, message: String) -> Trap {
        let span = self.span(from, to);
        let form = self.quote(from, to);
        // `quoted` replaces back-ticks, so it would show another text.
        let help = if form.contains('`') {
            format!("put it in single quotes: {}", printable(&form).chars().take(80).collect::<String>())
        } else {
            format!("write {}", quoted(&form))
        };
        Trap::new(CheckCode::YamlUnquotedString, span, message, Some(help), Some(span))
    }

    /// Explains text after the closing quote of the value that begins at `start`.
    fn text_after_quotes(&self, start: usize, column: usize) -> Trap {
        let first = self.at(start);
        let (message, help) = match first {
            Some('\'') => (
                "the single-quoted string ends here, and more text follows",
                "inside single quotes, write `''` for `'`",
            ),
            _ => (
                "the quoted string ends here, and more text follows",
                "put the whole string in quotes; inside double quotes, write `\\\"` for `\"`",
            ),
        };
        // Without a quote at the start of the value, its extent is unknown.
        let patch = matches!(first, Some('"' | '\'')).then(|| self.span(start, self.end_of_line()));
        let span = self.span(column, self.end_of_line().max(column + 1));
        Trap::new(CheckCode::YamlSyntax, span, message.to_owned(), Some(help.to_owned()), patch)
    }

    fn bad_escape(&self, column: usize) -> Trap {
        let mut index = column + 1;
        let mut bad = None;
        let mut end = None;
        while let Some(c) = self.at(index) {
            match c {
                '"' => {
                    end = Some(index + 1);
                    break;
                }
                '\\' => {
                    let is_valid = self.at(index + 1).is_some_and(|c| "0abtnvfre \"/\\N_LPxuU\t".contains(c));
                    if !is_valid && bad.is_none() {
                        bad = Some(index);
                    }
                    index += 2;
                }
                _ => index += 1,
            }
        }
        let (from, to) = bad.map_or((column, column + 1), |bad| (bad, bad + 2));
        let message = format!("{} is not a valid escape in double quotes", quoted(&self.text(from, to)));
        let help = match end {
            Some(end) => format!(
                "write `\\\\` for a backslash, or put the string in single quotes: {}",
                quoted(&self.quote(column + 1, end - 1))
            ),
            None => "write `\\\\` for a backslash, or put the string in single quotes".to_owned(),
        };
        let patch = end.map(|end| self.span(column, end));
        Trap::new(CheckCode::YamlEscape, self.span(from, to), message, Some(help), patch)
    }

    fn other(&self, column: usize, info: &str) -> Trap {
        let (message, help) = match info {
            i if i.contains("unprintable") => {
                ("control characters are not allowed", "remove it, or write it as an escape in double quotes")
            }
            i if i.contains("end of stream") || i.contains("indentation in quoted") => {
                ("the quoted string is not closed", "close the quotes on the same line")
            }
            i if i.contains("flow") => (
                "a list in `[]` or a mapping in `{}` is not closed, or a `,` is missing",
                "separate its items by `,` and close it; put strings with `,`, `{`, `}`, `[` or `]` in quotes",
            ),
            i if i.contains("byte order mark") => ("there is a byte order mark in the middle of the file", "remove it"),
            _ => (
                "this is not valid YAML",
                "check this line and the one above: the keys of a mapping start in the same column, each followed by `: `",
            ),
        };
        let span = self.span(column, column + 1);
        Trap::new(CheckCode::YamlSyntax, span, message.to_owned(), Some(help.to_owned()), None)
    }
}

/// Explains a tab used as indentation, on the line where the parser stopped or the next one.
fn tab(text: &str, file: FileId, number: usize) -> Trap {
    let indented = |number: usize| {
        let line = Line::new(text, file, number);
        let tab = line.chars.iter().take_while(|c| c.is_whitespace()).position(|c| *c == '\t');
        tab.map(|index| line.span(index, index + 1))
    };
    let span = indented(number).or_else(|| indented(number + 1));
    let span = span.unwrap_or_else(|| Line::new(text, file, number).span(0, 1));
    let message = "a tab is used as indentation".to_owned();
    Trap::new(CheckCode::YamlTab, span, message, Some("indent with spaces".to_owned()), None)
}

/// Explains `key:value`, on the line where the parser stopped or the nearest non-blank line above.
/// Only known keys count, so that a string with a colon is not taken for one.
fn missing_space(text: &str, file: FileId, number: usize) -> Option<Trap> {
    let above = (1..number).rev().find(|above| !Line::new(text, file, *above).text(0, usize::MAX).trim().is_empty());
    [Some(number), above].into_iter().flatten().find_map(|number| {
        let line = Line::new(text, file, number);
        let whole = line.text(0, line.end_of_line());
        let start = whole.chars().take_while(|c| *c == ' ').count();
        let rest = whole.trim_start();
        let (key, value) = rest.split_once(':')?;
        (keys::is_known(key) && !value.is_empty() && !value.starts_with(' ')).then(|| {
            let span = line.span(start, start + key.chars().count() + 1);
            let message = format!("there is no space after `{key}:`");
            let help = format!("write {}", quoted(&format!("{key}: {value}")));
            Trap::new(CheckCode::YamlMissingSpace, span, message, Some(help), None)
        })
    })
}
