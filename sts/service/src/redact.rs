//! Makes a caller's text fit for logs and for the memory of refusals: short, and without possible
//! secrets.

/// The longest caller text to repeat, in octets.
const MAX_TEXT: usize = 256;

/// From how many letters and digits after `sts_` on a text may be one of our API keys. A whole key
/// has more: a caller may have cut it.
const MIN_KEY: usize = 40;

/// The first `MAX_TEXT` octets of `text`, with tokens, API keys and passwords in URLs replaced.
pub(crate) fn redacted(text: &str) -> String {
    // Not the other way round: what is left of a secret that was cut may not look like one.
    let mut shown = without_secrets(text.to_owned());
    let end = shown.floor_char_boundary(MAX_TEXT);
    if end < shown.len() {
        shown.truncate(end);
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
    let (mut rest, mut before) = (text, None);
    while let Some(first) = rest.chars().next() {
        let secret = secret_length(rest, before);
        let (piece, after) = rest.split_at_checked(secret.unwrap_or(first.len_utf8())).unwrap_or((rest, ""));
        shown.push_str(if secret.is_some() { "[removed]" } else { piece });
        (rest, before) = (after, piece.chars().next_back());
    }
    without_user_info(&shown)
}

/// The length of the secret that `text` begins with: a JOSE object, which begins with an encoded
/// `{"`, or one of our API keys. A key counts wherever it begins, because whatever is glued to it
/// leaves it whole. `before` is the character before `text`.
fn secret_length(text: &str, before: Option<char>) -> Option<usize> {
    if let Some(key) = text.strip_prefix("sts_") {
        let length = key.bytes().take_while(u8::is_ascii_alphanumeric).count();
        return (length >= MIN_KEY).then_some("sts_".len() + length);
    }
    if !text.starts_with("eyJ") || before.is_some_and(|before| before.is_ascii_alphanumeric()) {
        return None;
    }
    let is_word_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = text.bytes().take_while(is_word_byte).count();
    (length > 16).then_some(length)
}

/// `scheme://user:password@host` without the part before the `@`.
fn without_user_info(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((scheme, after)) = rest.split_once("://") {
        shown.push_str(scheme);
        shown.push_str("://");
        let authority_end = after.find(['/', '?', '#', ' ']).unwrap_or(after.len());
        let at = after.get(..authority_end).and_then(|authority| authority.rfind('@'));
        rest = match at.and_then(|at| after.get(at..)) {
            Some(host) => {
                shown.push_str("[removed]");
                host
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
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
    fn fld46_a_secret_is_removed_wherever_the_text_is_cut_and_whatever_is_glued_to_it() {
        let key = format!("sts_{}", "a1B2".repeat(14));
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl";
        for secret in [&key, &key[..44], token, &format!("https://user:{}@host", "p".repeat(60))] {
            for length in 0..=MAX_TEXT {
                let shown = redacted(&format!("{}-{secret}-x", "z".repeat(length)));
                let is_clean = ["sts_", "a1B2", "eyJ", "user", "pp"].iter().all(|part| !shown.contains(part));
                assert!(is_clean, "{length}: {shown}");
            }
        }
        for (before, after) in [("x", ""), ("sts_", "-y"), ("a.", ".b"), ("-", "_"), ("e\u{301}", "\u{e9}")] {
            assert_eq!(redacted(&format!("{before}{key}{after}")), format!("{before}[removed]{after}"));
        }
        // No text is too deep.
        assert_eq!(redacted(&"://a@".repeat(100_000)).len(), MAX_TEXT + 3);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(redacted(&"\u{e9}".repeat(200)), format!("{}...", "\u{e9}".repeat(128)));
        assert_eq!(redacted(&"a".repeat(256)), "a".repeat(256));
    }

    #[test]
    fn a_long_word_is_no_secret_by_its_length_alone() {
        let word = "a_long_word_that_is_neither_a_token_nor_a_key";
        let short = format!("sts_{}", "a".repeat(39));
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
