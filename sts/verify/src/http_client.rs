//! Requests to the issuer besides those for its keys.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, redirect};

/// Limit of one request, from the connection to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client that follows no redirect and uses no proxy of the environment.
///
/// # Errors
/// A text that says what is wrong with the certificates.
pub(crate) fn client(ca_pem: Option<&[u8]>, user_agent: &str) -> Result<Client, String> {
    jwks_cache::client_builder(ca_pem)?
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(user_agent)
        .build()
        .map_err(|error| error.to_string())
}

/// Sends `request` and reads the body of a 200, which may have `max_bytes`.
///
/// # Errors
/// A text for the log.
pub(crate) async fn fetch(request: RequestBuilder, max_bytes: usize) -> Result<Fetched, String> {
    let mut response = request.send().await.map_err(|error| causes(&error))?;
    if response.status() != 200 {
        return Err(format!("the answer is {}", response.status()));
    }
    let age = age(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| causes(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > max_bytes {
            return Err(format!("the answer is longer than {max_bytes} bytes"));
        }
    }
    Ok(Fetched { body, age })
}

pub(crate) struct Fetched {
    pub(crate) body: Vec<u8>,
    /// How long a cache on the way has had the answer (RFC 9111 section 5.1).
    pub(crate) age: Duration,
}

fn age(response: &Response) -> Duration {
    let age = response.headers().get("age").and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(age.unwrap_or(0))
}

/// The error with its causes, without the URL, which may have a query.
fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "the request failed".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
