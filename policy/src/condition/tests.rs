//! Tests of single conditions. `oracle` compares random ones with the definition.

use std::hash::BuildHasher as _;

use super::*;
use serde_json::{Map, json};
use smallvec::smallvec;

fn number(text: &str) -> Number {
    serde_json::from_str(text).unwrap()
}

fn text(pattern: &str) -> Matcher {
    Matcher::Text(Pattern::parse(pattern).unwrap())
}

fn on_claim(tests: Vec<Test>) -> Condition {
    let path = Arc::new(ClaimPath::parse("claim").unwrap());
    Condition { path, on_variable: false, or_absent: false, tests: tests.into() }
}

fn any_of(matchers: impl IntoIterator<Item = Matcher>) -> Test {
    Test::AnyOf(matchers.into_iter().collect())
}

fn token(claim: Value) -> ClaimSet {
    Map::from_iter([("c".to_owned(), claim), ("other".to_owned(), json!(1))]).into()
}

fn holds(tests: Tests, or_absent: bool, claim: Value) -> bool {
    Condition { path: Arc::new(ClaimPath::parse("c").unwrap()), on_variable: false, tests, or_absent }
        .holds(&token(claim))
}

#[test]
fn c050_types_never_mix() {
    let number = || Matcher::Number(1.into());
    for (matcher, claim, wanted) in [
        (text("1"), json!("1"), true),
        (text("1"), json!(1), false),
        (number(), json!(1), true),
        (number(), json!(1.0), true),
        (number(), json!("1"), false),
        (number(), json!(true), false),
        (Matcher::Bool(true), json!(true), true),
        (Matcher::Bool(true), json!("true"), false),
        (text("true"), json!(true), false),
        (text("**"), json!({"a": "b"}), false),
        (text("**"), json!([["a"]]), false),
        (text("**"), json!(null), false),
        (text("**"), json!(""), true),
        (text("a"), json!(["b", "a"]), true),
        (text("a"), json!([]), false),
    ] {
        assert_eq!(
            holds(smallvec![Test::AnyOf(smallvec![matcher.clone()])], false, claim.clone()),
            wanted,
            "{matcher:?} {claim}"
        );
    }
}

#[test]
fn c050_nothing_holds_on_an_absent_or_null_claim_unless_it_says_so() {
    let every = || {
        [
            smallvec![Test::AnyOf(smallvec![text("**")])],
            smallvec![Test::AllOf(smallvec![text("**")])],
            smallvec![Test::NoneOf(smallvec![text("x")])],
            smallvec![Test::Regex(Box::new(Expression {
                regex: Regex::new(r"\A(?:.*)\z").unwrap(),
                text: ".*".to_owned()
            }))],
            smallvec![Test::Present(true)],
        ]
    };
    for tests in every() {
        assert!(!holds(tests.clone(), false, Value::Null), "{tests:?}");
        assert!(holds(tests.clone(), true, Value::Null), "{tests:?}");
    }
    assert!(holds(smallvec![Test::Present(false)], false, Value::Null));
    assert!(!holds(smallvec![Test::Present(false)], false, json!("")));
}

#[test]
fn lists_are_judged_by_their_elements() {
    let list = || json!(["a", "b", 3]);
    assert!(holds(smallvec![Test::AllOf(smallvec![text("a"), Matcher::Number(3.into())])], false, list()));
    assert!(!holds(smallvec![Test::AllOf(smallvec![text("a"), text("c")])], false, list()));
    assert!(holds(smallvec![Test::NoneOf(smallvec![text("c"), text("3")])], false, list()));
    assert!(!holds(smallvec![Test::NoneOf(smallvec![text("c"), text("b")])], false, list()));
    assert!(holds(smallvec![Test::NoneOf(smallvec![text("c")])], false, json!([])));
    assert!(!holds(smallvec![Test::AnyOf(smallvec![text("a")]), Test::NoneOf(smallvec![text("b")])], false, list()));
}

#[test]
fn numbers_are_equal_by_value_and_no_fraction_equals_another() {
    for (a, b, wanted) in [
        ("1", "1", true),
        ("1", "1.0", true),
        ("1.0", "1", true),
        ("1.5", "1.5", true),
        ("1.5", "1.25", false),
        ("1.5", "1", false),
        ("1", "1.5", false),
        ("9007199254740993", "9007199254740992", false),
        ("9007199254740993", "9007199254740992.0", false),
        ("18446744073709551615", "18446744073709551614", false),
        ("18446744073709551615", "18446744073709551615", true),
        ("-2", "-2.0", true),
    ] {
        let token = token(Value::Number(number(b)));
        assert_eq!(Matcher::Number(number(a)).fits(token.get("c").unwrap()), wanted, "{a} and {b}");
    }
}

#[test]
fn expressions_are_alike_only_when_written_alike() {
    let of = |text: &str| Expression { regex: Regex::new(text).unwrap(), text: text.to_owned() };
    let hash = |value: &Expression| {
        let state = foldhash::quality::FixedState::default();
        state.hash_one(value)
    };
    assert!(of("a+") == of("a+") && of("a+") != of("a*"));
    assert!(hash(&of("a+")) == hash(&of("a+")) && hash(&of("a+")) != hash(&of("a*")));
}

#[test]
fn a_condition_is_exact_only_where_every_text_that_meets_it_is_written_out() {
    let exact = || any_of([text("a"), text("b")]);
    assert!(on_claim(vec![exact()]).is_exact());
    assert!(on_claim(vec![Test::Present(true), exact()]).is_exact());
    assert!(!Condition { or_absent: true, ..on_claim(vec![exact()]) }.is_exact(), "an absent claim meets it");
    assert!(!on_claim(vec![any_of([text("a"), text("b*")])]).is_exact(), "a pattern is among them");
    assert!(!on_claim(vec![any_of([])]).is_exact());
    assert!(!on_claim(vec![Test::AllOf([text("a")].into_iter().collect())]).is_exact());
    assert!(!on_claim(vec![any_of([Matcher::Bool(true)])]).is_exact());
}

#[test]
fn only_texts_have_a_pattern() {
    assert_eq!(text("a*").pattern().map(Pattern::as_str), Some("a*"));
    assert_eq!(Matcher::Bool(true).pattern(), None);
}

#[test]
fn what_is_expected_says_any_only_of_several() {
    let expected = |test: Test| test.expected();
    assert_eq!(expected(any_of([text("a")])), "\"a\"");
    assert_eq!(expected(any_of([text("a"), Matcher::Number(1.into())])), "any of \"a\", 1");
}

#[test]
fn the_nearest_text_counts() {
    let claims = ClaimSet::from(Map::from_iter([("claim".to_owned(), json!(["main-1", "x", 4]))]));
    let near = |matchers: Vec<Matcher>| on_claim(vec![any_of(matchers)]).likeness(&claims);
    assert_eq!(near(vec![text("mainland"), text("x"), Matcher::Number(4.into())]), 4);
    assert_eq!(near(vec![text("zzz")]), 0);
    assert_eq!(on_claim(vec![Test::NoneOf([text("main-1")].into_iter().collect())]).likeness(&claims), 0);
    assert_eq!(on_claim(vec![any_of([text("main")])]).likeness(&ClaimSet::default()), 0);
}

#[test]
fn a_value_of_another_type_that_is_written_alike_is_told() {
    let hint = |matcher: Matcher, element: Value| {
        matcher.difference(token(element).get("c").unwrap()).map(|difference| difference.text)
    };
    let expected = |rule: &str, token: &str| Some(format!("the rule has {rule}, the token {token}; types never mix"));
    let one = || Matcher::Number(1.into());
    assert_eq!(hint(text("1"), json!(1)), expected("a string", "a number: write it without quotes"));
    assert_eq!(hint(text("true"), json!(true)), expected("a string", "a boolean: write it without quotes"));
    assert_eq!(hint(one(), json!("1")), expected("a number", "a string: write it in quotes"));
    assert_eq!(hint(Matcher::Bool(true), json!("true")), expected("a boolean", "a string: write it in quotes"));
    for (matcher, element) in [
        (text("2"), json!(1)),
        (text("false"), json!(true)),
        (one(), json!("2")),
        (Matcher::Bool(true), json!("false")),
        (one(), json!(2)),
    ] {
        assert_eq!(hint(matcher, element), None);
    }
}
