//! Tokens of untrusted issuers.

use sts_policy::{Diagnosis, EntryView, Facts, IssuerFault, Preset};
use sts_types::Issuer;

use super::attempt::{Attempt, with_fixes};
use super::look_alike::{self, LookAlike};
use super::view::{TokenView, shown_text};

/// No enabled entry has the token's `iss`.
pub(super) fn unknown(token: &TokenView<'_>) -> Option<Diagnosis> {
    let iss = token.claim_text("iss")?;
    let rules = &token.snapshot.rules;
    let entries: Vec<_> = rules.issuer_entries().collect();
    let actual = shown_text(iss);
    let trusted =
        match entries.iter().filter(|entry| entry.enabled).map(|entry| entry.issuer).collect::<Vec<_>>().as_slice() {
            [] => "no issuer".to_owned(),
            all => all.iter().take(8).map(|entry| shown_text(entry)).collect::<Vec<_>>().join(" or "),
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
    if let Some(off) = entries.iter().find(|entry| !entry.enabled && entry.covers(iss)) {
        return Some(disabled(token, off, found));
    }
    if let Some(member) = entries.iter().filter(|entry| entry.enabled).find_map(|entry| unlisted(iss, entry)) {
        return Some(found(member).fix("present a token of a member that `variables` lists"));
    }
    if let Some(near) = look_alike::nearest(iss, entries.iter().filter(|entry| entry.enabled)) {
        return Some(near_miss(token, iss, &near, found));
    }
    let same_place =
        entries.iter().find(|entry| entry.enabled && origin(iss).is_some() && origin(entry.issuer) == origin(iss));
    let why = if let Some(note) = platform_note(iss, &entries.iter().map(|entry| entry.issuer).collect::<Vec<_>>()) {
        format!("; {note}; trusted are {trusted}")
    } else if let Some(own) = same_place {
        format!("; issuer entry `{}` is {}, on the same host", own.name, shown_text(own.issuer))
    } else if let Some(preset) = Preset::for_issuer(iss) {
        format!("; it is the issuer of the platform `{}`; trusted are {trusted}", preset.name())
    } else if let Some(fault) = platform_like(iss) {
        format!("; {}; trusted are {trusted}", fault.message)
    } else {
        format!("; trusted are {trusted}")
    };
    let found = found(why);
    let Some(enabled) = likeliest(token, &entries) else { return Some(found) };
    let one = same_place.unwrap_or(enabled);
    Some(found.fix(present_of(one)))
}

/// The fault of an issuer that resembles a platform's. Strangers choose the `iss`, and comparing it
/// with every platform takes time, so most are skipped.
fn platform_like(iss: &str) -> Option<IssuerFault> {
    const FAMILIAR: [&str; 12] =
        ["hub", "lab", "ogle", "micros", "windows", "amazon", "circle", "terraf", "build", "bucket", "vercel", "azure"];
    let lower = iss.to_ascii_lowercase();
    let is_familiar = FAMILIAR.iter().any(|part| lower.contains(part)) || !iss.is_ascii();
    is_familiar.then(|| IssuerFault::of(&Issuer::new(iss).ok()?.into())).flatten()
}

/// The enabled entry whose platform's claims match the token best.
fn likeliest<'e, 'r>(token: &TokenView<'_>, entries: &'e [EntryView<'r>]) -> Option<&'e EntryView<'r>> {
    /// Claims that every token has prove nothing.
    const COMMON: [&str; 7] = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"];
    let likeness = |entry: &&EntryView<'_>| {
        let sample = entry.preset.map(Preset::sample).unwrap_or_default();
        sample.keys().filter(|name| !COMMON.contains(&name.as_str()) && token.claim(name).is_some()).count()
    };
    let has_more =
        token.claims.as_deref().is_some_and(|claims| claims.members().any(|(name, _)| !COMMON.contains(&name)));
    if !has_more {
        return entries.iter().find(|entry| entry.enabled);
    }
    // Of equal entries, the first.
    entries.iter().filter(|entry| entry.enabled).rev().max_by_key(likeness)
}

/// The entry is disabled.
fn disabled(token: &TokenView<'_>, off: &EntryView<'_>, found: impl Fn(String) -> Diagnosis) -> Diagnosis {
    let name = off.name;
    let why = format!(" that is enabled: issuer entry `{name}` is off (`enabled: false`)");
    let (rules, asked, now) = (&token.snapshot.rules, &token.request.asked, token.now());
    let memberships = &*token.snapshot.memberships;
    let suffices = token
        .claims
        .as_deref()
        .is_some_and(|claims| rules.grants_if_enabled(Facts { entry: name, claims, now, memberships }, asked));
    if suffices {
        return found(why).fix(format!("write `enabled: true` on issuer entry `{name}`"));
    }
    let found = found(format!("{why}, and no identity would take this token if it were on"));
    match rules.issuer_entries().find(|entry| entry.enabled) {
        Some(one) => found.fix(present_of(&one)),
        None => found,
    }
}

/// A member of a family that the family's variables exclude.
fn unlisted(iss: &str, entry: &EntryView<'_>) -> Option<String> {
    let template = entry.template()?;
    let form = template.without_rules();
    let values = form.values(iss)?;
    let wrong = values.iter().filter(|(name, value)| !template.accepts(name, value)).map(|(name, value)| {
        let wanted = match template.listed(name) {
            Some(listed) => {
                format!(
                    "one of {}",
                    listed.iter().take(6).map(|entry| shown_text(entry)).collect::<Vec<_>>().join(", ")
                )
            }
            None => "what its pattern takes".to_owned(),
        };
        format!("`{name}` is {}, expected {wanted}", shown_text(value))
    });
    let wrong = wrong.collect::<Vec<_>>().join(" and ");
    (!wrong.is_empty()).then(|| {
        format!("; it has the form of issuer entry `{}` ({}), and {wrong} (`variables`)", entry.name, entry.issuer)
    })
}

/// An `iss` that is similar to that of an entry.
fn near_miss(
    token: &TokenView<'_>,
    iss: &str,
    near: &LookAlike<'_, '_>,
    found: impl Fn(String) -> Diagnosis,
) -> Diagnosis {
    let own = near.entry;
    let differences = near.differences.join(" and ");
    let own_issuer = shown_text(own.issuer);
    let found = found(format!("; that of issuer entry `{}` is {own_issuer}: {differences}", own.name));
    // The same host under the same scheme is the same issuer, apart from slashes.
    let loads = || Issuer::new(iss).is_ok_and(|entry| IssuerFault::of(&entry.into()).is_none());
    if near.is_same && loads() {
        let fix = format!("write `issuer: {iss}` on issuer entry `{}`, as the token has it", own.name);
        let attempt = Attempt::of_named_entry(token, own.name, fix.clone());
        return with_fixes(token, found, &fix, [attempt]);
    }
    let note = if near.is_other_host { ", and trust no other host" } else { "" };
    found.fix(format!("present a token whose `iss` is {own_issuer}{note}"))
}

fn present_of(one: &EntryView<'_>) -> String {
    format!(
        "present a token of a trusted issuer, such as that of issuer entry `{}` ({})",
        one.name,
        shown_text(one.issuer)
    )
}

/// Scheme and host of a URL, in lower case.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    (!host.is_empty()).then(|| format!("{scheme}://{host}").to_ascii_lowercase())
}

/// A note about an issuer that resembles a platform's.
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
