//! Text from outside, for messages.

/// Text from outside, made safe for a message: escaped, at most 200 characters.
pub(crate) fn bounded(text: &str) -> String {
    const MOST: usize = 200;
    let mut escaped = text.chars().take(MOST + 1).flat_map(char::escape_debug);
    let mut out: String = escaped.by_ref().take(MOST).collect();
    if escaped.next().is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(bounded("https://a.example/\n\u{1b}[31m"), "https://a.example/\\n\\u{1b}[31m");
        assert_eq!(bounded(&"a".repeat(200)), "a".repeat(200));
        assert_eq!(bounded(&"a".repeat(201)), format!("{}...", "a".repeat(200)));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_bounds(text in any::<String>()) {
            let out = bounded(&text);
            prop_assert!(out.chars().count() <= 203);
            prop_assert!(!out.chars().any(char::is_control));
        }
    }
}
