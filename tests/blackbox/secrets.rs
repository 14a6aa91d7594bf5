//! Canaries: a secret in every field and on every error path, at the most verbose log level,
//! appears nowhere.

use crate::support::*;
use serde_json::json;
use std::path::Path;
use sts_testkit::{FakeIssuer, Key, Page, Request, Server, base64url, exchange_request, send, send_raw, until};

/// The canaries, in every encoding that they may have on the way.
const CANARY: &str = "cAnArY0cAnArY1cAnArY2cAnArY3cAnArY4";

fn assert_free_of_it(what: &str, bytes: &[u8]) {
    let middle = base64url(format!("x{CANARY}").as_bytes());
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    for secret in [CANARY, &CANARY.to_ascii_lowercase(), &base64url(CANARY.as_bytes()), &middle[4..40], &hex] {
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{what} has it: {}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn c125_a_secret_that_is_sent_in_any_field_is_found_in_no_output_at_any_level() {
    let config = world().with("log", json!({ "format": "json", "level": "trace", "claims": false }));
    let server = Server::start_in(STS, world_site(&config));
    let honest = token("svc:octo");
    let mut answers = Vec::new();
    // As each parameter of each endpoint, in each form of a body; but for account, target and
    // scope, which are told to operators.
    for name in [
        "grant_type",
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
        "client_secret",
        "client_assertion",
        "expires_in",
        "token",
        "password",
        "code",
        CANARY,
    ] {
        answers.push(server.exchange(&honest, &[(name, CANARY)]));
        answers.push(server.send(&Request::post_json("/token", &json!({ name: CANARY, "subject_token": honest }))));
        for path in ["/introspect", "/revoke"] {
            answers.push(server.send(&Request::post_form(path, &[(name, CANARY)]).basic("deploy", DEPLOY_SECRET)));
        }
        answers.push(server.send(&Request::new("POST", &format!("/token?{name}={CANARY}"))));
    }
    // As credentials.
    for request in [
        exchange_request(&honest, &[]).bearer(CANARY),
        Request::post_form("/introspect", &[("token", "x")]).bearer(CANARY),
        Request::post_form("/introspect", &[("token", "x")]).basic("deploy", CANARY),
        Request::post_form("/introspect", &[("token", "x")]).basic(CANARY, "x"),
        Request::post_form("/revoke", &[("token", "x")]).header("Authorization", &format!("Digest {CANARY}")),
        exchange_request(&honest, &[]).header("DPoP", CANARY).header("Cookie", CANARY).header("X-Api-Key", CANARY),
        Request::new("POST", "/token").body("application/json", format!("{{\"subject_token\":\"{CANARY}")),
        Request::new("POST", "/token").body(&format!("text/{CANARY}"), CANARY),
        Request::get(&format!("/{CANARY}?{CANARY}")),
    ] {
        answers.push(server.send(&request));
    }
    for request in [
        Request::get("/admin/v1/keys").bearer(CANARY),
        Request::get("/admin/v1/keys").basic("admin", CANARY),
        Request::get(&format!("/admin/v1/keys?token={CANARY}")).bearer(CANARY),
    ] {
        answers.push(send(server.admin(), &request));
    }
    // As parts of a token that fails at each of its steps: signature, header, claims that nothing
    // looks at.
    for bent in [
        forge("svc:octo").sign_with(|_| CANARY.as_bytes().to_vec()),
        forge("svc:octo").header("alg", CANARY).sign(),
        forge("svc:octo").header("x", CANARY).sign(),
        forge("svc:octo").header("jwk", json!({ "d": CANARY })).sign(),
        forge("svc:octo").claim("secret", CANARY).claim("exp", 1).sign(),
        forge("svc:octo").claim("secret", CANARY).claim("exp", CANARY).sign(),
        forge("svc:nobody").claim("secret", CANARY).sign(),
        forge("svc:octo").claim("secret", CANARY).sign(),
        forge("svc:octo").raw_payload(format!("{{\"secret\":\"{CANARY}\"")).sign(),
    ] {
        answers.push(server.exchange(&bent, &[]));
        answers.push(server.exchange(&bent, &[("audience", "two")]));
    }
    // Requests that the HTTP library answers by itself.
    let broken = [
        format!("POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CANARY}\r\n broken\r\n\r\n{CANARY}"),
        format!("{CANARY}\r\n\r\n"),
        format!("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: {CANARY}\r\n\r\n"),
        format!("POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n"),
    ];
    let broken: Vec<Vec<u8>> = broken.iter().map(|bytes| send_raw(server.public(), bytes.as_bytes())).collect();
    for answer in &answers {
        // Only the caller gets the minted token.
        if answer.status != 200 {
            assert_free_of_it("an answer", format!("{:?}", answer.headers).as_bytes());
            assert_free_of_it("an answer", &answer.body);
        }
    }
    broken.iter().for_each(|answer| assert_free_of_it("an answer to broken framing", answer));
    assert_free_of_it("the metrics", &send(server.admin(), &Request::get("/metrics")).body);
    assert_free_of_it("the list of tokens", &server.send_admin(Request::get("/admin/v1/tokens")).body);
    let lines = server.lines().clone();
    let (code, site) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(lines.all().len() > answers.len() / 2, "the log is on");
    lines.all().iter().for_each(|line| assert_free_of_it("the log", line.as_bytes()));
    for file in files(&site.path("data")) {
        assert_free_of_it(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn c125_a_secret_in_a_file_is_found_in_no_message_about_it() {
    let several = format!("{CANARY}\n{CANARY}\n");
    for (name, config, content) in [
        ("deploy.secret", world(), several.clone()),
        ("deploy.secret", world(), format!("\u{feff}{CANARY}")),
        ("deploy.secret", world(), CANARY[..3].to_owned()),
        ("tls.key", world().with("tls", json!({ "cert_file": "tls.key", "key_file": "tls.key" })), several.clone()),
        (
            "bearer",
            world().with("issuers/b", json!({ "issuer": "https://b.example", "bearer_token_file": "bearer" })),
            several.clone(),
        ),
        (
            "set.json",
            world().with("issuers/b", json!({ "issuer": "https://b.example", "jwks_file": "set.json" })),
            several,
        ),
        (
            "set.json",
            world().with("issuers/b", json!({ "issuer": "https://b.example", "jwks_file": "set.json" })),
            json!({ "keys": [{ "kty": "EC", "crv": "P-256", "d": CANARY, "x": CANARY, "y": CANARY }] }).to_string(),
        ),
        ("data/admin.token", world(), format!("{CANARY} {CANARY}")),
        ("data/keys/x.json", world(), format!("{{\"pkcs8\":\"{CANARY}\"}}")),
        ("data/keys/seal.key", world(), CANARY.to_owned()),
        ("data/sts.redb", world(), CANARY.repeat(1000)),
    ] {
        let site = world_site(&config);
        site.write(name, content);
        let checked = STS.run(site.root(), &["check", "--config", "sts.yaml"]);
        assert_free_of_it(name, checked.text().as_bytes());
        match Server::try_start(STS, site) {
            Ok(server) => {
                let _ = server.exchange(&token("svc:octo"), &[]);
                assert_free_of_it(name, server.lines().text().as_bytes());
            }
            Err((_, finished)) => assert_free_of_it(name, finished.text().as_bytes()),
        }
    }
    let url = format!("https://user:{CANARY}@b.example/keys");
    let config = world().with("issuers/b", json!({ "issuer": "https://b.example", "jwks_url": url }));
    let finished = STS.run(world_site(&config).root(), &["check", "--config", "sts.yaml", "--json"]).ended(2);
    // A terminal shows the faulty line to its author. A log does not.
    assert_free_of_it("the findings", messages(&finished.json()).as_bytes());
}

#[test]
fn c125_the_credentials_of_a_proxy_are_used_and_never_shown() {
    let proxy = format!("http://user:{CANARY}@127.0.0.1:1");
    let config = world()
        .with("log", json!({ "format": "json", "level": "trace" }))
        .with("issuers/b", json!({ "issuer": "https://b.example", "proxy": proxy }));
    let server = Server::start_in(STS, world_site(&config));
    let answer = server.exchange(&forge("svc:b").claim("iss", "https://b.example").sign(), &[]);
    assert_eq!(answer.status, 503);
    assert_free_of_it("the answer", &answer.body);
    assert_free_of_it("the log", server.lines().text().as_bytes());
    assert_free_of_it("the detail", &send(server.admin(), &Request::get("/readyz")).body);
    assert_free_of_it("the entry", &server.send_admin(Request::get("/admin/v1/issuers/b")).body);
}

#[test]
fn c125_the_token_that_keys_are_fetched_with_is_used_and_never_shown() {
    let issuer = FakeIssuer::start(&Key::set(&[&KEYS.es256]));
    let entry = json!({ "issuer": issuer.url(), "allow_http": true, "bearer_token_file": "bearer" });
    let config = world().with("log", json!({ "format": "json", "level": "trace" })).with("issuers/fake", entry);
    let site = world_site(&config);
    site.write("bearer", CANARY);
    let server = Server::start_in(STS, site);
    let ask = || server.exchange(&forge("svc:fake").claim("iss", issuer.url()).sign(), &[]);
    let mut answers = vec![ask()];
    for page in [Page::status("401 No"), Page::status("500 Oops"), Page::Json(json!({ "keys": CANARY }))] {
        issuer.jwks(page);
        answers.push(server.send_admin(Request::post_json("/admin/v1/issuers/fake/refresh", &json!({}))));
        answers.push(ask());
    }
    assert!(issuer.fetches() > 0);
    answers.push(send(server.admin(), &Request::get("/readyz")));
    answers.push(server.send_admin(Request::get("/admin/v1/issuers/fake")));
    answers.push(server.send_admin(Request::get("/admin/v1/issuers/fake/history")));
    answers.iter().for_each(|answer| assert_free_of_it("an answer", &answer.body));
    assert_free_of_it("the log", server.lines().text().as_bytes());
    for file in files(&server.site().path("data")) {
        assert_free_of_it(&file.display().to_string(), &std::fs::read(&file).unwrap());
    }
}

/// The messages of findings, without the quoted lines of the file.
fn messages(document: &serde_json::Value) -> String {
    let findings = document["diagnostics"].as_array().unwrap();
    findings.iter().map(|finding| format!("{} {}\n", finding["message"], finding["help"])).collect()
}

#[test]
fn c125_what_an_issuer_sends_is_not_repeated() {
    let issuer = FakeIssuer::start(&Key::set(&[]));
    let config = world()
        .with("log", json!({ "format": "json", "level": "trace" }))
        .with("issuers/fake", json!({ "issuer": issuer.url(), "allow_http": true }));
    issuer.jwks(Page::Json(json!({ "keys": [{ "kty": "oct", "k": CANARY }, { "kty": CANARY }], "x": CANARY })));
    let server = Server::start_in(STS, world_site(&config));
    let answer = server.exchange(&forge("svc:fake").claim("iss", issuer.url()).sign(), &[]);
    assert_eq!(answer.status, 503);
    until("the fetch", || issuer.fetches() > 0);
    assert_free_of_it("the answer", &answer.body);
    assert_free_of_it("the log", server.lines().text().as_bytes());
    assert_free_of_it("the detail", &send(server.admin(), &Request::get("/readyz")).body);
}
