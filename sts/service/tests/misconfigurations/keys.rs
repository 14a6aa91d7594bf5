//! Keys that do not verify a token, or cannot be had.

use serde_json::{Value, json};
use sts_jose::base64url;
use sts_policy::Asked;
use sts_service::{
    KeySetView, KeyView, KeysFailure, KeysView, Presented, Reason, RefusedRequest, SkippedKeyView, diagnose,
};
use sts_store::EarlierUse;
use sts_types::{Algorithm, Kid, RequestId, UnixTime};

use crate::support::{NOW, bare, explain, sound};

fn token(kid: Option<&str>) -> String {
    let mut header = json!({ "alg": "ES256" });
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&header), part(&Value::Object(bare())), base64url(&[1; 64]))
}

fn key(kid: &str) -> KeyView {
    KeyView { kid: Kid::new(kid).ok(), algorithm: Algorithm::ES256, thumbprint: String::new() }
}

fn at(ago: i64) -> Option<UnixTime> {
    Some(UnixTime::from_secs(NOW - ago))
}

fn view() -> KeysView {
    KeysView {
        setting: "jwks_url",
        place: Some("https://ci.example/keys".to_owned()),
        state: "fresh",
        keys: vec![key("key-2026")],
        skipped: vec![SkippedKeyView { kid: Kid::new("weak").ok(), why: "an RSA key of 1024 bits".to_owned() }],
        fetched_at: at(600),
        file_modified_at: None,
        last_error: None,
        recent: vec![KeySetView { at: UnixTime::from_secs(NOW - 86_400), keys: vec![key("key-2025")] }],
    }
}

fn line(view: KeysView, kid: Option<&str>) -> String {
    explain(&sound(Some(view)), Presented::Token(&token(kid)), &Asked::default()).summary
}

#[test]
fn a_key_that_nobody_has_is_told_with_what_the_entry_has() {
    let file = KeysView {
        setting: "jwks_file",
        place: Some("ci.jwks.json".to_owned()),
        file_modified_at: at(7_776_000),
        recent: Vec::new(),
        ..view()
    };
    for (view, kid, wants) in [
        (
            view(),
            "key-2027",
            [
                "`kid` \"key-2027\" and `alg` ES256",
                "has \"key-2026\" (ES256) from `jwks_url` https://ci.example/keys, fetched 10 min ago",
                "sts issuers refresh ci",
            ],
        ),
        (view(), "key-2025", ["the issuer withdrew it", "2026-09-20", "request a new token"]),
        (view(), "KEY-2026", ["the nearest is \"key-2026\"", "letter case", "refresh"]),
        (view(), "weak", ["is not used: an RSA key of 1024 bits", "publish a key", "weak"]),
        (
            file,
            "key-2027",
            [
                "`jwks_file` ci.jwks.json, changed 2160 h ago",
                "looks like a rotation",
                "write the issuer's current key set to `ci.jwks.json`",
            ],
        ),
    ] {
        let line = line(view, Some(kid));
        assert!(line.starts_with("refused: key_unknown: "), "{line}");
        for want in wants {
            assert!(line.contains(want), "{want}: {line}");
        }
    }
}

#[test]
fn an_issuer_that_cannot_be_reached_is_told_with_cause_and_setting() {
    for (kind, message, want) in [
        ("connect", "key set `https://ci.example/keys`: no connection: connection refused", "`ca_file`"),
        ("timeout", "key set `https://ci.example/keys`: not read within 5 seconds", "`proxy`"),
        (
            "address_refused",
            "key set `https://ci.example/keys`: not dialled: 10.0.0.1 is private",
            "`allow_private_network: true`",
        ),
        ("redirect", "key set `https://ci.example/keys`: a redirect (status 302)", "`jwks_url`"),
        ("status", "key set `https://ci.example/keys`: status 403 instead of 200", "`bearer_token_file`"),
    ] {
        let error = KeysFailure { at: UnixTime::from_secs(NOW - 5), kind, message: message.to_owned() };
        let line = line(KeysView { state: "absent", keys: Vec::new(), last_error: Some(error), ..view() }, Some("k"));
        assert!(
            line.starts_with("refused: issuer_unavailable: ") && line.contains(message) && line.contains(want),
            "{line}"
        );
    }
}

#[test]
fn fld42_a_replayed_token_and_a_bad_signature_are_diagnosed_from_what_is_known() {
    let snapshot = sound(Some(view()));
    let token = token(Some("key-2026"));
    let earlier = EarlierUse {
        at_millis: u64::try_from(NOW - 30).unwrap() * 1000 + 999,
        request_id: RequestId::new("01J8Z3QK5V6W7X8Y9ZABCDEFGH").unwrap(),
    };
    let said = |reason: Reason, earlier_use| {
        let refused = reason.into();
        let (token, asked, now) = (Some(token.as_str()), Asked::default(), UnixTime::from_secs(NOW));
        diagnose(
            &snapshot,
            &RefusedRequest { refused: &refused, token, entry: None, claims: None, asked, now, earlier_use },
        )
        .line()
    };
    let replayed = said(Reason::TokenReplayed, Some(&earlier));
    for want in [
        "token_replayed",
        "`replay` of issuer entry `ci`",
        "2026-09-21T14:13:50Z",
        "01J8Z3QK5V6W7X8Y9ZABCDEFGH",
        "`jti` \"j\"",
        "request a new token",
    ] {
        assert!(replayed.contains(want), "{want}: {replayed}");
    }
    let forged = said(Reason::SignatureInvalid, None);
    for want in ["signature_invalid", "`kid` \"key-2026\"", "another key pair signed it", "sts issuers refresh ci"] {
        assert!(forged.contains(want), "{want}: {forged}");
    }
    // Whatever the reason: a cause, and never the token.
    for reason in Reason::ALL {
        let line = said(*reason, None);
        assert!(line.starts_with(&format!("refused: {}: ", reason.name())) && !line.contains(&token), "{line}");
    }
}
