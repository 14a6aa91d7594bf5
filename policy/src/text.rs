//! Decisions as text for people.

use crate::{Decision, Requested, RuleSet};

/// The first line of `sts explain`: the verdict with its cause (DESIGN section 8).
#[must_use]
pub fn summary(rules: &RuleSet, requested: &Requested, decision: &Decision) -> String {
    let _ = (rules, requested, decision);
    String::new()
}

/// The whole trace, one line for each identity and condition.
#[must_use]
pub fn render(decision: &Decision) -> String {
    let _ = decision;
    String::new()
}
