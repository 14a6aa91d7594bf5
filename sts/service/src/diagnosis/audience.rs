//! Tokens that were made for somebody else.

use sts_policy::Diagnosis;
use sts_types::Json;

use super::view::{TokenView, shown_text};

/// No value of `aud` is ours.
pub(super) fn foreign(token: &TokenView<'_>) -> Option<Diagnosis> {
    let entry = token.request.entry.or_else(|| token.entry().map(|trust| &trust.entry))?;
    let rules = &token.snapshot.rules;
    let wanted = rules.audiences(entry);
    let listed = wanted.iter().take(6).map(|own| shown_text(own)).collect::<Vec<_>>().join(" or ");
    let values: Vec<&str> = token.claim("aud").into_iter().flat_map(Json::elements).filter_map(Json::as_str).collect();
    let differs = values.iter().find_map(|value| wanted.iter().find_map(|own| sts_policy::difference(own, value)));
    let service = values.iter().find_map(|value| sts_policy::shared_audience(value));
    let account = values.iter().find(|value| rules.account(value).is_some());
    let why = match (differs, service, account) {
        (Some(how), ..) => format!(" ({how})"),
        (_, Some(service), _) => {
            format!(" (that is the audience of {service}: the token is for another relying party)")
        }
        (.., Some(name)) => format!(" (`{name}` is an account: of an account only a UUID is taken as an audience)"),
        _ => String::new(),
    };
    let actual = token.shown_claim("aud").unwrap_or_else(|| "absent".to_owned());
    let cause = format!("`aud` is {actual}, expected {listed} for issuer entry `{entry}`{why}");
    let setting = rules.audience_setting(entry).map_or(String::new(), |setting| format!(" ({setting})"));
    let first = wanted.first().map(|own| shown_text(own)).unwrap_or_default();
    Some(
        Diagnosis::new("", cause)
            .at("aud")
            .actual(actual)
            .expected(listed)
            .fix(format!("request the token with the audience {first}{setting}")),
    )
}
