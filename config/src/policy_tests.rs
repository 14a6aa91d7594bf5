//! Policy tests, run on the rules that they were written beside.

use std::sync::Arc;

use sts_policy::{Finding, TestFailure, TestPassed, run_test};
use sts_types::{CheckCode, Origin, UnixTime};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceLocation};
use crate::load::Loaded;

/// Runs every policy test as of `now`. A test that fails is one finding at its place, with its cause.
#[must_use]
pub fn run_policy_tests(Loaded { settings, written, .. }: &Loaded, now: UnixTime) -> Diagnostics {
    let mut findings = Diagnostics::default();
    let place = |origin: Origin| written.sources.span(origin).map(|span| SourceLocation::new(&written.sources, span));
    for test in &written.tests {
        let finding = match run_test(&settings.rules, &written.policy, test, now) {
            Ok(TestPassed { warning: None }) => continue,
            Ok(TestPassed { warning: Some(Finding { code, origin, message, help, .. }) }) => {
                Diagnostic { code, severity: Severity::Warning, place: place(origin), message, help }
            }
            Err(TestFailure { origin, message, help, .. }) => {
                let message = format!("the policy test {} fails: {message}", crate::render::quoted(&test.name));
                let place = place(origin).or_else(|| place(test.origin));
                Diagnostic { code: CheckCode::PolicyTestFailed, severity: Severity::TestFailed, place, message, help }
            }
        };
        findings.push(finding);
    }
    findings
}

/// Keeps what the policy tests want refused beside the rules, so that no fix is advised that would let it in.
pub fn guard(loaded: &mut Loaded, now: UnixTime) {
    let Loaded { settings, written, .. } = loaded;
    if let Some(rules) = Arc::get_mut(&mut settings.rules) {
        rules.guard(&written.policy, &written.tests, now);
    }
}
