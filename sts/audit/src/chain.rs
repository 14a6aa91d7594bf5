//! The hash chain: how a line is sealed to the one before it, and how that is read back.
//!
//! A sealed line is the event's JSON with `seq` and `prev` at its end, then `hash`, and for a
//! checkpoint `jws`. The hash is over all bytes of the line before `,"hash"`, so `sha256sum` can
//! check it.

use sts_types::{Digest256, from_hex, hex};

/// SHA-256. The one crate of cryptography provides it.
pub type Sha256 = fn(&[u8]) -> Digest256;

/// The last line of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainHead {
    /// Its number; 0 before the first line.
    pub(crate) seq: u64,
    /// Its hash; zeros before the first line.
    pub(crate) hash: [u8; 32],
}

impl ChainHead {
    /// Before the first line.
    pub(crate) const START: Self = Self { seq: 0, hash: [0; 32] };
}

const SEQ: &str = ",\"seq\":";
const PREV: &str = ",\"prev\":\"";
const HASH: &str = ",\"hash\":\"";
const JWS: &str = ",\"jws\":\"";

/// Appends the event `json` to `out` as the line after `head`, and returns the new head. The line
/// still lacks its end: see [`end_line`].
///
/// Returns `None` if `json` is no JSON object with members.
pub(crate) fn append_line(out: &mut Vec<u8>, json: &[u8], head: ChainHead, sha256: Sha256) -> Option<ChainHead> {
    let members = json.strip_suffix(b"}").filter(|members| members.len() > 1)?;
    let start = out.len();
    let seq = head.seq + 1;
    out.extend_from_slice(members);
    out.extend_from_slice(format!("{SEQ}{seq}{PREV}{}\"", hex(&head.hash)).as_bytes());
    let Digest256(hash) = sha256(out.get(start..).unwrap_or_default());
    out.extend_from_slice(format!("{HASH}{}\"", hex(&hash)).as_bytes());
    Some(ChainHead { seq, hash })
}

/// Ends a line, with the signature of a checkpoint.
pub(crate) fn end_line(out: &mut Vec<u8>, jws: Option<&str>) {
    if let Some(jws) = jws {
        out.extend_from_slice(format!("{JWS}{jws}\"").as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

/// A line of a file as it is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealedLine<'l> {
    pub(crate) seq: u64,
    pub(crate) prev: [u8; 32],
    pub(crate) hash: [u8; 32],
    pub(crate) jws: Option<&'l str>,
    /// What the hash is over.
    sealed: &'l str,
}

impl<'l> SealedLine<'l> {
    /// Reads a line without its line feed. `None` if it does not have exactly the form of a sealed
    /// line.
    pub(crate) fn parse(line: &'l [u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (sealed, end) = line.rsplit_once(HASH)?;
        let (hash, end) = end.split_at_checked(64)?;
        let jws = match end {
            "\"}" => None,
            end => Some(end.strip_prefix("\"")?.strip_prefix(JWS)?.strip_suffix("\"}")?),
        };
        if jws.is_some_and(|jws| !jws.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))) {
            return None;
        }
        let (members, chained) = sealed.rsplit_once(SEQ)?;
        let (seq, prev) = chained.split_once(PREV)?;
        let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit()) && !seq.starts_with('0');
        if !is_number || !members.starts_with('{') {
            return None;
        }
        Some(Self {
            seq: seq.parse().ok()?,
            prev: lower_hex(prev.strip_suffix('"')?)?,
            hash: lower_hex(hash)?,
            jws,
            sealed,
        })
    }

    /// Whether its hash is that of its content.
    pub(crate) fn is_intact(&self, sha256: Sha256) -> bool {
        sha256(self.sealed.as_bytes()) == Digest256(self.hash)
    }

    pub(crate) fn head(&self) -> ChainHead {
        ChainHead { seq: self.seq, hash: self.hash }
    }

    /// What its event says, if it is JSON.
    pub(crate) fn event(&self) -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&format!("{}}}", self.sealed)).unwrap_or_default()
    }
}

fn lower_hex(text: &str) -> Option<[u8; 32]> {
    let bytes = from_hex(text)?;
    (hex(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(json: &str, head: ChainHead, jws: Option<&str>) -> (String, ChainHead) {
        let mut out = Vec::new();
        let head = append_line(&mut out, json.as_bytes(), head, sts_jose::sha256).unwrap();
        end_line(&mut out, jws);
        (String::from_utf8(out).unwrap(), head)
    }

    #[test]
    fn a_sealed_line_is_json_and_reads_back() {
        let (first, head) = sealed(r#"{"event":"x","claims":{"hash":"y","seq":1}}"#, ChainHead::START, None);
        let (second, _) = sealed(r#"{"event":"checkpoint"}"#, head, Some("a.b.c"));
        for (line, seq, prev, jws) in [(first, 1, [0; 32], None), (second, 2, head.hash, Some("a.b.c"))] {
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(json["seq"], seq);
            assert_eq!(json["prev"], hex(&prev));
            assert_eq!(json["jws"].as_str(), jws);
            let read = SealedLine::parse(line.trim_end().as_bytes()).unwrap();
            assert_eq!((read.seq, read.prev, read.jws), (seq, prev, jws));
            assert_eq!(json["hash"], hex(&read.hash));
            assert!(read.is_intact(sts_jose::sha256));
        }
    }

    #[test]
    fn what_is_no_object_with_members_is_not_sealed() {
        for text in ["", "{}", "}", "[]", "{\"a\":1"] {
            assert_eq!(
                append_line(&mut Vec::new(), text.as_bytes(), ChainHead::START, sts_jose::sha256),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn a_line_that_differs_in_any_byte_is_not_intact() {
        let (line, _) = sealed(r#"{"event":"x","a":"b"}"#, ChainHead::START, None);
        let line = line.trim_end().as_bytes();
        for index in 0..line.len() {
            for other in [b'0', b'"', b'}', b' ', line[index] ^ 1] {
                let mut changed = line.to_vec();
                changed[index] = other;
                let is_same = changed == line;
                let read = SealedLine::parse(&changed);
                assert_eq!(read.is_some_and(|read| read.is_intact(sts_jose::sha256)), is_same, "byte {index}");
            }
        }
    }
}
