//! Decision events: one JSON line for every exchange, which matches the committed schema and never
//! contains a token.

use crate::support::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use sts_testkit::{Request, Response, Server, Site, base64url, decode_base64url, exchange_request};

fn event(server: &Server, response: &Response) -> Value {
    server.lines().decision(response.header("x-request-id").unwrap())
}

fn schema() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/schema/decision-event.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_committed_schema_is_the_one_that_is_printed() {
    let site = Site::new();
    assert_eq!(STS.run(site.root(), &["schema", "--event"]).ended(0).json(), schema());
}

#[test]
fn every_exchange_writes_one_event_by_the_schema() {
    let server = Server::start_in(STS, world_site(&world().with("log/claims", true)));
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let octo = token("svc:octo");
    let responses = [
        ("granted", server.exchange(&octo, &[])),
        ("not_authorized", server.exchange(&token("svc:nobody"), &[])),
        ("not_authorized", server.exchange(&octo, &[("audience", "two")])),
        ("target_not_granted", server.exchange(&octo, &[("audience", "billing")])),
        ("scope_not_granted", server.exchange(&octo, &[("scope", "x")])),
        ("target_required", server.exchange(&token("svc:two"), &[])),
        ("ambiguous_account", server.exchange(&token("svc:twin"), &[])),
        ("token_malformed", server.exchange("x", &[])),
        ("issuer_unknown", server.exchange(&forge("svc:octo").claim("iss", "https://nobody.example").sign(), &[])),
        ("token_expired", server.exchange(&forge("svc:octo").claim("iat", 1).claim("exp", 2).sign(), &[])),
        ("request_malformed", server.exchange(&octo, &[("actor_token", "x")])),
        ("invalid_client", server.send(&exchange_request(&octo, &[]).bearer("x"))),
        ("media_type", server.send(&Request::new("POST", "/token").body("text/plain", "x"))),
        ("grant_unsupported", server.exchange(&octo, &[("grant_type", "password")])),
    ];
    for (outcome, response) in &responses {
        assert_eq!(reason_of(response), *outcome);
        let event = event(&server, response);
        let errors: Vec<String> = validator.iter_errors(&event).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}: {event}");
        assert_eq!(event["outcome"], if *outcome == "granted" { "granted" } else { "refused" });
        assert_eq!(event.get("reason").and_then(Value::as_str).unwrap_or("granted"), *outcome);
        assert_eq!(event["source"], "127.0.0.1");
        let id = response.header("x-request-id").unwrap();
        let of_it =
            server.lines().all().iter().filter(|line| line.contains(id) && line.contains("\"decision\"")).count();
        assert_eq!(of_it, 1, "{outcome}");
    }
}

#[test]
fn fld42_the_event_of_a_replay_names_the_request_before_it_by_the_schema() {
    let server = Server::start_in(STS, world_site(&world()));
    let once = forge("svc:octo").claim("iss", "https://once.example").claim("jti", "event").sign();
    let used = server.exchange(&once, &[]);
    let event = event(&server, &server.exchange(&once, &[]));
    let errors: Vec<String> =
        jsonschema::validator_for(&schema()).unwrap().iter_errors(&event).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}: {event}");
    assert_eq!(event["earlier_use"]["request_id"], used.header("x-request-id").unwrap());
}

#[test]
fn an_event_tells_who_what_and_why() {
    let server = Server::start_in(STS, world_site(&world().with("log/claims", true)));
    let response = server.exchange(&forge("svc:octo").claim("custom", "value").sign(), &[]);
    let body = response.json();
    let payload = decode_base64url(body["access_token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
    let minted: Value = serde_json::from_slice(&payload).unwrap();
    let event_of_grant = event(&server, &response);
    for (name, expected) in [
        ("issuer_entry", json!("plain")),
        ("subject", json!("svc:octo")),
        ("account", json!("octo")),
        ("identity", json!("plain")),
        ("audience", json!(DEPLOY)),
        ("scope", json!("deployments:create releases:read")),
        ("jti", minted["jti"].clone()),
    ] {
        assert_eq!(event_of_grant[name], expected, "{name}");
    }
    assert_eq!(event_of_grant["claims"]["custom"], "value");
    let refused = event(&server, &server.exchange(&token("svc:octo"), &[("audience", "two")]));
    assert!(refused["nearest_identity"].as_str().unwrap().contains("two"), "{refused}");
    assert_eq!(refused["failing_condition"]["on"], "subject");
    assert_eq!(refused["generation"], event_of_grant["generation"]);
    // Claims are logged only with `log.claims: true`.
    let quiet = Server::start_in(STS, world_site(&world()));
    let response = quiet.exchange(&forge("svc:octo").claim("custom", "value").sign(), &[]);
    assert!(event(&quiet, &response).get("claims").is_none());
}

#[test]
fn c125_no_token_secret_or_key_reaches_any_output() {
    let server = Server::start_in(
        STS,
        world_site(&world().with("log", json!({ "format": "json", "level": "debug", "claims": true }))),
    );
    let subject = token("svc:octo");
    let body = granted(&server.exchange(&subject, &[]));
    let access = body["access_token"].as_str().unwrap().to_owned();
    let canary = "canary0canary0canary0canary0canary0";
    let forged = forge("svc:octo").sign_with(|_| canary.as_bytes().to_vec());
    let _ = server.exchange(&forged, &[]);
    let _ = server.exchange(canary, &[]);
    let _ = server.exchange(&subject, &[("client_secret", canary)]);
    let _ = server.exchange(&subject, &[("actor_token", canary)]);
    let _ = server.send(&exchange_request(&subject, &[]).basic("deploy", canary));
    let _ = server.send(&exchange_request(&subject, &[]).bearer(canary));
    let _ = server.send(&Request::post_form("/introspect", &[("token", canary)]).basic("deploy", canary));
    let _ = server.introspect("deploy", DEPLOY_SECRET, &access);
    let _ = server.introspect("deploy", DEPLOY_SECRET, canary);
    let _ = server.revoke(canary);
    let _ = server.revoke(&access);
    let _ = server.send_admin(Request::get("/admin/v1/tokens"));
    let _ = sts_testkit::send(server.admin(), &Request::get("/admin/v1/tokens").bearer(canary));
    let metrics = sts_testkit::send(server.admin(), &Request::get("/metrics")).text();
    let denied = server.exchange(&token("svc:octo"), &[("audience", "two")]);
    let _ = event(&server, &denied);
    let admin_token = server.admin_token();
    let lines = server.lines().clone();
    let (_, site) = server.terminate();
    let all = format!("{}\n{metrics}", lines.text());
    let encoded = base64url(canary.as_bytes());
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let payload = |token: &str| token.split('.').nth(1).unwrap().to_owned();
    for (what, secret) in [
        ("the subject token's signature", signature(&subject)),
        ("the subject token's payload", payload(&subject)),
        ("our token's signature", signature(&access)),
        ("our token's payload", payload(&access)),
        ("the canary", canary.to_owned()),
        ("the canary, encoded", encoded),
        ("the API's secret", DEPLOY_SECRET.to_owned()),
        ("the admin token", admin_token.clone()),
    ] {
        assert!(!all.contains(&secret), "{what} was printed");
    }
    // The store contains no token either.
    for entry in std::fs::read_dir(site.path("data")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_file() && !entry.ends_with("admin.token") {
            let content = std::fs::read(&entry).unwrap();
            for secret in [&subject, &access, &signature(&access), &admin_token] {
                assert!(
                    !content.windows(secret.len()).any(|window| window == secret.as_bytes()),
                    "{}",
                    entry.display()
                );
            }
        }
    }
}

#[test]
fn c022_c047_c124_hostile_text_stays_on_one_line_escaped_and_bounded() {
    let server = Server::start_in(STS, world_site(&world().with("log/claims", false)));
    let before = lines_of_start(&server);
    let hostile = "svc:\u{202e}x\u{2028}{\"event\":\"decision\"}";
    let long = format!("svc:{}", "y".repeat(1000));
    let responses = [
        server.exchange(&forge(hostile).sign(), &[]),
        server.exchange(&forge(&long).sign(), &[]),
        server.exchange(&forge("svc:octo").header("kid", "\u{1b}[31m\r\nX: y").sign(), &[]),
        server.exchange(&forge("svc:octo").claim("iss", format!("https://{}", "z".repeat(2000))).sign(), &[]),
        server.exchange("\r\n{\"event\":\"decision\"}\r\n", &[]),
        server.send(&exchange_request("x", &[]).header("User-Agent", "{\"event\":\"decision\"}")),
    ];
    for response in &responses {
        let _ = event(&server, response);
    }
    let lines = server.lines().all();
    assert_eq!(lines.len() - before, responses.len(), "{lines:#?}");
    for line in &lines[before..] {
        assert!(line.len() < 2500, "{}", line.len());
        assert!(!line.contains('\u{1b}') && !line.contains(&"z".repeat(257)), "{line}");
        serde_json::from_str::<Value>(line).unwrap();
    }
}

/// How many lines there are when the server has told of its start on both streams.
fn lines_of_start(server: &Server) -> usize {
    server.lines().wait("the start", |line| line.contains("\"server_started\"").then_some(()));
    server.lines().all().len()
}

#[test]
fn c124_nonsense_on_a_connection_is_no_line_of_the_log() {
    let server = Server::start_in(STS, world_site(&world()));
    let before = lines_of_start(&server);
    for _ in 0..20 {
        let _ = sts_testkit::send_raw(server.public(), b"nonsense\r\n\r\n");
        let _ = sts_testkit::send_raw(server.public(), b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n");
    }
    let response = server.exchange("x", &[]);
    let _ = event(&server, &response);
    assert_eq!(server.lines().all().len() - before, 1, "{}", server.lines().text());
}
