//! Each reason, by each way of asking: what the first line names. A way that cannot produce a reason says why.

use serde_json::{Value, json};
use sts_claims::ClaimSet;
use sts_jose::base64url;
use sts_policy::RequestedNames;
use sts_service::{Explanation, Presented, Reason, RefusedError, RefusedRequest, diagnose};
use sts_types::UnixTime;

use crate::support::{NOW, bare, explain, sound, words};

/// What a reason is shown by.
enum Way {
    /// A token or claims that differ from sound ones by this, asked for this account and scope.
    Case(Value, &'static str, &'static str),
    /// A text in place of a token.
    Text(&'static str),
    /// The way cannot come to it.
    Never(&'static str),
}
use Way::{Case, Never, Text};

const NOT_A_TOKEN: &str = "it is about the request, and a token or claims are not one";
const NO_STORE: &str = "nothing is recorded";
const NO_SIGNATURE: &str = "claims have no header and no signature";

/// The reason, by `--token` and by `--claims`, and what both first lines have.
fn table() -> Vec<(Reason, Way, Way, [&'static str; 2])> {
    let same = |claims: Value, account, scope| (Case(claims.clone(), account, scope), Case(claims, account, scope));
    let both = |reason, claims, wants| {
        let (token, claims) = same(claims, "octo-deploy", "");
        (reason, token, claims, wants)
    };
    let claims_only = |reason, claims, account, scope, wants| {
        (reason, Never("no key here verifies the token"), Case(claims, account, scope), wants)
    };
    let neither = |reason| (reason, Never(NOT_A_TOKEN), Never(NOT_A_TOKEN), ["", ""]);
    vec![
        both(
            Reason::TokenMalformed,
            json!({ "iss": 7 }),
            ["`iss` is 7 (a number), expected", "have the issuer send `iss`"],
        ),
        (
            Reason::TokenAlgorithm,
            Case(json!({ "header": { "alg": "HS256" } }), "", ""),
            Never(NO_SIGNATURE),
            ["`alg` is \"HS256\", expected one of", "by a key pair"],
        ),
        (
            Reason::TokenTypeRefused,
            Case(json!({ "header": { "alg": "ES256", "typ": "at+jwt" } }), "", ""),
            Case(json!({ "cnf": {} }), "", ""),
            ["refused: token_type_refused: ", ""],
        ),
        both(
            Reason::IssuerUnknown,
            json!({ "iss": "https://ci.example" }),
            ["`iss` is \"https://ci.example\", and no issuer entry has it", "trailing `/`"],
        ),
        (
            Reason::KeyUnknown,
            Case(json!({}), "octo-deploy", ""),
            Never(NO_SIGNATURE),
            ["the token has `kid` \"k\" and `alg` ES256", "request a new token"],
        ),
        claims_only(
            Reason::TokenExpired,
            json!({ "exp": NOW - 200, "iat": NOW - 400 }),
            "octo-deploy",
            "",
            ["3 min 20 s ago by our clock", "request a new token right before the exchange"],
        ),
        claims_only(
            Reason::TokenNotYetValid,
            json!({ "iat": NOW + 120 }),
            "octo-deploy",
            "",
            ["2 min ahead of our clock", "`leeway: 120s`"],
        ),
        claims_only(
            Reason::TokenTooOld,
            json!({ "exp": NOW + 172_740 }),
            "octo-deploy",
            "",
            ["lives 48 h", "at most 24 h is accepted"],
        ),
        claims_only(
            Reason::TokenAudience,
            json!({ "aud": "https://other.example" }),
            "octo-deploy",
            "",
            [
                "`aud` is \"https://other.example\", expected \"https://sts.example.com\"",
                "request the token with the audience",
            ],
        ),
        claims_only(
            Reason::NotAuthorized,
            json!({ "sub": "svc:octopus" }),
            "octo-deploy",
            "",
            ["`subject` is \"svc:octopus\", expected \"svc:octo\"", "present a token whose `sub` is \"svc:octo\""],
        ),
        claims_only(
            Reason::AmbiguousAccount,
            json!({ "sub": "svc:two" }),
            "deploy",
            "",
            ["more than one account fits (`two`, `twin`)", "name one of"],
        ),
        claims_only(
            Reason::TargetRequired,
            json!({ "sub": "svc:two" }),
            "two",
            "",
            ["no API was asked for", "`default_api: "],
        ),
        claims_only(
            Reason::TargetNotGranted,
            json!({}),
            "billing",
            "",
            ["API `billing` is not granted", "ask for the API `deploy`"],
        ),
        claims_only(Reason::ScopeNotGranted, json!({}), "octo-deploy", "raed", ["`raed` is not", "ask for `read`"]),
        claims_only(
            Reason::RequestMalformed,
            json!({}),
            "octo-deploy two",
            "",
            ["`audience` names more than one service account", "name one service account"],
        ),
        (
            Reason::SignatureInvalid,
            Never("the keys of these tests verify nothing and are never tried: `keys.rs` has it"),
            Never(NO_SIGNATURE),
            ["", ""],
        ),
        (Reason::IssuerUnavailable, Never("`keys.rs` has it"), Never("no key is looked up for claims"), ["", ""]),
        (Reason::TokenReplayed, Never("only a running server knows what was used"), Never(NO_STORE), ["", ""]),
        (Reason::StoreUnavailable, Never(NO_STORE), Never(NO_STORE), ["", ""]),
        (Reason::SignerUnavailable, Never("nothing is signed for a question"), Never(NO_SIGNATURE), ["", ""]),
        (Reason::AuditUnavailable, Never(NO_STORE), Never(NO_STORE), ["", ""]),
        neither(Reason::GrantUnsupported),
        neither(Reason::ProofInvalid),
        neither(Reason::InvalidClient),
        neither(Reason::InvalidToken),
        neither(Reason::InsufficientScope),
        neither(Reason::ServerError),
    ]
}

fn asked_for(account: &str) -> Vec<String> {
    words(&account.split(' ').filter(|name| !name.is_empty()).collect::<Vec<_>>())
}

fn shown(way: &Way, is_token: bool) -> Option<Explanation> {
    let (changes, account, scope) = match way {
        Never(why) => {
            assert!(!why.is_empty());
            return None;
        }
        Text(text) => return Some(explain(&sound(None), Presented::Token(text), &RequestedNames::default())),
        Case(changes, account, scope) => (changes, *account, *scope),
    };
    let mut claims = bare();
    claims.insert("aud".to_owned(), json!("https://sts.example.com"));
    let mut header = json!({ "alg": "ES256", "kid": "k" });
    for (name, value) in changes.as_object().unwrap() {
        match name.as_str() {
            "header" => header = value.clone(),
            name => drop(claims.insert(name.to_owned(), value.clone())),
        }
    }
    let audience = asked_for(account);
    let asked = RequestedNames { audience: &audience, scope: Some(scope), ..RequestedNames::default() };
    if !is_token {
        let claims: ClaimSet = claims.into();
        return Some(explain(&sound(None), Presented::Claims { claims, entry: None }, &asked));
    }
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let token = format!("{}.{}.{}", part(&header), part(&Value::Object(claims)), base64url(&[1; 64]));
    Some(explain(&sound(None), Presented::Token(&token), &asked))
}

#[test]
fn fld42_each_reason_names_cause_values_and_fix_by_each_way_that_comes_to_it() {
    let table = table();
    for reason in Reason::ALL {
        assert!(table.iter().any(|(own, ..)| own == reason), "{} is missing", reason.name());
    }
    for (reason, token, claims, wants) in &table {
        for explanation in [shown(token, true), shown(claims, false)].into_iter().flatten() {
            let line = &explanation.summary;
            assert!(line.starts_with(&format!("refused: {}: ", reason.name())), "{}: {line}", reason.name());
            for want in wants {
                assert!(line.contains(want), "{want}: {line}");
            }
            let own = explanation.diagnosis.unwrap();
            let is_whole = own.claim.is_some() && own.actual.is_some() && own.expected.is_some() && own.fix.is_some();
            assert!(is_whole, "{own:?}");
        }
    }
    let text = shown(&Text("null"), true).unwrap();
    assert!(text.summary.starts_with("refused: token_malformed: the subject token is the word of an absent value"));
}

/// `--denial` shows what is made of a refusal when it happens. Those that no token caused have the caller's own text.
#[test]
fn fld42_a_refusal_that_no_token_caused_says_once_what_to_do() {
    let snapshot = sound(None);
    for reason in Reason::ALL {
        let refused: RefusedError = (*reason).into();
        let (asked, now) = (RequestedNames::default(), UnixTime::from_secs(NOW));
        let request =
            RefusedRequest { refused: &refused, token: None, entry: None, claims: None, asked, now, earlier_use: None };
        let line = diagnose(&snapshot, &request).line();
        assert!(line.starts_with(&format!("refused: {}: ", reason.name())), "{line}");
    }
    let told = RefusedError::because(Reason::InvalidClient, sts_service::NO_CLIENT_AUTHENTICATION);
    let (asked, now) = (RequestedNames::default(), UnixTime::from_secs(NOW));
    let request =
        RefusedRequest { refused: &told, token: None, entry: None, claims: None, asked, now, earlier_use: None };
    let found = diagnose(&snapshot, &request);
    let line = found.line();
    assert_eq!(line.matches("send no credentials").count(), 1, "{line}");
    assert_eq!(found.claim.as_deref(), Some("Authorization"), "{line}");
    assert!(found.fix.is_some_and(|fix| fix.contains("`client_id`")), "{line}");
}
