//! Why keys could not be fetched, in words for operators.
//!
//! Nothing here repeats a response body. Text from outside (an address, a certificate's name, a discovery document's issuer)
//! is escaped and cut.

use std::time::Duration;

use sts_jose::KeySetError;

use crate::{AddressRefused, Caller, ConnectError, Stage};

/// A fetch, or the reading of a key file, that failed. The keys that were there before stay.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{document} `{location}`: {fault}{}", .hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
pub struct FetchError {
    /// Which document could not be had.
    pub document: DocumentKind,
    /// Its URL without the query, or its path; escaped and cut.
    pub location: String,
    /// What went wrong.
    pub fault: FetchFault,
    /// What else may be behind it.
    pub hint: Option<String>,
}

impl FetchError {
    pub(crate) fn new(document: DocumentKind, location: &str, fault: FetchFault) -> Self {
        Self { document, location: bounded(location), fault, hint: None }
    }
}

/// Which document a fetch was about.
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
    /// The file with the bearer token that the entry shows.
    BearerTokenFile,
    /// The entry itself.
    Entry,
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
        })
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFault {
    /// There is no entry of that name.
    #[error("there is no such entry")]
    UnknownEntry,
    /// The family has as many members as it may.
    #[error("the family has no room for another member now")]
    NoRoom,
    /// The deadline for everything passed while a file was read.
    #[error("not there within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The deadline for everything passed before the answer was there.
    #[error("{}", timed_out_text(after, stage, target))]
    TimedOut {
        /// The deadline.
        after: Duration,
        /// What was waited for.
        stage: Stage,
        /// What was reached for.
        target: String,
    },
    /// The host's name has no address, or one that may not be dialled.
    #[error("not dialled: {0}")]
    Address(AddressRefused),
    /// No connection: name resolution, TCP or TLS.
    #[error("{error}; {advice}", error = .0, advice = .0.advice(Caller::IssuerEntry))]
    Connect(ConnectError),
    /// The connection broke, or the response was not HTTP, or was not compressed as it said.
    #[error("the response broke off or is not valid HTTP: {0}")]
    Transfer(String),
    /// Another status than 200.
    #[error("the issuer answered with status {status} instead of 200{}", status_advice(*status))]
    Status {
        /// The status code.
        status: u16,
        /// The `Retry-After` in seconds, if there was one.
        retry_after: Option<Duration>,
    },
    /// 401 or 403 from another origin than the bearer token is for.
    #[error(
        "the issuer answered with status {0}; the bearer token was not shown there, for only the origin of `issuer` sees it: \
         give this URL as `jwks_url` if it may see the token"
    )]
    BearerWithheld(u16),
    /// A redirect that is not followed.
    #[error("the issuer answered with a redirect (status {status}{}) {why}; {help}", .to.as_ref().map(|to| format!(" to `{to}`")).unwrap_or_default())]
    Redirect {
        /// The status code.
        status: u16,
        /// The origin that it leads to; escaped and cut.
        to: Option<String>,
        /// Why it is not followed.
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// Not JSON, and of the media type of a web page.
    #[error("the answer is a web page, not JSON; is the URL right, and is there a login page or a proxy in between?")]
    ContentType,
    /// More bytes after decompression than the limit.
    #[error("larger than {0} bytes after decompression")]
    TooLarge(usize),
    /// Not a JSON object with the strings `issuer` and `jwks_uri`.
    #[error("not a JSON object with the strings `issuer` and `jwks_uri`")]
    NotDiscovery,
    /// The document speaks for another issuer (OpenID Connect Discovery section 4.3).
    #[error(
        "it names the issuer `{found}`, which is not byte for byte the configured one; a trailing slash and case count"
    )]
    OtherIssuer {
        /// What it names; escaped and cut.
        found: String,
    },
    /// `jwks_uri` may not be fetched.
    #[error("its `jwks_uri` {0}")]
    JwksUri(&'static str),
    /// Not a key set with a usable key.
    #[error("{}", key_set_text(.0))]
    KeySet(KeySetError),
    /// A file that could not be read, or does not hold what it should.
    #[error("{0}")]
    Unreadable(String),
    /// A configured key set holds private or symmetric keys.
    #[error(
        "holds a private or symmetric key; put only public keys there, and replace that key if anyone else could read it"
    )]
    PrivateKey,
    /// The TLS client could not be set up.
    #[error("no TLS client: {0}; are the system's CA certificates installed?")]
    Client(String),
    /// The task that fetched was stopped, as at shutdown.
    #[error("stopped before it was done")]
    Stopped,
}

impl FetchFault {
    /// A short stable name, for counts.
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
            "no connection to {target} within {seconds} seconds; a firewall may drop it: if it is reached through a proxy only, set \
             `proxy`, or give the keys as `jwks_file`"
        ),
        Stage::Connected | Stage::Reused => {
            format!(
                "connected to {target}, and no whole answer within {seconds} seconds; the server there is slow or stuck"
            )
        }
    }
}

/// What a status usually means where keys are fetched.
fn status_advice(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "; if it wants a token, as a Kubernetes API server does, set `bearer_token_file`, or give the keys as `jwks_file`"
        }
        404 | 410 => "; check the URL: an issuer without a discovery document needs `jwks_url`",
        429 => "; it limits how often it is asked",
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

/// Text from outside as it may stand in a message: escaped, at most 200 characters.
pub(crate) fn bounded(text: &str) -> String {
    const MOST: usize = 200;
    let mut escaped = text.chars().take(MOST + 1).flat_map(char::escape_debug);
    let mut out: String = escaped.by_ref().take(MOST).collect();
    if escaped.next().is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(bounded("https://a.example/\n\u{1b}[31m"), "https://a.example/\\n\\u{1b}[31m");
        assert_eq!(bounded(&"a".repeat(200)), "a".repeat(200));
        assert_eq!(bounded(&"a".repeat(201)), format!("{}...", "a".repeat(200)));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_bounds(text in any::<String>()) {
            let out = bounded(&text);
            prop_assert!(out.chars().count() <= 203);
            prop_assert!(!out.chars().any(char::is_control));
        }
    }
}
