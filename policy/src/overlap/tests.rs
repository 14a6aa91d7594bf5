//! Tests of overlaps: examples, and a comparison with actual decisions.

use super::*;
use crate::fixture::*;
use crate::{AccountSpec, IdentitySpec};
use proptest::prelude::*;
use serde_json::json;

const MAIN: &str = "repo:octo-org/octo-repo:ref:refs/heads/main";

fn overlaps(accounts: Vec<AccountSpec>) -> Overlaps {
    let spec = spec(accounts);
    rules(&spec).overlaps(&spec)
}

/// Whether the second identity never decides.
fn shadows(first: IdentitySpec, second: IdentitySpec) -> bool {
    let named = |identity: IdentitySpec, name: &str| IdentitySpec {
        name: sts_types::IdentityName::new(name).unwrap(),
        ..identity
    };
    let found = overlaps(vec![account("octo", vec![named(first, "first"), named(second, "second")])]);
    assert!(found.shadowed.iter().all(|pair| pair.identity.as_str() == "second" && pair.by.as_str() == "first"));
    !found.shadowed.is_empty()
}

#[test]
fn c078_an_identity_that_never_decides_is_found() {
    let wide = || subject("i", "repo:octo-org/**");
    let narrow = |granted: &[&str]| IdentitySpec { scopes: Some(scopes(granted)), ..wide() };
    let with = |sub: &str, on: serde_json::Value| claims(subject("i", sub), on);
    for (first, second, wanted) in [
        (wide(), subject("i", MAIN), true),
        (subject("i", MAIN), wide(), false),
        (subject("i", MAIN), subject("i", MAIN), true),
        (subject("i", "repo:octo-org/*:ref:**"), subject("i", "repo:octo-org/a*:ref:refs/heads/*"), true),
        (subject("i", "repo:octo-org/*:ref:refs/heads/*"), subject("i", "repo:octo-org/a:ref:**"), false),
        // An identity that grants less than asked leaves the decision to later ones.
        (narrow(&["read"]), subject("i", MAIN), false),
        (wide(), IdentitySpec { scopes: Some(scopes(&["read"])), ..subject("i", MAIN) }, true),
        (IdentitySpec { enabled: false, ..wide() }, subject("i", MAIN), false),
        (IdentitySpec { not_after: Some(NOW), ..wide() }, subject("i", MAIN), false),
        (
            IdentitySpec { not_after: Some(NOW), ..wide() },
            IdentitySpec { not_after: Some(NOW), ..subject("i", MAIN) },
            true,
        ),
        (with("repo:octo-org/**", json!({ "environment": "prod" })), subject("i", MAIN), false),
        (
            with("repo:octo-org/**", json!({ "environment": ["prod", "dev"] })),
            with(MAIN, json!({ "environment": "prod" })),
            true,
        ),
        (
            with("repo:octo-org/**", json!({ "environment": { "present": true } })),
            with(MAIN, json!({ "environment": "p*" })),
            true,
        ),
        (
            with("repo:octo-org/**", json!({ "environment": "p*" })),
            with(MAIN, json!({ "environment": { "any_of": ["prod"], "or_absent": true } })),
            false,
        ),
        // An identity that does not name `event_name` refuses the banned events, so it shadows none
        // that names it.
        (wide(), with("repo:octo-org/**", json!({ "event_name": "pull_request" })), false),
    ] {
        let case = format!("{:?} before {:?}", first.subject, second.subject);
        assert_eq!(shadows(first, second), wanted, "{case}");
    }
}

fn meeting(a: IdentitySpec, b: IdentitySpec) -> Option<(Option<String>, bool)> {
    let found = overlaps(vec![account("a", vec![a]), account("b", vec![b])]).ambiguous;
    assert!(found.len() < 2);
    found.into_iter().next().map(|pair| (pair.subject, pair.certain))
}

#[test]
fn c078_two_accounts_that_one_token_can_reach_are_found() {
    let certain = |subject: &str| Some((Some(subject.to_owned()), true));
    let may = |subject: &str| Some((Some(subject.to_owned()), false));
    let block = |rule: serde_json::Value| short(identity("i"), "github", rule);
    let with = |sub: &str, on: serde_json::Value| claims(subject("i", sub), on);
    for (a, b, wanted) in [
        (subject("i", MAIN), subject("i", MAIN), certain(MAIN)),
        (subject("i", MAIN), subject("i", "repo:octo-org/**"), certain(MAIN)),
        (
            subject("i", "repo:octo-org/a*:**"),
            subject("i", "repo:octo-org/*b:ref:**"),
            certain("repo:octo-org/ab:ref:"),
        ),
        (subject("i", "repo:octo-org/a:**"), subject("i", "repo:octo-org/b:**"), None),
        (subject("i", MAIN), block(json!({ "repository": "octo-org/octo-repo" })), may(MAIN)),
        (subject("i", MAIN), block(json!({ "repository": "octo-org/other" })), None),
        (block(json!({ "repository_id": 74 })), block(json!({ "repository_id": 75 })), None),
        (block(json!({ "repository_id": 74 })), block(json!({ "repository_id": [74, 75] })), Some((None, true))),
        (
            block(json!({ "repository_id": 74, "environment": "p" })),
            block(json!({ "repository_id": 74, "environment": "q" })),
            None,
        ),
        (
            with(MAIN, json!({ "environment": { "regex": "a|b" } })),
            with(MAIN, json!({ "environment": "a" })),
            may(MAIN),
        ),
        (
            with(MAIN, json!({ "environment": { "none_of": ["p*"] } })),
            with(MAIN, json!({ "environment": "prod" })),
            None,
        ),
    ] {
        let case = format!("{:?} {:?} and {:?} {:?}", a.subject, a.claims, b.subject, b.claims);
        assert_eq!(meeting(a, b), wanted, "{case}");
    }
    let mut spec = spec(vec![account("a", vec![subject("i", MAIN)]), account("b", vec![subject("i", MAIN)])]);
    spec.tokens.require_account = true;
    assert!(rules(&spec).overlaps(&spec).ambiguous.is_empty(), "the account must be named anyway");
}

#[test]
fn a_large_policy_without_overlaps_is_looked_through_to_the_end() {
    let accounts = (0..2_000).map(|n| {
        let block = short(identity("block"), "github", json!({ "repository": format!("o/r{n}"), "repository_id": n }));
        account(&format!("a{n}"), vec![subject("i", &format!("repo:o/r{n}:ref:refs/heads/**")), block])
    });
    let found = overlaps(accounts.collect());
    assert!(found.shadowed.is_empty() && found.ambiguous.is_empty() && !found.incomplete, "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_never_to_decide_never_does(
        written in proptest::collection::vec(
            (
                proptest::option::of(proptest::sample::select(vec!["x", "y", "*", "x*", "?", "**"])),
                proptest::option::of((proptest::sample::select(vec!["x", "y", "*"]), any::<bool>())),
                proptest::option::of(proptest::sample::select(vec!["create", "read"])),
            ),
            2..4,
        ),
    ) {
        let identities: Vec<IdentitySpec> = written.iter().enumerate().map(|(n, (sub, claim, narrowed))| {
            let name = format!("i{n}");
            let own = sub.map_or(identity(&name), |sub| subject(&name, sub));
            let own = match claim {
                Some((text, or_absent)) => claims(own, json!({ "c": { "any_of": [text], "or_absent": or_absent } })),
                None => own,
            };
            of("own", IdentitySpec { scopes: narrowed.map(|scope| scopes(&[scope])), ..own })
        }).collect();
        let mut spec = spec(vec![account("octo", identities)]);
        spec.issuers = vec![issuer("own", "https://own.example")];
        let rules = rules(&spec);
        let shadowed: Vec<String> = rules.overlaps(&spec).shadowed.iter().map(|pair| pair.identity.to_string()).collect();
        for sub in ["x", "y", "z", "xx", ":"] {
            for claim in [json!("x"), json!("y"), json!("z"), json!(null)] {
                for scope in ["", "create", "read", "create read"] {
                    let token = json!({ "sub": sub, "aud": OURS, "c": claim }).as_object().cloned().unwrap().into();
                    let out = outcome_of(&rules, "own", &token, &ask(&rules, &["octo"], scope));
                    prop_assert!(!shadowed.iter().any(|identity| out.starts_with(&format!("octo/{identity}:"))), "{} decides", out);
                }
            }
        }
    }
}
