//! Search filters (RFC 4515), with a place for a login.

use std::fmt::Write as _;

/// The place in a filter that a login takes.
const PLACEHOLDER: &str = "{name}";
/// A limit for filters in configuration.
const MAX_BYTES: usize = 4096;
const MAX_DEPTH: usize = 16;

/// A search filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// `attribute=value` for a login, with the value's octets as the server compares them.
    Equal(String, Vec<u8>),
    /// Any other item, escaped as RFC 4515 has it. Only the server can judge it: it knows, for
    /// instance, that an `inetOrgPerson` is a `person`.
    Other(String),
}

/// The filter of a directory of kind `ldap`. `{name}` in it stands for a login.
#[derive(Clone, PartialEq, Eq)]
pub struct UserFilter {
    text: String,
    filter: Template,
}

/// A filter whose values still have the placeholder.
#[derive(Clone, PartialEq, Eq)]
enum Template {
    And(Vec<Template>),
    Or(Vec<Template>),
    Not(Box<Template>),
    /// The part before the value, with its operator, and the escaped value.
    Item(String, String),
}

/// Why a text is no `user_filter`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserFilterError {
    /// It exceeds the limits for length or depth.
    #[error("a filter has at most {MAX_BYTES} bytes and {MAX_DEPTH} levels")]
    TooLarge,
    /// No `{name}`, so it would find the same entries for every login.
    #[error("the filter must contain `{{name}}`, the place of the login, in a value: `(uid={{name}})`")]
    NoPlaceholder,
    /// `{name}` outside of values.
    #[error("`{{name}}` can stand only in a value, as in `(uid={{name}})`")]
    Placeholder,
    /// It does not follow RFC 4515.
    #[error("{expected} is expected at byte {at}: a filter looks like `(&(objectClass=person)(uid={{name}}))`")]
    Syntax {
        /// The byte at which it goes wrong.
        at: usize,
        /// What should be there.
        expected: &'static str,
    },
}

impl UserFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`UserFilterError`] with the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, UserFilterError> {
        if text.len() > MAX_BYTES {
            return Err(UserFilterError::TooLarge);
        }
        let mut reader = Reader { text, at: 0 };
        let filter = reader.filter(0)?;
        if reader.at != text.len() {
            return Err(reader.expected("the end"));
        }
        if !filter.has_placeholder() {
            return Err(UserFilterError::NoPlaceholder);
        }
        Ok(Self { text: text.to_owned(), filter })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The filter that finds `login`.
    pub(crate) fn with(&self, login: &str) -> Filter {
        self.filter.with(login)
    }
}

impl std::fmt::Debug for UserFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.text, f)
    }
}

impl Template {
    fn has_placeholder(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::has_placeholder),
            Self::Not(part) => part.has_placeholder(),
            Self::Item(_, value) => value.contains(PLACEHOLDER),
        }
    }

    fn with(&self, login: &str) -> Filter {
        match self {
            Self::And(parts) => Filter::And(parts.iter().map(|part| part.with(login)).collect()),
            Self::Or(parts) => Filter::Or(parts.iter().map(|part| part.with(login)).collect()),
            Self::Not(part) => Filter::Not(Box::new(part.with(login))),
            Self::Item(head, value) => {
                let filled = value.replace(PLACEHOLDER, &escape(login.as_bytes()));
                let is_comparison = value.contains(PLACEHOLDER) && !value.contains('*');
                match head.strip_suffix('=').filter(|name| is_attribute(name) && is_comparison) {
                    Some(name) => Filter::Equal(name.to_owned(), unescape(&filled)),
                    None => Filter::Other(format!("{head}{filled}")),
                }
            }
        }
    }
}

impl Filter {
    /// Whether an entry may match, judged by those of its attributes that are known. Never `false`
    /// for an entry that the server would return, if its comparison is that of `equal`.
    pub(crate) fn may_match<'e>(&self, attribute: &impl Fn(&str) -> Option<&'e [Vec<u8>]>) -> bool {
        self.judge(attribute) != Some(false)
    }

    /// Three-valued, as in RFC 4511 section 4.5.1.7. `None` is undefined.
    fn judge<'e>(&self, attribute: &impl Fn(&str) -> Option<&'e [Vec<u8>]>) -> Option<bool> {
        let all = |parts: &[Self], stop: bool| {
            let judged: Vec<_> = parts.iter().map(|part| part.judge(attribute)).collect();
            if judged.contains(&Some(stop)) {
                return Some(stop);
            }
            if judged.contains(&None) { None } else { Some(!stop) }
        };
        match self {
            Self::And(parts) => all(parts, false),
            Self::Or(parts) => all(parts, true),
            Self::Not(part) => part.judge(attribute).map(|judged| !judged),
            Self::Equal(name, wanted) => attribute(name).map(|values| values.iter().any(|value| equal(value, wanted))),
            Self::Other(_) => None,
        }
    }

    /// The names of the attributes that logins are compared with.
    pub(crate) fn attributes<'f>(&'f self, into: &mut Vec<&'f str>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.attributes(into)),
            Self::Not(part) => part.attributes(into),
            Self::Equal(name, _) => into.push(name),
            Self::Other(_) => {}
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('(')?;
        match self {
            Self::And(parts) | Self::Or(parts) => {
                f.write_char(if matches!(self, Self::And(_)) { '&' } else { '|' })?;
                parts.iter().try_for_each(|part| part.fmt(f))?;
            }
            Self::Not(part) => write!(f, "!{part}")?,
            Self::Equal(name, value) => write!(f, "{name}={}", escape(value))?,
            Self::Other(item) => f.write_str(item)?,
        }
        f.write_char(')')
    }
}

/// Octets as they stand in a filter. Everything but letters, digits and a few harmless characters
/// is escaped.
pub(crate) fn escape(octets: &[u8]) -> String {
    let mut escaped = String::with_capacity(octets.len());
    for &octet in octets {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b'@' | b',' | b'=' | b' ') {
            escaped.push(char::from(octet));
        } else {
            escaped.push('\\');
            escaped.push_str(&sts_types::hex(&[octet]));
        }
    }
    escaped
}

/// The comparison of directories for names: letter case and runs of spaces do not count.
fn equal(left: &[u8], right: &[u8]) -> bool {
    let (Ok(left_text), Ok(right_text)) = (std::str::from_utf8(left), std::str::from_utf8(right)) else {
        return left == right;
    };
    let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    left == right || fold(left_text) == fold(right_text)
}

/// The octets of an escaped value, whose escapes are well-formed.
fn unescape(value: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|_| first == b'\\').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(sts_types::from_hex::<1>) {
            Some([octet]) => {
                octets.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(first);
                rest = after;
            }
        }
    }
    octets
}

/// An attribute description (RFC 4512 section 2.5), options included.
fn is_attribute(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';'))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn filter(&mut self, depth: usize) -> Result<Template, UserFilterError> {
        if depth > MAX_DEPTH {
            return Err(UserFilterError::TooLarge);
        }
        self.take(b'(', "`(`")?;
        let filter = match self.peek() {
            Some(b'&') => Template::And(self.list(depth)?),
            Some(b'|') => Template::Or(self.list(depth)?),
            Some(b'!') => {
                self.at += 1;
                Template::Not(Box::new(self.filter(depth + 1)?))
            }
            _ => self.item()?,
        };
        self.take(b')', "`)`")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Template>, UserFilterError> {
        self.at += 1;
        let mut parts = vec![self.filter(depth + 1)?];
        while self.peek() == Some(b'(') {
            parts.push(self.filter(depth + 1)?);
        }
        Ok(parts)
    }

    fn item(&mut self) -> Result<Template, UserFilterError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let equals = rest.find(['=', '(', ')']).filter(|at| rest.as_bytes().get(*at) == Some(&b'='));
        let end = equals.ok_or_else(|| self.expected("`attribute=value`"))?;
        let head = rest.get(..=end).unwrap_or_default();
        let name = head.trim_end_matches(['=', '~', '<', '>']);
        if name.contains(PLACEHOLDER) {
            return Err(UserFilterError::Placeholder);
        }
        let is_extensible = name
            .strip_suffix(':')
            .is_some_and(|name| name.split(':').all(|part| part.is_empty() || is_attribute(part)));
        if !is_attribute(name) && !is_extensible {
            return Err(self.expected("an attribute's name"));
        }
        self.at = start + end + 1;
        let value = self.value()?;
        Ok(Template::Item(head.to_owned(), value))
    }

    /// An escaped value, up to the parenthesis after it.
    fn value(&mut self) -> Result<String, UserFilterError> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b')' => break,
                b'(' | 0 => return Err(self.expected("a value with `(` written as `\\28`")),
                b'\\' => {
                    let pair = self.text.get(self.at + 1..self.at + 3).and_then(sts_types::from_hex::<1>);
                    pair.ok_or_else(|| self.expected("a backslash with two hexadecimal digits"))?;
                    self.at += 3;
                }
                _ => self.at += 1,
            }
        }
        if start == self.at {
            return Err(self.expected("a value"));
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn take(&mut self, wanted: u8, name: &'static str) -> Result<(), UserFilterError> {
        if self.peek() != Some(wanted) {
            return Err(self.expected(name));
        }
        self.at += 1;
        Ok(())
    }

    fn expected(&self, expected: &'static str) -> UserFilterError {
        UserFilterError::Syntax { at: self.at, expected }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests;
