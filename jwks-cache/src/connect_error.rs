//! Why a connection to a server failed, and what to do about it.
//!
//! The HTTP client only says "error sending request". The cause is further down its error chain.

use std::error::Error;
use std::io;

use crate::bounded::bounded;
use crate::tls::{CertificateFault, CertificateRefusedError};

/// A connection that could not be opened, or that broke before the response.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectError {
    /// Host and port, with the addresses that were tried if they are known.
    pub target: String,
    /// The cause.
    pub cause: ConnectCause,
}

/// Why the connection failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectCause {
    /// The host's name has no address, or could not be resolved.
    Dns(String),
    /// Connection refused: nothing listens on that port.
    Refused,
    /// No route to the address.
    NoRoute,
    /// No answer in time.
    TimedOut,
    /// The peer closed the connection before TLS was agreed.
    Closed,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer's certificate was refused.
    Certificate(CertificateRefusedError),
    /// Any other failure of the TLS handshake.
    Tls(String),
    /// The proxy refused the tunnel.
    Proxy(String),
    /// Anything else, in the library's words.
    Other(String),
}

/// Whose settings the advice names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An issuer entry: the advice names its YAML keys.
    IssuerEntry,
    /// A command: the advice names its flags and environment variables.
    CommandLine,
}

/// A failed name resolution. Our resolvers wrap the error in this type, to tell it from a failed
/// connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UnresolvedNameError(pub(crate) io::Error);

impl ConnectError {
    /// The connection error behind `error`, from a request to `target`; `None` if the connection
    /// did not fail.
    #[must_use]
    pub fn of(target: &str, error: &reqwest::Error) -> Option<Self> {
        let cause = cause(error)?;
        Some(Self { target: bounded(target), cause })
    }

    /// A short stable name for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.cause {
            ConnectCause::Dns(_) => "dns",
            ConnectCause::Refused => "connection_refused",
            ConnectCause::TimedOut => "timeout",
            ConnectCause::NotTls | ConnectCause::Certificate(_) | ConnectCause::Tls(_) => "tls",
            ConnectCause::Proxy(_) => "proxy",
            ConnectCause::NoRoute | ConnectCause::Closed | ConnectCause::Other(_) => "connect",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn advice(&self, caller: Caller) -> String {
        let is_entry = caller == Caller::IssuerEntry;
        let (ca_file, proxy) = match caller {
            Caller::IssuerEntry => ("`ca_file`", "`proxy`"),
            Caller::CommandLine => ("`--ca-file`", "HTTPS_PROXY"),
        };
        let behind_proxy = format!("if only a proxy can reach it, set {proxy}");
        let or_file = if is_entry { ", or give the keys as `jwks_file`" } else { "" };
        match &self.cause {
            ConnectCause::Dns(_) => format!("check the host's name and this machine's DNS; {behind_proxy}{or_file}"),
            ConnectCause::Refused => {
                format!("nothing listens on that port: check the URL and whether the server is running{or_file}")
            }
            ConnectCause::NoRoute => format!("check routes and firewalls; {behind_proxy}{or_file}"),
            ConnectCause::TimedOut => format!("a firewall may drop it; {behind_proxy}{or_file}"),
            ConnectCause::Closed => format!(
                "the port may not speak TLS: check the scheme and port of the URL; a firewall can be the cause, too: {behind_proxy}{or_file}"
            ),
            ConnectCause::NotTls => {
                "the port does not speak TLS, perhaps plain HTTP: check the scheme and port of the URL".to_owned()
            }
            ConnectCause::Certificate(refused) => certificate_advice(&refused.why, ca_file),
            ConnectCause::Tls(_) => {
                format!("the server must offer TLS 1.2 or 1.3 and must not require a client certificate{or_file}")
            }
            ConnectCause::Proxy(_) => format!("check {proxy}, its credentials, and whether it allows this host"),
            ConnectCause::Other(_) => behind_proxy,
        }
    }
}

fn certificate_advice(why: &CertificateFault, ca_file: &str) -> String {
    match why {
        CertificateFault::Expired(_) => {
            "the server needs a new certificate, unless this machine's clock is wrong".to_owned()
        }
        CertificateFault::NotYetValid(_) => "check this machine's clock".to_owned(),
        CertificateFault::OtherName { .. } => {
            "use a host name that is in the certificate, or give the server a certificate for this name".to_owned()
        }
        CertificateFault::UnknownAuthority { self_signed: true } => {
            format!("if it is the right certificate, set {ca_file} to a PEM file with it")
        }
        CertificateFault::UnknownAuthority { self_signed: false } => {
            format!(
                "if that authority is yours, set {ca_file} to a PEM file with its certificate; otherwise the server may not send an intermediate certificate, or a device on the way replaces its certificate"
            )
        }
        CertificateFault::Other(_) => {
            format!("the server needs another certificate; {ca_file} says which authorities are trusted")
        }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no connection to {}: ", self.target)?;
        match &self.cause {
            ConnectCause::Dns(text) => write!(f, "DNS: the name was not resolved ({text})"),
            ConnectCause::Refused => f.write_str("connection refused"),
            ConnectCause::NoRoute => f.write_str("no route to that address"),
            ConnectCause::TimedOut => f.write_str("timed out"),
            ConnectCause::Closed => f.write_str("the server closed it before the TLS handshake ended"),
            ConnectCause::NotTls => f.write_str("TLS: the answer is not TLS"),
            ConnectCause::Certificate(refused) => write!(f, "TLS: {refused}"),
            ConnectCause::Tls(text) => write!(f, "TLS: {text}"),
            ConnectCause::Proxy(text) => write!(f, "the proxy refused: {text}"),
            ConnectCause::Other(text) => f.write_str(text),
        }
    }
}

/// The first known cause in the chain. If there is none and the connection failed, the innermost
/// text.
fn cause(error: &reqwest::Error) -> Option<ConnectCause> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    let mut innermost = String::new();
    let mut tunnel = None;
    let mut is_closed = false;
    while let Some(link) = next {
        if let Some(cause) = named(link) {
            return Some(cause);
        }
        innermost = link.to_string();
        is_closed |= link.downcast_ref::<io::Error>().is_some_and(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        });
        if let Some(text) = innermost.strip_prefix("tunnel error: ") {
            tunnel = Some(text.to_owned());
        }
        next = below(link);
    }
    if let Some(text) = tunnel {
        return Some(ConnectCause::Proxy(bounded(&text)));
    }
    if error.is_timeout() {
        // Any other timeout happened on an open connection.
        return error.is_connect().then_some(ConnectCause::TimedOut);
    }
    if error.is_connect() && is_closed {
        return Some(ConnectCause::Closed);
    }
    error.is_connect().then(|| ConnectCause::Other(bounded(&innermost)))
}

/// The next error in the chain. `io::Error::source` skips the error that it wraps, so unwrap it
/// here.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn named(error: &(dyn Error + 'static)) -> Option<ConnectCause> {
    if let Some(UnresolvedNameError(error)) = error.downcast_ref() {
        return Some(ConnectCause::Dns(bounded(&error.to_string())));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_cause(error));
    }
    let error = error.downcast_ref::<io::Error>()?;
    if error.get_ref().is_some_and(|wrapped| {
        wrapped.is::<rustls::Error>() || wrapped.is::<io::Error>() || wrapped.is::<UnresolvedNameError>()
    }) {
        // Go further down the chain: the wrapped error is more precise.
        return None;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some(ConnectCause::Refused),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            Some(ConnectCause::NoRoute)
        }
        io::ErrorKind::TimedOut => Some(ConnectCause::TimedOut),
        _ => None,
    }
}

fn tls_cause(error: &rustls::Error) -> ConnectCause {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            match other.0.downcast_ref::<CertificateRefusedError>() {
                Some(refused) => ConnectCause::Certificate(refused.clone()),
                None => ConnectCause::Tls(bounded(&error.to_string())),
            }
        }
        rustls::Error::InvalidMessage(_) => ConnectCause::NotTls,
        rustls::Error::AlertReceived(alert) => {
            ConnectCause::Tls(format!("the server ended the handshake with the alert {alert:?}"))
        }
        error => ConnectCause::Tls(bounded(&error.to_string())),
    }
}
