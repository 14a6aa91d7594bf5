//! Every kind of token and secret at every endpoint that takes one. Each works at its own endpoint
//! only.

use crate::grants_support::*;
use crate::support::*;
use serde_json::json;
use std::collections::BTreeSet;
use sts_testkit::{Forge, Request, Response, Server, claims_samples, exchange_request, now, rejoin, send};

/// An endpoint that takes a token or a secret, and a request that sends one there.
type Place = (&'static str, fn(&Server, &str) -> Response);

/// The status alone shows whether the endpoint accepted it: `200`, or the status of a later check.
const PLACES: [Place; 18] = [
    ("subject token", |server, offered| server.send(&exchange_request(offered, &[]))),
    ("assertion", |server, offered| {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        server.send(&Request::post_form("/token", &[("grant_type", grant), ("assertion", offered)]))
    }),
    ("client assertion", |server, offered| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form =
            [("grant_type", "client_credentials"), ("client_assertion", offered), ("client_assertion_type", kind)];
        server.send(&Request::post_form("/token", &form))
    }),
    ("subject token of ours", |server, offered| server.send(&own_request(offered, &[]))),
    ("actor token of ours", |server, offered| {
        let more = [("actor_token", offered), ("actor_token_type", ACCESS_TOKEN)];
        server.send(&exchange_request(&token("svc:front"), &more))
    }),
    ("actor token of an issuer", |server, offered| {
        let more = [("actor_token", offered), ("actor_token_type", ID_TOKEN)];
        server.send(&exchange_request(&token("svc:front"), &more))
    }),
    ("secret of a client", |server, offered| {
        server.send(&Request::post_form("/token", &[("grant_type", "client_credentials")]).basic("robot", offered))
    }),
    ("secret of a client in the body", |server, offered| {
        let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", offered)];
        server.send(&Request::post_form("/token", &form))
    }),
    ("bound token of introspection", |server, offered| {
        let request = Request::post_form("/introspect", &[("token", "x")]);
        let proof = proof_for(&KEYS.nobodys, "/introspect", offered).sign();
        server.send(&request.header("Authorization", &format!("DPoP {offered}")).header("DPoP", &proof))
    }),
    ("proof of possession", |server, offered| {
        server.send(&exchange_request(&token("svc:octo"), &[]).header("DPoP", offered))
    }),
    ("credentials of the exchange", |server, offered| {
        server.send(&exchange_request(&token("svc:octo"), &[]).bearer(offered))
    }),
    ("secret of an API", |server, offered| {
        server.send(&Request::post_form("/introspect", &[("token", "x")]).basic("deploy", offered))
    }),
    ("token to be introspected", |server, offered| {
        let request = Request::post_form("/introspect", &[("token", offered)]).basic("deploy", DEPLOY_SECRET);
        let mut response = server.send(&request);
        // A token that is not a live one of that API is inactive, without an error or details.
        response.status = if response.json()["active"] == true { 200 } else { 404 };
        response
    }),
    ("bearer of introspection", |server, offered| {
        server.send(&Request::post_form("/introspect", &[("token", "x")]).bearer(offered))
    }),
    ("bearer of revocation", |server, offered| {
        server.send(&Request::post_form("/revoke", &[("token", "x")]).bearer(offered))
    }),
    ("password of an admin", |server, offered| {
        send(server.admin(), &Request::get("/admin/v1/keys").basic("admin", offered))
    }),
    ("bearer of a reader", |server, offered| send(server.admin(), &Request::get("/admin/v1/keys").bearer(offered))),
    ("bearer of an admin", |server, offered| {
        let nothing = json!({ "jti": "of-nobody" });
        let mut response = send(server.admin(), &Request::post_json("/admin/v1/revocations", &nothing).bearer(offered));
        // 404 means that the bearer was accepted, and that there is no such token.
        response.status = if response.status == 404 { 200 } else { response.status };
        response
    }),
];

#[test]
fn bc07_c026_every_kind_of_token_opens_its_own_place_only() {
    let mut config = grants_world();
    for sample in claims_samples()
        .iter()
        .filter(|sample| sample.claims["iss"].as_str().is_some_and(|iss| iss.starts_with("https://")))
    {
        let issuer = json!({
            "issuer": sample.claims["iss"],
            "jwks": sts_testkit::Key::set(&[&sts_testkit::Key::new(sts_testkit::Algorithm::ES256, &sample.name)]),
        });
        config = config.with(&format!("issuers/{}", sample.name), issuer);
    }
    let server = Server::start_in(STS, world_site(&config.with("status_list", true)));
    let own = |subject: &str| server.token(&token(subject), &[]);
    let bound = |subject: &str| {
        let request = exchange_request(&token(subject), &[]).header("DPoP", &proof(&KEYS.nobodys).sign());
        access_token(&server.send(&request))
    };
    let revoked = own("svc:root");
    assert_eq!(server.revoke(&revoked).status, 200);
    let key = |account: &str| api_key(&server, account, &json!({ "name": "kinds" }));
    let (key, others_key) = (key("robot"), key("octo"));
    let (octo, root) = (own("svc:octo"), own("svc:root"));
    let signing = server.signing_key();
    let foreign = |typ: &str| forge("svc:root").header("typ", typ).sign();
    let ours = |typ: &str| Forge::new(&signing, &payload(&root)).header("typ", typ).sign();
    let mut kinds: Vec<(String, String, &[&str])> = vec![
        ("a federated token".into(), token("svc:octo"), &["subject token", "assertion", "client assertion"]),
        ("an access token of another API".into(), octo.clone(), &["token to be introspected", "subject token of ours"]),
        (
            "an access token of an account that acts".into(),
            own("svc:robot"),
            &["token to be introspected", "subject token of ours", "actor token of ours"],
        ),
        (
            "an access token to introspect with".into(),
            own("svc:introspector"),
            &["bearer of introspection", "subject token of ours"],
        ),
        ("an access token to read with".into(), own("svc:reader"), &["bearer of a reader", "subject token of ours"]),
        (
            "an access token to administer with".into(),
            root.clone(),
            &["bearer of revocation", "bearer of a reader", "bearer of an admin", "subject token of ours"],
        ),
        (
            "a federated token of an account that acts".into(),
            token("svc:robot"),
            &["subject token", "assertion", "client assertion", "actor token of an issuer"],
        ),
        ("a federated token that has expired".into(), forge("svc:robot").claim("exp", now() - 600).sign(), &[]),
        ("a bound token".into(), bound("svc:octo"), &["token to be introspected"]),
        ("a bound token of an account that acts".into(), bound("svc:robot"), &["token to be introspected"]),
        ("a bound token to introspect with".into(), bound("svc:introspector"), &["bound token of introspection"]),
        ("a bound token to administer with".into(), bound("svc:root"), &[]),
        ("a revoked token to administer with".into(), revoked, &[]),
        ("an API key".into(), key.clone(), &["secret of a client", "secret of a client in the body"]),
        ("a part of an API key".into(), key[16..52].to_owned(), &[]),
        ("an API key of another account".into(), others_key, &[]),
        ("a signed answer of introspection".into(), signed_answer(&server, &octo), &[]),
        ("a status list".into(), status_list(&server, &octo), &[]),
        ("our key set".into(), server.jwks().to_string(), &[]),
        ("a proof of possession".into(), proof(&KEYS.es256).sign(), &["proof of possession"]),
        ("a proof under our key".into(), proof(&signing).sign(), &["proof of possession"]),
        ("the admin token".into(), server.admin_token(), &["bearer of a reader", "bearer of an admin"]),
        ("an API's secret".into(), DEPLOY_SECRET.into(), &["secret of an API"]),
        ("another API's secret".into(), BILLING_SECRET.replace([' ', ':', '&'], ""), &[]),
        ("nothing".into(), "-".into(), &[]),
        ("our token under the name of a JWS".into(), rejoin(&root, 0, |_| header(&signing, "JOSE")), &[]),
    ];
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
        "logout+jwt",
        "secevent+jwt",
        "txntoken+jwt",
        "rt+jwt",
        "statuslist+jwt",
    ] {
        kinds.push((format!("an issuer's {typ}"), foreign(typ), &[]));
    }
    for typ in ["JWT", "dpop+jwt", "client-authentication+jwt", "token-introspection+jwt", "statuslist+jwt", ""] {
        kinds.push((format!("{typ:?} under our key"), ours(typ), &[]));
    }
    // Signed by another key, under any platform's name, it gives no access.
    for sample in claims_samples() {
        kinds.push((sample.name.clone(), Forge::new(&signing, &sample.at(now() - 5)).sign(), &[]));
    }
    for (kind, offered, expected) in kinds {
        let opened: BTreeSet<&str> = PLACES
            .iter()
            .filter(|(_, offer)| offer(&server, &offered).status == 200)
            .map(|(place, _)| *place)
            .collect();
        assert_eq!(opened, expected.iter().copied().collect(), "{kind}");
    }
}

fn signed_answer(server: &Server, token: &str) -> String {
    let request = Request::post_form("/introspect", &[("token", token)]).basic("deploy", DEPLOY_SECRET);
    let response = server.send(&request.header("Accept", "application/token-introspection+jwt"));
    assert_eq!((response.status, response.text().split('.').count()), (200, 3));
    response.text()
}

/// The list that has the status of `token`.
fn status_list(server: &Server, token: &str) -> String {
    let uri = sts_testkit::StatusPlace::of(&payload(token)).uri;
    let response = server.send(&Request::get(uri.strip_prefix(US).unwrap()));
    assert_eq!((response.status, response.text().split('.').count()), (200, 3));
    response.text()
}

fn header(key: &sts_testkit::Key, typ: &str) -> String {
    sts_testkit::base64url(json!({ "alg": "ES256", "kid": key.kid(), "typ": typ }).to_string().as_bytes())
}

#[test]
fn at06_bc07_even_under_our_own_key_only_a_live_access_token_of_ours_is_taken() {
    let server = Server::start_in(STS, world_site(&world()));
    let signing = server.signing_key();
    let minted = server.token(&token("svc:root"), &[]);
    let copy = || Forge::new(&signing, &payload(&minted)).header("typ", "at+jwt");
    let reads = |bearer: &str| send(server.admin(), &Request::get("/admin/v1/keys").bearer(bearer)).status == 200;
    assert!(reads(&minted));
    // A second signature over the same text makes another token than the recorded one.
    for (what, bent) in [
        ("another signature", copy()),
        ("the long media type", copy().header("typ", "application/at+jwt")),
        ("no typ", copy().no_header("typ")),
        ("a plain JWT", copy().header("typ", "JWT")),
        ("no kid", copy().no_header("kid")),
        ("another issuer", copy().claim("iss", PLAIN)),
        ("another audience", copy().claim("aud", DEPLOY)),
        ("two audiences", copy().claim("aud", json!([US, DEPLOY]))),
        ("a later end", copy().claim("exp", now() + 3600)),
        ("no end", copy().no_claim("exp")),
        ("an end in words", copy().claim("exp", "tomorrow")),
        ("an end in the past", copy().claim("exp", now() - 1)),
        ("more scope", copy().claim("scope", "sts:admin sts:read sts:introspect")),
        ("another account", copy().claim("sub", OCTO_ID)),
        ("a jti that nobody issued", copy().claim("jti", "0123456789abcdef0123456789")),
        ("no jti", copy().no_claim("jti")),
    ] {
        assert!(!reads(&bent.sign()), "{what}");
    }
    assert_eq!(server.revoke(&minted).status, 200);
    assert!(!reads(&minted));
}
