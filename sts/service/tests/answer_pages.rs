//! `deploy/docs/reasons.md` has an answer for each reason that a caller may be given, and for no other.

#![expect(clippy::expect_used, reason = "a test fails by panicking; clippy sees only #[test] functions as tests")]

use std::collections::BTreeSet;

use sts_service::Reason;

const PAGE: &str = include_str!("../../../deploy/docs/reasons.md");

/// What each answer says.
const PARTS: [&str; 3] = ["**Who fixes it:**", "**Usual causes**", "**What to do:**"];

#[test]
fn every_reason_has_its_answer_and_no_answer_is_left_without_a_reason() {
    let answered: Vec<&str> = sections().map(|(name, _)| name).collect();
    let distinct: BTreeSet<&str> = answered.iter().copied().collect();
    let reasons: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(distinct, reasons);
    assert_eq!(answered.len(), distinct.len(), "a reason is answered twice");
}

#[test]
fn every_answer_says_who_fixes_it_its_usual_causes_and_what_to_do() {
    for (name, answer) in sections() {
        for part in PARTS {
            assert_eq!(answer.matches(part).count(), 1, "{name} says {part} once");
        }
    }
}

#[test]
fn the_table_of_the_page_names_every_reason() {
    for reason in Reason::ALL {
        let link = format!("[`{0}`](#{0})", reason.name());
        assert_eq!(PAGE.matches(&link).count(), 1, "{link}");
    }
}

/// The reason and the answer of each section.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n## `").skip(1).map(|section| section.split_once('`').expect("a heading ends in a back-tick"))
}
