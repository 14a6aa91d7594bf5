//! Recognises regular expressions in the place of patterns. Other systems accept them, so people
//! write them here, too.

use regex::Regex;

use crate::pattern::Pattern;

/// Longest expression to try, in bytes.
const MAX_EXPRESSION: usize = 512;

/// The explanation, if `pattern` would match `text` as a regular expression.
pub(super) fn taken_for_pattern(pattern: &Pattern, text: &str) -> Option<String> {
    let written = pattern.as_str();
    if !is_one(pattern) || written.len() > MAX_EXPRESSION {
        return None;
    }
    let regex = Regex::new(&format!("^(?:{written})$")).ok()?;
    regex.is_match(text).then(|| {
        "the rule is written as a regular expression, and a pattern has only `*`, `**` and `?`: it is compared letter by letter"
            .to_owned()
    })
}

/// Whether the pattern contains syntax of regular expressions.
pub(super) fn is_one(pattern: &Pattern) -> bool {
    [".*", ".+", "(", "[", "|", "^", "$", "\\d", "\\w"].iter().any(|syntax| pattern.as_str().contains(syntax))
}

/// Translates a simple expression to a pattern: `.*` and `.+` become `**`. `None` if it has other
/// syntax.
pub(super) fn as_pattern(pattern: &Pattern) -> Option<Pattern> {
    let written = pattern.as_str();
    let bare = written.strip_prefix('^').unwrap_or(written);
    let bare = bare.strip_suffix('$').unwrap_or(bare);
    let text = bare.replace(".*", "**").replace(".+", "**").replace("\\.", ".");
    (!text.contains(['(', '[', '|', '^', '$', '+', '\\', '{'])).then(|| Pattern::parse(&text).ok()).flatten()
}
