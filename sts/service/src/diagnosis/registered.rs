//! Registered claims that are missing or have a wrong type.

use serde_json::Value;
use sts_claims::{Json, JsonKind};
use sts_policy::Diagnosis;
use sts_types::{Audience, Issuer, Jti, Subject};

use super::attempt::{Attempt, with_fixes};
use super::units::{not_seconds, seconds_of_date};
use super::view::{TokenView, shown_misfit, shown_text};
use super::{audience as audiences, spiffe};

/// The most values of `aud` that are read.
const MAX_AUDIENCES: usize = 32;

/// The first registered claim at fault, in the order of validation.
pub(super) fn malformed(token: &TokenView<'_>) -> Option<Diagnosis> {
    token.claims.as_ref()?;
    let text = |name, rule: fn(&str) -> bool, expected| {
        member(token, name, true, expected, |value| value.as_str().is_some_and(rule))
    };
    if let Some(found) = spiffe::without_issuer(token) {
        return Some(found);
    }
    text("iss", |text| Issuer::new(text).is_ok(), "a text of 1 to 2,048 bytes without control characters")
        .or_else(|| {
            text("sub", |text| Subject::new(text).is_ok(), "a text of 1 to 1,024 bytes without control characters")
        })
        .or_else(|| spiffe::other_domain(token))
        .or_else(|| audience(token))
        .or_else(|| date(token, "exp", true))
        .or_else(|| date(token, "nbf", false))
        .or_else(|| date(token, "iat", token.entry().is_none_or(|trust| trust.require_iat)))
        .or_else(|| {
            let is_jti = |value: Json<'_>| value.as_str().is_some_and(|text| Jti::new(text).is_ok());
            member(token, "jti", false, "a text of 1 to 1,024 bytes without control characters", is_jti)
        })
        .or_else(|| not_seconds(token).or_else(|| backwards(token)))
}

fn member(
    token: &TokenView<'_>,
    name: &str,
    is_required: bool,
    expected: &str,
    is_fine: impl Fn(Json<'_>) -> bool,
) -> Option<Diagnosis> {
    let value = token.claim(name);
    match value {
        None if !is_required => return None,
        Some(value) if is_fine(value) => return None,
        _ => {}
    }
    let actual = value.map_or_else(|| "missing".to_owned(), |value| shown_misfit(&value.to_value()));
    let kind = value.map_or("", |value| match value.kind() {
        JsonKind::Null => " (null)",
        JsonKind::Text("") => " (empty)",
        JsonKind::Text(_) => " (a string)",
        JsonKind::Number(_) => " (a number)",
        JsonKind::Bool(_) => " (a boolean)",
        JsonKind::List => " (a list)",
        JsonKind::Object => " (an object)",
    });
    let cause = format!("`{name}` is {actual}{kind}, expected {expected}");
    let near = value.is_none().then(|| nearest(token, name)).flatten();
    let cause = near.map_or(cause.clone(), |near| format!("{cause}; the token has a claim `{near}`"));
    let found = Diagnosis::new("", cause).at(name).actual(actual).expected(expected);
    Some(match (name, value) {
        ("iat", None) => {
            let entry = token.entry().map(|trust| trust.entry.to_string()).unwrap_or_default();
            let fix = format!("have the issuer send `iat`, or write `require_iat: false` on issuer entry `{entry}`");
            let loosened = Attempt::of_entry(token, fix.clone(), |trust| trust.require_iat = false);
            with_fixes(token, found, &fix, [loosened])
        }
        ("sub", None) => found.fix("have the issuer send `sub`: it names the workload"),
        (name, None) => found.fix(format!("have the issuer send `{name}`")),
        (name, Some(_)) => found.fix(format!("have the issuer send `{name}` as {expected}")),
    })
}

fn nearest(token: &TokenView<'_>, name: &str) -> Option<String> {
    let claims = token.claims.as_ref()?;
    let others =
        claims.members().map(|(other, _)| other).filter(|other| other.eq_ignore_ascii_case(name) || other.len() > 4);
    sts_types::nearest(name, others).map(str::to_owned)
}

fn audience(token: &TokenView<'_>) -> Option<Diagnosis> {
    let expected = "a string, or a list of 1 to 32 strings";
    let count = token.claim("aud").map_or(0, |aud| aud.elements().count());
    if count > MAX_AUDIENCES {
        let cause = format!("`aud` has {count} values, at most {MAX_AUDIENCES} are read");
        let found = Diagnosis::new("", cause)
            .at("aud")
            .actual(format!("{count} values"))
            .expected(format!("at most {MAX_AUDIENCES}"));
        return Some(found.fix("request a token for our `issuer` alone"));
    }
    let is_audience = |value: Json<'_>| {
        let mut elements = value.elements();
        count > 0 && elements.all(|element| element.as_str().is_some_and(|text| Audience::new(text).is_ok()))
    };
    let found = member(token, "aud", true, expected, is_audience)?;
    // Whatever is wrong with it, the audience to request is the same.
    let ours = audiences::expected(token).unwrap_or_else(|| shown_text(token.snapshot.issuer.as_str()));
    let of = if token.entries.is_empty() { String::new() } else { format!(" for {}", token.entry_names()) };
    let cause = match token.claim("aud") {
        None => format!("`aud` is missing, expected {ours}{of}"),
        Some(_) => format!("{}: {ours}{of}", found.cause),
    };
    Some(audiences::requested_anew(token, Diagnosis { cause, ..found }.expected(ours)))
}

fn date(token: &TokenView<'_>, name: &str, is_required: bool) -> Option<Diagnosis> {
    /// JSON parsers disagree about integers beyond it.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    let is_date = |value: Json<'_>| {
        value.as_number().and_then(serde_json::Number::as_f64).is_some_and(|number| number.abs() <= MAX_EXACT)
    };
    let found = member(token, name, is_required, "a number of seconds since 1970", is_date)?;
    match token.claim(name).map(Json::to_value) {
        Some(Value::String(text)) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
            let (text, fix) = (text.trim(), "without quotes");
            let fix = format!("have the issuer send `{name}` as the number {text}, {fix}");
            let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).ok();
            Some(with_fixes(token, found, &fix, [Attempt::of_claims(token, fix.clone(), &[(name, number)])]))
        }
        Some(Value::String(text)) if seconds_of_date(&text).is_some() => {
            let seconds = seconds_of_date(&text)?;
            let cause = format!("{} (it is a date in words)", found.cause);
            let fix = format!("have the issuer send `{name}` as the number {seconds}");
            let found = Diagnosis { cause, ..found };
            Some(with_fixes(
                token,
                found,
                &fix,
                [Attempt::of_claims(token, fix.clone(), &[(name, Some(seconds.into()))])],
            ))
        }
        Some(Value::Number(_)) => not_seconds(token).or(Some(found)),
        _ => Some(found),
    }
}

/// A token that ends before it begins.
fn backwards(token: &TokenView<'_>) -> Option<Diagnosis> {
    use super::view::time;
    let exp = token.moment("exp")?;
    let (name, begins) =
        ["nbf", "iat"].into_iter().filter_map(|name| Some((name, token.moment(name)?))).find(|(_, at)| *at > exp)?;
    let cause = format!("the token expires before it begins: `exp` is {}, `{name}` is {}", time(exp), time(begins));
    let found = Diagnosis::new("", cause).at("exp").actual(time(exp)).expected(format!("later than {}", time(begins)));
    Some(found.fix(format!("have the issuer send an `exp` after `{name}`")))
}
