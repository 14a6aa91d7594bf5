//! API keys as credentials of `client_credentials` (RFC 6749 sections 2.3 and 4.4), by callers who
//! mean harm.

use crate::grants_support::*;
use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Request, Response, Server, send};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn with(server: &Server, pairs: &[(&str, &str)], basic: Option<(&str, &str)>) -> Response {
    let request = Request::post_form("/token", &[&[GRANT], pairs].concat());
    server.send(&match basic {
        Some((name, secret)) => request.basic(name, secret),
        None => request,
    })
}

fn in_body(server: &Server, name: &str, key: &str, more: &[(&str, &str)]) -> Response {
    with(server, &[&[("client_id", name), ("client_secret", key)], more].concat(), None)
}

fn by_basic(server: &Server, name: &str, key: &str, more: &[(&str, &str)]) -> Response {
    with(server, more, Some((name, key)))
}

#[test]
fn o2_04_o2_06_c111_a_key_comes_as_basic_or_in_a_form_or_json_and_names_its_account() {
    let server = &*GRANTS;
    let key = api_key(server, "octo", &json!({ "name": "ways" }));
    let json = json!({ "grant_type": "client_credentials", "client_id": "octo", "client_secret": key });
    let encoded = key.replace('s', "%73");
    for (way, response) in [
        ("header", by_basic(server, "octo", &key, &[])),
        ("header, form-encoded", by_basic(server, "oct%6F", &encoded, &[])),
        ("header and its name in the body", by_basic(server, "octo", &key, &[("client_id", "octo")])),
        ("id of the account", by_basic(server, OCTO_ID, &key, &[])),
        ("form", in_body(server, "octo", &key, &[])),
        ("JSON", server.send(&Request::post_json("/token", &json))),
        ("a name in the header, the key in the body", with(server, &[("client_secret", &key)], Some(("octo", "")))),
    ] {
        let body = granted(&response);
        assert_eq!((&body["token_type"], body.get("refresh_token")), (&json!("Bearer"), None), "{way}");
        assert!(body.get("issued_token_type").is_none(), "{way}");
        assert_eq!(payload(body["access_token"].as_str().unwrap())["sub"], OCTO_ID, "{way}");
    }
}

#[test]
fn o2_05_tx14_c111_a_key_beside_another_credential_or_with_another_grant_is_refused() {
    let server = &*GRANTS;
    let key = api_key(server, "octo", &json!({ "name": "beside" }));
    let (id_token, kind) = (token("svc:octo"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let assertion = [("client_assertion", id_token.as_str()), ("client_assertion_type", kind)];
    for (what, response, status) in [
        ("header and body", with(server, &[("client_secret", &key)], Some(("octo", &key))), 400),
        ("header and an assertion", with(server, &assertion, Some(("octo", &key))), 400),
        ("body and an assertion", in_body(server, "octo", &key, &assertion), 400),
        ("another name in the body", by_basic(server, "octo", &key, &[("client_id", "two")]), 400),
        ("the key twice", in_body(server, "octo", &key, &[("client_secret", &key)]), 400),
        ("no name", with(server, &[("client_secret", &key)], None), 401),
        (
            "an actor",
            by_basic(server, "octo", &key, &[("actor_token", &id_token), ("actor_token_type", ID_TOKEN)]),
            400,
        ),
        ("in the query", with_query(server, &key), 400),
        ("as a bearer", server.send(&Request::post_form("/token", &[GRANT]).bearer(&key)), 401),
        ("two headers", two_headers(server, &key), 401),
        ("with an exchange", server.send(&sts_testkit::exchange_request(&id_token, &[]).basic("octo", &key)), 401),
        (
            "with an assertion grant",
            server.send(
                &Request::post_form("/token", &[("grant_type", JWT_BEARER), ("assertion", &id_token)])
                    .basic("octo", &key),
            ),
            401,
        ),
        ("as subject token", exchange_own(server, &key, &[("client_id", "octo")]), 400),
        ("as ID token", server.exchange(&key, &[]), 400),
        (
            "as actor token",
            server.exchange(&token("svc:front"), &[("actor_token", &key), ("actor_token_type", ACCESS_TOKEN)]),
            400,
        ),
        (
            "as password grant",
            server.send(&Request::post_form(
                "/token",
                &[("grant_type", "password"), ("username", "octo"), ("password", &key)],
            )),
            400,
        ),
    ] {
        assert_eq!(response.status, status, "{what}: {}", response.text());
        assert_error_shape(&response);
        assert!(!response.text().contains(&key) && !response.text().contains(&key[16..52]), "{what}");
        assert_eq!(response.header("www-authenticate").is_some(), status == 401, "{what}");
    }
    for authorized in [Request::bearer, |request: Request, key: &str| request.basic("octo", key)] {
        let introspection = Request::post_form("/introspect", &[("token", "x")]);
        assert_eq!(server.send(&authorized(introspection, &key)).status, 401);
        assert_eq!(send(server.admin(), &authorized(Request::get("/admin/v1/keys"), &key)).status, 401);
    }
    assert!(!server.lines().text().contains(&key[16..52]), "no log has the secret");
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn with_query(server: &Server, key: &str) -> Response {
    let target = format!("/token?client_id=octo&client_secret={key}");
    server.send(&Request::post_form(&target, &[GRANT]))
}

fn two_headers(server: &Server, key: &str) -> Response {
    server.send(&Request::post_form("/token", &[GRANT]).basic("octo", key).basic("octo", key))
}

#[test]
fn o2_08_c120_c160_every_wrong_key_is_one_answer_but_for_the_request_id() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let key = api_key(&server, "octo", &json!({ "name": "right" }));
    let elsewhere = api_key(&server, "octo", &json!({ "name": "elsewhere", "allow_from": ["10.0.0.0/8"] }));
    let revoked = api_key(&server, "octo", &json!({ "name": "revoked" }));
    server.cli(&["api-keys", "revoke", &revoked[4..16]]).ended(0);
    let flipped = |at: usize| {
        let digit = if key.as_bytes()[at] == b'0' { '1' } else { '0' };
        format!("{}{digit}{}", &key[..at], &key[at + 1..])
    };
    // A checksum that fits again: the form is that of a key.
    let resealed = |body: &str| format!("{body}{}", checksum(body));
    let other_secret = resealed(&flipped(30)[..52]);
    let other_id = resealed(&flipped(5)[..52]);
    let shapes: Vec<Value> = [
        ("octo", flipped(57)),
        ("octo", flipped(30)),
        ("octo", other_secret),
        ("octo", other_id),
        ("octo", revoked),
        ("octo", elsewhere),
        ("octo", key[16..52].to_owned()),
        ("octo", key.to_uppercase()),
        ("octo", format!("{key} ")),
        ("octo", "x".repeat(9000)),
        ("octo", "\u{1F511}".to_owned()),
        ("two", key.clone()),
        ("OCTO", key.clone()),
        ("octo ", key.clone()),
        ("nobody", key.clone()),
        ("deploy", key.clone()),
        ("disabled", key.clone()),
        ("deploy", DEPLOY_SECRET.to_owned()),
        ("octo", server.admin_token()),
    ]
    .into_iter()
    .flat_map(|(name, secret)| [in_body(&server, name, &secret, &[]), by_basic(&server, name, &secret, &[])])
    .map(|response| {
        refused(&response, 401, "invalid_client", "invalid_client");
        assert!(response.header("www-authenticate").unwrap().starts_with("Basic realm="));
        let mut body = response.json();
        body.as_object_mut().unwrap().remove("request_id").unwrap();
        body
    })
    .collect();
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
    granted(&by_basic(&server, "octo", &key, &[]));
    assert!(!server.lines().text().contains(&key[16..52]), "no log has the secret");
}

/// CRC-32 in base 62, by its definition.
fn checksum(body: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = !crc as usize;
    let mut digits: Vec<char> = (0..6)
        .map(|_| {
            let digit = DIGITS[rest % 62] as char;
            rest /= 62;
            digit
        })
        .collect();
    digits.reverse();
    digits.into_iter().collect()
}

#[test]
fn c159_the_checksum_of_a_key_is_that_which_secret_scanners_compute() {
    let key = api_key(&GRANTS, "octo", &json!({ "name": "scanned" }));
    assert_eq!(checksum(&key[..52]), key[52..]);
    assert_eq!((&key[..4], key.len()), ("sts_", 58));
}

#[test]
fn o2_08_c122_an_address_that_guesses_keys_gets_429_and_so_does_the_right_key_from_there() {
    let limits = json!({ "failures_per_second": 1, "failure_burst": 5 });
    let server = Server::start_in(STS, world_site(&grants_world().with("limits", limits)));
    let key = api_key(&server, "octo", &json!({ "name": "guessed" }));
    let wrong = format!("{}0", &key[..57]);
    let last = (0..20).map(|_| by_basic(&server, "octo", &wrong, &[])).find(|answer| answer.status != 401);
    let last = last.expect("a limit");
    assert_eq!((last.status, reason_of(&last).as_str()), (429, "rate_limited"));
    assert!(last.header("retry-after").is_some());
    assert_eq!(by_basic(&server, "octo", &key, &[]).status, 429);
}

#[test]
fn c160_c080_a_key_of_a_disabled_account_gets_nothing_on_any_replica_at_once() {
    let (redis, keys) = (sts_testkit::RedisServer::start(), sts_testkit::Site::new());
    let config = crate::redis::shared_world(&redis, &keys);
    let replicas: [Server; 2] = std::array::from_fn(|_| Server::start_in(STS, world_site(&config)));
    let accounts = "/admin/v1/service-accounts";
    let account = json!({ "name": "bot", "spec": { "grants": { "deploy": ["releases:read"] } } });
    assert_eq!(replicas[0].send_admin(Request::post_json(accounts, &account)).status, 201);
    let key = api_key(&replicas[0], "bot", &json!({ "name": "n" }));
    let ask = |server: &Server| by_basic(server, "bot", &key, &[]);
    sts_testkit::until("the other replica has the key", || ask(&replicas[1]).status == 200);
    let access = access_token(&ask(&replicas[1]));
    replicas[0].cli(&["disable", "bot"]).ended(0);
    assert_ne!(ask(&replicas[0]).status, 200);
    sts_testkit::until("the other replica refuses", || ask(&replicas[1]).status != 200);
    assert!(replicas.iter().all(|server| server.introspect("deploy", DEPLOY_SECRET, &access)["active"] == false));
    // A caller with the right key is told no more than that the rules refuse.
    assert_eq!(reason_of(&ask(&replicas[0])), "not_authorized");
    replicas[0].cli(&["enable", "bot"]).ended(0);
    sts_testkit::until("the other replica grants again", || ask(&replicas[1]).status == 200);
    // The key ends everywhere, and what was made with it.
    let access = access_token(&ask(&replicas[1]));
    replicas[0].cli(&["api-keys", "revoke", &key[4..16]]).ended(0);
    refused(&ask(&replicas[0]), 401, "invalid_client", "invalid_client");
    sts_testkit::until("the other replica refuses the key", || ask(&replicas[1]).status == 401);
    assert!(replicas.iter().all(|server| server.introspect("deploy", DEPLOY_SECRET, &access)["active"] == false));
}

#[test]
fn c158_a_key_is_found_under_its_own_account_only() {
    let server = &*GRANTS;
    let key = api_key(server, "octo", &json!({ "name": "own" }));
    for account in ["two", "nobody"] {
        let path = format!("/admin/v1/service-accounts/{account}/api-keys/{}", &key[4..16]);
        refused(&server.send_admin(Request::new("DELETE", &path)), 404, "invalid_request", "not_found");
        let listed = server.send_admin(Request::get(&format!("/admin/v1/service-accounts/{account}/api-keys")));
        assert!(!listed.text().contains(&key[4..16]), "{}", listed.text());
    }
    granted(&by_basic(server, "octo", &key, &[]));
}

#[test]
fn c157_nobody_sets_the_members_of_a_key_that_the_server_sets() {
    let server = Server::start_in(STS, world_site(&grants_world()));
    let path = "/admin/v1/service-accounts/octo/api-keys";
    for member in ["id", "key", "secret", "secret_sha256", "account", "created_by", "created_at", "expires_at", "state"]
    {
        let body = json!({ "name": "n", member: "x" });
        let response = server.send_admin(Request::post_json(path, &body));
        assert_eq!(response.status, 400, "{member}: {}", response.text());
    }
    assert_eq!(server.send_admin(Request::get(path)).json()["items"], json!([]));
}
