//! The seal on stored bytes. The store keeps the seal; its key is with the signing keys.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Digest256(#[serde(with = "hexadecimal")] pub [u8; 32]);

impl Digest256 {
    /// The digest in lower-case hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

impl std::fmt::Debug for Digest256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// A message authentication code (HMAC-SHA-256) over stored data. Write access to the store is not
/// enough to forge it.
pub trait Seal: Send + Sync + 'static {
    /// The code over the concatenated octets of all `parts`. It does not cover where one part ends
    /// and the next begins.
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32];

    /// Whether `code` is the code over `parts`. Constant-time.
    fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool;
}

/// `bytes` in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The `N` bytes that `text` has in hexadecimal, in either case. `None` if it is anything else.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}

mod hexadecimal {
    use serde::de::Error as _;

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::hex(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("a digest is 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_in_lower_case_and_read_in_either() {
        let digest = Digest256(std::array::from_fn(|index| u8::try_from(index * 8).unwrap()));
        let text = serde_json::to_string(&digest).unwrap();
        assert!(text.contains("0008101820") && !text.contains('A'), "{text}");
        for text in [text.clone(), text.to_uppercase()] {
            assert_eq!(serde_json::from_str::<Digest256>(&text).unwrap(), digest);
        }
        let signed = text.replacen("00", "+0", 1);
        for bad in [&text[..64], "\"\"", &text.replace('f', "g"), &text.replacen("0008", "é8", 1), &signed] {
            let error = serde_json::from_str::<Digest256>(bad).unwrap_err().to_string();
            assert!(error.contains("EOF") || error.contains("a digest is 64 hexadecimal digits"), "{bad}: {error}");
        }
    }

    #[test]
    fn bytes_are_read_back_only_at_their_own_length() {
        assert_eq!(from_hex(&hex(&[0, 255])), Some([0, 255]));
        assert_eq!(from_hex::<2>("00f"), None);
        assert_eq!(from_hex::<2>("00ff00"), None);
        assert_eq!(from_hex::<2>("+0ff"), None);
    }
}
