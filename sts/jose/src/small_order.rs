//! Ed25519 public keys that must be refused: points of small order, and non-canonical encodings
//! (RFC 8032 section 5.1.3).
//!
//! With a point of small order as the key, anyone can make a signature that verifies for many
//! messages. Such a key would let anyone in.

/// The `y` coordinates, little-endian, of the points whose order divides 8. [`is_weak`] covers 0, 1
/// and -1 itself.
const ORDER_8: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether `x`, the 32 octets of an Ed25519 public key, encodes a point of small order, or a `y`
/// that is not below p = 2^255 - 19.
pub(crate) fn is_weak(x: &[u8]) -> bool {
    let [low, middle @ .., high] = x else { return true };
    // The top bit is the sign of the other coordinate, not part of `y`.
    let high = high & 0x7f;
    let zeros = middle.iter().all(|octet| *octet == 0x00) && high == 0x00;
    let ones = middle.iter().all(|octet| *octet == 0xff) && high == 0x7f;
    // y is 0 or 1, or y is at least p - 1 = 2^255 - 20.
    let edge = (zeros && *low <= 0x01) || (ones && *low >= 0xec);
    edge || ORDER_8.iter().any(|[first, inner @ .., last]| low == first && middle == inner && high == *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

    fn edge(low: u8, fill: u8, high: u8) -> [u8; 32] {
        let mut x = [fill; 32];
        (x[0], x[31]) = (low, high);
        x
    }

    #[test]
    fn c014_points_of_small_order_and_encodings_that_are_not_canonical_are_weak() {
        let mut weak = vec![edge(0, 0, 0), edge(1, 0, 0), ORDER_8[0], ORDER_8[1]];
        weak.extend((0xec..=0xff).map(|low| edge(low, 0xff, 0x7f)));
        for mut x in weak {
            assert!(is_weak(&x), "{x:02x?}");
            x[31] |= 0x80;
            assert!(is_weak(&x), "{x:02x?}");
        }
        for x in [edge(2, 0, 0), edge(0xeb, 0xff, 0x7f), edge(0, 0, 1), edge(0xec, 0xff, 0x7e), [0x26; 32]] {
            assert!(!is_weak(&x), "{x:02x?}");
        }
    }

    #[test]
    fn c014_without_this_check_the_neutral_point_would_verify_a_signature_nobody_made() {
        let neutral = edge(1, 0, 0);
        let mut signature = [0; 64];
        signature[0] = 1;
        let key = ParsedPublicKey::new(&ED25519, neutral).unwrap();
        assert!(key.verify_sig(b"any message", &signature).is_ok());
        assert!(is_weak(&neutral));
    }
}
