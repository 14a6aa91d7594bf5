//! A proposed fix must suffice, be safe, and load. These tests read the text of each fix, make the
//! change, and decide again.

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};
use sts_claims::ClaimSet;

use crate::fixture::*;
use crate::{ConditionSpec, Facts, IdentitySpec, Outcome, RequestedNames, RuleSet, ScalarSpec, Spec};

/// Values for tokens and rules, with near misses among them.
const SUBJECTS: [&str; 9] = [
    "repo:octo-org/octo-repo:ref:refs/heads/main",
    "repo:octo-org/octo-repo:ref:refs/heads/a/b",
    "repo:octo-org/octo-repo:ref:refs/heads/*",
    "repo:Octo-Org/octo-repo:ref:refs/heads/main",
    "repo:octo-org@65/octo-repo@74:ref:refs/heads/main",
    "repo:octo-org/octo-repo:environment:prod",
    "repo:octo-org/other:ref:refs/heads/main",
    "repo:evil-org/octo-repo:ref:refs/heads/main",
    "repo:octo-org/octo-repo:pull_request",
];
const ENVIRONMENTS: [&str; 4] = ["prod", "Prod", "staging", "prod "];
const REFS: [&str; 4] = ["refs/heads/main", "main", "refs/heads/dev", "refs/tags/v1"];
const IDS: [&str; 3] = ["74", "75", "octo-repo"];
const EVENTS: [&str; 3] = ["push", "pull_request_target", "workflow_dispatch"];

fn one_of(all: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(proptest::sample::select(all.to_vec()))
}

fn rule() -> impl Strategy<Value = IdentitySpec> {
    (one_of(&SUBJECTS), one_of(&ENVIRONMENTS), one_of(&REFS), one_of(&IDS), any::<bool>()).prop_map(
        |(own_subject, environment, own_ref, id, number)| {
            let mut all = Map::new();
            let pairs = [("environment", environment), ("ref", own_ref), ("repository_id", id)];
            all.extend(pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
            if number {
                all.insert("run_number".to_owned(), json!(7));
            }
            let base = own_subject.map_or_else(|| identity("i"), |pattern| subject("i", pattern));
            claims(base, Value::Object(all))
        },
    )
}

fn sent() -> impl Strategy<Value = Value> {
    let subjects = one_of(&SUBJECTS);
    (subjects, one_of(&ENVIRONMENTS), one_of(&REFS), one_of(&IDS), one_of(&EVENTS), any::<bool>(), any::<bool>())
        .prop_map(|(sub, environment, own_ref, id, event, text, audience)| {
            let mut all = Map::new();
            let pairs = [
                ("sub", sub),
                ("environment", environment),
                ("ref", own_ref),
                ("repository_id", id),
                ("event_name", event),
            ];
            all.extend(pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
            all.insert("run_number".to_owned(), if text { json!("7") } else { json!(7) });
            if audience {
                all.insert("aud".to_owned(), json!("https://sts.example.com/"));
            }
            Value::Object(all)
        })
}

/// Tokens that strangers can get if the owner can get `token`.
fn attacks(token: &ClaimSet) -> Vec<ClaimSet> {
    let with = |changes: Value| {
        let mut claims = token.to_map();
        claims.extend(changes.as_object().unwrap().clone());
        ClaimSet::from(claims)
    };
    let sub = token.text("sub").unwrap_or_default();
    let theirs = sub
        .replacen("octo-org", "evil-org", 1)
        .replacen("Octo-Org", "evil-org", 1)
        .replace("@65", "@1")
        .replace("@74", "@2");
    vec![
        with(
            json!({ "sub": theirs, "repository": "evil-org/octo-repo", "repository_owner": "evil-org", "repository_id": "1", "repository_owner_id": "2" }),
        ),
        with(json!({ "event_name": "pull_request_target" })),
        with(json!({ "event_name": "issue_comment" })),
    ]
}

fn granted(rules: &RuleSet, token: &ClaimSet, request_names: &RequestedNames<'_>) -> bool {
    let Ok(requested) = rules.resolve(request_names) else { return false };
    let entry = entry("github");
    matches!(
        rules.decide(Facts { entry: &entry, claims: token, now: NOW, memberships: &crate::NoDirectory }, &requested),
        Outcome::Granted(_)
    )
}

/// Applies the owner's change according to its text.
fn changed(spec: &Spec, text: &str) -> Spec {
    let mut spec = spec.clone();
    let identity = spec.accounts[0].identities.first_mut().unwrap();
    let item = Regex::new(r#"`([^`:]+): ("(?:[^"\\]|\\.)*"|true|false|-?\d+)`"#).unwrap();
    for found in item.captures_iter(text) {
        let value: Value = serde_json::from_str(&found[2]).unwrap();
        if &found[1] == "subject" {
            identity.subject = Some(at(value.as_str().unwrap().to_owned()));
            continue;
        }
        let scalar = match value {
            Value::String(text) => ScalarSpec::Text(text),
            Value::Number(number) => ScalarSpec::Number(number),
            Value::Bool(value) => ScalarSpec::Bool(value),
            other => panic!("{other}"),
        };
        let place = identity.claims.iter_mut().find(|(name, _)| name.value == found[1]).unwrap();
        place.1 = ConditionSpec::Scalar(at(scalar));
    }
    let moved = Regex::new("`([^`]+)` in place of `([^`]+)`").unwrap();
    for found in moved.captures_iter(text) {
        let place = identity.claims.iter_mut().find(|(name, _)| name.value == found[2]).unwrap();
        place.0.value = found[1].to_owned();
    }
    spec
}

/// Sets the claims that a fix names to the token's own values.
fn conformed(spec: &Spec, text: &str, token: &ClaimSet) -> Spec {
    let mut spec = spec.clone();
    let identity = spec.accounts[0].identities.first_mut().unwrap();
    for (name, condition) in &mut identity.claims {
        if text.contains(&format!("`{}` to ", name.value)) {
            *condition = ConditionSpec::Scalar(at(ScalarSpec::Text(token.text(&name.value).unwrap().to_owned())));
        }
    }
    if text.contains("`subject` to ") {
        identity.subject = Some(at(token.text("sub").unwrap().to_owned()));
    }
    spec
}

/// Applies the caller's change to the token. `None` if it names a pattern, which has many values.
fn presented(token: &ClaimSet, text: &str) -> Option<ClaimSet> {
    let mut claims = token.to_map();
    let item = Regex::new(r#"whose `([^`]+)` (is|matches) ("(?:[^"\\]|\\.)*"|true|false|-?\d+)"#).unwrap();
    for found in item.captures_iter(text) {
        let value: Value = serde_json::from_str(&found[3]).unwrap();
        let value = if &found[2] == "matches" { Value::from(value.as_str()?.replace('*', "x")) } else { value };
        claims.insert(found[1].to_owned(), value);
    }
    if text.contains("another event") {
        claims.insert("event_name".to_owned(), "push".into());
    }
    Some(claims.into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fld06_a_fix_that_is_named_suffices_is_safe_and_loads(rule in rule(), sent in sent()) {
        let spec = spec(vec![account("octo", vec![rule])]);
        let Ok(compiled) = RuleSet::compile(&spec) else { return Ok(()) };
        let rules = compiled.rules;
        let token = token(sent);
        let audience = words(&["octo"]);
        let request_names = RequestedNames { audience: &audience, ..RequestedNames::default() };
        let entry = entry("github");
        let facts = Facts { entry: &entry, claims: &token, now: NOW, memberships: &crate::NoDirectory };
        let decision = rules.explain(facts, &rules.resolve(&request_names).unwrap());
        let Some(diagnosis) = rules.diagnose(facts, &request_names, &decision) else { return Ok(()) };
        let Some(fix) = &diagnosis.fix else { return Ok(()) };
        let owner = Regex::new("(?:^|, or )write (.+?) in `i` of `octo`").unwrap();
        if let Some(found) = owner.captures(fix) {
            let after = changed(&spec, &found[1]);
            let after = RuleSet::compile(&after).unwrap_or_else(|errors| panic!("{fix}: {errors:?}")).rules;
            prop_assert!(granted(&after, &token, &request_names), "{fix}");
            for attack in attacks(&token) {
                prop_assert!(!granted(&after, &attack, &request_names) || granted(&rules, &attack, &request_names), "{fix}: {:?}", attack.to_map());
            }
        }
        let caller = owner.replace_all(fix, "");
        // The rule has a form that no token has. With the token's own value there, the rest of the
        // fix must suffice.
        let rules = match Regex::new("^in `i` of `octo`, change (.+?)(?:, and |$)").unwrap().captures(fix) {
            Some(found) => RuleSet::compile(&conformed(&spec, &found[1], &token)).unwrap().rules,
            None => rules,
        };
        prop_assert!(!fix.starts_with("in `i` of `octo`, change ") || fix.contains("present a token") || fix.contains("another event") || granted(&rules, &token, &request_names), "{fix}");
        if let Some(token) = presented(&token, &caller).filter(|_| caller.contains("present a token") || caller.contains("another event")) {
            prop_assert!(granted(&rules, &token, &request_names), "{fix}: {:?}", token.to_map());
        }
    }
}

#[test]
fn fld06_trust_in_another_issuer_is_never_the_fix() {
    let mut spec =
        spec(vec![account("octo", vec![of("gitlab", claims(identity("i"), json!({ "project_id": "20" })))])]);
    spec.issuers.push(issuer("gitlab", "https://gitlab.com"));
    let rules = rules(&spec);
    let audience = words(&["octo"]);
    let request_names = RequestedNames { audience: &audience, ..RequestedNames::default() };
    let (entry, claims) = (entry("github"), token(json!({})));
    let facts = Facts { entry: &entry, claims: &claims, now: NOW, memberships: &crate::NoDirectory };
    let decision = rules.explain(facts, &rules.resolve(&request_names).unwrap());
    let fix = rules.diagnose(facts, &request_names, &decision).unwrap().fix.unwrap();
    assert!(fix.starts_with("present a token of issuer entry `gitlab` (`iss` `https://gitlab.com`)"), "{fix}");
    assert!(!fix.contains("add"), "{fix}");
}

#[test]
fn fld06_a_change_that_a_policy_test_forbids_is_not_advised() {
    let rule = claims(identity("i"), json!({ "repository_id": "74", "environment": "prod" }));
    let spec = spec(vec![account("octo", vec![rule])]);
    let said = |rules: &RuleSet| {
        let audience = words(&["octo"]);
        let request_names = RequestedNames { audience: &audience, ..RequestedNames::default() };
        let (entry, claims) = (entry("github"), token(json!({ "environment": "staging" })));
        let facts = Facts { entry: &entry, claims: &claims, now: NOW, memberships: &crate::NoDirectory };
        let decision = rules.explain(facts, &rules.resolve(&request_names).unwrap());
        rules.diagnose(facts, &request_names, &decision).unwrap().fix.unwrap()
    };
    let mut guarded = rules(&spec);
    assert!(said(&guarded).contains("write `environment: \"staging\"` in `i` of `octo`"), "{}", said(&guarded));
    let test = crate::TestSpec {
        origin: sts_types::Origin::NONE,
        name: "staging stays out".to_owned(),
        token: crate::TestTokenSpec {
            preset: Some(at("github-actions".to_owned())),
            claims: Map::from_iter([("environment".to_owned(), json!("staging"))]),
            groups: vec![],
        },
        issuer: None,
        account: Some(at("octo".to_owned())),
        audience: vec![],
        resource: vec![],
        scope: None,
        expect: crate::Expectation::Deny,
        because: None,
    };
    guarded.guard(&spec, &[test], NOW);
    assert!(!said(&guarded).contains("in `i` of `octo`"), "{}", said(&guarded));
    assert!(said(&guarded).contains("present a token whose `environment` is \"prod\""), "{}", said(&guarded));
}

#[test]
fn a_condition_on_a_yes_or_no_claim_is_never_advised_away() {
    let rule = claims(identity("i"), json!({ "repository_id": "74", "ref_protected": "true" }));
    let rules = rules(&spec(vec![account("octo", vec![rule])]));
    let audience = words(&["octo"]);
    let request_names = RequestedNames { audience: &audience, ..RequestedNames::default() };
    let (entry, claims) = (entry("github"), token(json!({ "ref_protected": "false" })));
    let facts = Facts { entry: &entry, claims: &claims, now: NOW, memberships: &crate::NoDirectory };
    let decision = rules.explain(facts, &rules.resolve(&request_names).unwrap());
    let fix = rules.diagnose(facts, &request_names, &decision).unwrap().fix.unwrap();
    assert!(fix.contains("ref_protected") && !fix.contains("write `ref_protected"), "{fix}");
}
