//! Findings: faults and doubts in a policy, reported to its author.

use std::collections::HashSet;

use sts_types::{CheckCode, Lifetime, Origin};

use crate::FaultyNames;

/// A finding about the configuration. `message` is in lower case, with user text in back-ticks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The rule that was broken.
    pub code: CheckCode,
    /// Position of the cause in the files.
    pub origin: Origin,
    /// How serious the finding is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A text of a stranger's token that an unsafe rule accepts.
    pub witness: Option<String>,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// A lint. The policy loads all the same.
    Warning,
    /// A valid pattern or rule that is refused because it is unsafe (`sts check` exits 1).
    Unsafe,
    /// A configuration error (`sts check` exits 2).
    Error,
}

/// Collects the findings of a compilation, without duplicates.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    seen: HashSet<Finding>,
    errors: usize,
    /// Names with a reported fault. What follows from it is not reported as well.
    pub(crate) faulty: FaultyNames,
}

impl Findings {
    /// Adds an error.
    pub(crate) fn error(
        &mut self,
        code: CheckCode,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.push(Finding { code, severity: Severity::Error, origin, message, help, witness: None });
    }

    /// Adds a refusal of an unsafe rule.
    pub(crate) fn unsafe_rule(
        &mut self,
        code: CheckCode,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.accepts_stranger(code, origin, None, message, help);
    }

    /// Adds a refusal of an unsafe rule, with a text of a stranger's token that it accepts.
    pub(crate) fn accepts_stranger(
        &mut self,
        code: CheckCode,
        origin: Origin,
        witness: Option<String>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.push(Finding { code, severity: Severity::Unsafe, origin, message, help, witness });
    }

    /// Adds a lint.
    pub(crate) fn warning(
        &mut self,
        code: CheckCode,
        origin: Origin,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.push(Finding { code, severity: Severity::Warning, origin, message, help, witness: None });
    }

    fn push(&mut self, finding: Finding) {
        if self.seen.insert(finding.clone()) {
            self.errors += usize::from(finding.severity == Severity::Error);
            self.list.push(finding);
        }
    }

    /// Starts without findings, but with names whose faults were reported before.
    pub(crate) fn beside(faulty: &FaultyNames) -> Self {
        Self { faulty: faulty.clone(), ..Self::default() }
    }

    /// Whether there is an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// The number of errors.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Every finding, in the order of the report.
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.list
    }
}

/// Puts `text` in back-ticks for a message. Control characters, invisible characters and back-ticks
/// are escaped; a text longer than 120 characters is cut.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 120;
    let mut out = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == MOST {
            out.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) || c == '`' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// Whether a character shows nothing, looks like a blank, or reorders the text around it.
pub(crate) fn is_invisible(c: char) -> bool {
    (c.is_whitespace() && !c.is_ascii()) || sts_types::is_invisible(c)
}

/// The name in `known` that `wrong` probably means.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (wrong.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (edits(wrong, name), name))
        .filter(|&(edits, name)| edits <= most || (wrong.len() > 2 && name.starts_with(wrong)))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, name)| name)
}

/// Help for an unknown name: the probable one, or else all names if there are few.
pub(crate) fn name_help<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(name) = did_you_mean(wrong, known.iter().copied()) {
        return Some(format!("write `{name}`"));
    }
    match known.len() {
        0 => None,
        1..=12 => Some(format!("write one of `{}`", known.join("`, `"))),
        _ => None,
    }
}

/// Edit distance, where swapping two neighbours counts as one. Only the first 64 characters count.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last: Option<char> = None;
    for (i, &x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let diagonal = row.get(j).copied().unwrap_or(usize::MAX);
            let above = row.get(j + 1).copied().unwrap_or(usize::MAX);
            let mut cost = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            let swapped = j > 0 && last == Some(y) && b.get(j - 1) == Some(&x);
            if swapped && let Some(&earlier) = before.get(j - 1) {
                cost = cost.min(earlier + 1);
            }
            next.push(cost);
            left = cost;
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(usize::MAX)
}

/// Names an identity in a message.
pub(crate) fn identity_title(account: &str, identity: &str) -> String {
    format!("identity {} of {}", quoted(identity), quoted(account))
}

/// Formats a lifetime in the notation of the configuration (`15m`).
pub(crate) fn duration(lifetime: Lifetime) -> String {
    let seconds = lifetime.as_secs();
    match [(86_400, 'd'), (3_600, 'h'), (60, 'm')].into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_recognised() {
        let known = ["deploy", "releases", "octo-deploy"];
        assert_eq!(did_you_mean("deplyo", known), Some("deploy"));
        assert_eq!(did_you_mean("release", known), Some("releases"));
        assert_eq!(did_you_mean("octo_deploy", known), Some("octo-deploy"));
        assert_eq!(did_you_mean("kitchen", known), None);
        assert_eq!(name_help("kitchen", known).as_deref(), Some("write one of `deploy`, `releases`, `octo-deploy`"));
    }

    #[test]
    fn quoted_text_is_bounded_and_shows_what_hides() {
        assert_eq!(quoted("a\nb\u{202e}`"), "`a\\u{a}b\\u{202e}\\u{60}`");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), 123);
    }
}
