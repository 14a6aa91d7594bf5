//! What to look at when a text almost matches.

use crate::finding::quoted;
use crate::pattern::Pattern;

/// Why `text` does not match `pattern` though it nearly does, and what to write.
pub(crate) fn text(pattern: &Pattern, text: &str) -> Option<String> {
    // A text of that length is judged by nobody's eye, and a hint is not worth its time.
    const MOST: usize = 4096;
    if text.len() > MOST || pattern.matches(text) {
        return None;
    }
    let twin = |of_pattern: String, of_text: &str| Pattern::parse(&of_pattern).is_ok_and(|twin| twin.matches(of_text));
    if twin(pattern.as_str().to_lowercase(), &text.to_lowercase()) {
        return Some(format!("only the case differs: the token has {}", quoted(text)));
    }
    let slash = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
    if twin(slash(pattern.as_str()), &slash(text)) {
        return Some(format!("only the trailing `/` differs: the token has {}", quoted(text)));
    }
    if pattern.widened().is_some_and(|wide| wide.matches(text)) {
        return Some("`*` stops at `:` and `/`: write `**` in its place if more is meant".to_owned());
    }
    if twin(visible(pattern.as_str()), &visible(text)) {
        return Some(format!("only spaces or invisible characters differ: the token has {}", quoted(text)));
    }
    if twin(pattern.as_str().replace(':', "%3A"), &text.replace(':', "%3A")) {
        return Some("the issuer writes `:` inside a value as `%3A`".to_owned());
    }
    None
}

/// How many characters of the pattern's literal beginning the text shares: the nearest rule is the one that shares most.
pub(crate) fn likeness(pattern: &Pattern, text: &str) -> usize {
    pattern.literal_head().chars().zip(text.chars()).take_while(|(a, b)| a == b).count()
}

fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !crate::finding::is_invisible(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_named() {
        for (pattern, actual, wanted) in [
            ("Production", "production", "case"),
            ("repo:acme/*:ref:refs/heads/Main", "repo:acme/app:ref:refs/heads/main", "case"),
            ("https://a.example", "https://a.example/", "trailing `/`"),
            ("https://a.example/", "https://a.example", "trailing `/`"),
            ("repo:o/r:ref:refs/heads/*", "repo:o/r:ref:refs/heads/a/b", "`**`"),
            ("main", "main ", "invisible"),
            ("main", "ma\u{200d}in", "invisible"),
            ("repo:o/r:environment:a:b", "repo:o/r:environment:a%3Ab", "%3A"),
        ] {
            let hint = text(&Pattern::parse(pattern).unwrap(), actual).unwrap_or_default();
            assert!(hint.contains(wanted), "{pattern} on {actual}: {hint}");
        }
        assert_eq!(text(&Pattern::parse("main").unwrap(), "dev"), None);
        assert_eq!(text(&Pattern::parse("main").unwrap(), "main"), None);
    }
}
