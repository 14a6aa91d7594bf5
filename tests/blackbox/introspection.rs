//! Introspection (RFC 7662).

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Forge, Key, Request, Response, Server, rejoin};

fn ask(request: Request) -> Response {
    WORLD.send(&request)
}

fn post(token: &str) -> Request {
    Request::post_form("/introspect", &[("token", token)])
}

/// Exactly `{"active":false}`, byte for byte, whatever the cause.
#[track_caller]
fn assert_inactive(response: &Response, what: &str) {
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"active":false}"#), "{what}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("content-type"), Some("application/json"));
}

#[test]
fn in03_an_active_token_is_told_to_its_own_api_with_exactly_these_members() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let body = WORLD.introspect("deploy", DEPLOY_SECRET, &access);
    let claims = payload(&access);
    assert_eq!(
        body,
        json!({
            "active": true,
            "iss": US,
            "sub": OCTO_ID,
            "client_id": OCTO_ID,
            "aud": DEPLOY,
            "scope": "deployments:create releases:read",
            "exp": claims["exp"],
            "iat": claims["iat"],
            "jti": claims["jti"],
            "token_type": "Bearer",
            "federated": { "iss": PLAIN, "sub": "svc:octo", "identity": "plain", "claims": {} },
        })
    );
}

#[test]
fn in02_inactive_is_one_answer_whatever_the_cause() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let billing = WORLD.token(&token("svc:two"), &[("audience", "billing")]);
    let revoked = WORLD.token(&token("svc:octo"), &[]);
    assert_eq!(WORLD.revoke(&revoked).status, 200);
    let claims = payload(&access);
    let forged = Forge::new(&KEYS.nobodys, &claims).header("typ", "at+jwt");
    let subject = token("svc:octo");
    for (what, token) in [
        ("of another API", billing.as_str()),
        ("revoked", &revoked),
        ("not a token", "x"),
        ("three parts", "a.b.c"),
        ("a subject token", &subject),
        ("forged", &forged.sign()),
        ("forged under our kid", &forged.header("kid", header(&access)["kid"].clone()).sign()),
        ("cut", &access[..access.len() - 4]),
        (
            "other payload",
            &rejoin(&access, 1, |_| sts_testkit::base64url(claims.to_string().replace("deploy", "billing").as_bytes())),
        ),
        ("other signature", &rejoin(&access, 2, |_| "AAAA".to_owned())),
        ("space", &format!(" {access}")),
        ("long", &"x".repeat(20_000)),
    ] {
        assert_inactive(&ask(post(token).basic("deploy", DEPLOY_SECRET)), what);
    }
    assert_inactive(&ask(post(&access).basic("billing", BILLING_SECRET)), "another API asks");
}

#[test]
fn in01_br01_who_asks_without_credentials_or_with_wrong_ones_is_401() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let wrong = |request: Request, error: &str| {
        let response = ask(request);
        refused(&response, 401, error, error);
        response.header("www-authenticate").unwrap().to_owned()
    };
    let challenge = wrong(post(&access), "invalid_client");
    assert!(challenge.contains("Basic realm=") && !challenge.contains("error="), "{challenge}");
    for (name, secret) in [
        ("deploy", "wrong"),
        ("deploy", ""),
        ("", DEPLOY_SECRET),
        ("billing", DEPLOY_SECRET),
        ("nobody", DEPLOY_SECRET),
        ("Deploy", DEPLOY_SECRET),
        ("bare", ""),
        ("octo", DEPLOY_SECRET),
        ("sts", ""),
    ] {
        assert!(wrong(post(&access).basic(name, secret), "invalid_client").starts_with("Basic realm="), "{name}");
    }
    let own = WORLD.token(&token("svc:introspector"), &[]);
    let subject = token("svc:introspector");
    for bearer in ["x", "a.b.c", subject.as_str(), &WORLD.admin_token()] {
        let challenge = wrong(post(&access).bearer(bearer), "invalid_token");
        assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    // A token for another API is refused here with any scopes.
    wrong(post(&access).bearer(&access), "invalid_token");
    assert_eq!(WORLD.revoke(&own).status, 200);
    wrong(post(&access).bearer(&own), "invalid_token");
}

#[test]
fn br01_a_bearer_without_the_scope_is_403() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let reader = WORLD.token(&token("svc:reader"), &[]);
    let response = ask(post(&access).bearer(&reader));
    refused(&response, 403, "insufficient_scope", "insufficient_scope");
    assert!(response.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
}

#[test]
fn a_bearer_with_sts_introspect_sees_the_tokens_of_every_api() {
    let bearer = WORLD.token(&token("svc:introspector"), &[]);
    assert_eq!(payload(&bearer)["aud"], US);
    assert_eq!(payload(&bearer)["scope"], "sts:introspect");
    for (subject, asked) in [("svc:octo", &[][..]), ("svc:two", &[("audience", "billing")])] {
        let access = WORLD.token(&token(subject), asked);
        assert_eq!(ask(post(&access).bearer(&bearer)).json()["active"], true);
    }
    assert_eq!(ask(post(&bearer).bearer(&bearer)).json()["active"], true);
}

#[test]
fn o2_06_c111_a_secret_may_be_sent_as_it_is_or_form_encoded() {
    let access = WORLD.token(&token("svc:two"), &[("audience", "billing")]);
    let active = |name: &str, secret: &str| ask(post(&access).basic(name, secret)).json()["active"].clone();
    assert_eq!(active("billing", BILLING_SECRET), true);
    let encoded = BILLING_SECRET
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace(' ', "+")
        .replace(':', "%3A")
        .replace('&', "%26");
    assert_eq!(active("billing", &encoded), true);
    assert_eq!(active("b%69lling", &encoded), true);
}

#[test]
fn br02_c111_c112_one_authorization_header_of_one_form() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let pair = sts_testkit::basic("deploy", DEPLOY_SECRET);
    let with = |value: String| ask(post(&access).header("Authorization", &value));
    assert_eq!(with(format!("Basic {pair}")).json()["active"], true);
    assert_eq!(with(format!("bAsIc {pair}")).json()["active"], true);
    for value in [
        format!("Basic  {pair}"),
        format!("Basic\t{pair}"),
        format!("Basic {pair},x"),
        "Basic".to_owned(),
        format!("Basic {pair} x"),
        "Bearer x y".to_owned(),
        "Bearer  x".to_owned(),
        "Bearer\tx".to_owned(),
    ] {
        let response = with(value.clone());
        assert!([400, 401].contains(&response.status), "{value}: {}", response.status);
        assert_error_shape(&response);
    }
    for value in ["Basic !!!!", "Basic Zm9v", "Basic /////", "Digest x", "Negotiate x"] {
        let response = with(value.to_owned());
        assert!([400, 401].contains(&response.status), "{value}");
        assert_error_shape(&response);
    }
    let two = post(&access).basic("deploy", DEPLOY_SECRET).bearer("x");
    invalid(&ask(two), "request_malformed");
    let both = Request::post_form(
        "/introspect",
        &[("token", &access), ("client_id", "deploy"), ("client_secret", DEPLOY_SECRET)],
    );
    refused(&ask(both.clone()), 401, "invalid_client", "invalid_client");
    assert!([400, 401].contains(&ask(both.basic("deploy", DEPLOY_SECRET)).status));
}

#[test]
fn in01_the_token_parameter_is_required_once_and_hints_are_ignored() {
    let access = WORLD.token(&token("svc:octo"), &[]);
    let ask = |parameters: &[(&str, &str)]| {
        WORLD.send(&Request::post_form("/introspect", parameters).basic("deploy", DEPLOY_SECRET))
    };
    invalid(&ask(&[]), "request_malformed");
    invalid(&ask(&[("token", "")]), "request_malformed");
    invalid(&ask(&[("token", &access), ("token", &access)]), "request_malformed");
    for hint in ["access_token", "refresh_token", "nonsense"] {
        assert_eq!(ask(&[("token", &access), ("token_type_hint", hint)]).json()["active"], true);
    }
}

#[test]
fn in03_in04_c080_a_token_dies_with_its_account_identity_entry_or_not_before() {
    for (what, change) in [
        ("the account is disabled", world().with("service_accounts/octo/enabled", false)),
        ("the account is gone", world().without("service_accounts/octo")),
        ("the account begins later", world().with("service_accounts/octo/not_before", "2099-01-01T00:00:00Z")),
        ("the account is over", world().with("service_accounts/octo/not_after", "2020-01-01T00:00:00Z")),
        (
            "the identity is gone",
            world().with("service_accounts/octo/identities", json!([identity("wide", "svc:octo")])),
        ),
        (
            "the identity is disabled",
            world().with(
                "service_accounts/octo/identities",
                json!([{ "name": "plain", "issuer": "plain", "subject": "svc:octo", "enabled": false }]),
            ),
        ),
        ("the issuer entry is disabled", world().with("issuers/plain/enabled", false)),
    ] {
        let server = Server::start_in(STS, world_site(&world()));
        let access = server.token(&token("svc:octo"), &[]);
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "{what}");
        server.site().replace("sts.yaml", change.text());
        let server = server.crash_and_restart();
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }), "{what}");
        // The token becomes active again with its account: nothing was revoked.
        server.site().replace("sts.yaml", world().text());
        let server = server.crash_and_restart();
        assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true, "{what}");
    }
}

#[test]
fn in03_a_token_of_another_installation_with_our_issuer_is_inactive() {
    let other = Server::start_in(STS, world_site(&world()));
    let access = other.token(&token("svc:octo"), &[]);
    assert_inactive(&ask(post(&access).basic("deploy", DEPLOY_SECRET)), "another key");
    let key = Key::new(sts_testkit::Algorithm::ES256, "x");
    assert_inactive(
        &ask(post(&Forge::new(&key, &payload(&access)).sign()).basic("deploy", DEPLOY_SECRET)),
        "no such kid",
    );
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&sts_testkit::decode_base64url(token.split('.').next().unwrap()).unwrap()).unwrap()
}
