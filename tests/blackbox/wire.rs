//! Bytes that no honest client sends, over raw sockets, on both listeners.

use crate::support::*;
use std::net::SocketAddr;
use sts_testkit::{Nginx, Request, Response, exchange_request, form, send, send_raw};

fn listeners() -> [SocketAddr; 2] {
    [WORLD.public(), WORLD.admin()]
}

/// Every status that came back over one connection, until the server closed it. If the last answer
/// is an error, asserts that it has the form of all errors, whether a handler or the HTTP library
/// made it.
fn statuses(address: SocketAddr, bytes: &[u8]) -> Vec<u16> {
    let answer = send_raw(address, bytes);
    let text = String::from_utf8_lossy(&answer);
    let after = |at: usize| text.get(at + 9..at + 12).and_then(|status| status.parse().ok());
    let answers: Vec<usize> = text
        .match_indices("HTTP/1.")
        .map(|(at, _)| at)
        .filter(|at| after(*at).is_some_and(|s: u16| s >= 200))
        .collect();
    if let Some(&last) = answers.last()
        && after(last).is_some_and(|status| status >= 400)
    {
        assert_error_shape(&Response::parse(text[last..].as_bytes()));
    }
    answers.into_iter().filter_map(after).collect()
}

/// The request that a proxy with another view of the framing would have let through. It must never
/// be answered.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Heads and bodies whose framing two servers could read differently.
fn ambiguous() -> [(&'static str, String); 25] {
    let form = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    [
        ("length and chunks", format!("{form}Content-Length: 4\r\n{chunked}\r\n0\r\n\r\n{SMUGGLED}")),
        (
            "chunks and length",
            format!("{form}{chunked}Content-Length: {}\r\n\r\n0\r\n\r\n{SMUGGLED}", SMUGGLED.len() + 5),
        ),
        ("two lengths", format!("{form}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())),
        ("a list of lengths", format!("{form}Content-Length: 0, {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())),
        ("a signed length", format!("{form}Content-Length: +0\r\n\r\n{SMUGGLED}")),
        ("a negative length", format!("{form}Content-Length: -1\r\n\r\n{SMUGGLED}")),
        ("a length in hex", format!("{form}Content-Length: 0x0\r\n\r\n{SMUGGLED}")),
        ("a length that overflows", format!("{form}Content-Length: 18446744073709551616\r\n\r\n{SMUGGLED}")),
        ("a length with a space before the colon", format!("{form}Content-Length : 5\r\n\r\n{SMUGGLED}")),
        ("another coding", format!("{form}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}")),
        ("a coding after chunked", format!("{form}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{SMUGGLED}")),
        ("chunked twice", format!("{form}{chunked}{chunked}\r\n0\r\n\r\n{SMUGGLED}")),
        ("a vertical tab", format!("{form}Transfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n{SMUGGLED}")),
        ("a quoted coding", format!("{form}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{SMUGGLED}")),
        ("a folded header", format!("{form}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{SMUGGLED}")),
        ("a folded other header", format!("{form}X: a\r\n b\r\nContent-Length: 0\r\n\r\n{SMUGGLED}")),
        ("a null in a header", format!("{form}X: a\0b\r\nContent-Length: 0\r\n\r\n{SMUGGLED}")),
        ("a bare return in a header", format!("{form}X: a\rContent-Length: 50\r\nContent-Length: 0\r\n\r\n{SMUGGLED}")),
        ("a header without a name", format!("{form}: x\r\nContent-Length: 0\r\n\r\n{SMUGGLED}")),
        ("a header without a colon", format!("{form}Content-Length\r\n\r\n{SMUGGLED}")),
        ("a chunk size that overflows", format!("{form}{chunked}\r\n10000000000000000\r\n{SMUGGLED}")),
        ("a chunk size that is none", format!("{form}{chunked}\r\nxyz\r\n{SMUGGLED}")),
        ("a negative chunk size", format!("{form}{chunked}\r\n-1\r\n{SMUGGLED}")),
        ("a chunk without its end", format!("{form}{chunked}\r\n3\r\nabcXX0\r\n\r\n{SMUGGLED}")),
        ("chunks in HTTP/1.0", format!("{}{chunked}\r\n0\r\n\r\n{SMUGGLED}", form.replace("1.1", "1.0"))),
    ]
}

#[test]
fn c113_no_framing_that_two_servers_could_read_differently_lets_a_second_request_through() {
    for address in listeners() {
        for (what, bytes) in ambiguous() {
            let statuses = statuses(address, bytes.as_bytes());
            assert!(statuses.len() <= 1, "{what}: {statuses:?}");
            assert!(statuses.iter().all(|status| (400..500).contains(status)), "{what}: {statuses:?}");
        }
        assert_eq!(send(address, &Request::get("/healthz")).status, 200);
    }
}

/// Valid requests that are answered without reading their body. The body is a request, which must
/// never be taken for one.
fn with_a_request_for_a_body() -> Vec<(String, String)> {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let heads = [
        ("GET /healthz".to_owned(), String::new()),
        ("GET /.well-known/jwks.json".to_owned(), String::new()),
        ("HEAD /healthz".to_owned(), String::new()),
        ("OPTIONS /token".to_owned(), String::new()),
        ("DELETE /token".to_owned(), form.to_owned()),
        ("POST /nothing".to_owned(), form.to_owned()),
        ("POST /token".to_owned(), "Content-Type: text/plain\r\n".to_owned()),
        ("POST /token".to_owned(), form.to_owned()),
        ("POST /token".to_owned(), format!("{form}Authorization: Basic !\r\n")),
        ("POST /introspect".to_owned(), form.to_owned()),
        ("POST /token".to_owned(), format!("{form}Expect: 100-continue\r\n")),
    ];
    let mut all = Vec::new();
    for (line, headers) in heads {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}");
        let counted = format!("{head}Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
        let chunked =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
        all.extend([(format!("{line} {headers:?}"), counted), (format!("{line} {headers:?} in chunks"), chunked)]);
    }
    all
}

#[test]
fn c113_a_body_that_nobody_wanted_is_never_taken_for_the_next_request() {
    let honest = "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (what, bytes) in with_a_request_for_a_body() {
        let answer = send_raw(WORLD.public(), format!("{bytes}{honest}").as_bytes());
        let text = String::from_utf8(answer).unwrap();
        let statuses: Vec<&str> =
            text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).filter(|status| *status != "100").collect();
        // The server answers the next request or closes the connection.
        assert!(matches!(statuses[..], [_] | [_, "200"]), "{what}: {statuses:?}");
    }
}

#[test]
fn c113_through_a_proxy_that_keeps_its_connection_every_request_gets_its_own_answer() {
    let proxy = Nginx::before(WORLD.public());
    let honest = Request::get("/.well-known/jwks.json");
    let own_answers = |what: &str| {
        // Over the proxy's open connection, if it has one. A smuggled request would be answered in
        // place of this one.
        for _ in 0..2 {
            let answer = send(proxy.address(), &honest);
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            assert!(answer.json()["keys"].is_array(), "{what}: {}", answer.text());
        }
    };
    for (what, bytes) in ambiguous() {
        // The proxy refuses these itself: it answers or closes.
        let _ = send_raw(proxy.address(), bytes.as_bytes());
        own_answers(what);
    }
    for (what, bytes) in with_a_request_for_a_body() {
        let answer = String::from_utf8(send_raw(proxy.address(), bytes.as_bytes())).unwrap();
        assert!(answer.to_lowercase().contains("\r\nx-request-id: "), "it came through: {what}: {answer}");
        own_answers(&what);
    }
}

#[test]
fn c113_extensions_and_trailers_of_chunks_are_bounded_and_change_nothing() {
    let body = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", &token("svc:octo")),
    ]);
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = |extension: &str| format!("{head}{:x}{extension}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(statuses(WORLD.public(), chunk("").as_bytes()), [200]);
    let with_extension = statuses(WORLD.public(), chunk(";name=value").as_bytes());
    assert!(with_extension == [200] || with_extension == [400], "{with_extension:?}");
    // The server discards the body as it arrives, within the body's deadline.
    let endless = statuses(WORLD.public(), chunk(&format!(";{}", "x".repeat(400_000))).as_bytes());
    assert!(endless == [200] || endless == [400], "{endless:?}");
    for (what, bytes) in [
        ("a line feed in an extension", chunk(";a\nb")),
        ("many tiny chunks", format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(70_000))),
    ] {
        let statuses = statuses(WORLD.public(), bytes.as_bytes());
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| (400..500).contains(status)),
            "{what}: {statuses:?}"
        );
    }
}

#[test]
fn c115_http_2_is_not_spoken_and_nothing_is_upgraded_to() {
    for address in listeners() {
        for opening in [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
            "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
            "GET /healthz HTTP/3\r\nHost: x\r\n\r\n",
            "GET /healthz\r\n\r\n",
            "HELO x\r\n\r\n",
            "\u{16}\u{3}\u{1}\0\u{5}hello",
        ] {
            let statuses = statuses(address, opening.as_bytes());
            assert!(statuses.len() <= 1 && statuses.iter().all(|status| *status == 400), "{opening:?}: {statuses:?}");
        }
        for upgrade in [
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        ] {
            let request = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n{SMUGGLED}");
            let statuses = statuses(address, request.as_bytes());
            assert!(!statuses.contains(&101), "{upgrade}: {statuses:?}");
        }
    }
}

#[test]
fn c116_too_many_and_too_long_headers_are_refused() {
    for address in listeners() {
        for (what, headers) in [
            ("a hundred of 8 kB", (0..100).map(|at| format!("X-{at}: {}\r\n", "y".repeat(8_000))).collect::<String>()),
            ("ten thousand", (0..10_000).map(|at| format!("X-{at}: y\r\n")).collect()),
            ("one of 1 MB", format!("X: {}\r\n", "y".repeat(1_000_000))),
            ("a name of 1 MB", format!("{}: y\r\n", "x".repeat(1_000_000))),
        ] {
            let request = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
            let statuses = statuses(address, request.as_bytes());
            // A peer that is still sending may lose the answer when the connection closes.
            assert!(
                statuses.len() <= 1 && statuses.iter().all(|status| [400, 431].contains(status)),
                "{what}: {statuses:?}"
            );
        }
        let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1_000_000));
        assert!(statuses(address, path.as_bytes()).iter().all(|status| (400..500).contains(status)));
        assert_eq!(send(address, &Request::get("/healthz")).status, 200);
    }
}

#[test]
fn c117_targets_in_other_forms_reach_nothing_else() {
    for address in listeners() {
        let close = "Host: x\r\nConnection: close\r\n\r\n";
        for target in [
            "http://evil.example/healthz/x",
            "http://127.0.0.1/admin/v1/keys",
            "*",
            "evil.example:443",
            "//evil.example/healthz",
            "/healthz/..%2fadmin/v1/keys",
            "/admin\\v1\\keys",
            "/./healthz/x",
            "/healthz%00",
            "/healthz%0d%0aX:%20y",
        ] {
            for method in ["GET", "OPTIONS", "CONNECT", "TRACE"] {
                let statuses = statuses(address, format!("{method} {target} HTTP/1.1\r\n{close}").as_bytes());
                assert!(statuses.len() <= 1, "{method} {target}: {statuses:?}");
                assert!(statuses.iter().all(|status| (400..500).contains(status)), "{method} {target}: {statuses:?}");
            }
        }
        for broken in
            ["GET  /healthz HTTP/1.1", "GET /healthz  HTTP/1.1", "GET /heal thz HTTP/1.1", "G\u{e9}T / HTTP/1.1"]
        {
            let statuses = statuses(address, format!("{broken}\r\n{close}").as_bytes());
            assert!(statuses.iter().all(|status| *status == 400), "{broken}: {statuses:?}");
        }
    }
}

#[test]
fn what_the_http_library_answers_by_itself_is_told_as_every_other_error_is() {
    let parse = |address, bytes: &str| Response::parse(&send_raw(address, bytes.as_bytes()));
    for address in listeners() {
        refused(&parse(address, "nonsense\r\n\r\n"), 400, "invalid_request", "request_malformed");
        // Exactly as much as the library reads of a head, so that it leaves nothing unread.
        let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(131_072));
        refused(&parse(address, &long), 431, "invalid_request", "request_malformed");
        refused(&parse(address, "GET /healthz HTTP/1.1\r\nHo"), 408, "invalid_request", "request_malformed");
    }
}

#[test]
fn fld55_c112_a_head_over_64_kib_is_431_and_one_of_just_under_is_served() {
    let head = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    let long = |length: usize| "y".repeat(length);
    for address in listeners() {
        let parse = |bytes: &str| Response::parse(&send_raw(address, bytes.as_bytes()));
        assert_eq!(parse(&head(&format!("X: {}\r\n", long(60_000)))).status, 200);
        for (what, bytes) in [
            ("one field", head(&format!("X: {}\r\n", long(100_000)))),
            ("just over", head(&format!("X: {}\r\n", long(65_536)))),
            ("a name", head(&format!("{}: y\r\n", long(65_536)))),
            ("credentials", head(&format!("Authorization: Bearer {}\r\n", long(100_000)))),
            ("ninety fields", head(&(0..90).map(|at| format!("X-{at}: {}\r\n", long(1_000))).collect::<String>())),
            ("blanks before a value", head(&format!("X:{}y\r\n", " ".repeat(100_000)))),
            (
                "target and field",
                head(&format!("X: {}\r\n", long(40_000))).replacen("/healthz", &format!("/{}", long(40_000)), 1),
            ),
            ("a target", head("").replacen("/healthz", &format!("/{}", long(70_000)), 1)),
            ("one that never ends", head(&format!("X: {}", long(70_000))).trim_end().to_owned()),
            ("one of 1 MB", head(&format!("X: {}\r\n", long(1_000_000)))),
        ] {
            let response = parse(&bytes);
            assert_eq!(response.status, 431, "{what}: {}", response.text());
            refused(&response, 431, "invalid_request", "request_malformed");
        }
        // The second of two requests that came at once, the first of which closes nothing.
        let two =
            format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n{}", head(&format!("X: {}\r\n", long(100_000))));
        assert_eq!(statuses(address, two.as_bytes()), [200, 431]);
    }
    let name = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n{}", head(&format!("{}: y\r\n", long(65_536))));
    assert_eq!(statuses(WORLD.public(), name.as_bytes()).last(), Some(&431));
    // The body does not count in any encoding.
    let body = form(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", &token("svc:octo")),
        ("padding", ""),
    ]);
    for (length, status) in [(65_536, 200), (65_537, 413)] {
        let padded = format!("{body}{}", "x".repeat(length - body.len()));
        let request =
            Request::new("POST", "/token").body("application/x-www-form-urlencoded", padded).header("X", &long(60_000));
        assert_eq!(send(WORLD.public(), &request).status, status, "{length}");
    }
}

#[test]
fn c112_an_authorization_header_of_any_size_and_form_is_refused_in_its_place() {
    let own = WORLD.token(&token("svc:octo"), &[]);
    let (long, longer) = ("x".repeat(60_000), "x".repeat(64 * 1024));
    for value in [
        format!("Bearer {longer}"),
        format!("Basic {longer}"),
        format!("Bearer {long}"),
        format!("Basic {long}"),
        long.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer  {own}"),
        format!("Bearer\t{own}"),
        format!("Bearer {own},{own}"),
        format!("Bearer \"{own}\""),
        format!("Bearer token={own}"),
        format!("Bearer:{own}"),
        "Bearer \u{e9}".to_owned(),
        "Basic \u{fffd}".to_owned(),
        "Negotiate x".to_owned(),
        ", Bearer x".to_owned(),
    ] {
        let with = |request: Request| request.header("Authorization", &value);
        for (address, request) in [
            (WORLD.public(), with(exchange_request(&token("svc:octo"), &[]))),
            (WORLD.public(), with(Request::post_form("/introspect", &[("token", &own)]))),
            (WORLD.public(), with(Request::post_form("/revoke", &[("token", &own)]))),
            (WORLD.admin(), with(Request::get("/admin/v1/keys"))),
        ] {
            let response = send(address, &request);
            // A head that is too large is refused before it is parsed.
            let expected = if value.len() > 65_000 { vec![431] } else { vec![400, 401] };
            assert!(expected.contains(&response.status), "{value:.40}: {}", response.status);
            assert_error_shape(&response);
        }
    }
    assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &own)["active"], true, "none of these revoked it");
}

#[test]
fn requests_that_follow_each_other_on_one_connection_are_answered_in_order() {
    let ask = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let bytes =
        [ask("/healthz", ""), ask("/nothing", ""), ask("/.well-known/jwks.json", "Connection: close\r\n")].concat();
    assert_eq!(statuses(WORLD.public(), bytes.as_bytes()), [200, 404, 200]);
    // After a refusal before the body was read, the following bytes are not taken for a request.
    let unread = format!(
        "POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    assert_eq!(statuses(WORLD.public(), unread.as_bytes()), [401]);
}

#[test]
fn c111_o2_05_credentials_in_two_places_or_two_ways_are_refused_everywhere() {
    let own = WORLD.token(&token("svc:octo"), &[]);
    for path in ["/revoke", "/introspect"] {
        let both = [("token", own.as_str()), ("client_id", "deploy"), ("client_secret", DEPLOY_SECRET)];
        let assertion = [("token", own.as_str()), ("client_assertion", "x")];
        for request in [
            Request::post_form(path, &both).basic("deploy", DEPLOY_SECRET),
            Request::post_form(path, &assertion).basic("deploy", DEPLOY_SECRET),
            Request::post_form(path, &[("token", &own)]).basic("deploy", DEPLOY_SECRET).basic("deploy", DEPLOY_SECRET),
            Request::post_form(path, &[("token", &own)]).basic("deploy", DEPLOY_SECRET).bearer(&own),
            Request::post_form(&format!("{path}?client_secret={DEPLOY_SECRET}"), &[("token", &own)]),
            Request::post_form(&format!("{path}?access_token={own}"), &[("token", &own)]),
        ] {
            let response = send(WORLD.public(), &request);
            assert!([400, 401].contains(&response.status), "{path}: {}", response.status);
            assert_error_shape(&response);
        }
    }
    let two = exchange_request(&token("svc:octo"), &[]).bearer("x").basic("a", "b");
    assert!([400, 401].contains(&send(WORLD.public(), &two).status));
    assert_eq!(WORLD.introspect("deploy", DEPLOY_SECRET, &own)["active"], true, "none of these revoked it");
    let query = Request::get(&format!("/admin/v1/keys?access_token={}", WORLD.admin_token()));
    assert_eq!(send(WORLD.admin(), &query).status, 401);
}
