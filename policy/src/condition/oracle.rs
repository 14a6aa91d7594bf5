//! Checks conditions against a naive implementation of their definition.

use crate::fixture::*;
use crate::{IdentitySpec, RuleSet};
use proptest::prelude::*;
use serde_json::{Value, json};
use sts_claims::ClaimSet;

/// Whether one element meets one wanted value by the definition. A pattern is tried in every way.
fn fits(wanted: &Value, element: &Value) -> bool {
    match (wanted, element) {
        (Value::String(pattern), Value::String(text)) => {
            glob(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => false,
    }
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    let separator = |c: &char| matches!(c, ':' | '/');
    match pattern {
        [] => text.is_empty(),
        ['*', '*', rest @ ..] => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        ['*', rest @ ..] => {
            let most = text.iter().take_while(|c| !separator(c)).count();
            (0..=most).any(|n| glob(rest, &text[n..]))
        }
        ['?', rest @ ..] => text.first().is_some_and(|c| !separator(c)) && glob(rest, &text[1..]),
        [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

/// Whether a claim meets a condition.
fn oracle(condition: &Value, claim: &Value) -> bool {
    let object = match condition {
        Value::Object(object) => object.clone(),
        Value::Array(list) => json!({ "any_of": list }).as_object().cloned().unwrap(),
        one => json!({ "any_of": [one] }).as_object().cloned().unwrap(),
    };
    if claim.is_null() {
        return object.get("or_absent") == Some(&json!(true)) || object.get("present") == Some(&json!(false));
    }
    let elements = match claim {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let some = |wanted: &Value| elements.iter().any(|element| fits(wanted, element));
    object.iter().all(|(member, value)| match member.as_str() {
        "any_of" => value.as_array().unwrap().iter().any(some),
        "all_of" => value.as_array().unwrap().iter().all(some),
        "none_of" => !value.as_array().unwrap().iter().any(some),
        "present" => value == &json!(true),
        _ => true,
    })
}

fn value() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        json!("a"),
        json!("ab"),
        json!("a:b"),
        json!("1"),
        json!("true"),
        json!(1),
        json!(2),
        json!(true),
        json!(false),
    ])
}

fn wanted() -> impl Strategy<Value = Value> {
    let pattern =
        proptest::sample::select(vec![json!("a*"), json!("*"), json!("**"), json!("?"), json!("a?b"), json!("*:b")]);
    prop_oneof![value(), pattern]
}

fn condition() -> impl Strategy<Value = Value> {
    let list = || proptest::collection::vec(wanted(), 1..3);
    let object = (
        proptest::option::of(list()),
        proptest::option::of(list()),
        proptest::option::of(list()),
        proptest::option::of(any::<bool>()),
        any::<bool>(),
    );
    prop_oneof![
        wanted(),
        list().prop_map(Value::from),
        object.prop_map(|(any_of, all_of, none_of, present, or_absent)| {
            let mut object = json!({ "or_absent": or_absent });
            for (name, list) in [("any_of", any_of), ("all_of", all_of), ("none_of", none_of)] {
                list.into_iter().for_each(|list| object[name] = list.into());
            }
            present.into_iter().for_each(|present| object["present"] = present.into());
            object
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn c050_a_condition_means_what_its_definition_says(
        condition in condition(),
        claim in prop_oneof![
            Just(Value::Null),
            value(),
            proptest::collection::vec(value(), 0..4).prop_map(Value::from),
            Just(json!({ "a": "b" })),
        ],
    ) {
        let identity = of("own", claims(subject("i", "job"), json!({ "c": condition })));
        let mut spec = spec(vec![account("octo", vec![IdentitySpec { allow_broad: None, ..identity }])]);
        spec.issuers = vec![issuer("own", "https://own.example")];
        // `compile` refuses conditions without a meaning, such as an empty list.
        let Ok(compiled) = RuleSet::compile(&spec) else { return Ok(()) };
        let token: ClaimSet = json!({ "sub": "job", "aud": OURS, "c": claim }).as_object().cloned().unwrap().into();
        let outcome = outcome_of(&compiled.rules, "own", &token, &ask(&compiled.rules, &["octo"], ""));
        prop_assert_eq!(outcome.starts_with("octo/i"), oracle(&condition, &claim), "{} on {}", condition, claim);
    }
}
