//! Policy tests, run on the rules that they were written beside.

use std::sync::Arc;

use sts_config::{Diagnostic, Diagnostics, Severity, quoted};
use sts_policy::{TestFailure, TestPassed, run_test};
use sts_types::{CheckCode, Origin, UnixTime};

use super::Loaded;

/// Runs every policy test as of `now`. A test that fails is one finding at its place, with its cause.
#[must_use]
pub fn run_policy_tests(Loaded { compiled, written, .. }: &Loaded, now: UnixTime) -> Diagnostics {
    let mut findings = Diagnostics::default();
    let place = |origin: Origin| written.sources.place(origin);
    for test in &written.tests {
        let finding = match run_test(&compiled.rules, &written.policy, test, now) {
            Ok(TestPassed { warning: None }) => continue,
            Ok(TestPassed { warning: Some(finding) }) => {
                let place = place(finding.origin);
                super::diagnostic(finding, place)
            }
            Err(TestFailure { origin, message, help, .. }) => {
                let message = format!("the policy test {} fails: {message}", quoted(&test.name));
                let place = place(origin).or_else(|| place(test.origin));
                let (code, severity) = (CheckCode::PolicyTestFailed, Severity::TestFailed);
                Diagnostic { code, severity, place, message, help, witness: None }
            }
        };
        findings.push(finding);
    }
    findings
}

/// Keeps what the policy tests want refused beside the rules, so that no fix is advised that would let it in.
pub fn guard(loaded: &mut Loaded, now: UnixTime) {
    let Loaded { compiled, written, .. } = loaded;
    if let Some(rules) = Arc::get_mut(&mut compiled.rules) {
        rules.guard(&written.policy, &written.tests, now);
    }
}
