//! Keys: what the token was signed with, and what the entry has.

use sts_policy::Diagnosis;
use sts_token::TrustSpec;

use super::view::{TokenView, shown_text, span, time};
use crate::issuer_keys::KeysView;

/// What the token says of its key.
fn of_token(token: &TokenView<'_>) -> String {
    let kid =
        token.header_text("kid").map_or_else(|| "no `kid`".to_owned(), |kid| format!("`kid` {}", shown_text(kid)));
    let alg = token.header_text("alg").map_or_else(|| "no `alg`".to_owned(), |alg| format!("`alg` {alg}"));
    // A remembered token has lost its signature; one that ends in a dot never had one.
    let unsigned = token.request.token.is_some_and(|text| text.split('.').nth(2) == Some(""));
    let signature = if unsigned { ", and no signature: its third part is empty" } else { "" };
    format!("the token has {kid} and {alg}{signature}")
}

fn actual(token: &TokenView<'_>) -> String {
    token.header_text("kid").map_or_else(|| "absent".to_owned(), shown_text)
}

/// Kids of an entry's keys, with their algorithms.
fn kids(view: &KeysView) -> String {
    const MOST: usize = 6;
    let one = |kid: Option<&str>, algorithm: &str| {
        kid.map_or_else(|| format!("one without kid ({algorithm})"), |kid| format!("{} ({algorithm})", shown_text(kid)))
    };
    let mut all: Vec<String> = view
        .keys
        .iter()
        .take(MOST)
        .map(|key| one(key.kid.as_ref().map(|kid| kid.as_str()), key.algorithm.name()))
        .collect();
    if view.keys.len() > MOST {
        all.push(format!("{} more", view.keys.len() - MOST));
    }
    if all.is_empty() { "no usable key".to_owned() } else { all.join(", ") }
}

/// What the entry has, how old it is, and from where.
fn of_entry(token: &TokenView<'_>, trust: &TrustSpec, view: &KeysView) -> String {
    let now = token.now();
    let age = match (view.file_modified_at, view.fetched_at) {
        (Some(at), _) => format!(", changed {} ago", span(now.since(at))),
        (None, Some(at)) if view.setting != "jwks" => format!(", fetched {} ago", span(now.since(at))),
        _ => String::new(),
    };
    let place = view
        .place
        .as_deref()
        .map_or_else(|| format!("`{}`", view.setting), |place| format!("`{}` {place}", view.setting));
    let state = match view.state {
        "fresh" => "",
        "absent" => ", never fetched",
        "stale" => ", stale",
        _ => ", too old to be used",
    };
    format!("issuer entry `{}` has {} from {place}{age}{state}", trust.entry, kids(view))
}

fn all_entries(token: &TokenView<'_>, views: &[(&TrustSpec, KeysView)]) -> String {
    match views {
        [] => format!("nothing is known of the keys of {}", token.entry_names()),
        views => views.iter().map(|(trust, view)| of_entry(token, trust, view)).collect::<Vec<_>>().join("; "),
    }
}

fn expected(views: &[(&TrustSpec, KeysView)]) -> String {
    views.iter().map(|(_, view)| kids(view)).collect::<Vec<_>>().join(" or ")
}

/// What brings other keys to an entry.
fn refresh(trust: &TrustSpec, view: &KeysView) -> String {
    match view.setting {
        "jwks_file" => format!(
            "write the issuer's current key set to `{}` (it is read again when it changes)",
            view.place.as_deref().unwrap_or("jwks_file")
        ),
        "jwks" => {
            format!("write the issuer's current key set as `jwks` of issuer entry `{}`, or use discovery", trust.entry)
        }
        _ => format!("run `sts issuers refresh {}`", trust.entry),
    }
}

/// The entry has no key of that kid and algorithm.
pub(super) fn unknown(token: &TokenView<'_>) -> Option<Diagnosis> {
    let views = token.keys();
    let kid = token.header_text("kid");
    let has_kid = |own: Option<&str>| own.is_some() && own == kid;
    let mut why = String::new();
    let mut fix = None;
    for (trust, view) in &views {
        let same = view.keys.iter().find(|key| has_kid(key.kid.as_ref().map(|kid| kid.as_str())));
        let skipped = view.skipped.iter().find(|key| has_kid(key.kid.as_ref().map(|kid| kid.as_str())));
        let before = view
            .recent
            .iter()
            .rev()
            .find(|set| set.keys.iter().any(|key| has_kid(key.kid.as_ref().map(|kid| kid.as_str()))));
        let near = kid.and_then(|kid| {
            let own = view.keys.iter().filter_map(|key| key.kid.as_ref().map(|kid| kid.as_str()));
            own.filter_map(|own| Some((own, sts_policy::difference(own, kid)?))).next()
        });
        let alg = token.header_text("alg").unwrap_or_default();
        if let Some(key) = same {
            why = format!("; the key of that `kid` is for {}, not for {alg}", key.algorithm.name());
            fix =
                Some(format!("have the issuer sign by {}, or publish the key with `alg` {alg}", key.algorithm.name()));
        } else if let Some(key) = skipped {
            why = format!("; the key of that `kid` is not used: {}", key.why);
            fix = Some("have the issuer publish a key that can be used".to_owned());
        } else if let Some(set) = before {
            why = format!(
                "; it had that key until later than {}: the issuer withdrew it, and the token is older",
                time(set.at.as_secs())
            );
            fix = Some("request a new token".to_owned());
        } else if let Some((own, how)) = near {
            why = format!("; the nearest is {}: {how}", shown_text(own));
        } else if matches!(view.setting, "jwks_file" | "jwks") {
            why = "; it looks like a rotation that the configured key set does not have yet, or a token of another cluster or issuer".to_owned();
        } else {
            why = "; it looks like a rotation, or a token of another issuer".to_owned();
        }
        fix = fix.or_else(|| Some(refresh(trust, view)));
    }
    let cause = format!("{}; {}{why}", of_token(token), all_entries(token, &views));
    let found = Diagnosis::new("", cause).at("kid").actual(actual(token)).expected(expected(&views));
    let fix = fix.unwrap_or_else(|| "request a new token".to_owned());
    Some(found.fix(format!("{fix}{}", or_other_issuer(token))))
}

/// The key of that kid does not verify the token.
pub(super) fn signature(token: &TokenView<'_>) -> Option<Diagnosis> {
    let views = token.keys();
    let kid = token.header_text("kid");
    let has_same = views.iter().any(|(_, view)| {
        view.keys.iter().any(|key| key.kid.is_some() && key.kid.as_ref().map(|kid| kid.as_str()) == kid)
    });
    let why = match (kid, has_same) {
        (None, _) => "the token names no key, and none of the keys that fit its algorithm verifies it",
        (Some(_), true) => {
            "the key of that `kid` does not verify it: another key pair signed it under the same `kid`, or the token was changed on its way"
        }
        (Some(_), false) => "none of the keys that were tried verifies it",
    };
    let cause = format!("{}; {}; {why}", of_token(token), all_entries(token, &views));
    let found = Diagnosis::new("", cause).at("signature").actual(actual(token)).expected(expected(&views));
    let fix = match views.first() {
        Some((trust, view)) => refresh(trust, view),
        None => "request a new token".to_owned(),
    };
    Some(found.fix(format!(
        "send the token unchanged; if the issuer has new keys under an old `kid`, {fix}{}",
        or_other_issuer(token)
    )))
}

/// Where the token is another issuer's, no key set helps.
fn or_other_issuer(token: &TokenView<'_>) -> String {
    let iss = token.claim_text("iss").map(shown_text).unwrap_or_default();
    format!("; if another issuer than {iss} signed it, present a token of this one")
}

/// The entry's keys could not be looked up.
pub(super) fn unavailable(token: &TokenView<'_>) -> Option<Diagnosis> {
    let views = token.keys();
    let failed = views.iter().find_map(|(trust, view)| Some((*trust, view, view.last_error.as_ref()?)));
    let Some((trust, view, error)) = failed else {
        let cause =
            format!("{}; {}; its keys cannot be looked up right now", of_token(token), all_entries(token, &views));
        let found = Diagnosis::new("", cause).at("keys").actual("not looked up").expected("the issuer's key set");
        return Some(found.fix(format!(
            "send it again after `Retry-After`; `sts issuers show {}` has the cause",
            token.entry().map_or("ENTRY", |own| own.entry.as_str())
        )));
    };
    let entry = &trust.entry;
    let cause = format!(
        "the keys of issuer entry `{entry}` cannot be had: {}, at {}; {}; {}",
        error.message,
        time(error.at.as_secs()),
        of_token(token),
        of_entry(token, trust, view)
    );
    let fix = match error.kind {
        "address_refused" => format!(
            "write `allow_private_network: true` on issuer entry `{entry}` if the address is yours, or bring the keys by `jwks_file`"
        ),
        "connect" => format!(
            "open the way to it (firewall, `proxy`), write `ca_file` for a private authority, or bring the keys by `jwks_file`; then run `sts issuers refresh {entry}`"
        ),
        "timeout" => format!(
            "open the way to it (firewall, `proxy`), or bring the keys by `jwks_file`; then run `sts issuers refresh {entry}`"
        ),
        "other_issuer" => format!(
            "write the issuer that the document names as `issuer` of issuer entry `{entry}`, if tokens have it as `iss`"
        ),
        "redirect" => format!("write the final URL as `jwks_url` of issuer entry `{entry}`"),
        "status" => format!(
            "check the URL; where the issuer wants credentials, write `bearer_token_file`, or bring the keys by `jwks_file` of issuer entry `{entry}`"
        ),
        "unreadable" => format!("let the server read the file that `{}` names", view.setting),
        _ => format!("mend the cause, then run `sts issuers refresh {entry}`"),
    };
    Some(Diagnosis::new("", cause).at(view.setting).actual(&*error.message).expected("the issuer's key set").fix(fix))
}
