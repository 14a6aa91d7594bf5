//! The name of a snapshot.

use sts_jose::digest_of_parts;
use sts_types::Digest256;

/// Names the snapshot by a digest over both sources. Without managed objects it is that of the files.
pub(crate) fn generation(files: Digest256, managed: Option<Digest256>) -> String {
    let both = managed.map_or(files, |managed| digest_of_parts(&[b"files", &files.0, b"managed", &managed.0]));
    both.to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_of_both_sources() {
        let [one, other] = [Digest256([1; 32]), Digest256([2; 32])];
        assert_eq!(generation(one, None), "0101010101010101");
        let both = generation(one, Some(other));
        assert_eq!(both.len(), 16);
        for different in [generation(one, None), generation(other, Some(other)), generation(one, Some(one))] {
            assert_ne!(both, different);
        }
        assert_ne!(generation(one, Some(other)), generation(other, Some(one)));
    }
}
