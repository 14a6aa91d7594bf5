//! The codes of findings: none vanishes or changes its text, and each is made by something that a test does.

#![expect(clippy::unwrap_used, reason = "set-up that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sts::compile::{Purpose, describe_overlaps, load, run_policy_tests};
use sts_types::{CheckCode, UnixTime};

/// Codes that have been released, one in a line. A new code is added here by hand; none is ever removed.
const RELEASED: &str = include_str!("check_codes.txt");

/// Codes that a loader alone does not come to, and where they are tested.
const ELSEWHERE: &[(CheckCode, &str)] = &[
    (CheckCode::InvalidCertificate, "tests/blackbox/check.rs, with certificates"),
    (CheckCode::CertificateExpired, "tests/blackbox/check.rs, with certificates"),
    (CheckCode::CertificateNotYetValid, "sts/server/src/certificate.rs"),
    (CheckCode::CertificateWrongHost, "tests/blackbox/check.rs, with certificates"),
    (CheckCode::UnusableSigningKeys, "tests/blackbox/custody.rs, with signing keys"),
    (CheckCode::ExposedFolder, "tests/blackbox/custody.rs, with folders of a server"),
    (CheckCode::GroupReadableSecret, "tests/blackbox/custody.rs, with groups"),
    (CheckCode::FileTooLarge, "config/src/files.rs"),
    (CheckCode::OverlapsNotAllShown, "policy/src/overlap/tests.rs, with very many identities"),
    (CheckCode::NoAlgorithm, "only of an entry that no configuration makes: jwks-cache judges its specs by itself"),
    (CheckCode::SingleUseWithoutJti, "policy/src/compile/lints.rs"),
    (CheckCode::CustomisedSubject, "policy/src/compile/lints.rs"),
    (CheckCode::PolicyTestUnclear, "policy/src/policy_test.rs"),
    (CheckCode::SharedKey, "jwks-cache/tests"),
    (CheckCode::UnknownActor, "policy/src/compile/delegation.rs"),
    (CheckCode::SelfDelegation, "policy/src/compile/delegation.rs"),
    (CheckCode::ShadowedObject, "sts/server/src/compile/merge.rs, with managed objects"),
    (CheckCode::ConsoleOpen, "policy/src/compile/console.rs"),
    (CheckCode::ReassignableUsername, "policy/src/compile/console.rs"),
    (CheckCode::ConsoleOverlap, "policy/src/compile/console.rs"),
    (CheckCode::AnyTenantIssuer, "sts/server/tests/trust.rs"),
];

#[test]
fn no_code_vanishes_or_is_renamed() {
    let released: Vec<&str> = RELEASED.lines().collect();
    let now: Vec<&str> = CheckCode::ALL.iter().map(|code| code.as_str()).collect();
    for code in &released {
        assert!(now.contains(code), "`{code}` was released, and is none any more: scripts rely on it");
    }
    for code in &now {
        assert!(released.contains(code), "add `{code}` to sts/server/tests/check_codes.txt");
    }
}

#[test]
fn every_code_is_made_in_a_test() {
    let mut made = BTreeSet::new();
    for golden in fs::read_dir("tests/golden").unwrap().map(|entry| entry.unwrap().path()) {
        if golden.extension().is_some_and(|extension| extension == "txt") {
            let text = fs::read_to_string(golden).unwrap();
            made.extend(text.lines().filter_map(|line| Some(line.split_once("= rule: ")?.1.to_owned())));
        }
    }
    for source in [include_str!("single_fault.rs"), include_str!("check_codes/doubts.rs")] {
        let named = |code: &CheckCode| {
            source
                .match_indices(&format!("CheckCode::{code:?}"))
                .any(|(at, name)| !source[at + name.len()..].starts_with(char::is_alphanumeric))
        };
        made.extend(CheckCode::ALL.iter().filter(|code| named(code)).map(|code| code.as_str().to_owned()));
    }
    for (code, _) in ELSEWHERE {
        made.insert(code.as_str().to_owned());
    }
    let idle: Vec<_> = CheckCode::ALL.iter().filter(|code| !made.contains(code.as_str())).collect();
    assert!(idle.is_empty(), "no test makes {idle:?}");
}

#[path = "check_codes/doubts.rs"]
mod doubts;

/// Each doubt about the sound configuration of `tests/single_fault`, changed in one thing.
#[test]
fn every_doubt_has_its_code() {
    for (from, to, code) in doubts::DOUBTS {
        let folder = doubts::sound(from, to);
        let loaded = load(&folder.path().join("sts.yaml"), &|_| None, Purpose::Serve)
            .unwrap_or_else(|findings| panic!("{to}: {}", findings.render(false)));
        let mut findings = loaded.warnings.clone();
        findings.extend(run_policy_tests(&loaded, UnixTime::from_secs(1_790_000_000)));
        let overlaps = loaded.compiled.rules.overlaps(&loaded.written.policy);
        findings.extend(describe_overlaps(&loaded.written, &overlaps));
        assert!(findings.iter().any(|finding| finding.code == *code), "{to}, {code}: {}", findings.render(false));
    }
    assert!(Path::new("tests/single_fault/sts.yaml").exists());
}
