//! Why keys could not be fetched, in words for the operator.
//!
//! No message repeats a response body. Text from outside (an address, a certificate's name, the
//! issuer in a discovery document) is escaped and truncated.

use std::time::Duration;

use sts_jose::KeySetError;

use crate::bounded::bounded;
use crate::{AddressRefusedError, Caller, ConnectError, Stage};

/// A failed fetch or a failed read of a key file. The keys from before stay in use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{document} `{location}`: {fault}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct FetchError {
    /// The document that could not be read.
    pub document: DocumentKind,
    /// Its URL without the query, or its path; escaped and truncated.
    pub location: String,
    /// What went wrong.
    pub fault: FetchErrorKind,
    /// Another possible cause.
    pub hint: Option<String>,
}

impl FetchError {
    pub(crate) fn new(document: DocumentKind, location: &str, fault: FetchErrorKind) -> Self {
        Self { document, location: bounded(location), fault, hint: None }
    }
}

/// The kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// The discovery document.
    Discovery,
    /// The key set.
    KeySet,
    /// The key file.
    File,
    /// The CA certificates that the entry trusts.
    CaFile,
    /// The file with the bearer token that the entry sends.
    BearerTokenFile,
    /// The entry itself.
    Entry,
    /// An endpoint that takes forms.
    Endpoint,
}

impl std::fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Discovery => "discovery document",
            Self::KeySet => "key set",
            Self::File => "key file",
            Self::CaFile => "CA file",
            Self::BearerTokenFile => "bearer token file",
            Self::Entry => "issuer entry",
            Self::Endpoint => "endpoint",
        })
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// No entry has that name.
    #[error("there is no such entry")]
    UnknownEntry,
    /// The family has no room for another member now.
    #[error("the family has no room for another member now")]
    NoRoom,
    /// The deadline passed while a file was read.
    #[error("not read within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The deadline passed before the response was complete.
    #[error("{}", timed_out_text(after, stage, target))]
    TimedOut {
        /// The deadline.
        after: Duration,
        /// What the request was waiting for.
        stage: Stage,
        /// Host and port, with the addresses or the proxy.
        target: String,
    },
    /// The host resolves to an address that must not be dialled.
    #[error("not dialled: {0}")]
    Address(AddressRefusedError),
    /// The connection failed: name resolution, TCP or TLS.
    #[error("{error}; {advice}", error = .0, advice = .0.advice(Caller::IssuerEntry))]
    Connect(ConnectError),
    /// The connection broke, the response was not HTTP, or its compression was invalid.
    #[error("the response broke off or is not valid HTTP: {0}")]
    Transfer(String),
    /// A status other than 200.
    #[error("the issuer answered with status {status} instead of 200{}", status_advice(*status))]
    Status {
        /// The status code.
        status: u16,
        /// The value of `Retry-After`, if there was one.
        retry_after: Option<Duration>,
    },
    /// 401 or 403 from an origin that does not receive the bearer token.
    #[error(
        "the issuer answered with status {0}; the bearer token was not sent there, because only the origin of `issuer` gets it: \
         if this URL may get the token, set it as `jwks_url`"
    )]
    BearerWithheld(u16),
    /// A redirect that was not followed.
    #[error("the issuer answered with a redirect (status {status}{}) {why}; {help}", .to.as_ref().map(|to| format!(" to `{to}`")).unwrap_or_default())]
    Redirect {
        /// The status code.
        status: u16,
        /// The origin that it points to; escaped and truncated.
        to: Option<String>,
        /// Why it was not followed.
        why: &'static str,
        /// What the operator can do.
        help: &'static str,
    },
    /// Not JSON, and the media type is that of a web page.
    #[error("the answer is a web page, not JSON; is the URL right, and is there a login page or a proxy in between?")]
    ContentType,
    /// Larger than this limit, in bytes after decompression.
    #[error("larger than {0} bytes after decompression")]
    TooLarge(usize),
    /// Not a JSON object with the strings `issuer` and `jwks_uri`.
    #[error("not a JSON object with the strings `issuer` and `jwks_uri`")]
    NotDiscovery,
    /// The document names another issuer (OpenID Connect Discovery section 4.3).
    #[error(
        "it names the issuer `{found}`, which is not byte for byte the configured one; a trailing slash and case count"
    )]
    OtherIssuer {
        /// The issuer that it names; escaped and truncated.
        found: String,
    },
    /// Its `jwks_uri` must not be fetched.
    #[error("its `jwks_uri` {0}")]
    JwksUri(&'static str),
    /// The address of an endpoint must not be used.
    #[error("its address {0}")]
    Endpoint(&'static str),
    /// Not a key set, or one without a usable key.
    #[error("{}", key_set_text(.0))]
    KeySet(KeySetError),
    /// A file that could not be read, or that has the wrong content.
    #[error("{0}")]
    Unreadable(String),
    /// A configured key set contains private or symmetric keys.
    #[error(
        "holds a private or symmetric key; put only public keys there, and replace that key if anyone else could read it"
    )]
    PrivateKey,
    /// The TLS client could not be set up.
    #[error("no TLS client: {0}; are the system's CA certificates installed?")]
    Client(String),
    /// The fetch task was stopped, as happens at shutdown.
    #[error("stopped before it was done")]
    Stopped,
}

impl FetchErrorKind {
    /// A short stable name for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownEntry => "unknown_entry",
            Self::NoRoom => "no_room",
            Self::Timeout(_) | Self::TimedOut { .. } => "timeout",
            Self::Address(_) => "address_refused",
            Self::Connect(error) => error.kind(),
            Self::Transfer(_) => "transfer",
            Self::Status { .. } => "status",
            Self::BearerWithheld(_) => "bearer_withheld",
            Self::Redirect { .. } => "redirect",
            Self::ContentType => "content_type",
            Self::TooLarge(_) => "too_large",
            Self::NotDiscovery => "not_discovery",
            Self::OtherIssuer { .. } => "other_issuer",
            Self::JwksUri(_) => "jwks_uri",
            Self::Endpoint(_) => "endpoint",
            Self::KeySet(_) => "key_set",
            Self::Unreadable(_) => "unreadable",
            Self::PrivateKey => "private_key",
            Self::Client(_) => "client",
            Self::Stopped => "stopped",
        }
    }
}

fn timed_out_text(after: &Duration, stage: &Stage, target: &str) -> String {
    let seconds = after.as_secs();
    match stage {
        Stage::Resolving => {
            format!("DNS: the name of {target} was not resolved within {seconds} seconds; check this machine's DNS")
        }
        Stage::Connecting => format!(
            "no connection to {target} within {seconds} seconds; a firewall may drop it: if only a proxy can reach it, set \
             `proxy`, or give the keys as `jwks_file`"
        ),
        Stage::Connected | Stage::Reused => {
            format!(
                "connected to {target}, but no complete answer within {seconds} seconds; the server there is slow or stuck"
            )
        }
    }
}

/// Advice for a status from an endpoint that serves keys.
fn status_advice(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; if it wants a token, as a Kubernetes API server does, set `bearer_token_file`, or give the keys as `jwks_file`"
        }
        404 | 410 => "; check the URL: an issuer without a discovery document needs `jwks_url`",
        429 => "; it limits how often it may be asked",
        500..=599 => "; the fault is on the issuer's side",
        _ => "",
    }
}

fn key_set_text(error: &KeySetError) -> String {
    match error {
        KeySetError::Empty(skipped) => match skipped.first() {
            None => "the key set is empty".to_owned(),
            Some(first) => format!("{error}; that of index {}: {}", first.index, first.why),
        },
        _ => error.to_string(),
    }
}
