//! TLS on the public listener (O2-7, RFC 9325), and what stands behind a proxy.

use crate::support::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use sts_testkit::{Request, Response, Server, corpus_file, exchange_request, send_raw};

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
    // A peer that closes without close_notify has said all the same what it had to say.
    let _ = stream.read_to_end(&mut answer);
    Ok(Response::parse(&answer))
}

#[test]
fn o2_07_the_listener_speaks_tls_1_2_and_1_3_and_no_plain_http() {
    let site = world_site(&world().with("tls", json!({ "cert_file": "tls.crt", "key_file": "tls.key" })));
    for (name, from) in [("tls.crt", "tls/server.crt"), ("tls.key", "tls/server.key")] {
        site.write(name, std::fs::read(corpus_file(from)).unwrap());
    }
    let server = Server::start_in(STS, site);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let response = connect(&server, &[version]).unwrap();
        assert_eq!(response.json()["issuer"], US);
    }
    let plain = send_raw(server.public(), b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(!plain.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn sb05_c118_a_forwarded_address_counts_from_configured_proxies_only() {
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
    assert_eq!(proxied.send(&Request::get("/healthz")).status, 200);
}
