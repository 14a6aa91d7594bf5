//! Successful exchanges: the answer, the minted token, and its verification by others.

use crate::support::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use sts_testkit::{Config, Forge, Request, Server, now, verify_offline};

#[test]
fn tx06_tx07_tx09_o2_01_the_answer_is_exactly_these_members_and_is_never_cached() {
    let response = exchange(&token("svc:octo"), &[]);
    let mut body = granted(&response);
    assert!(body["access_token"].take().as_str().unwrap().split('.').count() == 3);
    assert_eq!(
        body,
        json!({
            "access_token": null,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 900,
            "scope": "deployments:create releases:read",
        })
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("pragma"), Some("no-cache"));
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.header("x-request-id").is_some());
    assert!(response.header("access-control-allow-origin").is_none());
}

#[test]
fn at01_at04_another_service_verifies_the_minted_token_offline_and_finds_what_it_needs() {
    let before = now();
    let access = WORLD.token(&token("svc:octo"), &[]);
    let own = verify_offline(&access, &WORLD.jwks(), US, DEPLOY).unwrap();
    let set = WORLD.jwks();
    assert_eq!(own.header, json!({ "alg": "ES256", "typ": "at+jwt", "kid": own.header["kid"] }));
    assert!(set["keys"].as_array().unwrap().iter().any(|key| key["kid"] == own.header["kid"]));

    let claims = own.claims.as_object().unwrap();
    let mut names: Vec<&str> = claims.keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = ["aud", "client_id", "exp", "federated", "groups", "iat", "iss", "jti", "scope", "sub"];
    assert_eq!(names, expected);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(OCTO_ID), &json!(OCTO_ID)));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(US), &json!(DEPLOY)));
    assert_eq!(claims["scope"], "deployments:create releases:read");
    assert_eq!(claims["groups"], json!(["deployers"]));
    assert_eq!(claims["federated"], json!({ "iss": PLAIN, "sub": "svc:octo", "identity": "plain", "claims": {} }));
    let iat = claims["iat"].as_i64().unwrap();
    assert!((before..=now()).contains(&iat));
    assert_eq!(claims["exp"].as_i64().unwrap(), iat + 900);
    // 128 random bits are 22 characters of base64url, 26 of base 32, 32 of hex.
    assert!(claims["jti"].as_str().unwrap().len() >= 22);
}

#[test]
fn at03_no_two_tokens_share_a_jti() {
    let tokens = (0..200).map(|_| WORLD.token(&token("svc:octo"), &[]));
    let jtis: HashSet<String> = tokens.map(|token| claims_of(&token)["jti"].as_str().unwrap().to_owned()).collect();
    assert_eq!(jtis.len(), 200);
}

#[test]
fn a_token_for_another_audience_or_from_another_key_set_is_refused_by_the_offline_verifier() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    assert!(verify_offline(&access, &WORLD.jwks(), US, BILLING).is_err());
    assert!(verify_offline(&access, &WORLD.jwks(), PLAIN, DEPLOY).is_err());
    let other = Server::start(STS, &Config::new());
    assert!(verify_offline(&access, &other.jwks(), US, DEPLOY).is_err());
}

#[test]
fn a_jwt_is_answered_alike_whatever_of_the_two_is_asked_for() {
    for kind in ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:access_token"] {
        let body = granted(&exchange(&token("svc:octo"), &[("requested_token_type", kind)]));
        assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    }
    let body =
        granted(&exchange(&token("svc:octo"), &[("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")]));
    assert_eq!(body["token_type"], "Bearer");
}

#[test]
fn an_account_without_an_id_has_its_username_as_sub_and_without_teams_no_groups() {
    let claims = claims_of(&WORLD.token(&token("svc:bare"), &[]));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("bare-user"), &json!("bare-user")));
    assert!(claims.get("groups").is_none(), "{claims}");
}

#[test]
fn an_api_without_scopes_is_granted_without_a_scope_claim() {
    let body = granted(&exchange(&token("svc:bare"), &[]));
    let claims = claims_of(body["access_token"].as_str().unwrap());
    assert_eq!(claims["aud"], BARE);
    assert!(claims.get("scope").is_none(), "`scope` stands in the token when granted: {claims}");
}

#[test]
fn tx15_the_lifetime_is_the_smallest_of_requested_identity_account_and_maximum() {
    let expires =
        |subject: &str, asked: &[(&str, &str)]| granted(&exchange(&token(subject), asked))["expires_in"].clone();
    for (subject, asked, expected) in [
        ("svc:octo", "", 900),
        ("svc:octo", "60", 60),
        ("svc:octo", "1", 1),
        ("svc:octo", "3600", 900),
        ("svc:octo", "99999999999999999999", 900),
        ("svc:short", "", 90),
        ("svc:short", "100", 90),
        ("svc:short", "30", 30),
        ("svc:short-2", "", 120),
        ("svc:many", "", 300),
    ] {
        assert_eq!(expires(subject, &[("expires_in", asked)]), expected, "{subject} {asked}");
    }
}

#[test]
fn tx15_cap_to_subject_ends_the_token_with_the_subject_token_and_is_off_by_default() {
    let soon = |server: &Server| {
        let exp = now() + 100;
        let access = server.token(&forge("svc:octo").claim("exp", exp).sign(), &[]);
        (claims_of(&access)["exp"].as_i64().unwrap(), exp)
    };
    let (minted, exp) = soon(&WORLD);
    assert!(minted > exp);
    let capped = Server::start_in(STS, world_site(&world().with("tokens/cap_to_subject", true)));
    let (minted, exp) = soon(&capped);
    assert_eq!(minted, exp);
    // Within the leeway an expired token is valid, but it has no lifetime left to give.
    let late = forge("svc:octo").claim("iat", now() - 900).claim("exp", now() - 10).sign();
    granted(&WORLD.exchange(&late, &[]));
    invalid(&capped.exchange(&late, &[]), "token_expired");
}

#[test]
fn at05_foreign_claims_are_copied_under_federated_only_and_overwrite_nothing() {
    let forged = forge("svc:copier")
        .claim("run_id", "30433642")
        .claim("nested", json!({ "ref": ["a", 1, true], "other": 1 }))
        .claim("scope", "sts:admin")
        .claim("groups", json!(["admins"]))
        .claim("client_id", "root")
        .claim("jti", "foreign")
        .claim("federated", json!({ "iss": "https://evil.example" }));
    let exp = claims_of(&forged.sign())["exp"].clone();
    let claims = claims_of(&WORLD.token(&forged.sign(), &[]));
    assert_eq!(
        claims["federated"],
        json!({
            "iss": PLAIN,
            "sub": "svc:copier",
            "identity": "copies",
            "claims": { "run_id": "30433642", "/nested/ref": ["a", 1, true], "exp": exp },
        })
    );
    assert_eq!(claims["scope"], "deployments:create releases:read");
    assert_eq!(claims["groups"], json!(["deployers"]));
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("copier"), &json!("copier")));
    assert_ne!(claims["jti"], "foreign");
    assert_ne!(claims["exp"], exp);
    // `tokens.copy_claims` copies for every identity.
    let server = Server::start_in(STS, world_site(&world().with("tokens/copy_claims", json!(["run_id"]))));
    let claims = claims_of(&server.token(&forge("svc:octo").claim("run_id", "1").sign(), &[]));
    assert_eq!(claims["federated"]["claims"], json!({ "run_id": "1" }));
}

#[test]
fn the_first_identity_in_file_order_that_matches_and_covers_decides_scope_ttl_and_provenance() {
    let decided = |asked: &[(&str, &str)]| {
        let claims = claims_of(&WORLD.token(&token("svc:many"), asked));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        (claims["federated"]["identity"].clone(), claims["scope"].clone(), life)
    };
    // Disabled, ended and future identities come first in the file. They never match.
    assert_eq!(decided(&[]), (json!("reads"), json!("releases:read"), 300));
    assert_eq!(decided(&[("scope", "releases:read")]), (json!("reads"), json!("releases:read"), 300));
    assert_eq!(decided(&[("scope", "deployments:create")]), (json!("all"), json!("deployments:create"), 600));
    assert_eq!(decided(&[("audience", "billing")]), (json!("all"), json!("invoices:read"), 600));
}

#[test]
fn every_algorithm_of_an_entry_is_accepted() {
    let keys = &*KEYS;
    for key in [&keys.rs256, &keys.es256, &keys.eddsa] {
        granted(&exchange(&Forge::new(key, &claims("svc:octo")).sign(), &[]));
    }
    for key in [&keys.rs256, &keys.ps256, &keys.es384] {
        granted(&exchange(&Forge::new(key, &claims("svc:octo")).claim("iss", "https://wide.example").sign(), &[]));
    }
}

#[test]
fn bc10_ed25519_is_another_name_for_eddsa() {
    let forged = Forge::new(&KEYS.eddsa, &claims("svc:octo")).header("alg", "Ed25519");
    granted(&exchange(&forged.sign(), &[]));
}

#[test]
fn tx01_a_json_body_means_what_the_form_means() {
    let ask = |extra: Value| {
        let mut body = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": token("svc:two"),
        });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    for (extra, audience) in [
        (json!({ "audience": "deploy" }), DEPLOY),
        (json!({ "audience": ["two", "billing"] }), BILLING),
        (json!({ "audience": ["two"], "resource": BILLING }), BILLING),
        (json!({ "resource": [DEPLOY], "expires_in": 60, "unknown": { "x": [1] } }), DEPLOY),
    ] {
        for media in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
            let request = Request::new("POST", "/token").body(media, ask(extra.clone()).to_string());
            let body = granted(&send(&request));
            assert_eq!(claims_of(body["access_token"].as_str().unwrap())["aud"], audience);
            assert_eq!(body["expires_in"], if extra.get("expires_in").is_some() { 60 } else { 900 });
        }
    }
}

#[test]
fn at02_the_default_algorithm_is_the_first_and_rs256_can_be_it() {
    let server = Server::start_in(STS, world_site(&world().with("signing/algorithms", json!(["RS256", "EdDSA"]))));
    let access = server.token(&token("svc:octo"), &[]);
    let own = verify_offline(&access, &server.jwks(), US, DEPLOY).unwrap();
    assert_eq!(own.header["alg"], "RS256");
    let mut algorithms: Vec<Value> =
        server.jwks()["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    algorithms.sort_by_key(Value::to_string);
    algorithms.dedup();
    assert_eq!(algorithms, [json!("EdDSA"), json!("RS256")]);
}

#[test]
fn at02_without_a_word_es256_is_signed_with_and_rs256_is_at_hand_for_an_api_that_wants_it() {
    let config = world().without("signing").with("apis/bare/signing_algorithm", "RS256");
    let server = Server::start_in(STS, world_site(&config));
    let algorithm = |subject: &str, audience: &str| {
        verify_offline(&server.token(&token(subject), &[]), &server.jwks(), US, audience).unwrap().header["alg"].clone()
    };
    assert_eq!((algorithm("svc:octo", DEPLOY), algorithm("svc:bare", BARE)), (json!("ES256"), json!("RS256")));
}

/// The unverified claims of a token of ours.
fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&sts_testkit::decode_base64url(payload).unwrap()).unwrap()
}
