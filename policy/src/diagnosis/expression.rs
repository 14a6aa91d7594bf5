//! Regular expressions where a pattern is read: other systems take them, so people write them.

use regex::Regex;

use crate::pattern::Pattern;

/// The largest expression that is tried, in bytes.
const MAX_EXPRESSION: usize = 512;

/// What is said where `pattern`, read as a regular expression, would match `text`.
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

/// Whether the pattern has what only an expression has.
pub(super) fn is_one(pattern: &Pattern) -> bool {
    [".*", ".+", "(", "[", "|", "^", "$", "\\d", "\\w"].iter().any(|own| pattern.as_str().contains(own))
}

/// The pattern that was meant, where the expression is that simple: `.*` and `.+` for any text, all else as it is.
pub(super) fn as_pattern(pattern: &Pattern) -> Option<Pattern> {
    let written = pattern.as_str();
    let bare = written.strip_prefix('^').unwrap_or(written);
    let bare = bare.strip_suffix('$').unwrap_or(bare);
    let text = bare.replace(".*", "**").replace(".+", "**").replace("\\.", ".");
    (!text.contains(['(', '[', '|', '^', '$', '+', '\\', '{'])).then(|| Pattern::parse(&text).ok()).flatten()
}
