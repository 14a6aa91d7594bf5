//! Security identifiers of Active Directory ([MS-DTYP] section 2.4.2).

use std::fmt;
use std::str::FromStr;

/// The most sub-authorities that a SID has.
const MAX_PARTS: usize = 15;

/// A security identifier: by which Active Directory knows an account or group under any
/// name. A deleted one is never given out again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: u64,
    parts: Vec<u32>,
}

/// The text is no SID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SID is `S-1-` and 2 to 16 numbers separated by `-`, such as S-1-5-21-1-2-3-1105")]
pub struct SidError;

impl Sid {
    /// Reads the form of `objectSid` in answers: revision, count, authority, sub-authorities.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[revision, count], rest) = bytes.split_first_chunk::<2>()?;
        let (authority, parts) = rest.split_first_chunk::<6>()?;
        let count = usize::from(count);
        if revision != 1 || !(1..=MAX_PARTS).contains(&count) || parts.len() != count * 4 {
            return None;
        }
        let authority = authority.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        let (parts, _) = parts.as_chunks::<4>();
        Some(Self { authority, parts: parts.iter().map(|part| u32::from_le_bytes(*part)).collect() })
    }

    /// The form that [`from_bytes`](Self::from_bytes) reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, u8::try_from(self.parts.len()).unwrap_or(0)];
        bytes.extend(self.authority.to_be_bytes().iter().skip(2));
        bytes.extend(self.parts.iter().flat_map(|part| part.to_le_bytes()));
        bytes
    }

    /// The SID in the same domain with this relative identifier.
    #[must_use]
    pub fn sibling(&self, relative: u32) -> Self {
        let mut sibling = self.clone();
        if let Some(last) = sibling.parts.last_mut() {
            *last = relative;
        }
        sibling
    }
}

impl FromStr for Sid {
    type Err = SidError;

    fn from_str(text: &str) -> Result<Self, SidError> {
        let rest = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-")).ok_or(SidError)?;
        let mut numbers = rest.split('-');
        let authority = number(numbers.next().ok_or(SidError)?).filter(|value| *value < 1 << 48).ok_or(SidError)?;
        let parts: Option<Vec<u32>> = numbers.map(|part| u32::try_from(number(part)?).ok()).collect();
        let parts = parts.filter(|parts| (1..=MAX_PARTS).contains(&parts.len())).ok_or(SidError)?;
        Ok(Self { authority, parts })
    }
}

/// Digits only: `parse` would take a sign as well.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_reads_and_writes_both_forms() {
        for text in ["S-1-5-32-545", "S-1-5-21-1-2-3-1105", "S-1-281474976710655-4294967295", "S-1-0-0"] {
            let sid: Sid = text.parse().unwrap();
            assert_eq!(sid.to_string(), text);
            assert_eq!(Sid::from_bytes(&sid.to_bytes()), Some(sid));
        }
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x21, 2, 0, 0];
        assert_eq!(Sid::from_bytes(&bytes).unwrap().to_string(), "S-1-5-32-545");
    }

    #[test]
    fn the_primary_group_is_a_sibling() {
        let account: Sid = "S-1-5-21-1-2-3-1105".parse().unwrap();
        assert_eq!(account.sibling(513).to_string(), "S-1-5-21-1-2-3-513");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "S-1",
            "S-1-",
            "S-1-5",
            "S-1-5-",
            "S-2-5-32",
            "S-1-5-+1",
            "S-1-5- 1",
            "S-1--1",
            "S-1-5-4294967296",
            "S-1-281474976710656-1",
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
            "S-1-5-x",
            "S-1-5-١",
        ] {
            assert_eq!(text.parse::<Sid>(), Err(SidError), "{text}");
        }
        for bytes in [
            &[][..],
            &[1],
            &[1, 0, 0, 0, 0, 0, 0, 5],
            &[1, 1, 0, 0, 0, 0, 0, 5, 1, 2, 3],
            &[1; 28],
            &[2, 1, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4],
        ] {
            assert_eq!(Sid::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
