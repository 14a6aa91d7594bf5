//! The operating system's randomness.

use sts_types::Entropy;

/// Random bytes from aws-lc's generator, which the operating system seeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::expect_used,
            reason = "aws-lc aborts rather than return an error here; going on with predictable bytes is worse"
        )]
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn identifiers_of_128_bits_do_not_repeat() {
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let mut bytes = [0; 16];
            OsEntropy.fill(&mut bytes);
            assert!(seen.insert(bytes));
        }
    }
}
