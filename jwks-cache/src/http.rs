//! One hardened GET: guarded addresses, no redirect, no proxy but a configured one, counted bytes.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Proxy, Response, StatusCode};
use tokio::sync::OnceCell;
use url::Url;

use crate::access::{Access, Roots};
use crate::fetch_error::bounded;
use crate::freshness::delta_seconds;
use crate::guard::{Guard, GuardedResolver};
use crate::{AddressRefused, FetchFault, ProxyUrl, Resolver};

/// The largest document that is read, in bytes after decompression. Real key sets have 1 to 5 kB.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The HTTP clients, one per route and made at first use: setting up TLS reads the system's CA certificates.
pub(crate) struct Clients {
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    held: Mutex<HashMap<Route, Arc<OnceCell<Client>>>>,
}

/// What clients differ in.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Route {
    guard: Guard,
    /// In place of the system's.
    roots: Option<Roots>,
    proxy: Option<ProxyUrl>,
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
        Self { resolver, user_agent, held: Mutex::default() }
    }

    /// Gets the JSON document at `url`, conditionally when there is an entity tag.
    pub(crate) async fn get(
        &self,
        url: &Url,
        guard: Guard,
        access: &Access,
        etag: Option<&HeaderValue>,
    ) -> Result<Answer, FetchFault> {
        let host = url.host().ok_or(FetchFault::JwksUri("has no host"))?;
        guard.check_literal(&host).map_err(FetchFault::Address)?;
        let route = Route { guard, roots: access.roots.clone(), proxy: access.proxy.clone() };
        let mut request = self
            .client(route)
            .await?
            .get(url.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json;q=0.9"));
        if let Some(authorization) = access.authorization(url) {
            request = request.header(AUTHORIZATION, authorization);
        }
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

    async fn client(&self, route: Route) -> Result<Client, FetchFault> {
        let cell = self.cell(&route);
        let client = cell.get_or_try_init(|| async {
            let (resolver, user_agent) = (Arc::clone(&self.resolver), self.user_agent.clone());
            // Reading the CA certificates blocks for some milliseconds.
            tokio::task::spawn_blocking(move || build(route, resolver, &user_agent))
                .await
                .map_err(|_| FetchFault::Stopped)?
        });
        client.await.cloned()
    }

    /// The place of a route's client. Clients that trust what the same CA file held before are let go.
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

/// Whether a client can be made of what was read. Blocks.
pub(crate) fn check(access: &Access) -> Result<(), FetchFault> {
    let roots = access.roots.as_ref();
    trust(Client::builder(), roots)?.build().map(drop).map_err(|error| unusable(roots, &error))
}

fn build(route: Route, resolver: Arc<dyn Resolver>, user_agent: &str) -> Result<Client, FetchFault> {
    let Route { guard, roots, proxy } = route;
    let client = Client::builder()
        .user_agent(user_agent)
        // Through a proxy, plain http would not end on the loopback of this host.
        .https_only(guard.is_https() || proxy.is_some())
        .redirect(reqwest::redirect::Policy::none())
        // One that only the environment names would resolve and dial by itself, past the guard.
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        // Enough for discovery and keys of one refresh; the next one resolves and dials anew.
        .pool_idle_timeout(Duration::from_secs(5))
        .pool_max_idle_per_host(1);
    let client = match proxy {
        None => client.dns_resolver(Arc::new(GuardedResolver { guard, resolver })),
        Some(proxy) => client
            .proxy(Proxy::all(proxy.expose().clone()).map_err(|error| unusable(None, &error))?)
            .dns_resolver(Arc::new(ProxyResolver(resolver))),
    };
    let client = if guard.is_https() { trust(client, roots.as_ref())? } else { client.tls_certs_only([]) };
    client.build().map_err(|error| unusable(roots.as_ref(), &error))
}

fn trust(client: ClientBuilder, roots: Option<&Roots>) -> Result<ClientBuilder, FetchFault> {
    let Some(roots) = roots else { return Ok(client) };
    Ok(client.tls_certs_only(roots.certificates().map_err(|error| unusable(Some(roots), &error))?))
}

fn unusable(roots: Option<&Roots>, error: &reqwest::Error) -> FetchFault {
    match roots {
        None => FetchFault::Client(innermost(error)),
        Some(_) => FetchFault::Unreadable(format!("its certificates cannot be used: {}", innermost(error))),
    }
}

/// Resolves the name of a proxy, which the configuration chose. Names of issuers are resolved by the proxy.
struct ProxyResolver(Arc<dyn Resolver>);

impl reqwest::dns::Resolve for ProxyResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let answer = self.0.resolve(name.as_str());
        Box::pin(async move {
            let addresses = answer.await?.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
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
