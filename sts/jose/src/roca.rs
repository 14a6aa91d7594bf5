//! Detects the ROCA flaw (CVE-2017-15361): an RSA modulus with primes of the form `k * M + (65537^a
//! mod M)` can be factored.
//!
//! Such a modulus is a power of 65,537 modulo every small prime that divides `M`. For any other
//! modulus the probability that this holds for all these primes is below 2^-150.
//!
//! Primes shared by two moduli are not detected: that would take both keys, and both issuers would
//! need a new one.

/// Primes that divide `M` for every affected key size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether `modulus` (big-endian) has the fingerprint.
pub(crate) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| {
        let residue = modulus.iter().fold(0, |residue, byte| (residue << 8 | u32::from(*byte)) % prime);
        is_power_of_65537(residue, prime)
    })
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let base = 65_537 % prime;
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * base % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_65537_are_told_from_other_residues() {
        // 65537 = 2 modulo 5, which generates every residue except 0.
        assert_eq!((0..5).filter(|residue| is_power_of_65537(*residue, 5)).collect::<Vec<_>>(), [1, 2, 3, 4]);
        // 65537 = 10 modulo 11, of order 2.
        assert_eq!((0..11).filter(|residue| is_power_of_65537(*residue, 11)).collect::<Vec<_>>(), [1, 10]);
    }

    #[test]
    fn powers_of_65537_have_the_fingerprint_and_other_numbers_do_not() {
        assert!(has_fingerprint(&[1]));
        assert!(has_fingerprint(&65_537u32.to_be_bytes()));
        assert!(has_fingerprint(&(65_537u64 * 65_537).to_be_bytes()));
        assert!(!has_fingerprint(&65_539u32.to_be_bytes()));
        assert!(!has_fingerprint(&[0xff; 256]));
    }
}
