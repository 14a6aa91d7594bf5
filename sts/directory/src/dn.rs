//! Distinguished names (RFC 4514), compared as names and not as text.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A limit for names in configuration and in answers of a server.
const MAX_BYTES: usize = 8 * 1024;

/// A distinguished name. Two are equal if they name the same entry: letter case, insignificant
/// spaces, the way of escaping and the order within a multi-valued RDN do not count.
///
/// All values are compared like `caseIgnoreMatch` (RFC 4517), which holds for every attribute that
/// directories build names from.
#[derive(Clone)]
pub struct Dn {
    text: Arc<str>,
    key: Arc<str>,
}

/// Why a text is no distinguished name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnError {
    /// It is empty.
    #[error("a distinguished name must not be empty")]
    Empty,
    /// It exceeds 8 KiB.
    #[error("a distinguished name has at most {MAX_BYTES} bytes")]
    TooLong,
    /// An attribute type is missing or malformed.
    #[error("an attribute type such as `CN` is expected at byte {0}")]
    Type(usize),
    /// The `=` after an attribute type is missing.
    #[error("`=` is expected after the attribute type, at byte {0}")]
    Equals(usize),
    /// A value is missing.
    #[error("a value is expected at byte {0}")]
    Value(usize),
    /// A backslash with neither a special character nor two hexadecimal digits after it.
    #[error("the backslash at byte {0} needs a special character or two hexadecimal digits after it")]
    Escape(usize),
    /// A character that must be escaped.
    #[error("the character at byte {0} must be written with a backslash before it")]
    Unescaped(usize),
    /// A value whose escaped octets are not UTF-8.
    #[error("the value that ends at byte {0} is not UTF-8")]
    Utf8(usize),
    /// A `#` without an even number of hexadecimal digits.
    #[error("`#` at byte {0} needs pairs of hexadecimal digits after it")]
    Hex(usize),
}

impl Dn {
    /// Reads a distinguished name.
    ///
    /// # Errors
    /// [`DnError`] with the byte at which the text stops being a name.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.trim().is_empty() {
            return Err(DnError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(DnError::TooLong);
        }
        let key = Reader { text, at: 0 }.name()?;
        Ok(Self { text: text.into(), key: key.into() })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The canonical form: the same for all texts of one name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether this entry is `base` or below it.
    #[must_use]
    pub fn is_within(&self, base: &Self) -> bool {
        let above = self.key.strip_suffix(&*base.key);
        // Commas inside values are escaped in a key, so a bare one separates RDNs.
        above.is_some_and(|above| above.is_empty() || above.ends_with(','))
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Dn {}

impl Hash for Dn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl std::fmt::Display for Dn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Debug for Dn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.text, f)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn name(&mut self) -> Result<String, DnError> {
        let mut key = String::with_capacity(self.text.len());
        loop {
            key.push_str(&self.rdn()?);
            match self.peek() {
                None => return Ok(key),
                Some(_) => {
                    self.at += 1;
                    key.push(',');
                }
            }
        }
    }

    /// One RDN, up to a comma or the end. Its parts are sorted, because they form a set.
    fn rdn(&mut self) -> Result<String, DnError> {
        let mut parts = vec![self.part()?];
        while self.peek() == Some(b'+') {
            self.at += 1;
            parts.push(self.part()?);
        }
        parts.sort_unstable();
        parts.dedup();
        Ok(parts.join("+"))
    }

    fn part(&mut self) -> Result<String, DnError> {
        self.skip_spaces();
        let name = self.attribute_type()?;
        self.skip_spaces();
        if self.peek() != Some(b'=') {
            return Err(DnError::Equals(self.at));
        }
        self.at += 1;
        self.skip_spaces();
        let value = if self.peek() == Some(b'#') { self.hex_value()? } else { self.string_value()? };
        Ok(format!("{name}={value}"))
    }

    fn attribute_type(&mut self) -> Result<String, DnError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
            self.at += 1;
        }
        let name = self.text.get(start..self.at).unwrap_or_default().to_ascii_lowercase();
        let name = name.strip_prefix("oid.").unwrap_or(&name);
        let is_oid = name.starts_with(|c: char| c.is_ascii_digit())
            && name.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let is_descriptor = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.');
        if !is_oid && !is_descriptor {
            return Err(DnError::Type(start));
        }
        Ok(short_name(name).to_owned())
    }

    /// Octets in hexadecimal: a BER value. A string in it is compared as that string.
    fn hex_value(&mut self) -> Result<String, DnError> {
        let start = self.at;
        self.at += 1;
        let mut octets = Vec::new();
        while let Some(octet) = self.hex_pair() {
            octets.push(octet);
        }
        self.skip_spaces();
        if octets.is_empty() || !matches!(self.peek(), None | Some(b',' | b'+')) {
            return Err(DnError::Hex(start));
        }
        let as_string = ber_string(&octets).map(fold);
        Ok(as_string.unwrap_or_else(|| format!("#{}", sts_types::hex(&octets))))
    }

    fn string_value(&mut self) -> Result<String, DnError> {
        let start = self.at;
        let mut octets = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'+' => break,
                b'\\' => octets.push(self.escaped()?),
                b'"' | b';' | b'<' | b'>' | 0 => return Err(DnError::Unescaped(self.at)),
                other => {
                    self.at += 1;
                    octets.push(other);
                }
            }
        }
        let value = String::from_utf8(octets).map_err(|_| DnError::Utf8(self.at))?;
        if value.is_empty() {
            return Err(DnError::Value(start));
        }
        Ok(fold(&value))
    }

    /// The octet that a backslash introduces.
    fn escaped(&mut self) -> Result<u8, DnError> {
        let start = self.at;
        self.at += 1;
        if let Some(octet) = self.hex_pair() {
            return Ok(octet);
        }
        match self.peek() {
            Some(byte @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\')) => {
                self.at += 1;
                Ok(byte)
            }
            _ => Err(DnError::Escape(start)),
        }
    }

    fn hex_pair(&mut self) -> Option<u8> {
        let pair = self.text.as_bytes().get(self.at..self.at + 2)?;
        let [octet] = sts_types::from_hex(std::str::from_utf8(pair).ok()?)?;
        self.at += 2;
        Some(octet)
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// The value as a key has it: case folded, spaces at the ends gone and runs of spaces made one, and
/// the characters of the key's own syntax escaped.
fn fold(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    for word in value.split(' ').filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        for char in word.chars().flat_map(char::to_lowercase) {
            if matches!(char, ',' | '+' | '=' | '\\' | '#') {
                folded.push('\\');
            }
            folded.push(char);
        }
    }
    folded
}

/// The content of a BER string, if `octets` are exactly one of a type that is UTF-8 or ASCII.
fn ber_string(octets: &[u8]) -> Option<&str> {
    const STRING_TAGS: [u8; 4] = [0x0c, 0x12, 0x13, 0x16];
    let (&[tag, length], content) = octets.split_first_chunk::<2>()?;
    let is_whole = length < 0x80 && usize::from(length) == content.len();
    if is_whole && STRING_TAGS.contains(&tag) { std::str::from_utf8(content).ok() } else { None }
}

/// The name for an OID or a long name of RFC 4514 section 3 and RFC 4519. One type must have one
/// name in a key.
fn short_name(name: &str) -> &str {
    match name {
        "2.5.4.3" | "commonname" => "cn",
        "2.5.4.7" | "localityname" => "l",
        "2.5.4.8" | "stateorprovincename" => "st",
        "2.5.4.10" | "organizationname" => "o",
        "2.5.4.11" | "organizationalunitname" => "ou",
        "2.5.4.6" | "countryname" => "c",
        "2.5.4.9" | "streetaddress" => "street",
        "2.5.4.4" | "surname" => "sn",
        "2.5.4.5" => "serialnumber",
        "0.9.2342.19200300.100.1.25" | "domaincomponent" => "dc",
        "0.9.2342.19200300.100.1.1" | "userid" => "uid",
        other => other,
    }
}

#[cfg(test)]
mod tests;
