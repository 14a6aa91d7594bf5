//! The attacks that are shipped as policy tests: what is said about each refusal must not open the door.

use std::path::Path;

use sts_config::AbsentSecrets;
use sts_policy::{Facts, RequestedNames, RuleSet, Verdict};
use sts_types::UnixTime;

use crate::support::NOW;

#[test]
fn fld06_no_attack_is_let_in_by_the_fix_that_is_named_for_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/attacks/sts.yaml");
    let now = UnixTime::from_secs(NOW);
    let (configuration, report) = sts_config::read(&path, &|_| None, AbsentSecrets::Refuse);
    let mut configuration = configuration.unwrap_or_else(|| panic!("{}", report.finish().0.render(false)));
    let tests = std::mem::take(&mut configuration.tests);
    let policy = configuration.into_specs().policy;
    let mut rules = RuleSet::compile(&policy).unwrap_or_else(|findings| panic!("{findings:?}")).rules;
    rules.guard(&policy, &tests, now);
    let mut refused = 0;
    for test in &tests {
        let case = sts_policy::test_case(&rules, &policy, test, now).unwrap_or_else(|error| panic!("{error:?}"));
        if !matches!(rules.verdict(&case), Verdict::Refused { .. }) {
            continue;
        }
        refused += 1;
        let asked = RequestedNames {
            audience: &case.audience,
            resource: &case.resource,
            scope: case.scope.as_deref(),
            ..RequestedNames::default()
        };
        let Ok(requested) = rules.resolve(&asked) else { continue };
        let facts = Facts { entry: &case.entry, claims: &case.claims, now, memberships: &sts_policy::NoDirectory };
        let decision = rules.explain(facts, &requested);
        let line = rules.diagnose(facts, &asked, &decision).unwrap().line();
        for opens in ["write `subject", "in place of", "add the issuer", "`event_name: ", "allow_broad"] {
            assert!(!line.contains(opens), "{}: {line}", test.name);
        }
    }
    assert!(refused > 30, "{refused}");
}
