use super::*;

use std::path::PathBuf;

use rustls::RootCertStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::transport::START_TLS;

impl Entry {
    /// An entry with one value an attribute.
    pub(crate) fn with(attributes: &[(&str, &str)]) -> Self {
        let mut entry = Self::default();
        for (name, value) in attributes {
            entry.add(&name.to_ascii_lowercase(), vec![value.as_bytes().to_vec()]);
        }
        entry
    }
}

#[test]
fn a_range_in_a_name_says_which_value_comes_next() {
    let mut entry = Entry::default();
    entry.add("member;range=0-1", vec![b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(entry.ranges, [("member".to_owned(), 2)]);
    entry.add("member;range=2-*", vec![b"c".to_vec()]);
    assert_eq!(entry.ranges.len(), 1);
    assert_eq!(entry.texts("Member").collect::<Vec<_>>(), ["a", "b", "c"]);
    for odd in ["x;range=", "x;range=0-", "x;range=-", "x;range=0-99999999999999999999"] {
        entry.add(odd, Vec::new());
    }
    assert_eq!(entry.ranges.len(), 1);
}

/// What `Session::open` makes of a server that answers the request for StartTLS with `answer`, and
/// all that it sent.
async fn start_tls_with(answer: &'static [u8]) -> (DirectoryError, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = ServerUrl::parse(&format!("ldap://{}", listener.local_addr().unwrap())).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; START_TLS.len()];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(answer).await.unwrap();
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut request).await;
        request
    });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let spec = DirectorySpec {
        name: sts_types::DirectoryName::new("corp").unwrap(),
        urls: vec![url.clone()],
        ca_file: None,
        bind: BindSpec { dn: "CN=sts".to_owned(), password_file: PathBuf::from("/nonexistent") },
        base: crate::Dn::parse("DC=corp").unwrap(),
        kind: crate::DirectoryKind::ActiveDirectory,
        refresh: Duration::from_secs(60),
        max_age: Duration::from_secs(80),
    };
    let opened = Session::open(&spec, &url, Arc::new(config), Arc::default()).await;
    (opened.map(|_| ()).unwrap_err(), server.await.unwrap())
}

#[tokio::test]
async fn nothing_but_a_handshake_follows_the_request_for_tls() {
    let accepted: &[u8] = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";
    // What is added in plain text is read as TLS, and is none.
    let added: &[u8] =
        b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00";
    for answer in [accepted, added] {
        let (error, sent) = start_tls_with(answer).await;
        assert_eq!(error.cause, FailureCause::Tls, "{error}");
        // A TLS record of type handshake, or nothing.
        assert!(sent.get(START_TLS.len()).is_none_or(|first| *first == 0x16), "{sent:?}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_nothing() {
    for (answer, cause) in [
        (&b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00"[..], FailureCause::Tls),
        (b"HTTP/1.1 400 Bad Request\r\n", FailureCause::Tls),
        (b"\x30\x84\x00\x10\x00\x00", FailureCause::Tls),
        (b"\x30\x0c\x02", FailureCause::Connection),
        (b"", FailureCause::Connection),
    ] {
        let (error, sent) = start_tls_with(answer).await;
        assert_eq!(error.cause, cause, "{error}");
        assert_eq!(sent, START_TLS);
    }
}
