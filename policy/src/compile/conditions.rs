//! Compiles conditions on claims.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use smallvec::smallvec;
use sts_claims::ClaimPath;
use sts_types::{CheckCode, IssuerTemplate, Located};

use crate::condition::{Condition, Expression, Matcher, Matchers, Test, Tests};
use crate::finding::{Findings, name_help, quoted};
use crate::pattern::Pattern;
use crate::preset::{MemberPath, ShortRule};
use crate::{ConditionObject, ConditionSpec, IssuerSpec, Preset, ScalarSpec, ShortRuleSpec};

/// The meaning of unquoted numbers and booleans in a condition.
#[derive(Clone, Copy)]
enum BareScalars {
    /// A number or boolean.
    Value,
    /// An error, because this platform sends the claim as a string.
    Quote(Preset),
    /// A string: short rules spare their authors the quotes.
    Text,
}

/// Compiles `claims:` for tokens of `issuers`.
pub(super) fn claims(
    members: &[(Located<String>, ConditionSpec)],
    issuers: &[&IssuerSpec],
    findings: &mut Findings,
) -> Vec<Condition> {
    let one = |(name, spec): &(Located<String>, ConditionSpec)| {
        let path = path(name, findings)?;
        if let Some(template) = variable_of(name, issuers, findings) {
            let condition = condition(path, spec, BareScalars::Text, name, findings)?;
            refuse_impossible(&condition, name, template, findings);
            return Some(Condition { on_variable: true, ..condition });
        }
        let text_claim =
            issuers.iter().filter_map(|issuer| issuer.preset).find(|preset| preset.is_text_claim(path.as_str()));
        let plain = text_claim.map_or(BareScalars::Value, BareScalars::Quote);
        condition(path, spec, plain, name, findings)
    };
    members.iter().filter_map(one).collect()
}

/// The issuer template that has `name` as a variable. The condition is then on the variable's value
/// in `iss`; a claim of the same name must be written as a pointer.
fn variable_of<'a>(
    name: &Located<String>,
    issuers: &[&'a IssuerSpec],
    findings: &mut Findings,
) -> Option<&'a IssuerTemplate> {
    let has = |template: &&IssuerTemplate| template.names().any(|variable| variable == name.value);
    let mut templates = issuers.iter().filter_map(|issuer| issuer.issuer.value.template().filter(has));
    let template = templates.next()?;
    if templates.count() + 1 < issuers.len() {
        let message = format!("{} is a variable of one of these issuers, and a claim of another", quoted(&name.value));
        findings.error(
            CheckCode::AmbiguousVariable,
            name.origin,
            message,
            "write an identity for each of them".to_owned(),
        );
    }
    Some(template)
}

/// Reports a value in a condition on a variable that the template's rules exclude.
fn refuse_impossible(
    condition: &Condition,
    name: &Located<String>,
    template: &IssuerTemplate,
    findings: &mut Findings,
) {
    let listed = condition.tests.iter().flat_map(|test| match test {
        Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.as_slice(),
        Test::NoneOf(_) | Test::Regex(_) | Test::Present(_) => &[],
    });
    for pattern in listed.filter_map(Matcher::pattern).filter(|pattern| pattern.is_exact()) {
        if !template.accepts(&name.value, pattern.literal_head()) {
            let message = format!(
                "{} cannot stand for `{{{}}}` in {}",
                quoted(pattern.literal_head()),
                name.value,
                quoted(template.as_str())
            );
            findings.error(
                CheckCode::ImpossibleCondition,
                name.origin,
                message,
                "write a value that the issuer entry's `variables` allow".to_owned(),
            );
        }
    }
}

pub(super) fn short_rule(spec: &ShortRuleSpec, rule: &ShortRule, findings: &mut Findings) -> Vec<Condition> {
    if spec.members.is_empty() {
        let help = format!("write what to match, such as `{}`", rule.members.first().map_or("", |(name, _)| name));
        findings.error(CheckCode::EmptyCondition, spec.key.origin, format!("`{}:` is empty", rule.key), help);
    }
    let one = |(name, spec): &(Located<String>, ConditionSpec)| {
        let member = rule.members.iter().find(|(key, _)| *key == name.value);
        let open = rule.open_prefix.is_some_and(|prefix| name.value.starts_with(prefix));
        let (text, plain) = match member {
            Some((_, MemberPath::Path(path))) => (*path, BareScalars::Text),
            Some((_, MemberPath::Value(path))) => (*path, BareScalars::Value),
            Some((claim, MemberPath::Same)) => (*claim, BareScalars::Text),
            None if open => (name.value.as_str(), BareScalars::Text),
            None => {
                let message = format!("`{}:` has no member {}", rule.key, quoted(&name.value));
                let meant = rule.suggested_for(&name.value).map(|member| format!("write `{member}`"));
                let help = meant.or_else(|| name_help(&name.value, rule.members.iter().map(|(member, _)| *member)));
                findings.error(
                    CheckCode::UnknownKey,
                    name.origin,
                    message,
                    help.or_else(|| Some("write it under `claims:`".to_owned())),
                );
                return None;
            }
        };
        let path = path(&Located::new(text.to_owned(), name.origin), findings)?;
        condition(path, spec, plain, name, findings)
    };
    spec.members.iter().filter_map(one).collect()
}

/// Parses a pattern, or reports it and returns `None`.
pub(super) fn pattern(text: &Located<String>, findings: &mut Findings) -> Option<Pattern> {
    match Pattern::parse(&text.value) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            findings.error(
                CheckCode::InvalidPattern,
                text.origin,
                format!("{} is not a pattern", quoted(&text.value)),
                error.to_string(),
            );
            None
        }
    }
}

/// Parses a claim name or pointer, or reports it and returns `None`.
pub(super) fn path(text: &Located<String>, findings: &mut Findings) -> Option<ClaimPath> {
    match ClaimPath::parse(&text.value) {
        Ok(path) => Some(path),
        Err(error) => {
            findings.error(
                CheckCode::InvalidClaimName,
                text.origin,
                format!("{} is not the name of a claim", quoted(&text.value)),
                error.to_string(),
            );
            None
        }
    }
}

fn condition(
    path: ClaimPath,
    spec: &ConditionSpec,
    plain: BareScalars,
    name: &Located<String>,
    findings: &mut Findings,
) -> Option<Condition> {
    let before = findings.errors();
    let (tests, or_absent) = match spec {
        ConditionSpec::Scalar(scalar) => (smallvec![Test::AnyOf(smallvec![matcher(scalar, plain, findings)?])], false),
        ConditionSpec::AnyOf(scalars) => (smallvec![Test::AnyOf(matchers(scalars, plain, name, findings))], false),
        ConditionSpec::Object(object) => (tests(object, plain, name, findings), object.or_absent),
    };
    // Without one of its tests, the rule would seem too broad.
    if findings.errors() > before {
        return None;
    }
    if tests.is_empty() {
        let message = format!("the condition on {} tests nothing", quoted(&name.value));
        findings.error(CheckCode::EmptyCondition, name.origin, message, "write a value, or `present: true`".to_owned());
        return None;
    }
    Some(Condition { path: Arc::new(path), on_variable: false, tests, or_absent })
}

fn tests(object: &ConditionObject, plain: BareScalars, name: &Located<String>, findings: &mut Findings) -> Tests {
    let mut tests = Tests::new();
    if let Some(any) = &object.any_of {
        tests.push(Test::AnyOf(matchers(any, plain, name, findings)));
    }
    if let Some(all) = &object.all_of {
        tests.push(Test::AllOf(matchers(all, plain, name, findings)));
    }
    if let Some(none) = &object.none_of {
        tests.push(Test::NoneOf(matchers(none, plain, name, findings)));
    }
    if let Some(text) = &object.regex
        && let Some(regex) = regex(text, findings)
    {
        tests.push(Test::Regex(Box::new(Expression { regex, text: text.value.clone() })));
    }
    if let Some(present) = &object.present {
        tests.push(Test::Present(present.value));
        if !present.value && (tests.len() > 1 || object.or_absent) {
            let message = format!(
                "`present: false` on {} must stand alone: an absent claim meets no other test",
                quoted(&name.value)
            );
            findings.error(
                CheckCode::ImpossibleCondition,
                present.origin,
                message,
                "remove it, or write `or_absent: true` in its place".to_owned(),
            );
        }
    }
    tests
}

fn matchers(
    scalars: &[Located<ScalarSpec>],
    plain: BareScalars,
    name: &Located<String>,
    findings: &mut Findings,
) -> Matchers {
    if scalars.is_empty() {
        let message = format!("the condition on {} lists no value", quoted(&name.value));
        findings.error(CheckCode::EmptyCondition, name.origin, message, "list at least one value".to_owned());
    }
    scalars.iter().filter_map(|scalar| matcher(scalar, plain, findings)).collect()
}

fn matcher(scalar: &Located<ScalarSpec>, plain: BareScalars, findings: &mut Findings) -> Option<Matcher> {
    let written = match &scalar.value {
        ScalarSpec::Text(text) => {
            return pattern(&Located::new(text.clone(), scalar.origin), findings).map(Matcher::Text);
        }
        ScalarSpec::Number(number) => number.to_string(),
        ScalarSpec::Bool(value) => value.to_string(),
    };
    match plain {
        BareScalars::Quote(preset) => {
            let message =
                format!("`{}` sends this claim as a string, which {} never matches", preset.name(), quoted(&written));
            findings.error(
                CheckCode::AmbiguousScalar,
                scalar.origin,
                message,
                format!("write it in quotes: \"{written}\""),
            );
            None
        }
        // A number with a fraction or exponent is no id, and its printed digits may differ from the
        // written ones.
        BareScalars::Text if matches!(&scalar.value, ScalarSpec::Number(number) if number.is_f64()) => {
            let message = format!("{} is not a whole number", quoted(&written));
            findings.error(CheckCode::AmbiguousScalar, scalar.origin, message, "write it in quotes".to_owned());
            None
        }
        BareScalars::Text => Some(Matcher::Text(Pattern::literal(&written))),
        BareScalars::Value => Some(match &scalar.value {
            ScalarSpec::Bool(value) => Matcher::Bool(*value),
            ScalarSpec::Number(number) => Matcher::Number(number.clone()),
            ScalarSpec::Text(text) => Matcher::Text(Pattern::literal(text)),
        }),
    }
}

/// Compiles a regular expression, anchored at both ends. It is first compiled alone: an unbalanced
/// parenthesis (`a)|(b`) could otherwise escape the anchors.
fn regex(text: &Located<String>, findings: &mut Findings) -> Option<Regex> {
    const MOST_BYTES: usize = 1 << 20;
    let build = |text: &str| RegexBuilder::new(text).size_limit(MOST_BYTES).build();
    match build(&text.value).and_then(|_| build(&format!(r"\A(?:{})\z", text.value))) {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            let message = format!("the regular expression {} is too big", quoted(&text.value));
            findings.error(CheckCode::InvalidRegex, text.origin, message, "use smaller repetitions".to_owned());
            None
        }
        Err(error) => {
            // The error is a drawing of the position; its last line has the message.
            let why = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let message = format!("{} is not a regular expression", quoted(&text.value));
            findings.error(CheckCode::InvalidRegex, text.origin, message, why);
            None
        }
    }
}

/// Whether a condition names the accepted events, so that the identity decides about events itself.
/// A condition that only excludes some events, or accepts any, does not lift the ban on events that
/// strangers can cause: both then apply.
pub(super) fn names_event(all: &[Condition]) -> bool {
    let named = |matcher: &Matcher| matches!(matcher, Matcher::Text(pattern) if pattern.literal_head().len() >= 4);
    // A word of four letters or more in a regular expression counts as the name of an event.
    let has_word = |text: &str| text.split(|c: char| !c.is_ascii_lowercase()).any(|word| word.len() >= 4);
    let names = |test: &Test| match test {
        Test::AnyOf(matchers) | Test::AllOf(matchers) => matchers.iter().all(named),
        Test::Regex(expression) => has_word(&expression.text),
        Test::NoneOf(_) | Test::Present(_) => false,
    };
    all.iter().any(|condition| {
        let is_on_event = !condition.on_variable && matches!(condition.path.as_str(), "event_name" | "/event_name");
        is_on_event && condition.tests.iter().any(names)
    })
}
