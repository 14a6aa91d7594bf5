//! One hardened GET: guarded addresses, at most one redirect within the origin, no proxy except a
//! configured one, and a size limit.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, Proxy, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::access::{Access, Roots};
use crate::bounded::bounded;
use crate::connect_error::UnresolvedNameError;
use crate::freshness::delta_seconds;
use crate::guard::{AddressGuard, GuardedResolver};
use crate::progress::{NoteConnections, Progress, Stage};
use crate::provider::{Form, FormAnswer};
use crate::{AddressRefusedError, ConnectError, DocumentKind, FetchErrorKind, ProxyUrl, Resolver, redirect, tls};

/// Size limit of a document, in bytes after decompression. Real key sets have 1 to 5 kB.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The HTTP clients, one per route, built at first use: building one reads the system's CA
/// certificates.
pub(crate) struct Clients {
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    held: Mutex<HashMap<Route, Arc<OnceCell<Client>>>>,
}

/// Everything that needs a client of its own.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    guard: AddressGuard,
    /// The roots that replace the system's.
    roots: Option<Roots>,
    proxy: Option<ProxyUrl>,
    /// Whether connections stay open for the next request.
    is_pooled: bool,
}

/// A request for one document.
pub(crate) struct DocumentRequest<'a> {
    pub(crate) url: &'a Url,
    pub(crate) document: DocumentKind,
    pub(crate) guard: AddressGuard,
    pub(crate) access: &'a Access,
    /// The ETag that makes the request conditional.
    pub(crate) etag: Option<&'a HeaderValue>,
    /// Records how far the request got.
    pub(crate) progress: &'a Arc<Progress>,
}

/// A successful answer.
pub(crate) enum Answer {
    /// Status 200.
    Document { body: Bytes, headers: HeaderMap },
    /// Status 304. Only a conditional request gets it.
    NotModified { headers: HeaderMap },
}

impl Clients {
    pub(crate) fn new(resolver: Arc<dyn Resolver>, user_agent: String) -> Self {
        Self { resolver, user_agent, held: Mutex::default() }
    }

    /// Gets a document. Follows one redirect within the origin.
    pub(crate) async fn get(&self, ask: DocumentRequest<'_>) -> Result<Answer, FetchErrorKind> {
        let response = self.send(&ask, ask.url).await?;
        if !is_redirect(response.status()) {
            return self.answer(&ask, response).await;
        }
        let next = redirect::target(ask.url, &response, ask.document)?;
        let response = self.send(&ask, &next).await?;
        if is_redirect(response.status()) {
            return Err(redirect::second(&response, ask.document));
        }
        self.answer(&ask, response).await
    }

    /// Posts a form, once: what it holds may be good for one use. Follows no redirect.
    pub(crate) async fn post(&self, ask: &DocumentRequest<'_>, form: &Form<'_>) -> Result<FormAnswer, FetchErrorKind> {
        let host = ask.url.host().ok_or(FetchErrorKind::Endpoint("has no host"))?;
        ask.guard.check_literal(&host).map_err(FetchErrorKind::Address)?;
        let (roots, proxy) = (ask.access.roots.clone(), ask.access.proxy.clone());
        let client = self.client(Route { guard: ask.guard, roots, proxy, is_pooled: false }).await?;
        let mut request = client
            .post(ask.url.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(form.body.to_vec());
        if let Some(authorization) = form.authorization {
            let mut value = HeaderValue::from_str(authorization)
                .map_err(|_| FetchErrorKind::Endpoint("gets credentials that no header can hold"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        ask.progress.begin();
        let response = ask.progress.watch(request.send()).await.map_err(|error| fault(&error, ask, ask.url))?;
        Ok(FormAnswer { status: response.status().as_u16(), body: read(response, ask).await?.to_vec() })
    }

    async fn answer(&self, ask: &DocumentRequest<'_>, response: Response) -> Result<Answer, FetchErrorKind> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if ask.etag.is_some() => {
                return Ok(Answer::NotModified { headers: response.headers().clone() });
            }
            status => {
                return Err(FetchErrorKind::Status {
                    status: status.as_u16(),
                    retry_after: retry_after(response.headers()),
                });
            }
        }
        let headers = response.headers().clone();
        Ok(Answer::Document { body: read(response, ask).await?, headers })
    }

    /// Sends the request. A server may close an idle connection, and the client notices only when
    /// it uses that connection. In that case this sends the request once more, on a new connection.
    async fn send(&self, ask: &DocumentRequest<'_>, url: &Url) -> Result<Response, FetchErrorKind> {
        let host = url.host().ok_or(FetchErrorKind::JwksUri("has no host"))?;
        ask.guard.check_literal(&host).map_err(FetchErrorKind::Address)?;
        let sent = self.send_once(ask, url, true).await?;
        let sent = match sent {
            Err(error) if ask.progress.stage() == Stage::Reused && is_unanswered(&error) => {
                self.send_once(ask, url, false).await?
            }
            sent => sent,
        };
        sent.map_err(|error| fault(&error, ask, url))
    }

    async fn send_once(
        &self,
        ask: &DocumentRequest<'_>,
        url: &Url,
        is_pooled: bool,
    ) -> Result<Result<Response, reqwest::Error>, FetchErrorKind> {
        let (roots, proxy) = (ask.access.roots.clone(), ask.access.proxy.clone());
        let client = self.client(Route { guard: ask.guard, roots, proxy, is_pooled }).await?;
        let accept = HeaderValue::from_static("application/json, application/jwk-set+json;q=0.9");
        let mut request = client.get(url.clone()).header(ACCEPT, accept);
        if let Some(authorization) = ask.access.authorization(url) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(etag) = ask.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        ask.progress.begin();
        Ok(ask.progress.watch(request.send()).await)
    }

    async fn client(&self, route: Route) -> Result<Client, FetchErrorKind> {
        let cell = self.cell(&route);
        let client = cell.get_or_try_init(|| async {
            let (resolver, user_agent) = (Arc::clone(&self.resolver), self.user_agent.clone());
            // Reading the CA certificates blocks for some milliseconds.
            tokio::task::spawn_blocking(move || build(route, resolver, &user_agent))
                .await
                .map_err(|_| FetchErrorKind::Stopped)?
        });
        client.await.cloned()
    }

    /// The cell of a route's client. Drops clients that trust an earlier version of the same CA
    /// file.
    fn cell(&self, route: &Route) -> Arc<OnceCell<Client>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = held.get(route) {
            return Arc::clone(cell);
        }
        if let Some(roots) = &route.roots {
            held.retain(|other, _| other.roots.as_ref().is_none_or(|other| !other.is_other_version_of(roots)));
        }
        Arc::clone(held.entry(route.clone()).or_default())
    }
}

/// Checks that a client can be built with these certificates. Blocks.
pub(crate) fn check(access: &Access) -> Result<(), FetchErrorKind> {
    trust(access.roots.as_ref()).map(drop)
}

fn build(route: Route, resolver: Arc<dyn Resolver>, user_agent: &str) -> Result<Client, FetchErrorKind> {
    let Route { guard, roots, proxy, is_pooled } = route;
    let unusable = |error: &reqwest::Error| FetchErrorKind::Client(bounded(&innermost(error)));
    let client = Client::builder()
        .user_agent(user_agent)
        // Through a proxy, plain http would not end at this host's loopback.
        .https_only(guard.is_https() || proxy.is_some())
        // This crate checks the one redirect that it follows; the client must follow none.
        .redirect(reqwest::redirect::Policy::none())
        // A proxy from the environment would resolve and dial by itself, past the guard.
        .no_proxy()
        // `send` decides about the one repeated request.
        .retry(reqwest::retry::never())
        .referer(false)
        .connector_layer(NoteConnections)
        // Long enough for discovery and key set of one refresh. The next refresh resolves and dials
        // anew.
        .pool_idle_timeout(Duration::from_secs(5))
        .pool_max_idle_per_host(usize::from(is_pooled));
    let client = match proxy {
        None => client.dns_resolver(Arc::new(GuardedResolver { guard, resolver })),
        Some(proxy) => client
            .proxy(Proxy::all(proxy.expose().clone()).map_err(|error| unusable(&error))?)
            .dns_resolver(Arc::new(ProxyResolver(resolver))),
    };
    let client = match guard.is_https() {
        true => client.tls_backend_preconfigured(trust(roots.as_ref())?),
        // No roots: plain http needs none, and the client must not load the system's.
        false => client.tls_certs_only([]),
    };
    client.build().map_err(|error| unusable(&error))
}

/// The TLS configuration with the given roots, or with the system's.
fn trust(roots: Option<&Roots>) -> Result<rustls::ClientConfig, FetchErrorKind> {
    let certificates = roots.map(Roots::certificates).transpose().map_err(FetchErrorKind::Unreadable)?;
    tls::client_config(certificates.as_deref()).map_err(|error| match roots {
        None => FetchErrorKind::Client(bounded(&error.to_string())),
        Some(_) => {
            FetchErrorKind::Unreadable(format!("its certificates cannot be used: {}", bounded(&error.to_string())))
        }
    })
}

/// Resolves a proxy's name without a guard: the configuration chose the proxy. The proxy resolves
/// the issuer's name.
struct ProxyResolver(Arc<dyn Resolver>);

impl reqwest::dns::Resolve for ProxyResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Progress::resolving();
        let answer = self.0.resolve(name.as_str());
        Box::pin(async move {
            let addresses = answer.await.map_err(UnresolvedNameError)?;
            Progress::resolved(&addresses);
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

/// Reads a body and counts the decompressed bytes, so a decompression bomb stops at the limit.
async fn read(response: Response, ask: &DocumentRequest<'_>) -> Result<Bytes, FetchErrorKind> {
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| fault(&error, ask, ask.url))?;
        if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
            return Err(FetchErrorKind::TooLarge(MAX_DOCUMENT_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Whether the response has the media type of a web page. This only improves the error for a body
/// that does not parse: real issuers send JSON with any media type.
pub(crate) fn is_web_page(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim();
    media_type.eq_ignore_ascii_case("text/html") || media_type.eq_ignore_ascii_case("application/xhtml+xml")
}

fn is_redirect(status: StatusCode) -> bool {
    status.is_redirection() && status != StatusCode::NOT_MODIFIED
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = delta_seconds(headers.get(RETRY_AFTER)?.to_str().ok()?.trim())?;
    Some(Duration::from_secs(seconds))
}

/// Whether the connection closed before the first byte of the response.
fn is_unanswered(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            let is_broken = || {
                let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
                io.is_some_and(|io| {
                    matches!(
                        io.kind(),
                        ErrorKind::ConnectionReset
                            | ErrorKind::ConnectionAborted
                            | ErrorKind::BrokenPipe
                            | ErrorKind::UnexpectedEof
                    )
                })
            };
            return error.is_incomplete_message() || error.is_canceled() || error.is_closed() || is_broken();
        }
        source = cause.source();
    }
    false
}

// A refused address is somewhere in the chain, below the client's own error.
fn fault(error: &reqwest::Error, ask: &DocumentRequest<'_>, url: &Url) -> FetchErrorKind {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<AddressRefusedError>() {
            return FetchErrorKind::Address(refused.clone());
        }
        source = cause.source();
    }
    match ConnectError::of(&target(ask, url), error) {
        Some(error) => FetchErrorKind::Connect(error),
        None => FetchErrorKind::Transfer(bounded(&innermost(error))),
    }
}

/// Host and port, with the addresses that were tried or the proxy.
pub(crate) fn target(ask: &DocumentRequest<'_>, url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().map_or_else(String::new, |port| format!(":{port}"));
    if let Some(proxy) = &ask.access.proxy {
        return format!("{host}{port} through the proxy {proxy}");
    }
    match ask.progress.addresses().as_slice() {
        [] => format!("{host}{port}"),
        addresses => {
            let addresses: Vec<String> = addresses.iter().take(4).map(ToString::to_string).collect();
            format!("{host}{port} ({})", addresses.join(", "))
        }
    }
}

/// The text of the innermost cause, without the layers above it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
