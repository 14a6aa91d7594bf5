//! The code of a finding, made from the words of its message without the names in it. Findings of one
//! kind share it. A message that is reworded gets another code.

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};

/// The most words of a code.
const WORDS: usize = 5;
/// Words that tell nothing.
const FILLERS: [&str; 18] = [
    "a", "an", "the", "of", "it", "is", "are", "and", "or", "to", "in", "that", "this", "its", "on", "as", "for", "by",
];

impl Diagnostic {
    /// The code of the rule that made the finding, such as `unknown-key`. It is made of the message's own words, never of what
    /// stands in back-ticks, and so is the same wherever the rule applies.
    #[must_use]
    pub fn rule(&self) -> String {
        if self.severity == Severity::TestFailed {
            return "policy-test-failed".to_owned();
        }
        let own: String = self.message.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let words = own.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1);
        let telling = words.filter(|word| word.bytes().all(|b| b.is_ascii_alphabetic()));
        let lower = telling.map(str::to_ascii_lowercase).filter(|word| !FILLERS.contains(&word.as_str()));
        let code = lower.take(WORDS).collect::<Vec<_>>().join("-");
        if code.is_empty() { self.severity.name().to_owned() } else { code }
    }
}

impl Diagnostics {
    /// Adds a finding that no file has a place for.
    pub fn add(&mut self, severity: Severity, message: String, help: Option<String>) {
        self.push(Diagnostic { severity, place: None, message, help });
    }

    /// The exit code where warnings count as errors.
    #[must_use]
    pub fn strict_exit_code(&self) -> u8 {
        if self.iter().any(|finding| finding.severity == Severity::Warning) { 2 } else { self.exit_code() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(message: &str) -> String {
        Diagnostic { severity: Severity::Error, place: None, message: message.to_owned(), help: None }.rule()
    }

    #[test]
    fn a_code_is_of_the_rule_and_not_of_the_text() {
        assert_eq!(rule("unknown key `x` in `limits`"), "unknown-key");
        assert_eq!(rule("unknown key `some other` in the configuration"), "unknown-key-configuration");
        assert_eq!(rule("the admin listener is off loopback and has no TLS"), "admin-listener-off-loopback-has");
        assert_eq!(rule("`a` cannot be read: permission denied"), rule("`b c` cannot be read: permission denied"));
        assert_eq!(rule("`x`"), "error");
    }
}
