//! The way to a server: connection, StartTLS, TLS, and the check of what comes back.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::ber::{Malformed, check_message, extended_result, message_length};
use crate::failure::{DirectoryError, FailureCause};
use crate::server_url::ServerUrl;
use crate::tls;

/// The most octets that a server sends in one session.
const MAX_SESSION: u64 = 256 << 20;
/// An ExtendedRequest for StartTLS (RFC 4511 section 4.14), with message id 1.
pub(crate) const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// A connection over TLS, to the name in the URL.
pub(crate) async fn connect(
    url: &ServerUrl,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, DirectoryError> {
    let refused =
        |error: std::io::Error| DirectoryError::new(FailureCause::Connection, format!("no connection: {error}"));
    let mut stream = TcpStream::connect(url.address()).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    if url.start_tls() {
        start_tls(&mut stream).await?;
    }
    TlsConnector::from(config).connect(url.name(), stream).await.map_err(|error| tls::handshake_error(&error))
}

/// Asks for TLS. It reads not one octet more than the answer: what a stranger adds to it in plain
/// text becomes a broken handshake.
async fn start_tls(stream: &mut TcpStream) -> Result<(), DirectoryError> {
    const MAX_ANSWER: usize = 4096;
    let refused = |what: String| DirectoryError::new(FailureCause::Tls, format!("StartTLS: {what}"));
    let broken = |error: std::io::Error| DirectoryError::new(FailureCause::Connection, format!("StartTLS: {error}"));
    stream.write_all(START_TLS).await.map_err(broken)?;
    let mut answer = Vec::new();
    loop {
        let missing = match message_length(&answer).map_err(|_| refused("the answer is not LDAP".to_owned()))? {
            None => 1,
            Some(length) if length > MAX_ANSWER => return Err(refused("the answer is too long".to_owned())),
            Some(length) => length - answer.len(),
        };
        if missing == 0 {
            break;
        }
        let start = answer.len();
        answer.resize(start + missing, 0);
        stream.read_exact(answer.get_mut(start..).unwrap_or_default()).await.map_err(broken)?;
    }
    let code = check_message(&answer).and_then(|()| extended_result(&answer));
    match code.map_err(|_| refused("the answer is not LDAP".to_owned()))? {
        0 => Ok(()),
        code => Err(refused(format!("the server refuses it: result {code}"))),
    }
}

/// Carries octets between a server and `ldap3`, whole and checked messages only in the direction
/// that strangers write.
pub(crate) async fn pump<S: AsyncRead + AsyncWrite>(
    stream: S,
    local: UnixStream,
    ended: Arc<Mutex<Option<DirectoryError>>>,
) {
    let (mut from_server, mut to_server) = tokio::io::split(stream);
    let (mut from_client, mut to_client) = local.into_split();
    let inward = async {
        let error = carry_messages(&mut from_server, &mut to_client).await;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        // Ends the calls that wait.
        let _ = to_client.shutdown().await;
    };
    let outward = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

/// Returns why it ended.
async fn carry_messages(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> DirectoryError {
    let closed =
        |error: std::io::Error| DirectoryError::new(FailureCause::Connection, format!("the connection broke: {error}"));
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut total = 0_u64;
    loop {
        loop {
            let length = match message_length(&buffer) {
                Ok(Some(length)) if length <= buffer.len() => length,
                Ok(_) => break,
                Err(error) => return malformed(error),
            };
            let message: Vec<u8> = buffer.drain(..length).collect();
            if let Err(error) = check_message(&message) {
                return malformed(error);
            }
            if let Err(error) = to.write_all(&message).await {
                return closed(error);
            }
        }
        match from.read_buf(&mut buffer).await {
            Ok(0) => return DirectoryError::new(FailureCause::Connection, "the server closed the connection"),
            Ok(count) => total = total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)),
            Err(error) => return closed(error),
        }
        if total > MAX_SESSION {
            return DirectoryError::new(FailureCause::Limit, format!("the server sent over {} MiB", MAX_SESSION >> 20));
        }
    }
}

/// What an answer means that was refused.
pub(crate) fn malformed(why: Malformed) -> DirectoryError {
    match why {
        Malformed::TooLong => DirectoryError::new(FailureCause::Limit, "the server sent too long a message"),
        Malformed::Shape => {
            DirectoryError::new(FailureCause::Protocol, "the server's answer is not LDAP as sts knows it")
        }
    }
}
