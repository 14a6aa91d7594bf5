//! Makes a caller's text fit for logs and for the memory of refusals: short, and without possible
//! secrets.

/// The longest caller text to repeat, in octets.
const MAX_TEXT: usize = 256;

/// The first [`MAX_TEXT`] octets of `text`, with tokens, API keys and passwords in URLs replaced.
pub(crate) fn redacted(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT);
    let (start, is_cut) = match text.split_at_checked(end) {
        Some((start, rest)) => (start, !rest.is_empty()),
        None => (text, false),
    };
    let mut shown = without_secrets(start.to_owned());
    if is_cut {
        shown.push_str("...");
    }
    shown
}

/// `text` with tokens, API keys and passwords in URLs replaced.
pub(crate) fn without_secrets(text: String) -> String {
    if may_hold_a_secret(&text) { replace_secrets(&text) } else { text }
}

fn may_hold_a_secret(text: &str) -> bool {
    text.contains("eyJ") || text.contains("sts_") || (text.contains("://") && text.contains('@'))
}

fn replace_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let is_word_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length =
            if is_word_char(first) { rest.find(|c| !is_word_char(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        shown.push_str(if is_secret(piece) { "[removed]" } else { piece });
        rest = after;
    }
    without_user_info(&shown)
}

/// Whether a word is a JOSE object, which begins with an encoded `{"`, or one of our API keys.
fn is_secret(word: &str) -> bool {
    (word.starts_with("eyJ") && word.len() > 16)
        || word
            .strip_prefix("sts_")
            .is_some_and(|key| key.len() >= 48 && key.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// `scheme://user:password@host` without the part before the `@`.
fn without_user_info(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority_end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    match rest.get(..authority_end).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://[removed]{}", without_user_info(rest.get(at..).unwrap_or_default())),
        None => format!("{scheme}://{}", without_user_info(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld46_what_may_be_a_secret_is_removed_and_the_rest_stays() {
        let key = format!("sts_{}", "a1B2".repeat(14));
        for (text, shown) in [
            ("https://issuer.example/realms/a", "https://issuer.example/realms/a"),
            ("system:serviceaccount:prod:deployer", "system:serviceaccount:prod:deployer"),
            ("sts_deploy", "sts_deploy"),
            ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl", "[removed]"),
            ("Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3Mi", "Bearer [removed]"),
            (&format!("key={key};"), "key=[removed];"),
            ("https://user:secret@host/path", "https://[removed]@host/path"),
            ("a https://x b https://u:p@h", "a https://x b https://[removed]@h"),
            ("\u{e9}\u{202e}@://", "\u{e9}\u{202e}@://"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(redacted(&"\u{e9}".repeat(200)), format!("{}...", "\u{e9}".repeat(128)));
        assert_eq!(redacted(&"a".repeat(256)), "a".repeat(256));
    }

    #[test]
    fn a_long_word_is_no_secret_by_its_length_alone() {
        let word = "a_long_word_that_is_neither_a_token_nor_a_key";
        let short = format!("sts_{}", "a".repeat(47));
        for text in [
            format!("sts_x {word}"),
            format!("https://{word}/@"),
            "eyJ0123456789abc".to_owned(),
            short.clone(),
            format!("{short}-"),
        ] {
            assert_eq!(redacted(&text), text);
        }
        assert_eq!(redacted("eyJ0123456789abcd"), "[removed]");
        assert_eq!(redacted(&format!("{short}a")), "[removed]");
    }
}
