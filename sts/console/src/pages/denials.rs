//! Refused requests: the groups, and one of them.

use askama::Template;
use sts_api::{Denial, DenialGroup, DenialGroups, FailedCondition};
use sts_types::UnixTime;

use super::frame::Frame;

/// The groups.
#[derive(Debug, Template)]
#[template(path = "denials.html")]
pub struct Denials {
    frame: Frame,
    rows: Vec<DenialGroup>,
    left_out: u64,
}

impl Denials {
    /// The groups as the API answered them.
    #[must_use]
    pub fn new(frame: Frame, groups: DenialGroups) -> Self {
        Self { frame, rows: groups.items, left_out: groups.left_out }
    }

    fn title(&self) -> &'static str {
        self.frame.section.heading()
    }
}

/// One refused request.
#[derive(Debug, Template)]
#[template(path = "denial.html")]
pub struct DenialView {
    frame: Frame,
    failed: Option<Failed>,
    facts: Vec<(&'static str, String)>,
    time: UnixTime,
    denial: Denial,
}

impl DenialView {
    /// The request as the API answered it.
    #[must_use]
    pub fn new(frame: Frame, denial: Denial) -> Self {
        let facts = [
            ("Issuer", denial.issuer_entry.clone()),
            ("Subject", denial.subject.clone()),
            ("Service account", denial.account.clone()),
            ("Nearest identity", denial.nearest_identity.clone()),
            ("Audience", (!denial.asked.is_empty()).then(|| denial.asked.join(" "))),
            ("Scope", denial.scope.clone()),
            ("Address", denial.source.map(|address| address.to_string())),
        ];
        Self {
            frame,
            failed: denial.failing_condition.as_ref().map(Failed::new),
            facts: facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            time: denial.time,
            denial,
        }
    }

    #[expect(clippy::unused_self, reason = "the layout asks each page for its title")]
    fn title(&self) -> &'static str {
        "Refused request"
    }
}

/// A failed condition with the difference of its two sides.
#[derive(Debug)]
struct Failed {
    on: String,
    expected: Marked,
    actual: Option<Marked>,
}

impl Failed {
    fn new(condition: &FailedCondition) -> Self {
        let expected = &condition.expected;
        let actual = condition.actual.as_deref();
        let (expected, actual) = match actual {
            Some(actual) => {
                let (expected, actual) = difference(expected, actual);
                (expected, Some(actual))
            }
            None => (Marked { before: expected.clone(), ..Marked::default() }, None),
        };
        Self { on: condition.on.clone(), expected, actual }
    }
}

/// A text of which one part is marked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Marked {
    before: String,
    part: String,
    after: String,
}

/// Marks what stands between the common start and the common end of two texts.
fn difference(left: &str, right: &str) -> (Marked, Marked) {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let start = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    let longest_end = left.len().min(right.len()) - start;
    let end = left.iter().rev().zip(right.iter().rev()).take(longest_end).take_while(|(a, b)| a == b).count();
    let mark = |text: &[char]| Marked {
        before: text.iter().take(start).collect(),
        part: text.iter().take(text.len() - end).skip(start).collect(),
        after: text.iter().skip(text.len() - end).collect(),
    };
    (mark(&left), mark(&right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_differing_part_of_two_texts_is_marked() {
        let marked = |before: &str, part: &str, after: &str| Marked {
            before: before.to_owned(),
            part: part.to_owned(),
            after: after.to_owned(),
        };
        for (left, right, expected, actual) in [
            ("octo/repo", "Octo/repo", marked("", "o", "cto/repo"), marked("", "O", "cto/repo")),
            ("aa", "aaa", marked("aa", "", ""), marked("aa", "a", "")),
            ("same", "same", marked("same", "", ""), marked("same", "", "")),
            ("", "é", marked("", "", ""), marked("", "é", "")),
            ("refs/heads/main", "refs/tags/main", marked("refs/", "head", "s/main"), marked("refs/", "tag", "s/main")),
        ] {
            assert_eq!(difference(left, right), (expected, actual), "{left} {right}");
        }
    }
}
