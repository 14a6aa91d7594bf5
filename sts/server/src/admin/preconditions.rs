//! `If-Match` (RFC 9110 section 13.1.1): nobody overwrites a change that they have not seen.

use super::OperationError;

/// The header's value, which a change must have.
pub(super) fn required(if_match: Option<&str>) -> Result<&str, OperationError> {
    if_match.ok_or_else(|| {
        OperationError::PreconditionRequired(
            "send the object's `ETag`, which GET answers, as `If-Match`; nothing was changed".to_owned(),
        )
    })
}

/// Whether `if_match` lists the tag of the current state. A weak tag fits nothing: it may stand for several states.
pub(super) fn check(if_match: &str, current: &str) -> Result<(), OperationError> {
    if if_match.split(',').map(str::trim).any(|tag| tag == "*" || tag == current) {
        return Ok(());
    }
    Err(OperationError::PreconditionFailed(format!(
        "somebody else changed the object: it is at {current} now. Get it again, and repeat the change; nothing was changed"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_the_tag_of_the_current_state() {
        assert!(matches!(required(None), Err(OperationError::PreconditionRequired(_))));
        for (if_match, fits) in [
            ("\"7\"", true),
            ("\"6\", \"7\"", true),
            ("*", true),
            ("\"6\"", false),
            ("W/\"7\"", false),
            ("7", false),
            ("", false),
        ] {
            assert_eq!(check(if_match, "\"7\"").is_ok(), fits, "{if_match}");
        }
    }
}
