//! The sealed sum over the revocations of a store. It is a multiset hash (MSet-XOR-Hash; Clarke et
//! al., ASIACRYPT 2003): the exclusive or of a keyed code per row. Each change stores it under a
//! new mask, so nobody can learn the code of one row and compose other sums from such codes.

use sts_types::Seal;

use crate::alert::Place;

/// The code of one row.
pub fn row_code(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) -> [u8; 32] {
    code(seal, &[b"row".as_slice(), place.name().as_bytes(), key, stored])
}

/// The mask for a nonce, to hide a sum.
pub fn mask(seal: &dyn Seal, nonce: &[u8]) -> [u8; 32] {
    code(seal, &[b"mask".as_slice(), nonce])
}

/// A keyed code of `parts`. No sealed value begins with the first octet, so a code is never the
/// seal of a value. The lengths keep the boundaries between parts unambiguous.
pub fn code(seal: &dyn Seal, parts: &[&[u8]]) -> [u8; 32] {
    let mut bytes = vec![0xff];
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    seal.seal(&[&bytes])
}

/// The exclusive or of both.
pub fn xor(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut sum = a;
    sum.iter_mut().zip(b).for_each(|(to, from)| *to ^= from);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TestSeal;

    #[test]
    fn a_row_has_a_code_of_its_own_by_place_key_value_and_our_key() {
        let row = |seal: u64, place, key: &[u8], stored: &[u8]| row_code(&TestSeal(seal), place, key, stored);
        let codes = [
            row(1, Place::Revocation, b"ab", b"c"),
            row(1, Place::Revocation, b"a", b"bc"),
            row(1, Place::Revocation, b"ab", b"d"),
            row(1, Place::Revocation, b"", b"abc"),
            row(1, Place::Rule, b"ab", b"c"),
            row(2, Place::Revocation, b"ab", b"c"),
            mask(&TestSeal(1), b"ab"),
            mask(&TestSeal(1), b"a"),
            mask(&TestSeal(2), b"ab"),
        ];
        let apart: std::collections::BTreeSet<_> = codes.into_iter().collect();
        assert_eq!(apart.len(), codes.len());
        assert_eq!(row(1, Place::Rule, b"ab", b"c"), row(1, Place::Rule, b"ab", b"c"));
    }

    #[test]
    fn a_sum_has_no_order_and_a_row_that_is_taken_out_leaves_no_trace() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|nonce| mask(&TestSeal(1), nonce));
        assert_eq!(xor(xor(a, b), c), xor(xor(c, a), b));
        assert_eq!(xor(xor(a, b), b), a);
        assert_eq!((xor(a, [0; 32]), xor(a, a)), (a, [0; 32]));
        assert_eq!(xor([0b1100; 32], [0b1010; 32]), [0b0110; 32]);
    }
}
