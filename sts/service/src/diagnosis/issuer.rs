//! Tokens of issuers that nobody trusts.

use sts_policy::{Diagnosis, IssuerFault, Preset};
use sts_types::Issuer;

use super::view::{TokenView, shown_text};

/// No enabled entry has the token's `iss`.
pub(super) fn unknown(token: &TokenView<'_>) -> Option<Diagnosis> {
    let iss = token.claim_text("iss")?;
    let rules = &token.snapshot.rules;
    let entries: Vec<_> = rules.issuer_entries().collect();
    let actual = shown_text(iss);
    let trusted = match entries.iter().filter(|own| own.enabled).map(|own| own.issuer).collect::<Vec<_>>().as_slice() {
        [] => "no issuer".to_owned(),
        all => all.iter().take(8).map(|own| shown_text(own)).collect::<Vec<_>>().join(" or "),
    };
    let found = |why: String| {
        Diagnosis::new("", format!("`iss` is {actual}, and no issuer entry has it{why}"))
            .at("iss")
            .actual(actual.clone())
            .expected(trusted.clone())
    };
    if iss == token.snapshot.issuer.as_str() {
        let cause = ": it is a token of ours, which was exchanged already".to_owned();
        return Some(found(cause).fix("use it as it is at the API, and exchange the platform's ID token"));
    }
    if let Some(off) = entries.iter().find(|own| !own.enabled && own.covers(iss)) {
        let why = format!(" that is enabled: issuer entry `{}` is off (`enabled: false`)", off.name);
        return Some(found(why).fix(format!("write `enabled: true` on issuer entry `{}`", off.name)));
    }
    let near =
        entries.iter().filter(|own| own.enabled).find_map(|own| Some((own, sts_policy::difference(own.issuer, iss)?)));
    if let Some((own, how)) = near {
        let found = found(format!("; that of issuer entry `{}` is {}: {how}", own.name, shown_text(own.issuer)));
        // The same host under the same scheme is the same issuer, however its path is written.
        let loads = Issuer::new(iss).is_ok_and(|own| IssuerFault::of(&own.into()).is_none());
        return Some(if loads && origin(own.issuer).is_some() && origin(own.issuer) == origin(iss) {
            found.fix(format!("write `issuer: {iss}` on issuer entry `{}`, as the token has it", own.name))
        } else {
            found.fix(format!("present a token whose `iss` is {}", shown_text(own.issuer)))
        });
    }
    let same_place =
        entries.iter().find(|own| own.enabled && origin(iss).is_some() && origin(own.issuer) == origin(iss));
    let why = if let Some(note) = platform_note(iss, &entries.iter().map(|own| own.issuer).collect::<Vec<_>>()) {
        format!("; {note}; trusted are {trusted}")
    } else if let Some(own) = same_place {
        format!("; issuer entry `{}` is {}, on the same host", own.name, shown_text(own.issuer))
    } else if let Some(preset) = Preset::for_issuer(iss) {
        format!("; it is the issuer of the platform `{}`; trusted are {trusted}", preset.name())
    } else {
        format!("; trusted are {trusted}")
    };
    let found = found(why);
    let enabled = entries.iter().find(|own| own.enabled)?;
    let one = same_place.unwrap_or(enabled);
    Some(found.fix(format!(
        "present a token of a trusted issuer, such as that of issuer entry `{}` ({})",
        one.name,
        shown_text(one.issuer)
    )))
}

/// Scheme and host of a URL, in lower case.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    (!host.is_empty()).then(|| format!("{scheme}://{host}").to_ascii_lowercase())
}

/// What is known of an issuer that looks like a platform's.
fn platform_note(iss: &str, trusted: &[&str]) -> Option<String> {
    let tenant = |url: &str| url.split('/').find(|part| sts_types::is_uuid(part)).map(str::to_ascii_lowercase);
    let (v1, v2) = ("https://sts.windows.net/", "https://login.microsoftonline.com/");
    for (own, other, version, manifest) in [(v1, v2, "v1.0", "2"), (v2, v1, "v2.0", "1")] {
        if iss.starts_with(own) && trusted.iter().any(|entry| entry.starts_with(other) && tenant(entry) == tenant(iss))
        {
            return Some(format!(
                "it is a {version} token of a tenant that is trusted for the other version: set `requestedAccessTokenVersion: {manifest}` \
                 in the manifest of the app that the token is for"
            ));
        }
    }
    if iss == "kubernetes/serviceaccount" {
        return Some("it is a legacy token from a Secret of Kubernetes, which never ends: mount a projected token with an `audience`".to_owned());
    }
    if iss.ends_with("/.well-known/openid-configuration") {
        return Some("it ends like the URL of a discovery document".to_owned());
    }
    None
}
