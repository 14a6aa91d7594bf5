//! Tokens that are wrong in themselves: issuer, audience, times, types, and what was sent in place of one.

use serde_json::{Value, json};
use sts_jose::base64url;
use sts_policy::RequestedNames;
use sts_service::{Explanation, Presented};

use crate::support::{Case, NOW, assert_all, bare, case, explain, sound};

#[test]
fn registered_claims_that_are_wrong() {
    let ok = "{ issuer: ci, subject: \"svc:octo\" }";
    let of = |claims: Value, wants: &'static [&'static str]| case(ok, "", claims, wants);
    assert_all(vec![
        of(json!({ "iss": null }), &["token_malformed", "`iss` is missing", "send `iss`"]),
        of(json!({ "iss": 7 }), &["`iss` is 7 (a number), expected a text"]),
        of(
            json!({ "iss": "https://ci.example" }),
            &[
                "issuer_unknown",
                "`iss` is \"https://ci.example\"",
                "\"https://ci.example/\"",
                "trailing `/`",
                "write `issuer: https://ci.example`",
            ],
        ),
        of(json!({ "iss": "https://CI.example/" }), &["letter case"]),
        of(
            json!({ "iss": "http://ci.example/" }),
            &["scheme", "present a token whose `iss` is \"https://ci.example/\""],
        ),
        of(json!({ "iss": "https://ci.example//" }), &["by slashes"]),
        of(json!({ "iss": "https://ci.example/realms/octo" }), &["on the same host", "\"https://ci.example/\""]),
        case(
            "{ issuer: off, subject: \"svc:octo\" }",
            "",
            json!({ "iss": "https://off.example" }),
            &["issuer entry `off` is off", "write `enabled: true` on issuer entry `off`"],
        ),
        of(
            json!({ "iss": "https://off.example" }),
            &[
                "issuer entry `off` is off",
                "no identity would take this token if it were on",
                "present a token of a trusted issuer",
            ],
        ),
        of(json!({ "iss": "https://sts.example.com" }), &["a token of ours"]),
        of(
            json!({ "iss": "https://sts.windows.net/33333333-4444-4555-8666-777777777777/" }),
            &["v1.0 token of a tenant", "requestedAccessTokenVersion"],
        ),
        of(json!({ "iss": "kubernetes/serviceaccount" }), &["legacy token", "projected token"]),
        of(
            json!({ "iss": "https://token.actions.githubusercontent.com/octo-enterprise" }),
            &["on the same host", "issuer entry `github`"],
        ),
        of(
            json!({ "iss": "https://vstoken.dev.azure.com/11111111-2222-4333-8444-555555555555" }),
            &["the issuer of the platform `azure-devops`", "trusted are"],
        ),
        of(
            json!({ "iss": "https://nobody.example" }),
            &["`iss` is \"https://nobody.example\", and no issuer entry has it", "present a token of a trusted issuer"],
        ),
        of(json!({ "sub": null }), &["`sub` is missing, expected a text", "send `sub`"]),
        of(json!({ "sub": "" }), &["`sub` is \"\" (empty)"]),
        of(json!({ "sub": ["svc:octo"] }), &["`sub` is [\"svc:octo\"] (a list)"]),
        of(json!({ "aud": null }), &["token_malformed", "`aud` is missing"]),
        of(json!({ "aud": [] }), &["`aud` is [] (a list), expected a string, or a list of 1 to 32 strings"]),
        of(
            json!({ "aud": (0..33).map(|n| n.to_string()).collect::<Vec<_>>() }),
            &["`aud` has 33 values, at most 32 are read"],
        ),
        of(
            json!({ "aud": "sts.amazonaws.com" }),
            &[
                "token_audience",
                "`aud` is \"sts.amazonaws.com\", expected \"https://sts.example.com\"",
                "the audience of AWS STS",
                "request the token with the audience",
            ],
        ),
        of(json!({ "aud": "api://AzureADTokenExchange" }), &["Microsoft Entra"]),
        of(json!({ "aud": "https://sts.example.com/" }), &["token_audience", "trailing `/`"]),
        of(json!({ "aud": "https://STS.example.com" }), &["letter case"]),
        of(json!({ "aud": "sts.example.com" }), &["scheme"]),
        of(json!({ "aud": "octo-deploy" }), &["`octo-deploy` is an account"]),
        of(
            json!({ "aud": "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11" }),
            &["`audience` is \"7f1c2f0a", "expected \"https://sts.example.com\""],
        ),
        of(
            json!({ "exp": "1790000660" }),
            &["`exp` is \"1790000660\" (a string), expected a number of seconds", "as the number 1790000660"],
        ),
        of(
            json!({ "exp": NOW - 200, "iat": NOW - 800 }),
            &[
                "token_expired",
                "`exp` is 2026-09-21T14:11:00Z",
                "3 min 20 s ago",
                "60 s of leeway",
                "request a new token",
            ],
        ),
        of(json!({ "exp": NOW * 1000 + 600_000 }), &["token_too_old", "in milliseconds", "1790000660"]),
        of(
            json!({ "iat": NOW * 1000, "exp": NOW * 1000 + 1 }),
            &[
                "token_not_yet_valid",
                "`iat` and `exp` are in milliseconds, and seconds since 1970 are expected",
                "`iat` is 1790000060000, `exp` is 1790000060001",
                "divide by 1000",
            ],
        ),
        of(
            json!({ "iat": NOW + 120 }),
            &["token_not_yet_valid", "`iat` is", "2 min ahead of our clock", "`leeway: 120s`"],
        ),
        of(json!({ "nbf": NOW + 4000 }), &["`nbf` is", "ahead of our clock", "or later"]),
        of(
            json!({ "exp": NOW - 60 + 31_536_000 }),
            &[
                "token_too_old",
                "lives 8760 h",
                "at most 24 h is accepted",
                "`max_token_lifetime`",
                "request a token that lives at most 24 h",
            ],
        ),
        of(
            json!({ "exp": NOW - 60 + 172_800 }),
            &["lives 48 h", "write `max_token_lifetime: 2d` on issuer entry `ci`"],
        ),
        of(json!({ "iat": NOW - 1200 }), &["is 20 min old", "at most 10 min is accepted", "`max_token_age`"]),
        of(json!({ "nbf": NOW + 700, "iat": NOW - 5 }), &["ahead of our clock"]),
        of(json!({ "jti": 7 }), &["`jti` is 7 (a number)"]),
        of(json!({ "cnf": { "jkt": "x" } }), &["token_type_refused", "`cnf`", "not bound to a key"]),
        Case {
            preset: "github-actions",
            ..of(
                json!({ "aud": "https://github.com/octo-org" }),
                &["token_audience", "the audience of GitHub", "core.getIDToken"],
            )
        },
        of(json!({ "iat": null }), &["`iat` is missing", "`require_iat: false` on issuer entry `ci`"]),
    ]);
}

/// What is said of a text in place of a token.
fn said(token: &str) -> Explanation {
    explain(&sound(None), Presented::Token(token), &RequestedNames::default())
}

/// A token of that header and these claims, with a signature that nobody made.
fn token(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}.{}", part(header), part(claims), base64url(&[1; 64]))
}

#[test]
fn fld45_what_is_no_token_is_named_as_what_it_is() {
    let whole = token(&json!({ "alg": "ES256", "kid": "k" }), &Value::Object(bare()));
    let (head, rest) = whole.split_once('.').unwrap();
    for (text, wants) in [
        (String::new(), ["empty", "variable or file"]),
        ("null".to_owned(), ["absent value", "step that asks for the token"]),
        ("${{ steps.x.outputs.token }}".to_owned(), ["not expanded", "expand it"]),
        ("$ID_TOKEN".to_owned(), ["not expanded", "expand it"]),
        ("***".to_owned(), ["masked", "pass the token itself"]),
        (format!("\"{whole}\""), ["in quotes", "jq -r"]),
        (format!("{whole}\n"), ["line break", "without the line break"]),
        (format!(" {whole}"), ["blanks", "without blanks"]),
        (format!("Bearer {whole}"), ["`Bearer `", "without the word"]),
        (json!({ "value": whole, "count": 1 }).to_string(), ["JSON answer of the token request", "jq -r .value"]),
        (json!({ "access_token": "x" }).to_string(), ["token endpoint", "`id_token`"]),
        (json!({ "keys": [{ "kty": "EC" }] }).to_string(), ["JWKS", "jwks_file"]),
        ("https://token.example/x".to_owned(), ["a URL", "what the URL answers"]),
        ("/var/run/secrets/token".to_owned(), ["a path", "content of the file"]),
        ("ya29.a0AfH6SMBx".to_owned(), ["access token of Google", "?audience="]),
        ("ghs_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(), ["GITHUB_TOKEN", "id-token: write"]),
        (
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a".to_owned(),
            ["personal access token of GitHub", "ACTIONS_ID_TOKEN_REQUEST_URL"],
        ),
        ("glpat-xxxxxxxxxxxxxxxxxxxx".to_owned(), ["GitLab", "id_tokens"]),
        ("AKIAIOSFODNN7EXAMPLE".to_owned(), ["access key of AWS", "GetWebIdentityToken"]),
        ("<saml:Assertion>".to_owned(), ["SAML", "as a JWT"]),
        ("-----BEGIN PRIVATE KEY-----".to_owned(), ["PEM", "replace the key"]),
        ("abcdef".to_owned(), ["opaque text without dots", "ID token"]),
        (format!("{whole}.x.y"), ["JWE", "signed token"]),
        (format!("{head}.{}", rest.split('.').next().unwrap()), ["three parts", "send"]),
        (whole.replacen('.', "=.", 1), ["header is base64 with padding", "as the platform gave it"]),
        (format!("{head}.e30x!.AAAA"), ["payload is", "base64url"]),
        (format!("{}.{}", base64url(b"[]"), rest), ["header is not a strict JSON object", "duplicate members"]),
        ("a".repeat(17_000), ["17000 bytes long", "16384 bytes"]),
    ] {
        let explanation = said(&text);
        let line = &explanation.summary;
        assert!(line.starts_with("refused: token_malformed: "), "{line}");
        for want in wants {
            assert!(line.contains(want), "{want}: {line}");
        }
        // What was sent is never shown: it may be a credential.
        assert!(text.len() < 24 || !line.contains(text.trim()), "{line}");
        assert!(!line.contains("16C7e42F292c") && !line.contains("IOSFODNN7"), "{line}");
    }
}

#[test]
fn kinds_and_algorithms_that_are_not_exchanged() {
    let claims = Value::Object(bare());
    let aud = |value: &str| {
        let mut claims = claims.clone();
        claims["aud"] = json!(value);
        claims
    };
    for (header, reason, wants) in [
        (json!({ "alg": "none" }), "token_algorithm", ["`alg` is \"none\"", "RS256, ES256, EdDSA", "RS256 or ES256"]),
        (json!({ "alg": "HS256" }), "token_algorithm", ["`alg` is \"HS256\"", "expected one of", "key pair"]),
        (
            json!({ "alg": "RS512" }),
            "token_algorithm",
            ["`alg` is \"RS512\"", "issuer entry `ci`", "add `RS512` to `algorithms` of issuer entry `ci`"],
        ),
        (json!({ "typ": "JWT" }), "token_algorithm", ["`alg` is absent", "expected", "have the issuer sign"]),
        (
            json!({ "alg": "ES256", "typ": "at+jwt" }),
            "token_type_refused",
            ["`typ` of the header is \"at+jwt\"", "an access token", "present an ID token"],
        ),
        (
            json!({ "alg": "ES256", "typ": "JOSE" }),
            "token_type_refused",
            ["\"JOSE\"", "absent or \"JWT\"", "under `types` of issuer entry `ci`"],
        ),
        (
            json!({ "alg": "ES256", "typ": "dpop+jwt" }),
            "token_type_refused",
            ["a DPoP proof", "expected", "present an ID token"],
        ),
        (json!({ "alg": "ES256", "crit": ["x"] }), "token_malformed", ["crit", "in the header", "without it"]),
    ] {
        let line = said(&token(&header, &aud("https://sts.example.com"))).summary;
        assert!(line.starts_with(&format!("refused: {reason}: ")), "{line}");
        for want in wants {
            assert!(line.contains(want), "{want}: {line}");
        }
    }
}

#[test]
fn text_of_a_token_is_escaped_and_bounded() {
    let mut claims = Value::Object(bare());
    claims["iss"] = json!(format!("https://a.example/\u{202e}{}", "x".repeat(1500)));
    let line = said(&token(&json!({ "alg": "ES256" }), &claims)).summary;
    assert!(line.is_ascii() && line.len() < 2500, "{line}");
}
