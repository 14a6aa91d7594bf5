//! The ID token as an assertion (RFC 7523): `jwt-bearer`, and `client_credentials` with a
//! `client_assertion`.

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Request, Response, Server};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parameters that carry `token` in each of the two grants.
fn carried(grant: &'static str, token: &str) -> Vec<(&'static str, String)> {
    let text = |text: &str| text.to_owned();
    match grant {
        JWT_BEARER => vec![("grant_type", text(grant)), ("assertion", text(token))],
        _ => vec![
            ("grant_type", text(grant)),
            ("client_assertion", text(token)),
            ("client_assertion_type", text(ASSERTION_TYPE)),
        ],
    }
}

const GRANTS: [&str; 2] = [JWT_BEARER, "client_credentials"];

fn request(grant: &'static str, token: &str, more: &[(&str, &str)]) -> Request {
    let carried = carried(grant, token);
    let mut all: Vec<(&str, &str)> = carried.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend_from_slice(more);
    Request::post_form("/token", &all)
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn ask(grant: &'static str, token: &str, more: &[(&str, &str)]) -> Response {
    send(&request(grant, token, more))
}

#[test]
fn ja01_sb03_an_id_token_is_an_assertion_and_the_answer_names_no_issued_type() {
    for grant in GRANTS {
        let body = granted(&ask(grant, &token("svc:octo"), &[("scope", "releases:read"), ("expires_in", "60")]));
        let access = body["access_token"].as_str().unwrap().to_owned();
        let expected = json!({
            "access_token": access, "token_type": "Bearer", "expires_in": 60, "scope": "releases:read",
        });
        assert_eq!(body, expected, "{grant}");
        let claims = payload(&access);
        assert_eq!(
            (&claims["sub"], &claims["client_id"], &claims["aud"]),
            (&json!(OCTO_ID), &json!(OCTO_ID), &json!(DEPLOY))
        );
        assert_eq!(claims["federated"]["sub"], "svc:octo");
        assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
        let json: serde_json::Map<String, Value> = carried(grant, &token("svc:octo"))
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        granted(&send(&Request::post_json("/token", &json.into())));
    }
}

#[test]
fn ja01_account_and_target_are_named_as_in_an_exchange() {
    for grant in GRANTS {
        for (subject, more, expected) in [
            ("svc:twin", &[][..], "ambiguous_account"),
            ("svc:twin", &[("client_id", "twin-a")], "granted"),
            ("svc:twin", &[("audience", "twin-b")], "granted"),
            ("svc:octo", &[("client_id", OCTO_ID)], "granted"),
            ("svc:octo", &[("client_id", "octo"), ("audience", OCTO_ID)], "granted"),
            ("svc:octo", &[("client_id", "two")], "not_authorized"),
            ("svc:octo", &[("audience", "nobody")], "not_authorized"),
            ("svc:two", &[], "target_required"),
            ("svc:two", &[("resource", BILLING)], "granted"),
            ("svc:two", &[("audience", "bare")], "target_not_granted"),
            ("svc:octo", &[("scope", "invoices:read")], "scope_not_granted"),
            ("svc:octo", &[("audience", "octo"), ("audience", "two")], "request_malformed"),
            ("svc:octo", &[("expires_in", "0")], "request_malformed"),
            ("svc:disabled", &[("client_id", "disabled")], "not_authorized"),
        ] {
            assert_eq!(reason_of(&ask(grant, &token(subject), more)), expected, "{grant} {subject} {more:?}");
        }
    }
    // The client that authenticates is the account or nobody; elsewhere a name that is no account's
    // is ignored.
    for (client_id, expected) in
        [("my-client", "not_authorized"), ("deploy", "not_authorized"), ("OCTO", "not_authorized")]
    {
        assert_eq!(reason_of(&ask("client_credentials", &token("svc:octo"), &[("client_id", client_id)])), expected);
        assert_eq!(reason_of(&ask(JWT_BEARER, &token("svc:octo"), &[("client_id", client_id)])), "granted");
    }
    let other = ask("client_credentials", &token("svc:octo"), &[("client_id", "octo"), ("audience", "two")]);
    invalid(&other, "request_malformed");
    let named = send(&request("client_credentials", &token("svc:twin"), &[]).basic("twin-a", ""));
    granted(&named);
}

#[test]
fn ja02_c024_a_bent_assertion_is_refused_for_the_reason_of_an_exchange() {
    let none = rejoined_without_signature();
    for grant in GRANTS {
        for (assertion, expected) in [
            (forge("svc:octo").claim("exp", sts_testkit::now() - 600).sign(), "token_expired"),
            (forge("svc:octo").claim("iss", "https://stranger.example").sign(), "issuer_unknown"),
            (forge("svc:octo").claim("aud", "https://elsewhere.example").sign(), "token_audience"),
            (forge("svc:octo").header("typ", "at+jwt").sign(), "token_type_refused"),
            (forge("svc:octo").header("typ", "client-authentication+jwt").sign(), "token_type_refused"),
            (forge("svc:octo").header("typ", "dpop+jwt").sign(), "token_type_refused"),
            (sts_testkit::Forge::new(&KEYS.nobodys, &claims("svc:octo")).sign(), "signature_invalid"),
            (none.clone(), "token_algorithm"),
            ("null".to_owned(), "token_malformed"),
        ] {
            assert_eq!(reason_of(&ask(grant, &assertion, &[])), expected, "{grant}");
        }
    }
}

/// A token that says it needs no signature.
fn rejoined_without_signature() -> String {
    forge("svc:octo").header("alg", "none").sign_with(|_| Vec::new())
}

#[test]
fn tx14_o2_05_ja01_other_credentials_beside_an_assertion_are_refused() {
    let own = token("svc:octo");
    let access = WORLD.token(&own, &[]);
    for response in [
        send(&request(JWT_BEARER, &own, &[]).basic("octo", "x")),
        send(&request(JWT_BEARER, &own, &[]).bearer(&access)),
        ask(JWT_BEARER, &own, &[("client_secret", "x")]),
        ask(JWT_BEARER, &own, &[("client_assertion", "x")]),
        send(&Request::post_form("/token", &[("grant_type", "client_credentials"), ("client_id", "octo")])),
        send(&Request::post_form(
            "/token",
            &[("grant_type", "client_credentials"), ("client_id", "octo"), ("client_secret", "x")],
        )),
        send(&request("client_credentials", &own, &[]).bearer(&access)),
    ] {
        refused(&response, 401, "invalid_client", "invalid_client");
        assert!(response.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
    }
    for (name, value) in [
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
        ("client_assertion_type", ""),
    ] {
        let all = [("grant_type", "client_credentials"), ("client_assertion", own.as_str()), (name, value)];
        invalid(&send(&Request::post_form("/token", &all)), "request_malformed");
    }
    // An actor would otherwise be dropped silently.
    for grant in GRANTS {
        invalid(&ask(grant, &own, &[("actor_token", &own)]), "request_malformed");
        invalid(
            &ask(grant, &own, &[("actor_token_type", "urn:ietf:params:oauth:token-type:jwt")]),
            "request_malformed",
        );
    }
}

#[test]
fn ja01_an_assertion_of_a_one_use_issuer_is_spent_by_any_grant() {
    let once = |jti: &str| forge("svc:octo").claim("iss", "https://once.example").claim("jti", jti).sign();
    for (index, grant) in GRANTS.into_iter().enumerate() {
        let own = once(&format!("assertion-{index}"));
        granted(&ask(grant, &own, &[]));
        for other in GRANTS {
            invalid(&ask(other, &own, &[]), "token_replayed");
        }
        invalid(&exchange(&own, &[]), "token_replayed");
    }
}

#[test]
fn ja01_refusals_of_every_grant_are_remembered_and_explained_and_events_name_the_grant() {
    let server = Server::start_in(STS, world_site(&world()));
    for grant in GRANTS {
        let response = server.send(&request(grant, &token("svc:octo"), &[("client_id", "two")]));
        invalid(&response, "not_authorized");
        let id = response.header("x-request-id").unwrap();
        let explained = server.cli(&["explain", "--denial", id]).ended(1).text();
        let first = explained.lines().next().unwrap();
        assert!(first.contains("not_authorized") && first.contains("two"), "{first}");
    }
    let granted_by = |name: &str| {
        let events = server.lines().text();
        events.lines().any(|line| line.contains("decision") && line.contains(name))
    };
    for grant in ["jwt_bearer", "client_credentials"] {
        assert!(granted_by(grant), "{grant}: {}", server.lines().text());
    }
}
