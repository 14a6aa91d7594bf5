//! SHA-256 digests.

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use sts_types::Digest256;

/// The SHA-256 digest of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest256 {
    fixed(&digest(&SHA256, bytes))
}

/// An incremental SHA-256 digest. A clone continues from a common prefix, which is then hashed only
/// once.
#[derive(Clone)]
pub struct Sha256(Context);

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

impl Sha256 {
    /// The digest of no input.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything that was added.
    #[must_use]
    pub fn finish(self) -> Digest256 {
        fixed(&self.0.finish())
    }

    /// The same digest in aws-lc's type, which signing needs.
    pub(crate) fn finish_to_sign(self) -> Digest {
        self.0.finish()
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 digest of a list: the number of parts, then each part after its length. Numbers are
/// eight octets, big-endian. Two different lists never hash the same octets, even if only the
/// borders differ (`["ab", "c"]` and `["a", "bc"]`).
#[must_use]
pub fn digest_of_parts(parts: &[&[u8]]) -> Digest256 {
    let mut context = Context::new(&SHA256);
    context.update(&octets(parts.len()));
    for part in parts {
        context.update(&octets(part.len()));
        context.update(part);
    }
    fixed(&context.finish())
}

fn octets(length: usize) -> [u8; 8] {
    (length as u64).to_be_bytes()
}

fn fixed(digest: &Digest) -> Digest256 {
    let mut bytes = [0; 32];
    // SHA-256 has 32 octets, so this copies all of them.
    bytes.copy_from_slice(digest.as_ref());
    Digest256(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sha256_is_that_of_fips_180_4() {
        assert_eq!(sha256(b"abc").to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256(b"").to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_list_is_digested_as_documented() {
        let octets = [&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1][..], b"a", &[0; 8]].concat();
        assert_eq!(digest_of_parts(&[b"a", b""]), sha256(&octets));
    }

    proptest! {
        #[test]
        fn c059_moving_the_border_between_two_parts_changes_the_digest(text in "[a:]{1,16}", a in 0usize..16, b in 0usize..16) {
            let (a, b) = (a.min(text.len()), b.min(text.len()));
            let split = |at: usize| digest_of_parts(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]);
            prop_assert_eq!(split(a) == split(b), a == b);
            prop_assert_ne!(split(a), digest_of_parts(&[text.as_bytes()]));
        }
    }
}
