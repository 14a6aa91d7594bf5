//! Signed introspection answers (RFC 9701). None of them passes for a token.

use crate::support::*;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use sts_testkit::{Forge, Request, Response, Server, send, verify_offline};

const SIGNED: &str = "application/token-introspection+jwt";

fn post(token: &str) -> Request {
    Request::post_form("/introspect", &[("token", token)])
}

fn ask_signed(server: &Server, token: &str) -> String {
    let response = server.send(&post(token).header("Accept", SIGNED).basic("deploy", DEPLOY_SECRET));
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// The claims of an answer, verified with our published keys and the rules of RFC 9701 alone.
fn verified(server: &Server, answer: &str, audience: &str) -> Value {
    let set: JwkSet = serde_json::from_value(server.jwks()).unwrap();
    let header = decode_header(answer).unwrap();
    assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[US]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    decode::<Value>(answer, &key, &validation).unwrap().claims
}

fn shape(response: &Response) -> (u16, usize, Vec<String>) {
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    // The order depends on the thread that answered.
    names.sort();
    (response.status, response.body.len(), names)
}

#[test]
fn in05_an_answer_is_signed_for_the_api_that_asks_when_it_asks_for_that() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let plain = WORLD.introspect("deploy", DEPLOY_SECRET, &access);
    let response = WORLD.send(&post(&access).header("Accept", SIGNED).basic("deploy", DEPLOY_SECRET));
    assert_eq!((response.status, response.header("content-type")), (200, Some(SIGNED)));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let claims = verified(&WORLD, &response.text(), DEPLOY);
    let names: Vec<&String> = claims.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "iat", "iss", "token_introspection"], "nothing at the top that a token is read by");
    assert_eq!(claims["aud"], DEPLOY);
    assert_eq!(claims["token_introspection"], plain);

    let bearer = WORLD.token(&token("svc:introspector"), &[]);
    let response = WORLD.send(&post(&access).header("Accept", SIGNED).bearer(&bearer));
    assert_eq!(verified(&WORLD, &response.text(), "introspector")["token_introspection"], plain);
}

#[test]
fn in05_it_is_signed_only_when_it_is_asked_for_by_name_and_not_liked_less_than_json() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let with = |accept: &str| {
        let response = WORLD.send(&post(&access).header("Accept", accept).basic("deploy", DEPLOY_SECRET));
        response.header("content-type").unwrap().to_owned()
    };
    for accept in [
        SIGNED,
        "Application/Token-Introspection+JWT",
        "application/json;q=0.5, application/token-introspection+jwt",
        "text/html, application/token-introspection+jwt;q=0.9, */*;q=0.1",
        "application/token-introspection+jwt; q=0.2",
    ] {
        assert_eq!(with(accept), SIGNED, "{accept}");
    }
    for accept in [
        "application/json",
        "*/*",
        "application/*",
        "application/jwt",
        "garbage",
        "application/token-introspection+jwt;q=0",
        "application/token-introspection+jwt;q=x",
        "application/token-introspection+jwt;q=0.3, application/json;q=0.7",
    ] {
        assert_eq!(with(accept), "application/json", "{accept}");
    }
    let asked = Request::post_form("/introspect", &[("token", &access)]).header("Accept", SIGNED);
    refused(&WORLD.send(&asked), 401, "invalid_client", "invalid_client");
}

#[test]
fn in02_a_signed_inactive_answer_is_one_size_whatever_the_cause() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let billing = WORLD.token(&token("svc:two"), &[("audience", "billing")]);
    let revoked = WORLD.token(&token("svc:octo"), &[]);
    assert_eq!(WORLD.revoke(&revoked).status, 200);
    let subject = token("svc:octo");
    let cut = &access[..access.len() - 4];
    let mut shapes = Vec::new();
    for inactive in [billing.as_str(), &revoked, "x", "a.b.c", &subject, cut] {
        let response = WORLD.send(&post(inactive).header("Accept", SIGNED).basic("deploy", DEPLOY_SECRET));
        let claims = verified(&WORLD, &response.text(), DEPLOY);
        assert_eq!(claims["token_introspection"], json!({ "active": false }));
        shapes.push(shape(&response));
    }
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
}

#[test]
fn bc07_a_signed_answer_opens_nothing_anywhere_and_no_verifier_of_tokens_takes_it() {
    let server = Server::start_in(STS, world_site(&world()));
    // One about a token of the highest rights, asked for by its own bearer, whose account the
    // answer names.
    let root = server.token(&token("svc:root"), &[("scope", "sts:admin sts:revoke")]);
    let introspector = server.token(&token("svc:introspector"), &[]);
    let response = server.send(&post(&root).header("Accept", SIGNED).bearer(&introspector));
    let about_root = response.text();
    assert_eq!(verified(&server, &about_root, "introspector")["token_introspection"]["active"], true);
    let about_octo = ask_signed(&server, &server.token(&token("svc:octo"), &[]));

    for answer in [&about_root, &about_octo] {
        for audience in [DEPLOY, US, "introspector"] {
            assert!(verify_offline(answer, &server.jwks(), US, audience).is_err(), "taken for an access token");
        }
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, answer), json!({ "active": false }));
        let (nested, plain) = (ask_signed(&server, answer), post(answer).bearer(answer));
        assert_eq!(verified(&server, &nested, DEPLOY)["token_introspection"], json!({ "active": false }));
        refused(&server.send(&plain), 401, "invalid_token", "invalid_token");
        let admin = send(server.admin(), &Request::get("/admin/v1/keys").bearer(answer));
        assert_eq!(admin.status, 401);
        let revoke = Request::post_form("/revoke", &[("token", &root)]).bearer(answer);
        refused(&server.send(&revoke), 401, "invalid_token", "invalid_token");
        assert_eq!(server.revoke(answer).status, 200);
        invalid(&server.exchange(answer, &[]), "token_type_refused");
    }
    let alive = server.send(&post(&root).bearer(&introspector)).json();
    assert_eq!(alive["active"], true, "presenting an answer revoked the token that it is about");
}

#[test]
fn in03_what_is_not_bit_by_bit_the_recorded_token_is_inactive_though_it_names_its_record() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let parts: Vec<&str> = access.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let claims: Value = serde_json::from_slice(&sts_testkit::decode_base64url(payload).unwrap()).unwrap();
    let other_header = sts_testkit::base64url(br#"{"typ":"at+jwt","alg":"none"}"#);
    let elsewhere = Forge::new(&KEYS.nobodys, &claims).header("typ", "at+jwt").sign();
    for twisted in [
        format!("{other_header}.{payload}.{signature}"),
        format!("{other_header}.{payload}."),
        format!(".{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}\n"),
        format!("{header}.{payload}.{}", elsewhere.rsplit('.').next().unwrap()),
        elsewhere.clone(),
    ] {
        assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &twisted), json!({ "active": false }), "{twisted}");
    }
    assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn md04_the_metadata_names_the_algorithms_of_signed_answers_and_they_are_used() {
    let config = world()
        .with("signing/algorithms", json!(["EdDSA", "ES256", "RS256"]))
        .with("apis/billing/signing_algorithm", "RS256");
    let server = Server::start_in(STS, world_site(&config));
    let document = server.send(&Request::get("/.well-known/openid-configuration")).json();
    assert_eq!(document["introspection_signing_alg_values_supported"], json!(["EdDSA", "ES256", "RS256"]));
    let alg = |answer: &str| format!("{:?}", decode_header(answer).unwrap().alg);
    let answer = ask_signed(&server, "x");
    verified(&server, &answer, DEPLOY);
    assert_eq!(alg(&answer), "EdDSA");
    let response = server.send(&post("x").header("Accept", SIGNED).basic("billing", BILLING_SECRET));
    verified(&server, &response.text(), BILLING);
    assert_eq!(alg(&response.text()), "RS256");
}
