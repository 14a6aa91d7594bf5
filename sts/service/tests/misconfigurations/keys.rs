//! Keys that do not verify a token, or cannot be had.

use serde_json::{Value, json};
use sts_jose::base64url;
use sts_policy::RequestedNames;
use sts_service::{
    KeySetView, KeyView, KeysFailure, KeysView, Presented, Reason, RefusedRequest, SkippedKeyView, diagnose,
};
use sts_store::EarlierUse;
use sts_types::{Algorithm, Kid, RequestId, UnixTime};

use crate::support::{NOW, bare, explain, sound, sound_with};

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
    explain(&sound(Some(view)), Presented::Token(&token(kid)), &RequestedNames::default()).summary
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
        let (token, asked, now) = (Some(token.as_str()), RequestedNames::default(), UnixTime::from_secs(NOW));
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

#[test]
fn fld05_of_entries_that_share_an_issuer_the_key_set_that_has_the_kid_is_named() {
    const WEST: &str = "west: { issuer: \"https://ci.example/\", jwks_url: \"https://west.example/keys\" }";
    let of = |kid: &str, place: &str| KeysView {
        keys: vec![key(kid)],
        place: Some(place.to_owned()),
        recent: Vec::new(),
        skipped: Vec::new(),
        ..view()
    };
    let both = || {
        let east = of("east-1", "https://ci.example/keys");
        sound_with(WEST, vec![("ci", east), ("west", of("west-1", "https://west.example/keys"))])
    };
    let said = |reason: Reason, kid: &str| {
        let (snapshot, refused, token) = (both(), reason.into(), token(Some(kid)));
        let (token, asked, now) = (Some(token.as_str()), RequestedNames::default(), UnixTime::from_secs(NOW));
        let request =
            RefusedRequest { refused: &refused, token, entry: None, claims: None, asked, now, earlier_use: None };
        diagnose(&snapshot, &request).line()
    };
    for (reason, kid, wants) in [
        (
            Reason::SignatureInvalid,
            "west-1",
            ["only issuer entry `west` has that `kid`", "\"east-1\"", "sts issuers refresh west"],
        ),
        (Reason::SignatureInvalid, "east-1", ["only issuer entry `ci` has that `kid`", "\"west-1\"", "refresh ci"]),
        (
            Reason::KeyUnknown,
            "north-1",
            ["issuer entry `ci` has \"east-1\"", "issuer entry `west` has \"west-1\"", "looks like a rotation"],
        ),
        (
            Reason::KeyUnknown,
            "WEST-1",
            ["the nearest is \"west-1\": they differ only by the letter case", "`west`", "refresh west"],
        ),
    ] {
        let line = said(reason, kid);
        for want in wants {
            assert!(line.contains(want), "{want}: {line}");
        }
    }
}

#[test]
fn a_kid_of_another_issuers_key_set_is_named() {
    let other = KeysView { keys: vec![key("other-1")], place: Some("other.jwks.json".to_owned()), ..view() };
    let snapshot = sound_with("", vec![("ci", KeysView { recent: Vec::new(), ..view() }), ("gitlab", other)]);
    let line = explain(&snapshot, Presented::Token(&token(Some("other-1"))), &RequestedNames::default()).summary;
    for want in [
        "refused: key_unknown: ",
        "the key set of issuer entry `gitlab` (`iss` \"https://gitlab.com\"",
        "has a key of that `kid`",
        "give issuer entry `ci` the key set that its tokens are signed by",
    ] {
        assert!(line.contains(want), "{want}: {line}");
    }
}

#[test]
fn a_member_of_a_family_is_told_with_its_own_keys() {
    const FAMILY: &str = "eks: { issuer_template: \"https://oidc.eks.{region}.amazonaws.com/id/{cluster}\", preset: kubernetes, \
                          variables: { region: [eu-west-1], cluster: \"[0-9A-F]{32}\" } }";
    let iss = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let mut claims = Value::Object(bare());
    claims["iss"] = json!(iss);
    let token = format!("{}.{}.{}", part(&json!({ "alg": "ES256", "kid": "k" })), part(&claims), base64url(&[1; 64]));
    let message = format!("document `{iss}/.well-known/openid-configuration`: no connection: connection refused");
    let error = KeysFailure { at: UnixTime::from_secs(NOW - 5), kind: "connect", message };
    let unreachable =
        KeysView { setting: "issuer", state: "absent", keys: Vec::new(), last_error: Some(error), ..view() };
    let line =
        explain(&sound_with(FAMILY, vec![("eks", unreachable)]), Presented::Token(&token), &RequestedNames::default())
            .summary;
    for want in ["refused: issuer_unavailable: ", iss, "connection refused", "`ca_file`", "`eks`"] {
        assert!(line.contains(want), "{want}: {line}");
    }
    // Nobody has shown yet that this member signs anything, and there is no room for more of those.
    let waiting =
        KeysView { setting: "issuer", state: "absent", keys: Vec::new(), place: None, recent: Vec::new(), ..view() };
    let line =
        explain(&sound_with(FAMILY, vec![("eks", waiting)]), Presented::Token(&token), &RequestedNames::default())
            .summary;
    assert!(line.starts_with("refused: key_unknown: ") && line.contains("`eks` has no usable key"), "{line}");
}
