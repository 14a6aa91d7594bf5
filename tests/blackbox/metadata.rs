//! Metadata and our key set (RFC 8414, OpenID Connect Discovery, RFC 7517).

use crate::support::*;
use serde_json::{Value, json};
use sts_testkit::{Config, Request, Server, exchange_request, send};

const DOCUMENTS: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

#[test]
fn md01_md04_sb07_the_metadata_describes_what_is_there_and_nothing_else() {
    let documents = DOCUMENTS.map(|path| WORLD.send(&Request::get(path)).json());
    assert_eq!(documents[0], documents[1]);
    let document = documents[0].as_object().unwrap();
    assert_eq!(document["issuer"], US);
    assert_eq!(
        document["grant_types_supported"],
        json!([
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "client_credentials",
        ])
    );
    assert_eq!(
        document["token_endpoint_auth_methods_supported"],
        json!(["none", "private_key_jwt", "client_secret_basic", "client_secret_post"])
    );
    let algorithms = document["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap();
    assert!(algorithms.contains(&json!("RS256")) && algorithms.contains(&json!("ES256")), "{algorithms:?}");
    for name in [
        "token_endpoint",
        "jwks_uri",
        "revocation_endpoint",
        "introspection_endpoint",
        "token_endpoint_auth_methods_supported",
        "revocation_endpoint_auth_methods_supported",
        "introspection_endpoint_auth_methods_supported",
    ] {
        assert!(document.contains_key(name), "{name}");
    }
    for (name, value) in document {
        assert!(value.as_array().is_none_or(|list| !list.is_empty()), "{name} is empty");
        let Some(url) = value.as_str().filter(|_| name.ends_with("_endpoint") || name.ends_with("_uri")) else {
            continue;
        };
        let path = url.strip_prefix(US).unwrap_or_else(|| panic!("{name}: {url} is not under our issuer"));
        let method = if name.ends_with("_uri") { "GET" } else { "POST" };
        assert!(![404, 405].contains(&WORLD.send(&Request::new(method, path)).status), "{name}: {url} is not there");
    }
}

#[test]
fn fld35_the_metadata_has_every_member_that_rfc_8414_and_openid_discovery_require() {
    let document = WORLD.send(&Request::get(DOCUMENTS[0])).json();
    for name in [
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "grant_types_supported",
        "token_endpoint_auth_methods_supported",
    ] {
        let values = document[name].as_array().unwrap_or_else(|| panic!("{name} is missing"));
        assert!(!values.is_empty() && values.iter().all(Value::is_string), "{name}: {values:?}");
    }
    for name in ["issuer", "token_endpoint", "jwks_uri"] {
        assert!(document[name].is_string(), "{name} is missing");
    }
    // There is no sign-in here.
    for name in ["authorization_endpoint", "userinfo_endpoint", "registration_endpoint", "end_session_endpoint"] {
        assert!(document.get(name).is_none(), "{name} is not there");
    }
    // RFC 8414 section 2: the methods of the token endpoint's registry.
    let registered = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
    for name in ["token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"] {
        let methods = document[name].as_array().unwrap();
        assert!(methods.iter().all(|method| registered.iter().any(|own| method == own)), "{name}: {methods:?}");
    }
}

#[test]
fn md06_documents_have_an_etag_a_lifetime_and_any_origin_and_no_cookie() {
    for path in [DOCUMENTS[0], DOCUMENTS[1], "/.well-known/jwks.json", "/.well-known/jwks"] {
        let response = WORLD.send(&Request::get(path));
        assert_eq!(response.status, 200);
        let etag = response.header("etag").unwrap().to_owned();
        let control = response.header("cache-control").unwrap().to_owned();
        let age = control.strip_prefix("public, max-age=").unwrap_or_else(|| panic!("{control}")).to_owned();
        assert!(age.parse::<u32>().unwrap() > 0);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert!(response.header("set-cookie").is_none());
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
            let again = WORLD.send(&Request::get(path).header("If-None-Match", &known));
            assert_eq!((again.status, again.body.len()), (304, 0), "{known}");
            assert_eq!(again.header("etag"), Some(etag.as_str()));
        }
        assert_eq!(WORLD.send(&Request::get(path).header("If-None-Match", "\"x\"")).status, 200);
        for accept in ["application/json", "application/jwk-set+json", "text/html", "*/*", "garbage"] {
            assert_eq!(WORLD.send(&Request::get(path).header("Accept", accept)).status, 200, "{accept}");
        }
        let head = WORLD.send(&Request::new("HEAD", path));
        assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, Some(etag.as_str())));
    }
}

#[test]
fn j15_our_key_set_holds_public_members_only() {
    let server = Server::start(STS, &Config::new().with("signing/algorithms", json!(["ES256", "RS256", "EdDSA"])));
    let set = server.jwks();
    assert_eq!(server.send(&Request::get("/.well-known/jwks")).json(), set);
    let keys = set["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let members = key.as_object().unwrap();
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(!members.contains_key(private), "{private}");
        }
        assert_eq!(key["use"], "sig");
        // RFC 7638, by the independent library.
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        assert_eq!(key["kid"], jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap());
    }
    let mut kids: Vec<&Value> = keys.iter().map(|key| &key["kid"]).collect();
    kids.dedup();
    assert_eq!(kids.len(), keys.len());
    let mut algorithms: Vec<&str> = keys.iter().map(|key| key["alg"].as_str().unwrap()).collect();
    algorithms.sort_unstable();
    assert_eq!(algorithms, ["ES256", "EdDSA", "RS256"]);
}

#[test]
fn md02_an_issuer_with_a_path_answers_under_it_at_the_root_and_in_the_inserted_form() {
    let issuer = "https://sts.example.com/t1";
    let claims = |subject: &str| forge(subject).claim("aud", issuer).sign();
    let server = Server::start_in(STS, world_site(&world().with("issuer", issuer)));
    for path in [
        "/t1/.well-known/openid-configuration",
        "/t1/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t1/",
        "//t1//.well-known/openid-configuration",
    ] {
        let document = server.send(&Request::get(path)).json();
        assert_eq!(document["issuer"], issuer, "{path}");
        assert_eq!(document["token_endpoint"], "https://sts.example.com/t1/token");
        assert_eq!(document["jwks_uri"], "https://sts.example.com/t1/.well-known/jwks.json");
    }
    for path in
        ["/t1/healthz", "/t1/readyz", "/t1/.well-known/jwks.json", "/t1/.well-known/jwks", "/.well-known/jwks.json"]
    {
        assert_eq!(server.send(&Request::get(path)).status, 200, "{path}");
    }
    for path in ["/t2/healthz", "/t1t1/healthz", "/t1/t1/healthz", "/.well-known/oauth-authorization-server/t2", "/t1"]
    {
        refused(&server.send(&Request::get(path)), 404, "invalid_request", "not_found");
    }
    let access = server.token(&claims("svc:octo"), &[]);
    assert!(sts_testkit::verify_offline(&access, &server.jwks(), issuer, DEPLOY).is_ok());
    for path in ["/t1/token", "/t1//token/"] {
        let request = exchange_request(&claims("svc:octo"), &[]).at(path);
        granted(&server.send(&request));
    }
}

#[test]
fn md01_a_trailing_slash_of_the_issuer_is_kept_and_urls_have_one_slash() {
    let issuer = "https://sts.example.com/";
    let server = Server::start_in(STS, world_site(&world().with("issuer", issuer)));
    let document = server.send(&Request::get(DOCUMENTS[0])).json();
    assert_eq!(
        (&document["issuer"], &document["token_endpoint"]),
        (&json!(issuer), &json!("https://sts.example.com/token"))
    );
    let access = server.token(&forge("svc:octo").claim("aud", issuer).sign(), &[]);
    assert!(sts_testkit::verify_offline(&access, &server.jwks(), issuer, DEPLOY).is_ok());
    invalid(&server.exchange(&token("svc:octo"), &[]), "token_audience");
}

#[test]
fn keys_stay_over_a_restart_and_old_tokens_verify() {
    let server = Server::start_in(STS, world_site(&world()));
    let (set, access) = (server.jwks(), server.token(&token("svc:octo"), &[]));
    let server = server.crash_and_restart();
    assert_eq!(server.jwks(), set);
    assert!(sts_testkit::verify_offline(&access, &server.jwks(), US, DEPLOY).is_ok());
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access)["active"], true);
}

#[test]
fn c145_a_rotation_publishes_the_successor_before_it_signs() {
    let server = Server::start_in(STS, world_site(&world()));
    let before = server.jwks();
    let kids = |set: &Value| -> Vec<String> {
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let rotated = server.cli(&["keys", "rotate", "--json"]).ended(0).json();
    assert!(rotated["keys"].as_array().unwrap().len() > kids(&before).len());
    let after = server.jwks();
    assert!(kids(&before).iter().all(|kid| kids(&after).contains(kid)), "an old key went too early");
    assert!(kids(&after).len() > kids(&before).len());
    // A verifier that has the old set in its cache still verifies.
    let access = server.token(&token("svc:octo"), &[]);
    assert!(sts_testkit::verify_offline(&access, &before, US, DEPLOY).is_ok());
}

#[test]
fn a_server_without_any_account_serves_its_documents_and_refuses_every_token() {
    let server = Server::start(STS, &Config::new());
    assert_eq!(send(server.public(), &Request::get(DOCUMENTS[0])).status, 200);
    invalid(&server.exchange(&token("svc:octo"), &[]), "issuer_unknown");
}

#[test]
fn the_openapi_document_that_is_served_is_the_committed_one() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/schema/openapi.json");
    let committed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let served = send(WORLD.admin(), &Request::get("/openapi.json"));
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert!(served.json() == committed, "run `sts schema --openapi > deploy/schema/openapi.json`");
    assert_eq!(
        WORLD.send(&Request::get("/openapi.json")).status,
        404,
        "the public listener has what the contract lists"
    );
    let refresh = Request::post_json("/admin/v1/issuers/nobody/refresh", &serde_json::json!({}));
    assert_eq!(WORLD.send_admin(refresh).status, 404);
}
