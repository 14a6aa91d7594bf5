//! Ambiguous requests are refused. The refusal says what is wrong and what to send.

use crate::support::*;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use sts_testkit::{Request, Response, Server, form, send_raw};

fn description(response: &Response) -> String {
    response.json()["error_description"].as_str().unwrap().to_owned()
}

#[test]
fn fld45_a_repeated_parameter_is_named_where_the_name_is_ours_and_never_else() {
    let sound = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", "x"),
    ];
    let with = |more: &[(&str, &str)]| {
        let all: Vec<_> = sound.into_iter().chain(more.iter().copied()).collect();
        send(&Request::post_form("/token", &all))
    };
    for name in ["scope", "subject_token", "client_id", "expires_in", "actor_token", "requested_token_type"] {
        let response = with(&[(name, "1"), (name, "1")]);
        invalid(&response, "request_malformed");
        assert_eq!(description(&response), format!("`{name}` is sent more than once: send it once"));
    }
    let strangers = with(&[("audiense", "1"), ("audiense", "2")]);
    invalid(&strangers, "request_malformed");
    assert_eq!(description(&strangers), "a parameter is sent more than once: send it once");
    let twice = form(&[("token", "a"), ("token", "b")]);
    for path in ["/revoke", "/introspect"] {
        let request = Request::new("POST", path).body("application/x-www-form-urlencoded", twice.as_str());
        let response = send(&request.basic("deploy", DEPLOY_SECRET));
        assert_eq!(description(&response), "`token` is sent more than once: send it once");
    }
    let json = |member: &str, value: Value| {
        let mut body = json!({});
        sound.iter().for_each(|(name, value)| body[name] = json!(value));
        body[member] = value;
        description(&send(&Request::post_json("/token", &body)))
    };
    assert_eq!(json("scope", json!(["a"])), "`scope` is not a string: send it in quotes");
    let doubled = Request::new("POST", "/token").body("application/json", r#"{"scope":"a","scope":"b"}"#);
    assert!(description(&send(&doubled)).contains("no member twice"));
}

#[test]
fn fld45_whoever_sends_no_credentials_is_not_told_that_they_are_wrong() {
    let introspection = Request::post_form("/introspect", &[("token", "x")]);
    let told = send(&introspection);
    refused(&told, 401, "invalid_client", "invalid_client");
    assert!(description(&told).contains("no credentials were sent") && description(&told).contains("Basic"));
    let wrong = send(&introspection.basic("deploy", "wrong"));
    refused(&wrong, 401, "invalid_client", "invalid_client");
    assert!(description(&wrong).contains("wrong"), "{}", description(&wrong));
    for request in [Request::get("/admin/v1/keys"), Request::get("/admin/v1/keys").basic("admin", "x")] {
        let told = sts_testkit::send(WORLD.admin(), &request);
        refused(&told, 401, "invalid_token", "invalid_token");
        assert!(description(&told).contains("no token was sent") && description(&told).contains("admin.token"));
    }
    let wrong = sts_testkit::send(WORLD.admin(), &Request::get("/admin/v1/keys").bearer("nobodys"));
    assert!(description(&wrong).contains("not one of ours"), "{}", description(&wrong));
}

#[test]
fn fld40_what_an_operation_does_not_take_is_refused_and_not_passed_over() {
    let server = Server::start_in(STS, world_site(&world()));
    let access = server.token(&token("svc:octo"), &[]);
    let revocation = Request::post_json("/admin/v1/revocations", &json!({ "account": "octo" }));
    let rule = granted(&server.send_admin(revocation))["revocation"]["id"].as_str().unwrap().to_owned();
    let rule = format!("/admin/v1/revocation-rules/{rule}");
    let keys = || granted(&server.send_admin(Request::get("/admin/v1/keys")))["keys"].clone();
    let before = keys();
    for request in [
        Request::new("DELETE", &format!("{rule}?dry_run=true")),
        Request::new("DELETE", &rule).body("application/json", r#"{"dry_run":true}"#),
        Request::new("POST", "/admin/v1/keys/rotate?dry_run=true"),
        Request::post_json("/admin/v1/keys/rotate", &json!({ "dry_run": true })),
        Request::post_json("/admin/v1/store/accept-epoch", &json!({ "force": true })),
        Request::new("POST", "/admin/v1/issuers/plain/refresh?issuer=x"),
        Request::get("/admin/v1/keys?limit=1"),
        Request::get("/admin/v1/issuers?name=plain"),
    ] {
        let response = server.send_admin(request.clone());
        refused(&response, 400, "invalid_request", "request_malformed");
        assert!(
            response.text().contains("was") || response.text().contains("were"),
            "{request:?}: {}",
            response.text()
        );
    }
    assert_eq!(keys(), before);
    assert_eq!(server.introspect("deploy", DEPLOY_SECRET, &access), json!({ "active": false }));
    let unknown = server.cli(&["tokens", "revoke", "--account", "nobody-at-all"]).ended(1);
    assert!(unknown.stderr.contains("`--force`"), "{}", unknown.stderr);
}

#[test]
fn fld51_a_limit_of_nothing_is_refused_and_groups_that_are_left_out_are_counted() {
    let server = Server::start_in(STS, world_site(&world()));
    let _ = server.token(&token("svc:octo"), &[]);
    for list in [["tokens", "list"], ["denials", "list"]] {
        for limit in ["0", "x", "1.5", ""] {
            let finished = server.cli(&[list[0], list[1], "--limit", limit]).ended(2);
            assert!(finished.stderr.contains("1 or more"), "{}", finished.stderr);
        }
        server.cli(&[list[0], list[1], "--limit", "1"]).ended(0);
        let response = server.send_admin(Request::get(&format!("/admin/v1/{}?limit=0", list[0])));
        refused(&response, 400, "invalid_request", "request_malformed");
    }
    for subject in ["svc:nobody", "svc:twin"] {
        assert_eq!(server.exchange(&token(subject), &[]).status, 400);
    }
    let typo = server.cli(&["denials", "list", "--reason", "not_authorised"]).ended(1);
    assert!(typo.stderr.contains("did you mean `not_authorized`?"), "{}", typo.stderr);
    let none = server.cli(&["denials", "list", "--reason", "token_expired"]).ended(0);
    assert!(none.stdout.contains("that fits"), "{}", none.stdout);
    let grouped = server.cli(&["denials", "list", "--group-by", "reason", "--limit", "1"]).ended(0);
    assert!(grouped.stdout.contains("1 smaller groups are left out"), "{}", grouped.stdout);
    let all = server.cli(&["denials", "list", "--group-by", "reason"]).ended(0);
    assert!(!all.stdout.contains("left out"), "{}", all.stdout);
}

#[test]
fn c117_c119_an_encoded_admin_path_is_another_path_and_reads_answer_head() {
    let token = WORLD.admin_token();
    let ask = |method: &str, path: &str| sts_testkit::send(WORLD.admin(), &Request::new(method, path).bearer(&token));
    for nowhere in [
        "/admin/v1/%6beys",
        "/admin/v1/key%73",
        "/%61dmin/v1/keys",
        "/admin%2fv1/keys",
        "/admin/v1x/keys",
        "/admin/v1/issuers/plain/%68istory",
    ] {
        assert_eq!(ask("GET", nowhere).status, 404, "{nowhere}");
    }
    // A name in a path is data, and may be encoded.
    assert_eq!(ask("GET", "/admin/v1/issuers/%70lain").status, 200);
    for read in ["/admin/v1/keys", "/admin/v1/tokens", "/admin/v1/denials", "/admin/v1/issuers/plain/history"] {
        let head = ask("HEAD", read);
        assert_eq!((head.status, head.body.len()), (200, 0), "{read}");
        assert_eq!(ask("PUT", read).header("allow"), Some("GET, HEAD"), "{read}");
    }
    assert_eq!(ask("HEAD", "/admin/v1/issuers/plain").status, 200);
    let allowed = ask("POST", "/admin/v1/issuers/plain");
    let mut methods: Vec<&str> = allowed.header("allow").unwrap().split(", ").collect();
    methods.sort_unstable();
    assert_eq!(methods, ["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
    assert_eq!(ask("HEAD", "/admin/v1/keys/rotate").status, 405);
}

#[test]
fn c115_who_asks_for_a_web_socket_is_refused_at_once_and_http_2_by_upgrade_is_passed_over() {
    let body = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", &token("svc:octo")),
    ]);
    let post = |upgrade: &str| {
        format!(
            "POST /token HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    // The bytes after the request are neither a body nor a request: the server answers once and
    // closes.
    for address in [WORLD.public(), WORLD.admin()] {
        for upgrade in ["websocket", "WebSocket"] {
            let pipelined = format!("{}GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", post(upgrade));
            let (answer, took) = sts_testkit::timed(|| send_raw(address, pipelined.as_bytes()));
            assert!(took < std::time::Duration::from_secs(8), "a body is waited for: {took:?}");
            let text = String::from_utf8_lossy(&answer);
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
            refused(&Response::parse(&answer), 400, "invalid_request", "request_malformed");
            assert!(text.contains("Upgrade") && text.contains("connection: close"), "{text}");
        }
    }
    // Some clients send this by default on plain http. The connection continues unchanged.
    let mut stream = TcpStream::connect(WORLD.public()).unwrap();
    let bytes = format!("{}GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", post("h2c"));
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(!text.to_ascii_lowercase().contains("connection: upgrade"), "{text}");
}

#[test]
fn c116_a_head_that_is_refused_is_told_why() {
    for address in [WORLD.public(), WORLD.admin()] {
        let told = |fields: &str| {
            let request = format!("GET /healthz HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
            let response = Response::parse(&send_raw(address, request.as_bytes()));
            (response.status, description(&response))
        };
        let many: String = (0..100).map(|at| format!("X-{at}: y\r\n")).collect();
        assert_eq!(
            told(&format!("Host: 127.0.0.1\r\n{many}")),
            (431, "the request has more than 96 header fields".to_owned())
        );
        let large = format!("Host: 127.0.0.1\r\nX: {}\r\n", "y".repeat(70_000));
        assert_eq!(told(&large), (431, "the head of the request is over 64 KiB".to_owned()));
        for host in ["a b", "127.0.0.1\u{1}", "<x>", "a\\b"] {
            assert_eq!(told(&format!("Host: {host}\r\n")).0, 400, "{host}");
        }
    }
}
