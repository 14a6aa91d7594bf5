//! One hardened GET: guarded addresses, no redirect, no proxy, counted bytes.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::fetch_error::bounded;
use crate::freshness::delta_seconds;
use crate::guard::{Guard, GuardedResolver};
use crate::{AddressRefused, FetchFault, Resolver};

/// The largest document that is read, in bytes after decompression. Real key sets have 1 to 5 kB.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The HTTP clients, one per guard and made at first use: setting up TLS reads the system's CA certificates.
pub(crate) struct Clients {
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    public: OnceCell<Client>,
    loopback_too: OnceCell<Client>,
    private_too: OnceCell<Client>,
    plain: OnceCell<Client>,
}

/// A successful answer.
pub(crate) enum Answer {
    /// 200.
    Document { body: Bytes, headers: HeaderMap },
    /// 304, only ever in answer to a validator.
    NotModified { headers: HeaderMap },
}

impl Clients {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, user_agent: String) -> Self {
        Self {
            resolver,
            user_agent,
            public: OnceCell::new(),
            loopback_too: OnceCell::new(),
            private_too: OnceCell::new(),
            plain: OnceCell::new(),
        }
    }

    /// Gets the JSON document at `url`, conditionally when there is an entity tag.
    pub(crate) async fn get(&self, url: &Url, guard: Guard, etag: Option<&HeaderValue>) -> Result<Answer, FetchFault> {
        let host = url.host().ok_or(FetchFault::JwksUri("has no host"))?;
        guard.check_literal(&host).map_err(FetchFault::Address)?;
        let mut request = self
            .client(guard)
            .await?
            .get(url.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json;q=0.9"));
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(fault)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if etag.is_some() => {
                return Ok(Answer::NotModified { headers: response.headers().clone() });
            }
            status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                return Err(FetchFault::Redirect(status.as_u16()));
            }
            status => {
                return Err(FetchFault::Status {
                    status: status.as_u16(),
                    retry_after: retry_after(response.headers()),
                });
            }
        }
        if is_web_page(response.headers()) {
            return Err(FetchFault::ContentType);
        }
        let headers = response.headers().clone();
        Ok(Answer::Document { body: read(response).await?, headers })
    }

    async fn client(&self, guard: Guard) -> Result<&Client, FetchFault> {
        let cell = match (guard.is_https(), guard.allows_private(), guard.allows_loopback()) {
            (false, ..) => &self.plain,
            (true, true, _) => &self.private_too,
            (true, false, true) => &self.loopback_too,
            (true, false, false) => &self.public,
        };
        cell.get_or_try_init(|| async {
            let resolver = Arc::new(GuardedResolver { guard, resolver: Arc::clone(&self.resolver) });
            let user_agent = self.user_agent.clone();
            // Reading the CA certificates blocks for some milliseconds.
            tokio::task::spawn_blocking(move || build(guard, resolver, &user_agent))
                .await
                .map_err(|_| FetchFault::Stopped)?
                .map_err(|error| FetchFault::Client(innermost(&error)))
        })
        .await
    }
}

fn build(guard: Guard, resolver: Arc<GuardedResolver>, user_agent: &str) -> reqwest::Result<Client> {
    let client = Client::builder()
        .user_agent(user_agent)
        .https_only(guard.is_https())
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would resolve and dial by itself, past the guard.
        .no_proxy()
        .dns_resolver(resolver)
        .retry(reqwest::retry::never())
        .referer(false)
        // Enough for discovery and keys of one refresh; the next one resolves and dials anew.
        .pool_idle_timeout(Duration::from_secs(5))
        .pool_max_idle_per_host(1);
    if guard.is_https() { client.build() } else { client.tls_certs_only([]).build() }
}

/// Reads a body, counting what comes out of the decompression: a bomb is cut at the limit, not unpacked.
async fn read(response: Response) -> Result<Bytes, FetchFault> {
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(fault)?;
        if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(FetchFault::TooLarge(MAX_DOCUMENT_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Real issuers send JSON as `text/plain` and `application/octet-stream` too; parsing decides. A web page is named as such.
fn is_web_page(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("text/html") || media_type.eq_ignore_ascii_case("application/xhtml+xml")
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = delta_seconds(headers.get(RETRY_AFTER)?.to_str().ok()?.trim())?;
    Some(Duration::from_secs(seconds))
}

fn fault(error: reqwest::Error) -> FetchFault {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<AddressRefused>() {
            return FetchFault::Address(refused.clone());
        }
        source = cause.source();
    }
    if error.is_connect() { FetchFault::Connect(innermost(&error)) } else { FetchFault::Transfer(innermost(&error)) }
}

/// The text of the innermost cause: what was wrong, without the layers that it passed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    bounded(&cause.to_string())
}
