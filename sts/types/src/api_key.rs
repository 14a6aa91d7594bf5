//! API keys as callers present them.

use zeroize::Zeroizing;

use crate::{ApiKeyId, Entropy};

const PREFIX: &str = "sts_";
const ID_LENGTH: usize = 12;
const SECRET_LENGTH: usize = 36;
const CHECKSUM_LENGTH: usize = 6;
/// Length of a key without its checksum.
const BODY_LENGTH: usize = PREFIX.len() + ID_LENGTH + SECRET_LENGTH;
/// The digits of base 62.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key: `sts_`, 12 characters of id, 36 of secret, and 6 of checksum. The checksum is the
/// CRC-32 of everything before it in base 62, so that secret scanners recognise a key without
/// asking us. It protects nothing.
pub struct ApiKey {
    id: ApiKeyId,
    secret: Zeroizing<String>,
}

/// Never shows the secret.
impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ApiKey {
    /// A new key. The secret has 214 bits of entropy.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        loop {
            let id = random_digits(entropy, ID_LENGTH);
            let secret = random_digits(entropy, SECRET_LENGTH);
            // Digits always make an id.
            if let Ok(id) = ApiKeyId::new(&id) {
                return Self { id, secret };
            }
        }
    }

    /// The key that `text` holds. `None` if it has another form or a wrong checksum.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (body, written) = text.split_at_checked(BODY_LENGTH)?;
        if written != checksum(body) {
            return None;
        }
        let (id, secret) = body.strip_prefix(PREFIX)?.split_at_checked(ID_LENGTH)?;
        let is_secret = secret.bytes().all(|byte| DIGITS.contains(&byte));
        let id = ApiKeyId::new(id).ok()?;
        is_secret.then(|| Self { id, secret: Zeroizing::new(secret.to_owned()) })
    }

    /// The public part, which names the key.
    #[must_use]
    pub const fn id(&self) -> &ApiKeyId {
        &self.id
    }

    /// The secret part, without id and checksum. The store has its SHA-256.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole key, to show it to its owner once.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(BODY_LENGTH + CHECKSUM_LENGTH));
        text.push_str(PREFIX);
        text.push_str(self.id.as_str());
        text.push_str(&self.secret);
        let checksum = checksum(&text);
        text.push_str(&checksum);
        text
    }
}

/// CRC-32 (IEEE) of `body` in base 62, the most significant digit first.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(rest % 62);
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

fn digit_of(value: u32) -> u8 {
    usize::try_from(value).ok().and_then(|index| DIGITS.get(index)).copied().unwrap_or(b'0')
}

/// Digits of base 62, each equally likely.
fn random_digits(entropy: &dyn Entropy, length: usize) -> Zeroizing<String> {
    /// The largest multiple of 62 in an octet. Larger octets are skipped, or the first digits would
    /// be more likely than the others.
    const LIMIT: u8 = 248;
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut octets = Zeroizing::new([0; 64]);
    while text.len() < length {
        entropy.fill(octets.as_mut_slice());
        let digits = octets.iter().filter(|octet| **octet < LIMIT).map(|octet| digit_of(u32::from(*octet) % 62));
        for digit in digits.take(length - text.len()) {
            text.push(char::from(digit));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counter(AtomicU8);

    impl Entropy for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn key() -> ApiKey {
        ApiKey::generate(&Counter(AtomicU8::new(0)))
    }

    #[test]
    fn a_key_has_the_form_that_scanners_look_for() {
        let text = key().expose();
        assert_eq!(text.len(), 58);
        assert!(text.starts_with("sts_0123456789AB"), "{}", *text);
        assert_eq!(text.get(52..), Some(checksum(text.get(..52).unwrap()).as_str()));
        // Computed with zlib.crc32 in Python.
        assert_eq!(checksum("sts_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"), "2i51Lr");
    }

    #[test]
    fn a_key_goes_round_and_any_other_text_is_none() {
        let text = key().expose();
        let again = ApiKey::parse(&text).unwrap();
        assert_eq!((again.id(), again.secret()), (key().id(), key().secret()));
        for index in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[index] = if other[index] == b'z' { b'y' } else { b'z' };
            assert!(ApiKey::parse(&String::from_utf8(other).unwrap()).is_none(), "{index}");
        }
        for other in ["", "sts_", &text[1..], &text[..57], &format!("{}0", *text), &"é".repeat(40)] {
            assert!(ApiKey::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", key()).contains(key().secret()));
    }

    #[test]
    fn octets_that_would_favour_some_digits_are_skipped() {
        let text = random_digits(&Counter(AtomicU8::new(240)), 10);
        // 240 to 247 are the digits 54 to 61; 248 to 255 are skipped; 0 and 1 follow.
        assert_eq!(text.as_str(), "stuvwxyz01");
    }
}
