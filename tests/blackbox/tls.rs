//! TLS on the public listener (RFC 9325), and the server behind a proxy.

use crate::support::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use sts_testkit::{Request, Response, Server, corpus_file, exchange_request, send_raw, until};

fn connect(server: &Server, versions: &[&'static rustls::SupportedProtocolVersion]) -> std::io::Result<Response> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(corpus_file("tls/server.crt")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(server.public())?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream
        .write_all(b"GET /.well-known/openid-configuration HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // A peer may close without close_notify. Its data is complete anyway.
    let _ = stream.read_to_end(&mut answer);
    Ok(Response::parse(&answer))
}

#[test]
fn o2_07_the_listener_speaks_tls_1_2_and_1_3_and_no_plain_http() {
    let server = Server::start_in(STS, tls_site("tls/server.crt", "tls/server.key"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let response = connect(&server, &[version]).unwrap();
        assert_eq!(response.json()["issuer"], US);
    }
    let plain = send_raw(server.public(), b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(!plain.starts_with(b"HTTP/1.1 200"));
}

/// A hand-made ClientHello: `version` is the newest that the client speaks, `suites` are all that
/// it offers.
fn hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let vector = |bytes: &[u8]| [&length(bytes), bytes].concat();
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let extension = |kind: u16, content: Vec<u8>| [kind.to_be_bytes().to_vec(), vector(&content)].concat();
    let extensions = [
        extension(0, vector(&[&[0], vector(b"localhost").as_slice()].concat())),
        // secp256r1, x25519; uncompressed points; ECDSA and RSA with SHA-256, and with SHA-1 for
        // who is old.
        extension(10, vector(&words(&[23, 29]))),
        extension(11, vec![1, 0]),
        extension(13, vector(&words(&[0x0403, 0x0804, 0x0401, 0x0203, 0x0201]))),
        extension(23, Vec::new()),
    ]
    .concat();
    let body = [&version[..], &[7; 32], &[0], &vector(&words(suites)), &[1, 0], &vector(&extensions)].concat();
    let message = [&[1, 0], vector(&body).as_slice()].concat();
    [&[22, 3, 1], vector(&message).as_slice()].concat()
}

#[test]
fn o2_07_old_versions_and_weak_suites_end_in_the_handshake() {
    let server = Server::start_in(STS, tls_site("tls/server.crt", "tls/server.key"));
    let answer = |version: [u8; 2], suites: &[u16]| send_first(&server, &hello(version, suites));
    const HANDSHAKE: u8 = 22;
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: this is how it looks when both agree.
    assert_eq!(answer([3, 3], &[0xc02b]), Some(HANDSHAKE));
    for (what, version, suites) in [
        ("SSL 3", [3, 0], &[0xc02b][..]),
        ("TLS 1.0", [3, 1], &[0xc02b, 0xc009, 0x002f]),
        ("TLS 1.1", [3, 2], &[0xc02b, 0xc009, 0x002f]),
        ("CBC", [3, 3], &[0xc009, 0xc00a, 0xc023, 0xc013]),
        ("RSA key exchange", [3, 3], &[0x009c, 0x002f]),
        ("RC4, 3DES, NULL", [3, 3], &[0x0005, 0x000a, 0xc006]),
        ("anonymous", [3, 3], &[0x00a6, 0xc018]),
        ("finite field", [3, 3], &[0x009e, 0x0033]),
    ] {
        assert_ne!(answer(version, suites), Some(HANDSHAKE), "{what}");
    }
}

#[test]
fn the_suite_that_processors_help_with_is_chosen_and_no_session_is_kept() {
    let server = Server::start_in(STS, tls_site("tls/server.crt", "tls/server.key"));
    let mut socket = TcpStream::connect(server.public()).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    // The client would rather have AES-256 with SHA-384.
    socket.write_all(&hello([3, 3], &[0xc02c, 0xc02b])).unwrap();
    // ServerHello: the headers of record and message, version, random, the session's id, the suite.
    let mut answer = [0; 5 + 4 + 2 + 32 + 1 + 2];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!((answer[0], answer[5]), (22, 2));
    assert_eq!(answer[43], 0, "a session's id is for one that can be resumed");
    assert_eq!(answer[44..], [0xc0, 0x2b]);
}

/// The type of the first record of the answer.
fn send_first(server: &Server, bytes: &[u8]) -> Option<u8> {
    let mut socket = TcpStream::connect(server.public()).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    socket.write_all(bytes).unwrap();
    let mut first = [0];
    socket.read_exact(&mut first).ok().map(|()| first[0])
}

#[test]
fn c114_who_begins_handshakes_and_does_not_end_them_keeps_nobody_out_and_no_connection() {
    let server = Server::start_in(STS, tls_site("tls/server.crt", "tls/server.key"));
    let begun = hello([3, 3], &[0xc02b]);
    let mut held: Vec<TcpStream> = (0..700)
        .map(|at| {
            let mut socket = TcpStream::connect(server.public()).unwrap();
            // Some send nothing, some start a handshake.
            socket.write_all(&begun[..at % begun.len()]).unwrap();
            socket
        })
        .collect();
    assert!(connect(&server, &[&rustls::version::TLS13]).is_ok());
    let last = held.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let waiting = last.read(&mut [0]).unwrap_err();
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock, "they were waited for while another was served");
    for mut socket in held {
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        assert!(socket.read_to_end(&mut Vec::new()).is_ok(), "it is closed");
    }
}

#[test]
fn a_renewed_certificate_is_served_from_the_reload_on_and_a_wrong_one_never() {
    let server = Server::start_in(STS, tls_site("tls/server.crt", "tls/server.key"));
    assert!(connect(&server, &[&rustls::version::TLS13]).is_ok());
    // Another key pair with the same name. Trust in the first certificate does not extend to it.
    let renewed =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "sts.example.com".to_owned()]).unwrap();
    server.site().replace("tls.key", renewed.signing_key.serialize_pem());
    server.site().replace("tls.crt", renewed.cert.pem());
    server.signal("HUP");
    until("the renewed one", || connect(&server, &[&rustls::version::TLS13]).is_err());
    server.site().replace("tls.crt", std::fs::read(corpus_file("tls/server.crt")).unwrap());
    server.site().replace("tls.key", std::fs::read(corpus_file("tls/server.key")).unwrap());
    server.signal("HUP");
    until("the first one again", || connect(&server, &[&rustls::version::TLS13]).is_ok());
    server.site().replace("tls.crt", "garbage");
    server.signal("HUP");
    server.lines().wait("the refusal", |line| line.contains("not reloaded").then_some(()));
    assert!(connect(&server, &[&rustls::version::TLS12]).is_ok());
}

fn tls_site(certificate: &str, key: &str) -> sts_testkit::Site {
    let site = world_site(&world().with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" })));
    for (name, from) in [("tls.crt", certificate), ("tls.key", key)] {
        site.write(name, std::fs::read(corpus_file(from)).unwrap());
    }
    site
}

#[test]
fn sb05_c118_f9_a_forwarded_address_counts_from_configured_proxies_only() {
    let source = |server: &Server, forwarded: &str| -> Value {
        let request = exchange_request(&token("svc:octo"), &[]).header("X-Forwarded-For", forwarded);
        let response = server.send(&request);
        server.lines().decision(response.header("x-request-id").unwrap())["source"].clone()
    };
    let direct = Server::start_in(STS, world_site(&world()));
    assert_eq!(source(&direct, "203.0.113.9"), "127.0.0.1");
    let proxied = Server::start_in(STS, world_site(&world().with("behind_tls_proxy", json!(["127.0.0.0/8"]))));
    assert_eq!(source(&proxied, "203.0.113.9"), "203.0.113.9");
    assert_eq!(source(&proxied, "1.2.3.4, 203.0.113.9"), "203.0.113.9");
    assert_eq!(source(&proxied, "junk"), "127.0.0.1");
    let mapped = Server::start_in(STS, world_site(&world().with("behind_tls_proxy", json!(["::ffff:127.0.0.1"]))));
    assert_eq!(source(&mapped, "1.2.3.4, ::ffff:203.0.113.9"), "203.0.113.9");
}

#[test]
fn f9_behind_a_proxy_that_ends_tls_nobody_else_is_served_in_the_clear() {
    let server = Server::start_in(STS, world_site(&world().with("behind_tls_proxy", json!(["192.0.2.1"]))));
    for request in [
        exchange_request(&token("svc:octo"), &[]),
        exchange_request(&token("svc:octo"), &[]).header("X-Forwarded-For", "192.0.2.1"),
        Request::post_form("/revoke", &[("token", "x")]),
        Request::post_form("/introspect", &[("token", "x")]).basic("deploy", DEPLOY_SECRET),
        Request::get("/.well-known/jwks.json"),
        Request::get("/.well-known/openid-configuration"),
        Request::get("/nothing"),
        Request::get("/token"),
    ] {
        let response = server.send(&request);
        invalid(&response, "request_malformed");
        assert!(response.text().contains("connect through it"), "{}", response.text());
    }
    for path in ["/healthz", "/readyz", "//healthz/"] {
        assert_eq!(server.send(&Request::get(path)).status, 200, "{path}: probes come from the machine itself");
    }
}
