//! The `typ` of a token.

/// Whether `typ` is the media type `name`, whose `application/` may be left out (RFC 7515 section
/// 4.1.9).
pub(crate) fn is_media_type(typ: &str, name: &str) -> bool {
    let bare = match typ.split_at_checked("application/".len()) {
        Some((kind, rest)) if kind.eq_ignore_ascii_case("application/") => rest,
        _ => typ,
    };
    bare.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_compared_without_case_and_with_or_without_its_prefix() {
        for same in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(is_media_type(same, "at+jwt"), "{same}");
        }
        for other in ["", "jwt", "application/", "application/jwt", "text/at+jwt", "application/application/at+jwt"] {
            assert!(!is_media_type(other, "at+jwt"), "{other}");
        }
    }
}
