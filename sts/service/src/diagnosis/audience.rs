//! Tokens for somebody else's audience, or for none.

use sts_claims::Json;
use sts_policy::Diagnosis;
use sts_types::EntryName;

use super::attempt::{Attempt, with_fixes};
use super::view::{TokenView, shown_text};

/// The most audiences to list in a sentence.
const MAX_LISTED: usize = 6;

/// No value of `aud` is ours.
pub(super) fn foreign(token: &TokenView<'_>) -> Option<Diagnosis> {
    let entry = entry(token)?;
    let rules = &token.snapshot.rules;
    let wanted = rules.audiences(entry);
    let listed = expected(token)?;
    let values: Vec<&str> = token.claim("aud").into_iter().flat_map(Json::elements).filter_map(Json::as_str).collect();
    let differs = values.iter().find_map(|value| wanted.iter().find_map(|own| sts_policy::difference(own, value)));
    let service = values.iter().find_map(|value| sts_policy::shared_audience(value));
    let account = values.iter().find(|value| rules.account(value).is_some());
    let api = values.iter().find(|value| rules.is_api(value));
    let unexpanded = values.iter().any(|value| value.starts_with('$') || value.contains("${") || value.contains("{{"));
    let iss = token.claim_text("iss");
    let below = values.iter().find_map(|value| {
        let rest = wanted.iter().find_map(|own| value.strip_prefix(own).filter(|rest| rest.starts_with('/')))?;
        Some(format!(" (it continues with {})", shown_text(rest)))
    });
    let is_joined = |value: &&&str| value.split([',', ' ']).filter(|part| wanted.contains(part)).count() > 0;
    let joined = values.iter().find(is_joined);
    let client = values.iter().any(|value| token.claim_text("azp") == Some(*value));
    let why = match (differs, service, account, api) {
        _ if unexpanded => " (the name of a variable that was not replaced by its value)".to_owned(),
        (Some(how), ..) => format!(" ({how})"),
        (_, Some(service), ..) => {
            format!(" (that is the audience of {service}: the token is for another relying party)")
        }
        (.., Some(name), _) => format!(" (`{name}` is an account: of an account only a UUID is taken as an audience)"),
        (.., Some(_)) => " (that is an API of ours, which the access token will be for)".to_owned(),
        _ if joined.is_some() => " (several audiences in one text: each is a value of its own)".to_owned(),
        _ if below.is_some() => below.unwrap_or_default(),
        _ if values.iter().any(|value| Some(*value) == iss) => {
            " (that is the token's own issuer, and an audience is whom the token is for)".to_owned()
        }
        _ if client => {
            " (that is the client's own id, `azp`, too: an ID token of a user's sign-in has that)".to_owned()
        }
        _ => String::new(),
    };
    let actual = token.shown_claim("aud").unwrap_or_else(|| "absent".to_owned());
    let cause = format!("`aud` is {actual}, expected {listed} for issuer entry `{entry}`{why}");
    Some(requested_anew(token, Diagnosis::new("", cause).at("aud").actual(actual).expected(listed)))
}

/// Adds the audience to request as the fix: the first one for which the rules grant something.
pub(super) fn requested_anew(token: &TokenView<'_>, found: Diagnosis) -> Diagnosis {
    let Some(entry) = entry(token) else {
        let ours = shown_text(token.snapshot.issuer.as_str());
        return found.fix(format!("request the token with the audience {ours}"));
    };
    let rules = &token.snapshot.rules;
    let setting = rules.audience_setting(entry).map_or(String::new(), |setting| format!(" ({setting})"));
    let text = |audience: &str| format!("request the token with the audience {}{setting}", shown_text(audience));
    let wanted = rules.audiences(entry);
    let first = wanted.first().map(|own| text(own)).unwrap_or_default();
    let attempt = |own: &&str| Attempt::of_claims(token, text(own), &[("aud", Some((*own).into()))]);
    let mut attempts: Vec<Option<Attempt>> = wanted.iter().take(MAX_LISTED).map(attempt).collect();
    if let Some(at) = attempts.iter().flatten().position(|own| own.suffices(token)) {
        attempts = attempts.into_iter().skip(at).take(1).collect();
    }
    with_fixes(token, found, &first, attempts)
}

/// The audiences that tokens of the entry may have.
pub(super) fn expected(token: &TokenView<'_>) -> Option<String> {
    let wanted = token.snapshot.rules.audiences(entry(token)?);
    Some(wanted.iter().take(MAX_LISTED).map(|own| shown_text(own)).collect::<Vec<_>>().join(" or "))
}

fn entry<'a>(token: &'a TokenView<'_>) -> Option<&'a EntryName> {
    token.request.entry.or_else(|| token.entry().map(|trust| &trust.entry))
}
