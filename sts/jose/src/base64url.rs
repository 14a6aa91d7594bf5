//! base64url for JOSE: no padding, and exactly one text for each byte string (RFC 7515 section 2).

use base64_simd::URL_SAFE_NO_PAD;

/// Encodes `bytes` as base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Decodes base64url; `None` for padding, whitespace, a foreign character or non-zero trailing
/// bits. This is strict so that no two texts decode to the same bytes.
#[must_use]
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
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

    #[test]
    fn c032_a_text_with_one_foreign_character_does_not_decode_wherever_it_stands() {
        // Long texts are decoded many characters at once, their ends one by one.
        for length in (4..200).filter(|length| length % 4 != 1) {
            let sound = "A".repeat(length);
            assert_eq!(decode_base64url(&sound).map(|bytes| bytes.len()), Some(length * 3 / 4));
            for at in 0..length {
                for foreign in ["=", "+", "/", " ", "\n", "\0", "\u{7f}", ".", "@", "[", "`", "{", "é"] {
                    let mut text = sound.clone();
                    text.replace_range(at..=at, foreign);
                    assert_eq!(decode_base64url(&text), None, "{foreign:?} at {at} of {length}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn another_implementation_decodes_the_same_texts_to_the_same_bytes(
            mut text in "[A-Za-z0-9_-]{0,200}", foreign in proptest::option::weighted(0.3, (any::<u8>(), any::<proptest::sample::Index>())),
        ) {
            if let Some((octet, at)) = foreign.filter(|(octet, _)| octet.is_ascii())
                && !text.is_empty()
            {
                let at = at.index(text.len());
                text.replace_range(at..=at, char::from(octet).encode_utf8(&mut [0; 4]));
            }
            let expected = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok();
            prop_assert_eq!(decode_base64url(&text), expected);
        }

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
