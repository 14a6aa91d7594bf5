//! A MAC over stored bytes: HMAC-SHA-256 (RFC 2104).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use sts_types::Seal;

/// HMAC-SHA-256 with a key that is set up once.
#[derive(Clone)]
pub struct HmacSeal {
    key: hmac::Key,
}

impl HmacSeal {
    /// A seal with `key`: 256 random bits, stored with the signing keys.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }
}

impl Seal for HmacSeal {
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| context.update(part));
        let mut code = [0; 32];
        // HMAC-SHA-256 has 32 octets, so this copies all of them.
        code.copy_from_slice(context.sign().as_ref());
        code
    }

    fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        verify_slices_are_equal(&self.seal(parts), code).is_ok()
    }
}

impl std::fmt::Debug for HmacSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSeal")
    }
}

/// HMAC-SHA-256 of `message` (RFC 2104), for protocols that prescribe it.
#[must_use]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    // HMAC-SHA-256 has 32 octets, so this copies all of them.
    bytes.copy_from_slice(code.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_authenticated_with_a_key_of_any_length() {
        // RFC 4231 test cases 2 and 6: a short key, and one that is longer than a block.
        for (key, message, code) in [
            (
                &b"Jefe"[..],
                &b"what do ya want for nothing?"[..],
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let computed: String = hmac_sha256(key, message).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(computed, code);
        }
    }

    #[test]
    fn the_code_is_hmac_sha_256() {
        // RFC 4231 test case 1. Its 20-octet key is padded with zeros, as RFC 2104 section 2 does
        // internally.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let code: String =
            HmacSeal::new(&key).seal(&[b"Hi", b"", b" There"]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(code, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn only_the_whole_code_over_the_same_bytes_under_the_same_key_verifies() {
        let seal = HmacSeal::new(&[1; 32]);
        let code = seal.seal(&[b"record"]);
        assert!(seal.verify(&[b"rec", b"ord"], &code));
        assert!(!seal.verify(&[b"recorD"], &code));
        assert!(!HmacSeal::new(&[2; 32]).verify(&[b"record"], &code));
        for length in 0..32 {
            assert!(!seal.verify(&[b"record"], &code[..length]), "{length}");
        }
        for bit in 0..256 {
            let mut flipped = code;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!seal.verify(&[b"record"], &flipped), "{bit}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", HmacSeal::new(&[0x42; 32])), "HmacSeal");
    }
}
