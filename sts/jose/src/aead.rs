//! Authenticated encryption of what lies where others may read and write: AES-256-GCM (NIST
//! SP 800-38D) with a random nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::decode_base64url;

/// Octets of a key.
const KEY_LEN: usize = 32;
/// Octets of a key's name.
const NAME_LEN: usize = 8;

/// A key that encrypts and authenticates. Set up once.
///
/// A nonce is drawn for each message, so one key may seal at most 2^32 messages.
pub struct SealingKey {
    key: RandomizedNonceKey,
    name: String,
}

/// Why bytes are not a sealing key. Never contains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not 32 bytes in base64; `openssl rand -base64 32` makes such a key")]
pub struct SealingKeyError;

impl SealingKey {
    /// Reads 32 bytes in base64 or base64url, with or without padding and a line break at the end.
    ///
    /// # Errors
    /// [`SealingKeyError`] if it is anything else.
    pub fn from_base64(text: &str) -> Result<Self, SealingKeyError> {
        let text = Zeroizing::new(text.trim_end().trim_end_matches('=').replace('+', "-").replace('/', "_"));
        let bytes = Zeroizing::new(decode_base64url(&text).ok_or(SealingKeyError)?);
        Self::new(&bytes)
    }

    fn new(bytes: &[u8]) -> Result<Self, SealingKeyError> {
        if bytes.len() != KEY_LEN {
            return Err(SealingKeyError);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SealingKeyError)?;
        // HMAC and AES do not meet, so the name says nothing about the key.
        let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"name of a sealing key");
        let name = sts_types::hex(code.as_ref().get(..NAME_LEN).unwrap_or_default());
        Ok(Self { key, name })
    }

    /// Tells one key from another, and says nothing about either.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Encrypts `message`, bound to `context`: it opens with the same context only. `None` if the
    /// cryptographic library fails.
    #[must_use]
    pub fn seal(&self, context: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let mut body = message.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(context), &mut body).ok()?;
        Some([nonce.as_ref().as_slice(), &body].concat())
    }

    /// The message of `sealed`. `None` if it was sealed by another key or for another context, or
    /// altered.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self.key.open_in_place(Nonce::from(nonce), Aad::from(context), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> SealingKey {
        SealingKey::new(&[octet; KEY_LEN]).unwrap()
    }

    #[test]
    fn only_the_whole_message_under_the_same_key_and_context_opens() {
        let sealed = key(1).seal(b"context", b"message").unwrap();
        assert_eq!(key(1).open(b"context", &sealed).unwrap().as_slice(), b"message");
        assert!(!sealed.windows(7).any(|part| part == b"message"));
        assert!(key(2).open(b"context", &sealed).is_none());
        assert!(key(1).open(b"contexT", &sealed).is_none());
        for length in 0..sealed.len() {
            assert!(key(1).open(b"context", &sealed[..length]).is_none(), "{length}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key(1).open(b"context", &flipped).is_none(), "{bit}");
        }
    }

    #[test]
    fn a_message_is_never_sealed_the_same_way_twice() {
        assert_ne!(key(1).seal(b"", b"message"), key(1).seal(b"", b"message"));
    }

    #[test]
    fn a_key_is_32_bytes_in_any_usual_base64() {
        // 0xfb encodes to `+` and `/`, or `-` and `_`.
        let standard = "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=";
        let url = standard.replace('+', "-").replace('/', "_");
        for text in [standard.to_owned(), format!("{standard}\n"), url.clone(), url.trim_end_matches('=').to_owned()] {
            assert_eq!(SealingKey::from_base64(&text).unwrap().name(), key(0xfb).name(), "{text}");
        }
        for wrong in ["", "\n", "correct horse battery staple", &"A".repeat(42), &"A".repeat(44), &"00".repeat(32)] {
            assert_eq!(SealingKey::from_base64(wrong).unwrap_err(), SealingKeyError, "{wrong}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", key(1));
        assert_eq!(shown, format!("SealingKey {{ name: {:?}, .. }}", key(1).name()));
        assert_ne!(key(1).name(), key(2).name());
    }
}
