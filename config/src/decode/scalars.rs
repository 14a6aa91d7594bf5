//! Readers of single values. Each returns `None` after reporting the reason.

use std::path::PathBuf;
use std::time::Duration;

use sts_types::{CheckCode, Lifetime, Located, NameError, UnixTime, looks_like_path};

use super::reader::{Fields, Reader, WANTED_STRING, listed};
use crate::keys::Kind;
use crate::quote::quoted;
use crate::source::Span;
use crate::yaml::{Entry, Node, Plain, Value, resolve};
use sts_types::nearest;

/// A string with its position.
pub(crate) struct Text {
    pub(crate) value: String,
    pub(crate) span: Span,
    /// The environment variable that it comes from.
    pub(crate) variable: Option<String>,
}

impl Text {
    /// The text for a message. Never the value of a variable, which may be a secret.
    pub(crate) fn shown(&self) -> String {
        match &self.variable {
            Some(name) => format!("the value of `${{{name}}}`"),
            None => quoted(&self.value),
        }
    }
}

impl Reader<'_> {
    pub(crate) fn flag_or(&mut self, fields: &Fields<'_>, key: &str, default: bool) -> bool {
        self.optional(fields, key, Self::flag).unwrap_or(default)
    }

    /// Reads a string. Reports an unquoted scalar that YAML reads as something else.
    pub(crate) fn text(&mut self, node: &Node) -> Option<Text> {
        let scalar = match &node.value {
            Value::Scalar(scalar) => scalar,
            Value::Broken => return None,
            Value::Sequence(_) | Value::Mapping(_) => {
                self.wrong_kind(node, WANTED_STRING, "");
                return None;
            }
        };
        if scalar.plain {
            let meaning = match resolve(&scalar.text) {
                Plain::Text => None,
                Plain::Empty => {
                    self.error(
                        CheckCode::MissingValue,
                        node.span,
                        "there is no value here",
                        "write one, or remove the key",
                    );
                    return None;
                }
                Plain::Null => Some("null"),
                Plain::Bool(_) => Some("a boolean"),
                Plain::Number(_) | Plain::OddNumber => Some("a number"),
            };
            if let Some(meaning) = meaning {
                let message =
                    format!("this must be a string, but {} without quotes is {meaning}", quoted(&scalar.text));
                self.error(CheckCode::AmbiguousScalar, node.span, message, format!("write `\"{}\"`", scalar.text));
                return None;
            }
        }
        self.with_environment(&scalar.text, node.span)
    }

    /// Resolves `${NAME}` to the value of the environment variable; any other text stays as it is.
    fn with_environment(&mut self, text: &str, span: Span) -> Option<Text> {
        let literal = || Text { value: text.to_owned(), span, variable: None };
        let is_name = |name: &str| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        };
        let Some((_, tail)) = text.split_once("${") else { return Some(literal()) };
        let Some((name, _)) = tail.split_once('}') else { return Some(literal()) };
        if text.len() != name.len() + "${}".len() {
            if is_name(name) {
                let help = format!("put the whole value into the variable, and write `\"${{{name}}}\"`");
                self.error(
                    CheckCode::InvalidVariable,
                    span,
                    format!("`${{{name}}}` can only replace a whole value, not a part of one"),
                    help,
                );
                return None;
            }
            return Some(literal());
        }
        if !is_name(name) {
            let help = "write `${NAME}`, with letters, digits and `_` only";
            self.error(
                CheckCode::InvalidVariable,
                span,
                format!("{} is not the name of an environment variable", quoted(text)),
                help,
            );
            return None;
        }
        if !self.report.sources.reads_environment(span.file) {
            let help = "write the value itself, or declare the object in a file";
            let message = format!("`${{{name}}}` is not replaced here: managed objects do not read the environment");
            self.error(CheckCode::InvalidVariable, span, message, help);
            return None;
        }
        let Some(value) = (self.environment)(name) else {
            self.error(
                CheckCode::VariableNotSet,
                span,
                format!("the environment variable `{name}` is not set"),
                format!("set `{name}`, or write the value here"),
            );
            return None;
        };
        if value.chars().any(char::is_control) {
            let help = "set it without the line break, tab or other control character";
            self.error(
                CheckCode::InvalidVariable,
                span,
                format!("the environment variable `{name}` contains a control character"),
                help,
            );
            return None;
        }
        self.variables.insert(name.to_owned(), value.clone());
        Some(Text { value, span, variable: Some(name.to_owned()) })
    }

    /// Reads a string that needs no quotes even if YAML takes it for a number or boolean. The
    /// caller parses it strictly.
    fn word(&mut self, node: &Node, wanted: &str) -> Option<Text> {
        match &node.value {
            Value::Scalar(scalar)
                if scalar.plain
                    && matches!(resolve(&scalar.text), Plain::Bool(_) | Plain::Number(_) | Plain::OddNumber) =>
            {
                Some(Text { value: scalar.text.clone(), span: node.span, variable: None })
            }
            Value::Scalar(_) | Value::Broken => self.text(node),
            Value::Sequence(_) | Value::Mapping(_) => {
                self.wrong_kind(node, wanted, "");
                None
            }
        }
    }

    /// Reads a string with a handle of its position.
    pub(crate) fn located_text(&mut self, node: &Node) -> Option<Located<String>> {
        let text = self.text(node)?;
        Some(self.located(text.value, text.span))
    }

    /// Reads a pattern. The value of an environment variable is literal: its wildcards are escaped.
    pub(crate) fn pattern(&mut self, node: &Node) -> Option<Located<String>> {
        let text = self.text(node)?;
        if text.value.ends_with('\n') {
            // A block scalar (`|`) ends in a line break. It would match nothing, and in a `none_of`
            // exclude nothing.
            self.error(
                CheckCode::TrailingLineBreak,
                text.span,
                "the pattern ends in a line break, which no claim does",
                "write it on one line, in quotes",
            );
            return None;
        }
        let value = if text.variable.is_some() { escape_pattern(&text.value) } else { text.value };
        Some(self.located(value, text.span))
    }

    /// Reads a name, such as that of an account or API.
    pub(crate) fn name<T>(&mut self, node: &Node, make: fn(&str) -> Result<T, NameError>) -> Option<Located<T>> {
        let text = self.text(node)?;
        match make(&text.value) {
            Ok(name) => Some(self.located(name, text.span)),
            Err(error) => {
                self.report.error(
                    CheckCode::InvalidName,
                    text.span,
                    format!("{} is not valid here", text.shown()),
                    Some(error.to_string()),
                );
                None
            }
        }
    }

    /// Reads the key of `entry` as a name.
    pub(crate) fn key_name<T>(&mut self, entry: &Entry, make: fn(&str) -> Result<T, NameError>) -> Option<Located<T>> {
        match make(&entry.key) {
            Ok(name) => Some(self.located(name, entry.key_span)),
            Err(error) => {
                self.report.error(
                    CheckCode::InvalidName,
                    entry.key_span,
                    format!("{} is not a valid name", quoted(&entry.key)),
                    Some(error.to_string()),
                );
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self, node: &Node) -> Option<bool> {
        let text = self.word(node, "this must be `true` or `false`")?;
        let quoted_word = matches!(&node.value, Value::Scalar(scalar) if !scalar.plain) && text.variable.is_none();
        match text.value.as_str() {
            "true" if !quoted_word => Some(true),
            "false" if !quoted_word => Some(false),
            other => {
                let meant = matches!(other.to_ascii_lowercase().as_str(), "yes" | "on" | "y" | "true" | "1");
                let meant_not = matches!(other.to_ascii_lowercase().as_str(), "no" | "off" | "n" | "false" | "0");
                let help = match (meant, meant_not) {
                    (true, _) => "write `true`, without quotes",
                    (_, true) => "write `false`, without quotes",
                    _ => "write `true` or `false`",
                };
                self.error(
                    CheckCode::InvalidBoolean,
                    text.span,
                    format!("{} is neither `true` nor `false`", text.shown()),
                    help,
                );
                None
            }
        }
    }

    /// Reads a whole number within the limits of `key` in the table of keys.
    pub(crate) fn integer_or(&mut self, fields: &Fields<'_>, key: &str, default: u32) -> u32 {
        let limits = fields.section.key(key).map(|key| &key.kind);
        let &Kind::Integer(least, most) = limits.unwrap_or(&Kind::Integer(0, u32::MAX)) else { return default };
        self.optional(fields, key, |reader, node| {
            let text = reader.word(node, "this must be a whole number")?;
            let digits = text.value.bytes().all(|b| b.is_ascii_digit());
            let number = text.value.parse().ok().filter(|number| digits && (least..=most).contains(number));
            if number.is_none() {
                reader.error(
                    CheckCode::InvalidNumber,
                    text.span,
                    format!("{} is not a whole number from {least} to {most}", text.shown()),
                    format!("write a whole number from {least} to {most}"),
                );
            }
            number
        })
        .unwrap_or(default)
    }

    /// Reads a size in bytes, or with a unit such as `64KiB`.
    pub(crate) fn size(&mut self, node: &Node) -> Option<u64> {
        let text = self.word(node, "this must be a size such as `64KiB`")?;
        let size = parse_size(&text.value).filter(|size| (SMALLEST..=LARGEST).contains(size));
        if size.is_none() {
            self.error(
                CheckCode::InvalidNumber,
                text.span,
                format!("{} is not a size from 1KiB to 1024GiB", text.shown()),
                "write a number of bytes, or a whole number and a unit: `64KiB`, `100MiB`, `1GiB`",
            );
        }
        size
    }

    /// Reads a duration such as `90s`. Zero is allowed.
    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.word(node, "this must be a duration such as `90s`")?;
        let parsed = parse_duration(&text.value);
        if parsed.is_none() {
            let bare = !text.value.is_empty() && text.value.bytes().all(|b| b.is_ascii_digit());
            let help = match bare && text.variable.is_none() {
                true => {
                    format!("add the unit: {}, or m, h or d in place of s", quoted(&format!("{}s", text.value)))
                }
                false => "write a whole number and one of the units s, m, h, d: `90s`, `15m`, `1h`, `30d`".to_owned(),
            };
            self.error(CheckCode::InvalidDuration, text.span, format!("{} is not a duration", text.shown()), help);
        }
        parsed
    }

    /// Reads a duration of at least one second.
    pub(crate) fn positive_duration(&mut self, node: &Node) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration.is_zero() {
            self.error(CheckCode::DurationOutOfRange, node.span, "the duration is zero", "write at least `1s`");
            return None;
        }
        Some(duration)
    }

    /// Reads the lifetime of a token.
    pub(crate) fn lifetime(&mut self, node: &Node) -> Option<Located<Lifetime>> {
        let duration = self.positive_duration(node)?;
        let lifetime = u32::try_from(duration.as_secs()).ok().and_then(Lifetime::from_secs);
        if lifetime.is_none() {
            self.error(CheckCode::DurationOutOfRange, node.span, "the lifetime is 136 years or more", "write less");
        }
        lifetime.map(|lifetime| self.located(lifetime, node.span))
    }

    /// Reads a time (RFC 3339).
    pub(crate) fn time(&mut self, node: &Node) -> Option<UnixTime> {
        let text = self.text(node)?;
        let time = UnixTime::from_rfc3339(&text.value);
        if time.is_none() {
            let help = "write date, time and zone (RFC 3339): `2030-01-31T00:00:00Z`";
            self.error(CheckCode::InvalidTime, text.span, format!("{} is not a time", text.shown()), help);
        }
        time
    }

    /// Reads a path. A relative path is relative to the file that names it.
    pub(crate) fn path(&mut self, node: &Node) -> Option<PathBuf> {
        /// Shortest value that may be a secret in the wrong place.
        const SHORTEST_SECRET: usize = 16;
        self.path_unless_secret(node, SHORTEST_SECRET)
    }

    /// Reads the path of a secret file. If the value does not look like a path, it may be the
    /// secret itself, and messages hide it.
    pub(crate) fn secret_path(&mut self, node: &Node) -> Option<PathBuf> {
        self.path_unless_secret(node, 0)
    }

    fn path_unless_secret(&mut self, node: &Node, shortest: usize) -> Option<PathBuf> {
        let text = self.text(node)?;
        if text.value.is_empty() || text.value.contains('\0') {
            self.error(CheckCode::InvalidPath, text.span, "this is not the path of a file", "write a path");
            return None;
        }
        let path = self.beside(text.span, &text.value);
        if text.value.len() >= shortest && !looks_like_path(&text.value) {
            self.report.hide_line(text.span);
            self.report.hide_path(&path);
        }
        Some(path)
    }

    /// Resolves `path` relative to the file of `span`.
    pub(crate) fn beside(&self, span: Span, path: &str) -> PathBuf {
        self.report.sources.path(span.file).parent().map_or_else(|| PathBuf::from(path), |parent| parent.join(path))
    }

    /// Reads one of several words.
    pub(crate) fn one_of<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let help =
                match nearest(&text.value, words.iter().map(|(word, _)| *word)).filter(|_| text.variable.is_none()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("write one of {}", listed(words.iter().map(|(word, _)| *word))),
                };
            self.error(CheckCode::UnknownValue, text.span, format!("unknown value {}", text.shown()), help);
        }
        found
    }
}

/// Escapes wildcards, so that the pattern matches `text` alone.
fn escape_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// The limits of sizes, in bytes.
const SMALLEST: u64 = 1024;
const LARGEST: u64 = 1 << 40;

/// Parses a whole number of bytes, or one with a unit.
fn parse_size(text: &str) -> Option<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let with_unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = with_unit.unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse::<u64>().ok()?.checked_mul(factor)).flatten()
}

/// Parses a whole number with a unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A thousand years at most, so that sums with times never overflow.
    const MOST: u64 = 1000 * 365 * 86400;
    let total = digits.parse::<u64>().ok()?.checked_mul(seconds)?;
    (total <= MOST).then(|| Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "90", "1.5h", "1h30m", "-1s", "+1s", "1 s", "1S", "1w", "ms", "99999999999999999999s", "9999999d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_a_whole_number_and_a_unit() {
        for (text, bytes) in [("4096", 4096), ("64KiB", 65_536), ("100MiB", 104_857_600), ("2GiB", 2_147_483_648)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in
            ["", "KiB", "64kb", "64 KiB", "1.5MiB", "-1", "64kib", "64B", "99999999999999999999", "99999999999GiB"]
        {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_only() {
        let text = r"a*b\c?d**";
        let pattern = sts_policy::Pattern::parse(&escape_pattern(text)).unwrap();
        assert!(pattern.matches(text));
        assert!(!pattern.matches(r"aXb\c?d**"));
        assert!(!pattern.matches(r"a*b\cXd**"));
    }
}
