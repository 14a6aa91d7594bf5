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
    if is_twin(pattern, text, str::to_lowercase) {
        return Some(format!("only the case differs: the token has {}", quoted(text)));
    }
    if is_twin(pattern, text, |text| text.strip_suffix('/').unwrap_or(text).to_owned()) {
        return Some(format!("only the trailing `/` differs: the token has {}", quoted(text)));
    }
    if is_twin(pattern, text, single_slashes) {
        return Some(format!("only slashes differ: the token has {}", quoted(text)));
    }
    if text.starts_with(pattern.literal_head()) && pattern.widened().is_some_and(|wide| wide.matches(text)) {
        return Some("`*` stops at `:` and `/`: write `**` in its place if more is meant".to_owned());
    }
    if is_twin(pattern, text, visible) {
        return Some(format!("only spaces or invisible characters differ: the token has {}", quoted(text)));
    }
    if is_twin(pattern, text, |text| text.replace(':', "%3A")) {
        return Some("the issuer writes `:` inside a value as `%3A`".to_owned());
    }
    None
}

/// Whether `text` would match if both were seen through `veil`. Few texts get as far as a pattern being parsed for it.
fn is_twin(pattern: &Pattern, text: &str, veil: impl Fn(&str) -> String) -> bool {
    let (head, text) = (veil(pattern.literal_head()), veil(text));
    if pattern.is_exact() {
        return head == text;
    }
    text.starts_with(&head) && Pattern::parse(&veil(pattern.as_str())).is_ok_and(|twin| twin.matches(&text))
}

/// How many characters of the pattern's literal beginning the text shares, case aside: the nearest rule is the one that shares
/// most.
pub(crate) fn likeness(pattern: &Pattern, text: &str) -> usize {
    pattern.literal_head().chars().zip(text.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// `text` without slashes at its ends, and none twice in a row.
fn single_slashes(text: &str) -> String {
    text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
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
            ("refs/heads/main", "/refs/heads/main", "only slashes"),
            ("https://a.example/b", "https://a.example//b/", "only slashes"),
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
