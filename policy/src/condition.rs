//! Compiled conditions on claims.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use regex::Regex;
use serde_json::{Number, Value};
use smallvec::SmallVec;
use sts_claims::{ClaimPath, ClaimSet, Json, JsonKind};

use crate::diagnosis::difference::{self, Difference};
use crate::pattern::Pattern;

/// A condition on one claim.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    /// The claim, or the variable of the issuer template.
    pub(crate) path: Arc<ClaimPath>,
    /// Whether `path` is a variable of the issuer template. Its value comes from the token's `iss`.
    pub(crate) on_variable: bool,
    /// All of these must hold.
    pub(crate) tests: Tests,
    /// Whether an absent claim meets the condition.
    pub(crate) or_absent: bool,
}

/// Tests that must all hold. Usually one.
pub(crate) type Tests = SmallVec<[Test; 1]>;

/// Accepted values. Usually one.
pub(crate) type Matchers = SmallVec<[Matcher; 1]>;

/// One test of a claim that is present. A scalar claim counts as a list of one element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    /// Some element meets one of these.
    AnyOf(Matchers),
    /// Each of these is met by some element.
    AllOf(Matchers),
    /// No element meets any of these.
    NoneOf(Matchers),
    /// Some element is a string that this expression matches.
    Regex(Box<Expression>),
    /// The claim is present (`true`) or absent (`false`). `false` is always the only test.
    Present(bool),
}

/// A regular expression, anchored at both ends.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) regex: Regex,
    /// The expression as written, without the anchors.
    pub(crate) text: String,
}

/// Expressions are equal when their texts are.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// One accepted value. Types never mix: `"1"` is not `1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Matcher {
    /// A string that the pattern matches.
    Text(Pattern),
    /// An equal number.
    Number(Number),
    /// An equal boolean.
    Bool(bool),
}

impl Condition {
    /// Whether `claims` meet the condition. An absent or null claim meets only `or_absent` and
    /// `present: false`; not even `none_of` holds without the claim.
    pub(crate) fn holds(&self, claims: &ClaimSet) -> bool {
        match claims.find(&self.path) {
            None => self.or_absent || matches!(self.tests.as_slice(), [Test::Present(false)]),
            Some(value) => self.tests.iter().all(|test| test.holds(value)),
        }
    }

    /// The accepted values, as text for people.
    pub(crate) fn expected(&self) -> String {
        let mut text = self.tests.iter().map(Test::expected).collect::<Vec<_>>().join(" and ");
        if self.or_absent {
            text.push_str(", or absent");
        }
        text
    }

    /// How the claim differs from the accepted values, if the difference is easy to overlook.
    pub(crate) fn difference(&self, claims: &ClaimSet) -> Option<Difference> {
        let value = claims.find(&self.path)?;
        self.tests.iter().filter(|test| !test.holds(value)).find_map(|test| match test {
            Test::AnyOf(wanted) | Test::AllOf(wanted) => {
                let differences = || {
                    wanted.iter().flat_map(|matcher| value.elements().filter_map(|element| matcher.difference(element)))
                };
                differences().find(|difference| difference.is_spelling).or_else(|| differences().next())
            }
            Test::NoneOf(_) | Test::Regex(_) | Test::Present(_) => None,
        })
    }

    /// The exact texts one of which the claim must have. `None` if the condition also accepts other
    /// values, an absent claim, or is not on a claim.
    pub(crate) fn exact_texts(&self) -> Option<Vec<&str>> {
        // The index looks texts up in the token's claims, where variables are not.
        if self.or_absent || self.on_variable {
            return None;
        }
        self.tests.iter().find_map(|test| match test {
            Test::AnyOf(matchers) => matchers.iter().map(Matcher::exact_text).collect(),
            _ => None,
        })
    }

    /// Whether the condition accepts only texts without wildcards.
    pub(crate) fn is_exact(&self) -> bool {
        let exact =
            |matchers: &[Matcher]| !matchers.is_empty() && matchers.iter().all(|one| one.exact_text().is_some());
        !self.or_absent && self.tests.iter().any(|test| matches!(test, Test::AnyOf(any) if exact(any)))
    }

    /// Whether the condition is met only by values that it lists without wildcards.
    pub(crate) fn lists_exact_values(&self) -> bool {
        let is_exact = |matcher: &Matcher| matcher.pattern().is_none_or(Pattern::is_exact);
        let lists = |test: &Test| matches!(test, Test::AnyOf(any) if !any.is_empty() && any.iter().all(is_exact));
        !self.or_absent && self.tests.iter().any(lists)
    }

    /// Whether the condition demands an answer of a yes-or-no claim, such as `ref_protected: "true"`.
    /// One more accepted value would lift it.
    pub(crate) fn is_guard(&self) -> bool {
        let is_answer = |matcher: &Matcher| match matcher {
            Matcher::Text(_) => matcher.exact_text().is_some_and(|text| matches!(text, "true" | "false")),
            Matcher::Bool(_) => true,
            Matcher::Number(_) => false,
        };
        let demands = |test: &Test| match test {
            Test::AnyOf(values) | Test::AllOf(values) | Test::NoneOf(values) => {
                !values.is_empty() && values.iter().all(is_answer)
            }
            Test::Regex(_) | Test::Present(_) => false,
        };
        !self.on_variable && self.tests.iter().any(demands)
    }

    /// The name of the claim. A pointer of one step counts as the claim's name. Empty for a condition on a
    /// variable.
    pub(crate) fn claim_name(&self) -> &str {
        if self.on_variable {
            return "";
        }
        match self.path.as_str().strip_prefix('/') {
            Some(rest) if !rest.contains('/') => self.path.claim(),
            _ => self.path.as_str(),
        }
    }

    /// A text that meets the first `any_of` that accepts one.
    pub(crate) fn example(&self) -> Option<String> {
        self.tests.iter().find_map(|test| match test {
            Test::AnyOf(matchers) => matchers.iter().find_map(|matcher| match matcher {
                Matcher::Text(pattern) => Some(pattern.example()),
                Matcher::Number(_) | Matcher::Bool(_) => None,
            }),
            _ => None,
        })
    }

    /// How much of a wanted text the claim has, in characters, for ranking near misses. The best
    /// pair of matcher and element counts.
    pub(crate) fn likeness(&self, claims: &ClaimSet) -> usize {
        let Some(value) = claims.find(&self.path) else { return 0 };
        let patterns = self.tests.iter().flat_map(|test| match test {
            Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.as_slice(),
            _ => &[],
        });
        let pairs = patterns.flat_map(|matcher| value.elements().map(move |element| (matcher, element)));
        pairs.map(|(matcher, element)| matcher.likeness(element)).max().unwrap_or(0)
    }
}

impl Test {
    fn holds(&self, value: Json<'_>) -> bool {
        match self {
            Self::AnyOf(any) => any.iter().any(|matcher| value.elements().any(|element| matcher.fits(element))),
            Self::AllOf(all) => all.iter().all(|matcher| value.elements().any(|element| matcher.fits(element))),
            Self::NoneOf(none) => !none.iter().any(|matcher| value.elements().any(|element| matcher.fits(element))),
            Self::Regex(expression) => {
                value.elements().any(|element| element.as_str().is_some_and(|text| expression.regex.is_match(text)))
            }
            Self::Present(present) => *present,
        }
    }

    fn expected(&self) -> String {
        let list = |matchers: &[Matcher]| matchers.iter().map(Matcher::expected).collect::<Vec<_>>().join(", ");
        match self {
            Self::AnyOf(any) if any.len() == 1 => list(any),
            Self::AnyOf(any) => format!("any of {}", list(any)),
            Self::AllOf(all) => format!("all of {}", list(all)),
            Self::NoneOf(none) => format!("none of {}", list(none)),
            Self::Regex(expression) => {
                format!("a text that matches the regular expression {}", Value::from(expression.text.as_str()))
            }
            Self::Present(true) => "any value".to_owned(),
            Self::Present(false) => "no such claim".to_owned(),
        }
    }
}

impl Matcher {
    /// Whether the matcher accepts one element of a claim.
    pub(crate) fn fits(&self, element: Json<'_>) -> bool {
        match (self, element.kind()) {
            (Self::Text(pattern), JsonKind::Text(text)) => pattern.matches(text),
            (Self::Number(wanted), JsonKind::Number(number)) => equal(wanted, number),
            (Self::Bool(wanted), JsonKind::Bool(value)) => *wanted == value,
            _ => false,
        }
    }

    /// The accepted value, as JSON text.
    fn expected(&self) -> String {
        match self {
            Self::Text(pattern) => Value::from(pattern.as_str()).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
        }
    }

    /// The pattern, unless the matcher is a number or boolean.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::Text(pattern) => Some(pattern),
            Self::Number(_) | Self::Bool(_) => None,
        }
    }

    fn exact_text(&self) -> Option<&str> {
        match self {
            Self::Text(pattern) if pattern.is_exact() => Some(pattern.literal_head()),
            _ => None,
        }
    }

    fn likeness(&self, element: Json<'_>) -> usize {
        match (self, element.kind()) {
            (Self::Text(pattern), JsonKind::Text(text)) => difference::likeness(pattern, text),
            _ => 0,
        }
    }

    fn difference(&self, element: Json<'_>) -> Option<Difference> {
        let mixed = |wanted: &str, sent: &str| {
            let text = format!("the rule has {wanted}, the token {sent}; types never mix");
            Some(Difference { text, is_spelling: true })
        };
        match (self, element.kind()) {
            (Self::Text(pattern), JsonKind::Text(text)) => difference::between(pattern, text),
            (Self::Text(pattern), JsonKind::Number(number)) if pattern.literal_head() == number.to_string() => {
                mixed("a string", "a number: write it without quotes")
            }
            (Self::Text(pattern), JsonKind::Bool(value)) if pattern.literal_head() == value.to_string() => {
                mixed("a string", "a boolean: write it without quotes")
            }
            (Self::Number(number), JsonKind::Text(text)) if text == number.to_string() => {
                mixed("a number", "a string: write it in quotes")
            }
            (Self::Bool(value), JsonKind::Text(text)) if text == value.to_string() => {
                mixed("a boolean", "a string: write it in quotes")
            }
            _ => None,
        }
    }
}

/// Compares numbers by value: `1` equals `1.0`. Integers are compared as integers, so rounding
/// never makes two of them equal.
fn equal(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        (Some(integer), None) => is_integer(b, integer),
        (None, Some(integer)) => is_integer(a, integer),
    }
}

/// Whether a number written with a fraction or exponent is exactly `integer`.
fn is_integer(number: &Number, integer: i128) -> bool {
    /// 2^53. Above it not every integer has a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_f64().is_some_and(|float| {
        #[expect(clippy::cast_possible_truncation, reason = "within 2^53 and without fraction the cast is exact")]
        let whole = float as i128;
        float.fract() == 0.0 && float.abs() <= EXACT && whole == integer
    })
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
