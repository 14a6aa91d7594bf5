//! An issuer with a private CA that demands a bearer token, like a Kubernetes API server
//! (`ca_file`, `bearer_token_file`).

use crate::support::*;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use sts_testkit::{Algorithm, Forge, Key, Server, corpus_file};

const TOKEN: &str = "token-of-the-cluster";

/// An https issuer on `localhost` that answers requests with the token, and all others with 401.
/// Returns its `iss`.
fn issuer(key: &Key) -> String {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(corpus_file("tls/server.crt")).unwrap()],
            PrivateKeyDer::from_pem_file(corpus_file("tls/server.key")).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let discovery = json!({ "issuer": url, "jwks_uri": format!("{url}/openid/v1/jwks") }).to_string();
    let keys = Key::set(&[key]).to_string();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, config) = (stream.unwrap(), Arc::clone(&config));
            let (discovery, keys) = (discovery.clone(), keys.clone());
            std::thread::spawn(move || {
                let mut connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut connection, &mut stream);
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    // A client that does not trust the certificate has closed the connection by
                    // now.
                    let Ok(1) = stream.read(&mut byte) else { return };
                    head.extend(byte);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let (status, body) = if !head.contains(&format!("authorization: bearer {TOKEN}\r\n")) {
                    ("401 Unauthorized", "")
                } else if head.starts_with("get /openid/v1/jwks ") {
                    ("200 OK", keys.as_str())
                } else {
                    ("200 OK", discovery.as_str())
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    url
}

#[test]
fn an_issuer_of_a_private_authority_is_reached_with_its_ca_file_and_its_token_only() {
    let key = Key::new(Algorithm::ES256, "cluster");
    let issuer = issuer(&key);
    let entry = json!({ "issuer": issuer, "allow_private_network": true });
    let full = [("ca_file", "ca.crt"), ("bearer_token_file", "token")];
    for (given, want) in
        [(&full[..], "granted"), (&full[..1], "issuer_unavailable"), (&full[1..], "issuer_unavailable")]
    {
        let mut entry = entry.clone();
        for (key, file) in given {
            entry[key] = json!(file);
        }
        let config = world().with("issuers/cluster", entry).with(
            "service_accounts/pod",
            json!({ "teams": ["deployers"], "identities": [identity("cluster", "svc:pod")] }),
        );
        let site = world_site(&config);
        site.write("ca.crt", std::fs::read(corpus_file("tls/server.crt")).unwrap());
        site.write("token", format!("{TOKEN}\n"));
        let server = Server::start_in(STS, site);
        let token = Forge::new(&key, &claims("svc:pod")).claim("iss", issuer.as_str()).sign();
        assert_eq!(reason_of(&server.exchange(&token, &[])), want, "{given:?}");
        assert!(!server.lines().text().contains(TOKEN));
    }
}
