//! Streams over TLS to a syslog receiver. They block, and belong to the thread of their sink.

use std::io::{self, Read as _, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use rustls_platform_verifier::Verifier;
use sts_audit::{Connect, SyslogStream};

/// The longest wait for a connection, and for a receiver that does not read.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Opens streams to `host`, whose certificate the authorities of this machine must have signed.
pub(crate) fn connect(host: String, port: u16) -> Connect {
    Box::new(move || {
        let place = |error: io::Error| io::Error::new(error.kind(), format!("{host}:{port}: {error}"));
        open(&host, port).map_err(place)
    })
}

fn open(host: &str, port: u16) -> io::Result<Box<dyn SyslogStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut socket = connected(host, port)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let mut session = ClientConnection::new(config()?, name).map_err(io::Error::other)?;
    // Here, so that a certificate of another is a fault of the connection and no event is sent.
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    Ok(Box::new(TlsStream { session, socket }))
}

struct TlsStream {
    session: ClientConnection,
    socket: TcpStream,
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.session, &mut self.socket).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        rustls::Stream::new(&mut self.session, &mut self.socket).flush()
    }
}

impl SyslogStream for TlsStream {
    fn is_closed(&mut self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return true;
        }
        let is_open = self.read_what_came().is_ok_and(|is_open| is_open);
        self.socket.set_nonblocking(false).is_err() || !is_open
    }
}

impl TlsStream {
    /// Reads what the receiver has sent, which is no message of RFC 5425. Returns whether it may send
    /// more.
    fn read_what_came(&mut self) -> io::Result<bool> {
        let mut ignored = [0; 1024];
        loop {
            match self.session.read_tls(&mut self.socket) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let state = self.session.process_new_packets().map_err(io::Error::other)?;
            if state.peer_has_closed() {
                return Ok(false);
            }
            let mut unread = state.plaintext_bytes_to_read();
            while unread > 0 {
                unread -= self.session.reader().read(&mut ignored)?.min(unread).max(1);
            }
        }
    }
}

/// The first address that answers.
fn connected(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn config() -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider)).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.dangerous();
    Ok(Arc::new(config.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()))
}
