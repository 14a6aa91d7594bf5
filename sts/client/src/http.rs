//! HTTP clients, and what their errors mean.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jwks_cache::{Caller, ConnectCause, ConnectError, is_loopback};
use reqwest::{Response, Url, redirect};
use serde_json::Value;
use sts_types::UnixTime;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::error::{ClientError, Retry};
use crate::output::now;
use crate::source::read_file;

/// The time limit of one request.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// The part of it for the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The time limit of a request to a server on this machine or on its link, such as a metadata server.
/// Where none is there, packets get lost rather than refused.
const LINK_LIMIT: Duration = Duration::from_secs(5);
/// Size limit of an answer.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client for `url`. Plain http goes to this host only, so it needs no certificates and uses no
/// proxy. Redirects are not followed with a token.
pub(crate) fn client(url: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client, ClientError> {
    let builder = if url.scheme() == "http" {
        reqwest::Client::builder().tls_certs_only([]).no_proxy()
    } else {
        let pem = ca_file.map(read_file).transpose()?;
        jwks_cache::client_builder(pem.as_ref().map(|pem| pem.as_bytes())).map_err(|what| match ca_file {
            Some(path) => ClientError::Usage(format!("--ca-file {}: {what}", sts_types::shown_path(path))),
            None => ClientError::failed(what),
        })?
    };
    let builder = builder.timeout(REQUEST_LIMIT).connect_timeout(CONNECT_LIMIT).redirect(redirect::Policy::none());
    builder.build().map_err(|error| ClientError::failed(error.to_string()))
}

/// A client for a metadata server.
pub(crate) fn link_client() -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy().redirect(redirect::Policy::none());
    builder.timeout(LINK_LIMIT).build().map_err(|error| ClientError::failed(error.to_string()))
}

/// A URL that a secret may be sent to: https, or http on loopback. `name` says where it is set.
pub(crate) fn secure_url(text: &str, name: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::Usage(format!("{name} is not a URL")))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => Ok(url),
        _ => {
            Err(ClientError::Usage(format!("{name} must be https: a secret is sent there (http is for loopback only)")))
        }
    }
}

/// Reads an answer as JSON; `Null` if it is none.
pub(crate) async fn json(response: Response) -> Result<Value, ClientError> {
    Ok(serde_json::from_slice(&body(response).await?).unwrap_or_default())
}

/// Reads an answer as text; empty if it is none.
pub(crate) async fn text(response: Response) -> Result<Zeroizing<String>, ClientError> {
    let body = body(response).await?;
    Ok(Zeroizing::new(std::str::from_utf8(&body).unwrap_or_default().to_owned()))
}

/// Reads an answer, up to a limit. One that breaks off may come whole the next time.
async fn body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let host = response.url().host_str().unwrap_or("-").to_owned();
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => {
                return Err(ClientError::passing(format!("{host} began an answer and did not end it in time")));
            }
            Err(_) => return Err(ClientError::passing(format!("the answer of {host} broke off"))),
        }
        if body.len() > MAX_ANSWER {
            return Err(ClientError::failed(format!("the answer of {host} is larger than {MAX_ANSWER} bytes")));
        }
    }
}

/// When another attempt may help after an answer that is not 200.
pub(crate) fn retry(response: &Response) -> Retry {
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    match (after.and_then(|after| pause_of(after, now())), response.status().as_u16()) {
        (Some(pause), _) => Retry::After(pause),
        (None, 408 | 429 | 500 | 502 | 503 | 504) => Retry::Soon,
        (None, _) => Retry::No,
    }
}

/// The pause of a `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
fn pause_of(after: &str, now: UnixTime) -> Option<Duration> {
    let after = after.trim();
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(after).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(now.as_secs().try_into().ok()?);
    Some(date.saturating_sub(now))
}

/// Why `what` at `url` gave no answer, and what to do.
pub(crate) fn unreachable(what: &str, url: &Url, error: reqwest::Error, environment: &Environment) -> ClientError {
    let port = url.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
    let target = url.host_str().map(|host| format!("{host}{port}"));
    let connect_error = ConnectError::of(target.as_deref().unwrap_or(what), &error);
    // No further attempt makes such a peer another one.
    let is_final = connect_error.as_ref().is_some_and(|error| {
        matches!(error.cause, ConnectCause::NotTls | ConnectCause::Certificate(_) | ConnectCause::Tls(_))
    });
    let text = match connect_error {
        Some(error) => format!("{error}; {}", error.advice(Caller::CommandLine)),
        None if error.is_timeout() => "connected, and no answer came in time; the server is slow or stuck".to_owned(),
        None => {
            // Without the URL: a runner's URL has a query that belongs to the runner.
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            format!("the connection broke before an answer came: {cause}")
        }
    };
    let through = match environment.proxy_variables().as_slice() {
        [] => String::new(),
        _ if url.scheme() == "http" => String::new(),
        names => format!(" (a proxy is set in the environment: {})", names.join(", ")),
    };
    let retry = if is_final { Retry::No } else { Retry::Soon };
    ClientError::Failed { text: format!("cannot reach {what}: {text}{through}"), retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_given_in_seconds_or_as_a_date() {
        let now = UnixTime::from_secs(784_111_777);
        let pause = |after: &str| pause_of(after, now).map(|pause| pause.as_secs());
        assert_eq!(pause("120"), Some(120));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(pause("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "a date that has passed");
        for none in ["", "-1", "1.5", "soon"] {
            assert_eq!(pause(none), None, "{none}");
        }
    }

    #[test]
    fn a_secret_is_sent_over_https_or_to_this_machine() {
        for url in ["https://example.com/x", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost:8080"] {
            assert!(secure_url(url, "--url").is_ok(), "{url}");
        }
        for url in ["http://example.com/", "http://127.evil.example/", "http://10.0.0.1/", "ftp://localhost/", "x"] {
            let error = secure_url(url, "--url").unwrap_err().to_string();
            assert!(error.starts_with("--url "), "{error}");
        }
    }
}
