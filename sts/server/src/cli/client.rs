//! The client of a running server's admin listener.

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use jwks_cache::is_loopback;
use reqwest::{Method, StatusCode, Url};
use serde::de::{DeserializeOwned, IgnoredAny};
use sts_api::ErrorAnswer;
use zeroize::Zeroizing;

use crate::admin::{Download, Endpoint, Operation, OperationError, Request};

/// Deadline of a request. The server spends at most half of it on counting tokens.
const DEADLINE: Duration = Duration::from_secs(15);
/// Deadline of a request whose answer is a file.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(3600);

/// A client of a server's admin listener, with its admin token.
pub(super) struct AdminClient {
    url: String,
    client: reqwest::Client,
    token: Zeroizing<String>,
    /// Where the token came from, for messages.
    token_source: String,
}

/// The request for an operation, and what to say when it fails.
pub(super) struct OperationRequest {
    request: Request,
    endpoint: Endpoint,
    is_repeatable: bool,
    not_done: &'static str,
}

impl OperationRequest {
    pub(super) fn of<O: Operation>(operation: &O) -> Self {
        Self {
            request: operation.request(),
            endpoint: O::ENDPOINT,
            is_repeatable: O::IS_REPEATABLE,
            not_done: operation.not_done(),
        }
    }
}

/// The result of a request.
pub(super) enum AdminAnswer<T> {
    Done(Result<T, OperationError>),
    /// The connection was refused. The text explains that.
    NobodyThere(String),
}

impl AdminClient {
    /// A client of the listener at `url`. It trusts `certificates` in addition to the system's.
    ///
    /// # Errors
    /// A text for the operator.
    pub(super) fn new(
        url: &str,
        certificates: Option<&[u8]>,
        token: Zeroizing<String>,
        token_source: String,
    ) -> Result<Self, String> {
        let client = http_client(certificates, DEADLINE)?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client, token, token_source })
    }

    /// The URL of the listener.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends the request of an operation. Returns the JSON of its answer, for [`Self::read`].
    pub(super) async fn send(&self, order: &OperationRequest) -> AdminAnswer<Bytes> {
        let OperationRequest { request: asked, endpoint, .. } = order;
        let (method, is_read) = match endpoint.method {
            "POST" => (Method::POST, false),
            "DELETE" => (Method::DELETE, false),
            "PUT" => (Method::PUT, false),
            "PATCH" => (Method::PATCH, false),
            _ => (Method::GET, true),
        };
        let url = format!("{}{}", self.url, asked.target(endpoint));
        let mut request = self.client.request(method, url).bearer_auth(&*self.token);
        if asked.body.is_object() {
            request = request.json(&asked.body);
        }
        if let Some(if_match) = &asked.if_match {
            request = request.header(reqwest::header::IF_MATCH, if_match);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if is_refused(&error) => return AdminAnswer::NobodyThere(self.unreachable(&error)),
            Err(error) => return AdminAnswer::Done(Err(self.no_answer(&error, is_read, order))),
        };
        let status = response.status();
        AdminAnswer::Done(match response.bytes().await {
            Ok(_) if status == StatusCode::NO_CONTENT => Ok(Bytes::from_static(b"null")),
            Ok(bytes) if status.is_success() && serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() => Ok(bytes),
            Ok(_) if status.is_success() => {
                Err(OperationError::Failed(format!("{}; {}", self.not_json(status), order.not_done)))
            }
            Ok(bytes) => Err(self.refusal(status, &bytes, order.not_done)),
            Err(error) => Err(self.no_answer(&error, is_read, order)),
        })
    }

    /// Reads an answer that [`Self::send`] returned.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, OperationError> {
        serde_json::from_slice(answer).map_err(|error| {
            let url = &self.url;
            OperationError::Failed(format!(
                "{url} sent an answer that this version of sts does not understand ({error}); check whether the request was carried out"
            ))
        })
    }

    /// Fetches the file of `D` and writes it into `target`.
    pub(super) async fn fetch<D: Download>(&self, target: &mut File) -> AdminAnswer<()> {
        let request = self.client.post(format!("{}{}", self.url, D::ENDPOINT.full_path()));
        let mut response = match request.bearer_auth(&*self.token).timeout(DOWNLOAD_DEADLINE).send().await {
            Ok(response) => response,
            Err(error) if is_refused(&error) => return AdminAnswer::NobodyThere(self.unreachable(&error)),
            Err(error) => return AdminAnswer::Done(Err(self.broken_off::<D>(&error))),
        };
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.unwrap_or_default();
            return AdminAnswer::Done(Err(self.refusal(status, &bytes, D::NOT_DONE)));
        }
        loop {
            match response.chunk().await {
                Ok(None) => return AdminAnswer::Done(Ok(())),
                Ok(Some(chunk)) => {
                    if let Err(error) = target.write_all(&chunk) {
                        let text = format!("the file cannot be written: {error}; {}", D::NOT_DONE);
                        return AdminAnswer::Done(Err(OperationError::Failed(text)));
                    }
                }
                Err(error) => return AdminAnswer::Done(Err(self.broken_off::<D>(&error))),
            }
        }
    }

    fn broken_off<D: Download>(&self, error: &reqwest::Error) -> OperationError {
        let text = unreachable(&self.url, error, DOWNLOAD_DEADLINE);
        OperationError::Failed(format!("{text}; {}", D::NOT_DONE))
    }

    /// The error that the server answered with.
    fn refusal(&self, status: StatusCode, bytes: &[u8], not_done: &str) -> OperationError {
        let Ok(answer) = serde_json::from_slice::<ErrorAnswer>(bytes) else {
            return OperationError::Failed(format!("{}; {not_done}", self.not_json(status)));
        };
        let told = answer.detail.or(answer.error_description).unwrap_or_else(|| "no description".to_owned());
        match status.as_u16() {
            401 => OperationError::Refused(format!(
                "the server at {} does not accept the admin token of {}: is it the token of that server? {not_done}",
                self.url, self.token_source,
            )),
            403 if answer.reason.as_deref() == Some("interactive_required") => {
                OperationError::InteractiveRequired(told)
            }
            404 => OperationError::NotFound(told),
            409 if answer.reason.as_deref() == Some("declared_by_file") => OperationError::Conflict(told),
            409 => OperationError::Exists(told),
            412 => OperationError::PreconditionFailed(told),
            422 => OperationError::Invalid { detail: told, findings: answer.findings },
            428 => OperationError::PreconditionRequired(told),
            400..=499 => OperationError::Refused(told),
            _ => OperationError::Failed(told),
        }
    }

    fn not_json(&self, status: StatusCode) -> String {
        format!("{} answered {status} without JSON: is an sts server's admin listener there?", self.url)
    }

    /// The error for a request without an answer. Unless the connection failed, the server may have
    /// carried it out.
    fn no_answer(&self, error: &reqwest::Error, is_read: bool, order: &OperationRequest) -> OperationError {
        let not_done = order.not_done;
        let text = self.unreachable(error);
        OperationError::Failed(if is_read || error.is_connect() {
            format!("{text}; {not_done}")
        } else if !order.is_repeatable {
            format!(
                "{text}; the request was sent, so the server may have carried it out; check before you run the command again"
            )
        } else {
            format!(
                "{text}; the request was sent, so the server may have carried it out; check, or run the command again, which does no harm"
            )
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> String {
        unreachable(&self.url, error, DEADLINE)
    }
}

/// An HTTP client for admin listeners. It trusts `certificates` in addition to the system's.
///
/// # Errors
/// A text for the operator.
pub(super) fn http_client(certificates: Option<&[u8]>, deadline: Duration) -> Result<reqwest::Client, String> {
    let trusted = match certificates.map(reqwest::Certificate::from_pem_bundle).transpose() {
        Ok(trusted) => trusted.unwrap_or_default(),
        Err(error) => {
            return Err(format!("the certificate of the admin listener cannot be read: {}", causes(&error)));
        }
    };
    reqwest::Client::builder()
        .no_proxy()
        .timeout(deadline)
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_merge(trusted)
        .build()
        .map_err(|error| causes(&error))
}

/// Why the admin listener at `url` gave no answer, and what to do about it.
pub(super) fn unreachable(url: &str, error: &reqwest::Error, deadline: Duration) -> String {
    let (cause, advice) = diagnose(error, deadline);
    format!("cannot reach the admin listener at {url}: {cause}; {advice}")
}

/// The cause of a failed request, and what to do about it.
fn diagnose(error: &reqwest::Error, deadline: Duration) -> (String, &'static str) {
    let text = causes(error);
    if is_refused(error) {
        (
            "the connection was refused, nothing listens there".to_owned(),
            "start the server with `sts serve`, or correct the address (`admin.listen`, --admin-url)",
        )
    } else if error.is_timeout() {
        (
            format!("no answer within {} s", deadline.as_secs()),
            "check that the server is ready (`/readyz`) and that no firewall blocks the connection",
        )
    } else if text.contains("dns error") || text.contains("lookup") {
        (format!("its host name was not found ({text})"), "correct the host name, or the name server")
    } else if is_tls(error, &text) {
        (
            format!("TLS failed ({text})"),
            "the URL's host must be in the certificate of `admin.tls`, and its authority trusted (--ca-file); plain http is for a \
             listener without `admin.tls`",
        )
    } else {
        (text, "check that the server runs and that this is the address of its admin listener (`admin.listen`)")
    }
}

/// Whether the connection was refused. A failed TLS handshake does not count: something is listening.
pub(super) fn is_refused(error: &reqwest::Error) -> bool {
    chain(error).any(|error| {
        error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

fn is_tls(error: &reqwest::Error, text: &str) -> bool {
    chain(error).any(|error| {
        error.is::<rustls::Error>()
            || error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
                .is_some_and(|own| own.is::<rustls::Error>())
    }) || ["certificate", "TLS", "corrupt message"].iter().any(|word| text.contains(word))
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        error.source()
    })
}

/// The causes of an error, without reqwest's own sentence, which only repeats the URL.
fn causes(error: &(dyn Error + 'static)) -> String {
    let all: Vec<String> = chain(error).map(ToString::to_string).collect();
    let said = if all.len() > 1 { all.get(1..).unwrap_or_default() } else { &all };
    let mut texts: Vec<&str> = Vec::new();
    for text in said {
        if !texts.iter().any(|other| other.contains(text.as_str())) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// The URL of an admin listener that an operator gave.
///
/// # Errors
/// A text for the operator. It does not repeat the value, which may be a token in the wrong place.
pub(super) fn admin_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| {
        "--admin-url is not a URL: write `http://127.0.0.1:9090`, or the https URL of the admin listener".to_owned()
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("--admin-url must not hold credentials: the admin token is read from --admin-token-file".to_owned());
    }
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => Ok(text.to_owned()),
        _ => Err("--admin-url must be https: it carries the admin token (plain http is for loopback only)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_token_does_not_travel_in_the_clear() {
        for url in
            ["http://127.0.0.1:9090", "http://[::1]:9090/", "http://localhost:9090", "https://sts.example.com:9090"]
        {
            assert!(admin_url(url).is_ok(), "{url}");
        }
        for url in
            ["http://sts.example.com", "http://10.0.0.1:9090", "ftp://127.0.0.1", "https://a:b@c", "eyJhbGciOi.x.y"]
        {
            let message = admin_url(url).unwrap_err();
            assert!(message.contains("--admin-url") && !message.contains("eyJ"), "{message}");
        }
    }
}
