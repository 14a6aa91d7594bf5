//! Errors on every path and status, and the paths and methods themselves.

use crate::support::*;
use serde_json::json;
use sts_testkit::{FakeIssuer, Key, Page, Request, Response, Server, exchange_request, send_raw};

#[test]
fn o2_09_c119_a_path_answers_its_methods_and_405_with_allow_to_others() {
    for (path, allow) in [
        ("/token", "POST"),
        ("/revoke", "POST"),
        ("/introspect", "POST"),
        ("/.well-known/openid-configuration", "GET"),
        ("/.well-known/oauth-authorization-server", "GET"),
        ("/.well-known/jwks.json", "GET"),
        ("/.well-known/jwks", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"] {
            if method == allow || (allow == "GET" && method == "HEAD") {
                continue;
            }
            let response = send(&Request::new(method, path).header("X-HTTP-Method-Override", allow));
            assert_eq!(response.status, 405, "{method} {path}");
            let listed = response.header("allow").expect("Allow");
            assert!(listed.split(", ").any(|own| own == allow), "{method} {path}: {listed}");
            if method != "HEAD" {
                refused(&response, 405, "invalid_request", "method_not_allowed");
            }
        }
    }
}

#[test]
fn errors_under_well_known_also_carry_error_message_and_errors() {
    for response in [
        send(&Request::new("POST", "/.well-known/openid-configuration")),
        send(&Request::new("DELETE", "/.well-known/jwks")),
        send(&Request::get("/.well-known/nothing")),
    ] {
        let body = response.json();
        assert_eq!(body["ErrorMessage"], body["error_description"]);
        assert!(body["Errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{body}");
    }
    assert!(send(&Request::get("/nothing")).json().get("ErrorMessage").is_none());
}

#[test]
fn c117_one_normal_form_of_a_path_and_404_for_every_other() {
    for fine in ["//healthz", "/healthz/", "///healthz//", "/healthz", "/.well-known//jwks.json/", "/healthz?x=1"] {
        assert_eq!(send(&Request::get(fine)).status, 200, "{fine}");
    }
    for nowhere in [
        "/",
        "/nothing",
        "/Healthz",
        "/healthz;x",
        "/healthz.",
        "/%68ealthz",
        "/a/../healthz",
        "/a/%2e%2e/healthz",
        "/healthz%2f",
        "/.well-known",
        "/.well-known/jwks.json.bak",
        "/token/x",
        "/metrics",
        "/admin/v1/keys",
        "/console/",
        "/status/1",
        "/t1/token",
        "/.well-known/oauth-authorization-server/t1",
    ] {
        refused(&send(&Request::get(nowhere)), 404, "invalid_request", "not_found");
    }
    for path in ["//token", "/token/", "/token//"] {
        granted(&send(&exchange_request(&token("svc:octo"), &[]).at(path)));
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let ids: Vec<String> =
        (0..20).map(|_| send(&Request::get("/nothing")).header("x-request-id").unwrap().to_owned()).collect();
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    for path in ["/healthz", "/readyz", "/.well-known/jwks.json", "/.well-known/openid-configuration"] {
        assert!(send(&Request::get(path)).header("x-request-id").is_some(), "{path}");
    }
    // The id is ours, even if the caller sends one.
    let sent = send(&Request::get("/nothing").header("X-Request-Id", "01J00000000000000000000000"));
    assert_ne!(sent.header("x-request-id"), Some("01J00000000000000000000000"));
}

#[test]
fn health_and_readiness_are_a_status_only() {
    for path in ["/healthz", "/readyz"] {
        let response = send(&Request::get(path));
        assert_eq!((response.status, response.body.as_slice()), (200, b"".as_slice()), "{path}");
    }
}

#[test]
fn o2_03_c154_nothing_that_a_caller_sends_comes_back() {
    let canary = "zzCANARYzz";
    let quoted = format!("{canary}\"\\<script>\u{e9}");
    let bodies: Vec<Response> = vec![
        exchange(&quoted, &[]),
        exchange(&token("svc:octo"), &[("audience", &quoted)]),
        exchange(&token("svc:octo"), &[("resource", &quoted)]),
        exchange(&token("svc:octo"), &[("scope", &quoted)]),
        exchange(&token("svc:octo"), &[("requested_token_type", &quoted)]),
        exchange(&token("svc:octo"), &[("subject_token_type", &quoted)]),
        exchange(&token("svc:octo"), &[("grant_type", &quoted)]),
        exchange(&token("svc:octo"), &[("expires_in", &quoted)]),
        exchange(&token("svc:octo"), &[(&quoted, "1"), (&quoted, "2")]),
        exchange(&forge("svc:octo").claim("iss", canary).sign(), &[]),
        exchange(&forge("svc:octo").header("kid", canary).sign(), &[]),
        exchange(&forge("svc:octo").header("typ", canary).sign(), &[]),
        exchange(&forge("svc:octo").header("alg", canary).sign(), &[]),
        exchange(&forge(canary).sign(), &[]),
        exchange(&forge("svc:octo").claim("aud", canary).sign(), &[]),
        send(&Request::get(&format!("/{canary}"))),
        send(&Request::get(&format!("/.well-known/{canary}"))),
        send(&Request::new(canary, "/token")),
        send(&exchange_request(&token("svc:octo"), &[]).header("Authorization", &format!("Basic {canary}"))),
        send(&Request::new("POST", "/token").body(canary, "x")),
        send(&Request::post_form("/introspect", &[("token", canary)]).bearer(canary)),
    ];
    for response in bodies {
        assert!(response.status >= 400, "{response:?}");
        assert_error_shape(&response);
        let all = format!("{:?} {}", response.headers, response.text());
        assert!(!all.contains(canary), "{all}");
    }
}

#[test]
fn c116_a_head_that_is_too_large_is_refused_and_the_server_goes_on() {
    let long = "x".repeat(400_000);
    let answer = send_raw(WORLD.public(), format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").as_bytes());
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&answer));
    assert_eq!(send(&Request::get("/healthz")).status, 200);
}

#[test]
fn c118_host_and_forwarding_headers_change_no_url() {
    let plain = send(&Request::get("/.well-known/openid-configuration")).text();
    let spoofed = Request::get("/.well-known/openid-configuration")
        .header("Host", "evil.example")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "http")
        .header("Forwarded", "host=evil.example;proto=http");
    assert_eq!(send(&spoofed).text(), plain);
}

#[test]
fn o2_08_c122_an_address_with_too_many_refusals_gets_429_before_any_verification() {
    let config = world().with("limits", json!({ "failures_per_second": 1, "failure_burst": 5 }));
    let server = Server::start_in(STS, world_site(&config));
    // Granted requests do not count.
    for _ in 0..10 {
        granted(&server.exchange(&token("svc:octo"), &[]));
    }
    let last = (0..20).map(|_| server.exchange("x", &[])).find(|response| response.status != 400).expect("a limit");
    assert_eq!((last.status, last.json()["reason"].as_str()), (429, Some("rate_limited")));
    assert_error_shape(&last);
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(server.exchange(&token("svc:octo"), &[]).status, 429);
    // Public paths stay open.
    assert_eq!(server.send(&Request::get("/.well-known/jwks.json")).status, 200);
}

#[test]
fn o2_08_who_guesses_secrets_or_tokens_is_not_heard_for_long_at_any_endpoint() {
    let limits = json!({ "failures_per_second": 1, "failure_burst": 5 });
    let config = world().with("limits", limits).with("behind_tls_proxy", json!(["127.0.0.0/8"]));
    let server = Server::start_in(STS, world_site(&config));
    let access = server.token(&token("svc:octo"), &[]);
    let introspect = |secret: &str| Request::post_form("/introspect", &[("token", &access)]).basic("deploy", secret);
    let guesses = [
        introspect("wrong"),
        Request::post_form("/introspect", &[("token", &access)]).bearer("a.b.c"),
        Request::post_form("/revoke", &[("token", &access)]).basic("deploy", "wrong"),
        exchange_request("x", &[]),
    ];
    for (at, guess) in guesses.into_iter().enumerate() {
        let from = |request: Request| server.send(&request.header("X-Forwarded-For", &format!("203.0.113.{at}")));
        let last = (0..20).map(|_| from(guess.clone())).find(|answer| ![400, 401].contains(&answer.status));
        let last = last.expect("a limit");
        assert_eq!((last.status, last.json()["reason"].as_str()), (429, Some("rate_limited")), "{at}");
        assert!(last.header("retry-after").is_some());
        // From that address even the right secret is refused. From another address it is accepted.
        assert_eq!(from(introspect(DEPLOY_SECRET)).status, 429);
        assert_eq!(server.send(&introspect(DEPLOY_SECRET).header("X-Forwarded-For", "198.51.100.1")).status, 200);
    }
}

#[test]
fn c127_fld57_an_issuer_that_is_away_is_503_with_retry_after_and_nothing_is_minted() {
    let issuer = FakeIssuer::start(&Key::set(&[&KEYS.es256]));
    issuer.discovery(Page::status("500 Oops"));
    let config = world()
        .with("issuers/fake", json!({ "issuer": issuer.url(), "allow_http": true }))
        .with("service_accounts/fake", json!({ "teams": ["deployers"], "identities": [identity("fake", "svc:fake")] }));
    let server = Server::start_in(STS, world_site(&config));
    let response = server.exchange(&forge("svc:fake").claim("iss", issuer.url()).sign(), &[]);
    refused(&response, 503, "temporarily_unavailable", "issuer_unavailable");
    // A description that withholds the cause says where to find it.
    let description = response.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.contains(response.header("x-request-id").unwrap()), "{description}");
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait));
    let list = server.cli(&["tokens", "list", "--json"]).ended(0).json();
    assert_eq!(list["tokens"], json!([]));
}
