//! Keys: the one that signed the token, and those of the entry.

use sts_policy::Diagnosis;
use sts_token::TrustSpec;
use sts_types::Kid;

use super::view::{TokenView, shown_text, span, time};
use crate::issuer_keys::KeysView;

/// Describes the token's key.
fn of_token(token: &TokenView<'_>) -> String {
    let kid =
        token.header_text("kid").map_or_else(|| "no `kid`".to_owned(), |kid| format!("`kid` {}", shown_text(kid)));
    let alg = token.header_text("alg").map_or_else(|| "no `alg`".to_owned(), |alg| format!("`alg` {alg}"));
    // A remembered token has lost its signature. One that ends in a dot never had one.
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

/// Describes the entry's keys, their age and their source.
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

/// How to get other keys for an entry.
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

/// What an entry's key set says about the token's `kid`. The most helpful comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Clue {
    OtherAlgorithm,
    Skipped,
    Withdrawn,
    Near,
    Nothing,
}

/// Why an entry has no key for the token, and how to fix it.
fn clue(token: &TokenView<'_>, trust: &TrustSpec, view: &KeysView) -> (Clue, String, String) {
    let kid = token.header_text("kid");
    let has_kid = |own: Option<&Kid>| own.is_some_and(|own| Some(own.as_str()) == kid);
    if let Some(key) = view.keys.iter().find(|key| has_kid(key.kid.as_ref())) {
        let (own, alg) = (key.algorithm.name(), token.header_text("alg").unwrap_or_default());
        return (
            Clue::OtherAlgorithm,
            format!("the key of that `kid` is for {own}, not for {alg}"),
            format!("have the issuer sign by {own}, or publish the key with `alg` {alg}"),
        );
    }
    if let Some(key) = view.skipped.iter().find(|key| has_kid(key.kid.as_ref())) {
        let why = format!("the key of that `kid` is not used: {}", key.why);
        return (Clue::Skipped, why, "have the issuer publish a key that can be used".to_owned());
    }
    let before = view.recent.iter().rev().find(|set| set.keys.iter().any(|key| has_kid(key.kid.as_ref())));
    if let Some(set) = before {
        let why = format!(
            "it had that key until later than {}: the issuer withdrew it, and the token is older",
            time(set.at.as_secs())
        );
        return (Clue::Withdrawn, why, "request a new token".to_owned());
    }
    let near = kid.and_then(|kid| {
        let mut own = view.keys.iter().filter_map(|key| key.kid.as_ref().map(|own| own.as_str()));
        own.find_map(|own| Some((own, sts_policy::difference(own, kid)?)))
    });
    if let Some((own, how)) = near {
        return (Clue::Near, format!("the nearest is {}: {how}", shown_text(own)), refresh(trust, view));
    }
    let why = if matches!(view.setting, "jwks_file" | "jwks") {
        "it looks like a rotation that the configured key set does not have yet, or a token of another cluster or issuer"
    } else {
        "it looks like a rotation, or a token of another issuer"
    };
    (Clue::Nothing, why.to_owned(), refresh(trust, view))
}

/// The entry of another issuer whose key set has the token's `kid`, for a sentence.
fn elsewhere(token: &TokenView<'_>) -> Option<(String, String)> {
    let kid = token.header_text("kid")?;
    let has_it = |view: &KeysView| view.keys.iter().any(|key| key.kid.as_ref().is_some_and(|own| own.as_str() == kid));
    let (trust, view) = token.other_keys().into_iter().find(|(_, view)| has_it(view))?;
    let place = view.place.as_deref().map_or_else(String::new, |place| format!(" {place}"));
    let (entry, iss) = (&trust.entry, shown_text(trust.issuers.as_str()));
    Some((
        format!(
            "the key set of issuer entry `{entry}` (`iss` {iss}, `{}`{place}) has a key of that `kid`",
            view.setting
        ),
        format!(
            "if that key signed it, have the issuer send `iss` {iss}, or give {} the key set that its tokens are signed by",
            token.entry_names()
        ),
    ))
}

/// No entry has a key of that kid and algorithm.
pub(super) fn unknown(token: &TokenView<'_>) -> Option<Diagnosis> {
    let views = token.keys();
    let mut clues: Vec<_> = views.iter().map(|(trust, view)| clue(token, trust, view)).collect();
    clues.sort_by_key(|(clue, ..)| *clue);
    let (why, fix) = match clues.into_iter().next() {
        Some((clue, why, fix)) if clue != Clue::Nothing => (format!("; {why}"), fix),
        nothing => match (elsewhere(token), nothing) {
            (Some((why, fix)), _) | (None, Some((_, why, fix))) => (format!("; {why}"), fix),
            (None, None) => (String::new(), "request a new token".to_owned()),
        },
    };
    let cause = format!("{}; {}{why}", of_token(token), all_entries(token, &views));
    let found = Diagnosis::new("", cause).at("kid").actual(actual(token)).expected(expected(&views));
    Some(found.fix(format!("{fix}{}", or_other_issuer(token))))
}

/// The key of that kid does not verify the token.
pub(super) fn signature(token: &TokenView<'_>) -> Option<Diagnosis> {
    let views = token.keys();
    let kid = token.header_text("kid");
    let has_kid = |view: &KeysView| {
        view.keys.iter().any(|key| key.kid.is_some() && key.kid.as_ref().map(|kid| kid.as_str()) == kid)
    };
    let having: Vec<&(&TrustSpec, KeysView)> = views.iter().filter(|(_, view)| has_kid(view)).collect();
    let why = match (kid, having.as_slice()) {
        (None, _) => "the token names no key, and none of the keys that fit its algorithm verifies it".to_owned(),
        (Some(_), []) => "none of the keys that were tried verifies it".to_owned(),
        (Some(_), [(trust, _)]) if views.len() > 1 => format!(
            "of these only issuer entry `{}` has that `kid`, and its key does not verify it: another key pair signed it under the same \
             `kid`, or the token was changed on its way",
            trust.entry
        ),
        (Some(_), _) => {
            "the key of that `kid` does not verify it: another key pair signed it under the same `kid`, or the token was changed on its way".to_owned()
        }
    };
    let other = if having.is_empty() { elsewhere(token) } else { None };
    let also = other.as_ref().map_or(String::new(), |(why, _)| format!("; {why}, too"));
    let cause = format!("{}; {}; {why}{also}", of_token(token), all_entries(token, &views));
    let found = Diagnosis::new("", cause).at("signature").actual(actual(token)).expected(expected(&views));
    let fix = match having.first().copied().or(views.first()) {
        Some((trust, view)) => refresh(trust, view),
        None => "request a new token".to_owned(),
    };
    let other = other.map_or(String::new(), |(_, fix)| format!("; {fix}"));
    Some(found.fix(format!(
        "send the token unchanged; if the issuer has new keys under an old `kid`, {fix}{other}{}",
        or_other_issuer(token)
    )))
}

/// If the token is another issuer's, no key set helps.
fn or_other_issuer(token: &TokenView<'_>) -> String {
    match token.claim_text("iss").map(shown_text) {
        Some(iss) => format!("; if another issuer than {iss} signed it, present a token of this one"),
        None => "; if another trust domain signed it, present a token of this one".to_owned(),
    }
}

/// The entry's keys could not be fetched.
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
