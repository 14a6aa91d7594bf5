//! A sealed sum over the revocations of a store is a multiset hash (MSet-XOR-Hash; Clarke et al., ASIACRYPT 2003): the exclusive or of
//! a keyed code of each row, under a mask of its own at each change, so that nobody learns the code of one row and composes a sum
//! from those of others.

use sts_types::Seal;

use crate::alert::Place;

/// The code of one row.
pub fn row_code(seal: &dyn Seal, place: Place, key: &[u8], stored: &[u8]) -> [u8; 32] {
    code(seal, &[b"row".as_slice(), place.name().as_bytes(), key, stored])
}

/// Hides a sum under a nonce.
pub fn mask(seal: &dyn Seal, nonce: &[u8]) -> [u8; 32] {
    code(seal, &[b"mask".as_slice(), nonce])
}

/// A keyed code of `parts`. No sealed value begins with that octet, so that no code is ever the seal of one; the lengths keep one
/// part's tail from being the next one's head.
pub fn code(seal: &dyn Seal, parts: &[&[u8]]) -> [u8; 32] {
    let mut bytes = vec![0xff];
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    seal.seal(&[&bytes])
}

/// The octets of both, each pair by exclusive or.
pub fn xor(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut sum = a;
    sum.iter_mut().zip(b).for_each(|(to, from)| *to ^= from);
    sum
}
