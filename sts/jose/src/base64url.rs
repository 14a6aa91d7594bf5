//! base64url for JOSE: no padding, and exactly one text for each byte string (RFC 7515 section 2).

use data_encoding::BASE64URL_NOPAD;

/// Encodes `bytes` as base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes base64url; `None` for padding, whitespace, a foreign character or non-zero trailing
/// bits. This is strict so that no two texts decode to the same bytes.
#[must_use]
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn c032_only_the_canonical_text_decodes() {
        assert_eq!(decode_base64url("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode_base64url(""), Some(vec![]));
        for text in
            ["-_8=", "+/8", "-_ 8", "-_8\n", "\t-_8", "-?_8", "-_9", "AB", "A", "AAAAA", "\u{2010}AAA", "AA==", "AA\0A"]
        {
            assert_eq!(decode_base64url(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn j01_whatever_decodes_encodes_to_the_same_text(text in "[A-Za-z0-9_=+/ -]{0,24}") {
            if let Some(bytes) = decode_base64url(&text) {
                prop_assert_eq!(base64url(&bytes), text);
            }
        }

        #[test]
        fn every_byte_string_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(decode_base64url(&base64url(&bytes)), Some(bytes));
        }
    }
}
