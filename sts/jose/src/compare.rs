//! Comparison of secrets.

/// Whether `a` and `b` are equal. The time depends only on their lengths.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_means_same_length_and_same_bytes() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"secret", b"secret"));
        for other in [b"secreT".as_slice(), b"secre", b"secrets", b""] {
            assert!(!constant_time_eq(b"secret", other));
        }
    }
}
