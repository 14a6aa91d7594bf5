//! Each value that the metadata advertises works, and what it does not list is refused (RFC 8414
//! section 2).

use crate::grants_support::*;
use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use sts_testkit::{Algorithm, Forge, Key, Request, Response, Server, exchange_request};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const PATHS: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

fn document(server: &Server) -> Value {
    let documents = PATHS.map(|path| server.send(&Request::get(path)).json());
    assert_eq!(documents[0], documents[1]);
    let [document, _] = documents;
    document
}

fn listed(document: &Value, name: &str) -> BTreeSet<String> {
    let values = document[name].as_array().unwrap_or_else(|| panic!("{name} is missing"));
    let set: BTreeSet<String> = values.iter().map(|value| value.as_str().unwrap().to_owned()).collect();
    assert_eq!(set.len(), values.len(), "{name} has a value twice");
    set
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Which of `candidates` the server accepts.
fn accepted(candidates: &[&str], works: impl Fn(&str) -> bool) -> BTreeSet<String> {
    candidates.iter().filter(|candidate| works(candidate)).map(|candidate| (*candidate).to_owned()).collect()
}

#[test]
fn md04_sb07_every_member_is_one_that_a_test_probes() {
    let document = document(&GRANTS);
    let names: BTreeSet<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    let probed = [
        "issuer",
        "response_types_supported",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "grant_types_supported",
        "dpop_signing_alg_values_supported",
        "jwks_uri",
        "id_token_signing_alg_values_supported",
        "subject_types_supported",
        "claims_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "introspection_signing_alg_values_supported",
    ];
    assert_eq!(names, probed.into_iter().collect());
    // What AWS IAM demands of an issuer that it federates with, and one `sub` for everybody.
    assert_eq!(listed(&document, "response_types_supported"), set(&["id_token"]));
    assert_eq!(listed(&document, "subject_types_supported"), set(&["public"]));
    let published = GRANTS.jwks();
    let algorithms = published["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap().to_owned());
    assert_eq!(algorithms.collect::<BTreeSet<_>>(), listed(&document, "id_token_signing_alg_values_supported"));
}

#[test]
fn md04_every_claim_that_is_listed_is_in_every_token() {
    let claims = payload(&GRANTS.token(&token("svc:octo"), &[]));
    for name in listed(&document(&GRANTS), "claims_supported") {
        assert!(claims.get(&name).is_some(), "{name} is listed, and a token has {claims}");
    }
}

#[test]
fn md04_the_grants_that_are_listed_are_those_that_are_served() {
    let served = accepted(
        &[
            "urn:ietf:params:oauth:grant-type:token-exchange",
            JWT_BEARER,
            "client_credentials",
            "password",
            "authorization_code",
            "refresh_token",
            "implicit",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
            "urn:openid:params:grant-type:ciba",
            "urn:ietf:params:oauth:grant-type:uma-ticket",
        ],
        |grant| {
            let response = GRANTS.send(&Request::post_form("/token", &[("grant_type", grant)]));
            reason_of(&response) != "grant_unsupported"
        },
    );
    assert_eq!(served, listed(&document(&GRANTS), "grant_types_supported"));
}

#[test]
fn md04_the_methods_of_the_token_endpoint_are_those_that_get_a_token_with_api_keys_on_and_off() {
    for is_enabled in [true, false] {
        let server = Server::start_in(STS, world_site(&grants_world()));
        let key = api_key(&server, "octo", &json!({ "name": "metadata" }));
        if !is_enabled {
            server.site().replace("sts.yaml", grants_world().with("api_keys/enabled", false).text());
            server.signal("HUP");
            // One document: the reload may come between two.
            sts_testkit::until("the secret methods are gone", || {
                let document = server.send(&Request::get(PATHS[0])).json();
                !listed(&document, "token_endpoint_auth_methods_supported").contains("client_secret_basic")
            });
        }
        let id_token = token("svc:octo");
        let form = |more: &[(&str, &str)]| {
            Request::post_form("/token", &[&[("grant_type", "client_credentials")], more].concat())
        };
        let candidates = [
            "none",
            "private_key_jwt",
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "tls_client_auth",
        ];
        let working = accepted(&candidates, |method| {
            let request = match method {
                "none" => exchange_request(&id_token, &[("client_id", "octo")]),
                "private_key_jwt" => form(&[
                    ("client_id", "octo"),
                    ("client_assertion", &id_token),
                    ("client_assertion_type", ASSERTION_TYPE),
                ]),
                "client_secret_basic" => form(&[]).basic("octo", &key),
                "client_secret_post" => form(&[("client_id", "octo"), ("client_secret", &key)]),
                "client_secret_jwt" => {
                    let forged = forge("svc:octo").header("alg", "HS256");
                    let signed = forged.sign_with(|input| sts_testkit::hmac("HS256", key.as_bytes(), input));
                    form(&[("client_assertion", &signed), ("client_assertion_type", ASSERTION_TYPE)])
                }
                _ => form(&[("client_id", "octo")]),
            };
            server.send(&request).status == 200
        });
        assert_eq!(working, listed(&document(&server), "token_endpoint_auth_methods_supported"), "{is_enabled}");
    }
}

#[test]
fn md04_the_methods_of_revocation_and_introspection_are_those_that_are_let_in() {
    let server = &*GRANTS;
    let bearer = server.token(&token("svc:introspector"), &[]);
    let key = &KEYS.nobodys;
    let bound = exchange_request(&token("svc:introspector"), &[]).header("DPoP", &proof(key).sign());
    let bound = access_token(&server.send(&bound));
    let candidates = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "Bearer", "DPoP"];
    let ask = |path: &str, method: &str| -> Response {
        let form = |more: &[(&str, &str)]| Request::post_form(path, &[&[("token", "x")], more].concat());
        let assertion = token("svc:octo");
        server.send(&match method {
            "client_secret_basic" => form(&[]).basic("deploy", DEPLOY_SECRET),
            "client_secret_post" => form(&[("client_id", "deploy"), ("client_secret", DEPLOY_SECRET)]),
            "private_key_jwt" => form(&[("client_assertion", &assertion), ("client_assertion_type", ASSERTION_TYPE)]),
            "Bearer" => form(&[]).bearer(&bearer),
            "DPoP" => form(&[])
                .header("Authorization", &format!("DPoP {bound}"))
                .header("DPoP", &proof_for(key, path, &bound).sign()),
            _ => form(&[]),
        })
    };
    let document = document(server);
    let introspection = accepted(&candidates, |method| ask("/introspect", method).status == 200);
    assert_eq!(introspection, listed(&document, "introspection_endpoint_auth_methods_supported"));
    // A token with `sts:revoke` is let in, too. The registry of RFC 8414 has no name for that here.
    let revocation = accepted(&candidates[..4], |method| ask("/revoke", method).status == 200);
    assert_eq!(revocation, listed(&document, "revocation_endpoint_auth_methods_supported"));
}

/// Names of algorithms that somebody might accept.
const ALGORITHMS: [&str; 15] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "ES256K", "HS256",
    "HS384", "HS512", "none",
];

/// A key that may have that algorithm, without a `kid`.
fn key_for(name: &str) -> Key {
    let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    Key::new(algorithm.unwrap_or(Algorithm::ES256), name)
}

/// Signed as `name` says, as far as there is a way.
fn signed(forge: &Forge<'_>, key: &Key, name: &str) -> String {
    match name {
        "none" => forge.sign_with(|_| Vec::new()),
        "HS256" | "HS384" | "HS512" => {
            forge.sign_with(|input| sts_testkit::hmac(name, key.jwk().to_string().as_bytes(), input))
        }
        _ => forge.sign(),
    }
}

#[test]
fn md04_dp01_ja01_the_algorithms_that_are_listed_are_those_that_verify() {
    let keys: Vec<(&str, Key)> = ALGORITHMS.iter().map(|name| (*name, key_for(name))).collect();
    let usable: Vec<&Key> =
        keys.iter().filter(|(name, key)| key.algorithm().name() == *name).map(|(_, key)| key).collect();
    let names: Vec<&str> = usable.iter().map(|key| key.algorithm().name()).collect();
    let config = grants_world()
        .with(
            "issuers/every",
            json!({ "issuer": "https://every.example", "jwks": Key::set(&usable), "algorithms": names }),
        )
        .with(
            "service_accounts/every",
            json!({ "teams": ["deployers"], "identities": [identity("every", "svc:every")] }),
        );
    let server = Server::start_in(STS, world_site(&config));
    let document = document(&server);
    let key_of = |name: &str| keys.iter().find(|(own, _)| *own == name).map(|(_, key)| key).unwrap();

    let proofs = accepted(&ALGORITHMS, |name| {
        let forged = proof(key_of(name)).header("alg", name);
        let request = exchange_request(&token("svc:octo"), &[]).header("DPoP", &signed(&forged, key_of(name), name));
        server.send(&request).status == 200
    });
    assert_eq!(proofs, listed(&document, "dpop_signing_alg_values_supported"));

    let assertions = accepted(&ALGORITHMS, |name| {
        let mut claims = claims("svc:every");
        claims["iss"] = json!("https://every.example");
        let assertion = signed(&Forge::new(key_of(name), &claims).header("alg", name), key_of(name), name);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion", assertion.as_str()),
            ("client_assertion_type", ASSERTION_TYPE),
        ];
        server.send(&Request::post_form("/token", &form)).status == 200
    });
    assert_eq!(assertions, listed(&document, "token_endpoint_auth_signing_alg_values_supported"));
}
