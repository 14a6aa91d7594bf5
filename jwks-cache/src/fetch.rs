//! One fetch of an entry's keys from any source, under one deadline.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ETAG, HeaderMap, HeaderValue};
use sts_jose::KeySetError;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::access::Access;
use crate::copies::Copies;
use crate::entry_keys::IndexedSet;
use crate::environment::SystemResolver;
use crate::freshness::freshness;
use crate::guard::AddressGuard;
use crate::http::{self, Answer, Clients, DocumentRequest};
use crate::progress::{Progress, Stage};
use crate::provider::{Form, FormAnswer};
use crate::static_keys::{self, FileMark};
use crate::{DocumentKind, EntrySpec, Environment, FetchError, FetchErrorKind, KeySource, discovery};

/// Deadline of a whole fetch: name resolution, connections, discovery document and key set.
pub(crate) const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// Shared resources of all fetches.
pub(crate) struct FetchContext {
    pub(crate) environment: Environment,
    /// Which copies of keys are on disk.
    pub(crate) copies: Copies,
    clients: Clients,
}

impl FetchContext {
    /// Lists the copies on disk. Blocks.
    pub(crate) fn new(environment: Environment) -> Self {
        let resolver = environment.resolver.clone().unwrap_or_else(|| Arc::new(SystemResolver));
        let clients = Clients::new(resolver, environment.user_agent.clone());
        let copies = Copies::list(environment.state_dir.as_deref());
        Self { environment, copies, clients }
    }
}

/// Makes the next fetch conditional (RFC 9110 section 8.8.3).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Validator {
    url: Url,
    etag: HeaderValue,
}

/// Result of a successful fetch.
pub(crate) enum Fetched {
    /// A set from the network. `place` is its URL without the query.
    Set { set: IndexedSet, fresh: Duration, validator: Option<Validator>, place: String },
    /// The issuer still publishes the set of the validator (304).
    NotModified { fresh: Duration, place: String },
    /// A set from a file.
    File(IndexedSet),
    /// The file is unchanged since the last read.
    Untouched,
}

/// What an issuer answered to a request for one document.
pub(crate) struct Answered<T> {
    pub(crate) document: T,
    /// Headers of the response.
    pub(crate) headers: HeaderMap,
}

/// Fetches the keys of an entry with discovery or a URL.
#[tracing::instrument(level = "debug", name = "jwks.fetch", skip_all, fields(entry = %spec.name, issuer = %spec.issuer))]
pub(crate) async fn fetch(
    context: &FetchContext,
    spec: &EntrySpec,
    validator: Option<Validator>,
) -> Result<Fetched, FetchError> {
    let fetched = fetch_documents(context, spec, validator).await;
    fetched.map_err(|error| hinted(context, spec, error))
}

/// A hint about proxies in the environment. They are not used, because a proxy resolves and dials
/// past the address guard. In a network whose only way out is a proxy, that is the likely cause of
/// a failed connection.
fn proxy_hint(environment: &Environment, spec: &EntrySpec, fault: &FetchErrorKind) -> Option<String> {
    let is_connection = match fault {
        FetchErrorKind::Connect(_) => true,
        FetchErrorKind::TimedOut { stage, .. } => matches!(stage, Stage::Resolving | Stage::Connecting),
        _ => false,
    };
    let variables = environment.ignored_proxies.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    (is_connection && spec.proxy.is_none() && !variables.is_empty()).then(|| {
        format!("{variables} of the environment is not used: if this issuer is reached through that proxy, write it as `proxy`")
    })
}

async fn fetch_documents(
    context: &FetchContext,
    spec: &EntrySpec,
    validator: Option<Validator>,
) -> Result<Fetched, FetchError> {
    let deadline = Instant::now() + FETCH_DEADLINE;
    let access = access(spec, deadline).await?;
    let url = match &spec.source {
        KeySource::Url(text) => configured_key_set_url(text, spec)?,
        _ => discover(context, spec, &access, deadline).await?,
    };
    let place = without_query(&url);
    // The ETag belongs to one URL. After a change of `jwks_uri` the request must be unconditional.
    let etag = validator.as_ref().filter(|validator| validator.url == url).map(|validator| &validator.etag);
    match key_set(context, spec, &access, &url, etag, deadline).await? {
        Answer::NotModified { headers } => Ok(Fetched::NotModified { fresh: freshness(&headers), place }),
        Answer::Document { body, headers } => {
            let set = parse(body, &headers, spec, &url)?;
            let validator = etag_of(&headers).map(|etag| Validator { url: url.clone(), etag });
            Ok(Fetched::Set { set, fresh: freshness(&headers), validator, place })
        }
    }
}

async fn key_set(
    context: &FetchContext,
    spec: &EntrySpec,
    access: &Access,
    url: &Url,
    etag: Option<&HeaderValue>,
    deadline: Instant,
) -> Result<Answer, FetchError> {
    let answer = get(context, spec, access, (url, DocumentKind::KeySet), etag, deadline).await;
    answer.map_err(|fault| {
        let fault = match fault {
            FetchErrorKind::Status { status: status @ (401 | 403), .. } if access.withholds_bearer(url) => {
                FetchErrorKind::BearerWithheld(status)
            }
            fault => fault,
        };
        FetchError::new(DocumentKind::KeySet, &without_query(url), fault)
    })
}

fn parse(body: Bytes, headers: &HeaderMap, spec: &EntrySpec, url: &Url) -> Result<IndexedSet, FetchError> {
    IndexedSet::parse(body, &spec.algorithms).map_err(|error| {
        let fault = match error {
            KeySetError::Json(_) if http::is_web_page(headers) => FetchErrorKind::ContentType,
            error => FetchErrorKind::KeySet(error),
        };
        FetchError::new(DocumentKind::KeySet, &without_query(url), fault)
    })
}

/// Reads a key file, unless its mark is still `previous`. Returns the mark even if the content is
/// bad.
pub(crate) async fn read_file(
    path: &Path,
    spec: &EntrySpec,
    previous: Option<FileMark>,
) -> (Option<FileMark>, Result<Fetched, FetchError>) {
    let (path_there, algorithms) = (path.to_owned(), spec.algorithms.clone());
    let read = tokio::task::spawn_blocking(move || static_keys::read_file(&path_there, &algorithms, previous));
    let wrong = |fault| (None, Err(FetchError::new(DocumentKind::File, &path.to_string_lossy(), fault)));
    match timeout_at(Instant::now() + FETCH_DEADLINE, read).await {
        Err(_) => wrong(FetchErrorKind::Timeout(FETCH_DEADLINE)),
        Ok(Err(_)) => wrong(FetchErrorKind::Stopped),
        Ok(Ok((mark, read))) => (mark, read.map(|set| set.map_or(Fetched::Untouched, Fetched::File))),
    }
}

/// Reads the files that the spec names for a fetch.
async fn access(spec: &EntrySpec, deadline: Instant) -> Result<Access, FetchError> {
    let spec_there = spec.clone();
    let read = tokio::task::spawn_blocking(move || Access::read(&spec_there));
    let wrong = |fault| Err(FetchError::new(DocumentKind::Entry, spec.name.as_str(), fault));
    match timeout_at(deadline, read).await {
        Err(_) => wrong(FetchErrorKind::Timeout(FETCH_DEADLINE)),
        Ok(Err(_)) => wrong(FetchErrorKind::Stopped),
        Ok(Ok(read)) => read,
    }
}

/// Fetches the discovery document of an entry and checks that it names the entry's issuer.
pub(crate) async fn fetch_discovery(context: &FetchContext, spec: &EntrySpec) -> Result<Bytes, FetchError> {
    let deadline = Instant::now() + FETCH_DEADLINE;
    let access = access(spec, deadline).await?;
    let answered =
        discovery_document(context, spec, &access, deadline).await.map_err(|error| hinted(context, spec, error))?;
    Ok(answered.document.0)
}

/// Fetches the discovery document of an entry for a check, with the URL of the keys that it names.
pub(crate) async fn probe_discovery(context: &FetchContext, spec: &EntrySpec) -> Result<Answered<Url>, FetchError> {
    let deadline = Instant::now() + FETCH_DEADLINE;
    let access = access(spec, deadline).await?;
    let answered = discovery_document(context, spec, &access, deadline).await;
    let Answered { document: (_, keys), headers } = answered.map_err(|error| hinted(context, spec, error))?;
    Ok(Answered { document: keys, headers })
}

/// Fetches the key set of an entry at `url` for a check.
pub(crate) async fn probe_key_set(
    context: &FetchContext,
    spec: &EntrySpec,
    url: &Url,
) -> Result<Answered<IndexedSet>, FetchError> {
    let deadline = Instant::now() + FETCH_DEADLINE;
    let access = access(spec, deadline).await?;
    let answer = key_set(context, spec, &access, url, None, deadline).await;
    match answer.map_err(|error| hinted(context, spec, error))? {
        Answer::Document { body, headers } => {
            let document = parse(body, &headers, spec, url)?;
            Ok(Answered { document, headers })
        }
        // The request was unconditional, so 304 is an error.
        Answer::NotModified { .. } => {
            let fault = FetchErrorKind::Status { status: 304, retry_after: None };
            Err(FetchError::new(DocumentKind::KeySet, &without_query(url), fault))
        }
    }
}

/// The configured URL of the key set of an entry.
pub(crate) fn configured_key_set_url(text: &str, spec: &EntrySpec) -> Result<Url, FetchError> {
    discovery::key_set_url(text, spec.network)
        .map_err(|what| FetchError::new(DocumentKind::KeySet, text, FetchErrorKind::JwksUri(what)))
}

/// Posts a form to an endpoint under the rules of an entry.
pub(crate) async fn post(context: &FetchContext, spec: &EntrySpec, form: &Form<'_>) -> Result<FormAnswer, FetchError> {
    let deadline = Instant::now() + FETCH_DEADLINE;
    let url = discovery::key_set_url(form.url, spec.network)
        .map_err(|what| FetchError::new(DocumentKind::Endpoint, form.url, FetchErrorKind::Endpoint(what)))?;
    let access = access(spec, deadline).await?;
    let progress = Arc::new(Progress::default());
    let guard = AddressGuard::new(spec.network, url.scheme() == "https");
    let (document, etag) = (DocumentKind::Endpoint, None);
    let ask = DocumentRequest { url: &url, document, guard, access: &access, etag, progress: &progress };
    let answer = timeout_at(deadline, context.clients.post(&ask, form)).await.unwrap_or_else(|_| {
        let target = http::target(&ask, &url);
        Err(FetchErrorKind::TimedOut { after: FETCH_DEADLINE, stage: progress.stage(), target })
    });
    answer.map_err(|fault| hinted(context, spec, FetchError::new(document, &without_query(&url), fault)))
}

fn hinted(context: &FetchContext, spec: &EntrySpec, error: FetchError) -> FetchError {
    FetchError { hint: proxy_hint(&context.environment, spec, &error.fault), ..error }
}

async fn discover(
    context: &FetchContext,
    spec: &EntrySpec,
    access: &Access,
    deadline: Instant,
) -> Result<Url, FetchError> {
    discovery_document(context, spec, access, deadline).await.map(|answered| answered.document.1)
}

/// The discovery document, and the URL of the keys that it names.
async fn discovery_document(
    context: &FetchContext,
    spec: &EntrySpec,
    access: &Access,
    deadline: Instant,
) -> Result<Answered<(Bytes, Url)>, FetchError> {
    let text = discovery::discovery_url(&spec.issuer);
    let wrong = |fault| FetchError::new(DocumentKind::Discovery, &text, fault);
    let url = discovery::key_set_url(&text, spec.network).map_err(|what| wrong(FetchErrorKind::JwksUri(what)))?;
    match get(context, spec, access, (&url, DocumentKind::Discovery), None, deadline).await.map_err(wrong)? {
        Answer::Document { body, headers } => {
            let keys = discovery::read_discovery(&body, &spec.issuer, spec.network).map_err(|fault| match fault {
                FetchErrorKind::NotDiscovery if http::is_web_page(&headers) => wrong(FetchErrorKind::ContentType),
                fault => wrong(fault),
            });
            keys.map(|keys| Answered { document: (body, keys), headers })
        }
        // The request was unconditional, so 304 is an error.
        Answer::NotModified { .. } => Err(wrong(FetchErrorKind::Status { status: 304, retry_after: None })),
    }
}

async fn get(
    context: &FetchContext,
    spec: &EntrySpec,
    access: &Access,
    (url, document): (&Url, DocumentKind),
    etag: Option<&HeaderValue>,
    deadline: Instant,
) -> Result<Answer, FetchErrorKind> {
    let progress = Arc::new(Progress::default());
    let guard = AddressGuard::new(spec.network, url.scheme() == "https");
    let ask = DocumentRequest { url, document, guard, access, etag, progress: &progress };
    let answer = timeout_at(deadline, context.clients.get(ask)).await;
    answer.unwrap_or_else(|_| {
        let ask = DocumentRequest { url, document, guard, access, etag, progress: &progress };
        let target = http::target(&ask, url);
        Err(FetchErrorKind::TimedOut { after: FETCH_DEADLINE, stage: progress.stage(), target })
    })
}

/// The ETag, if it is short enough to send back.
fn etag_of(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|etag| etag.len() <= 256).cloned()
}

/// A configured URL may hold a credential in its query, so the query is never shown.
pub(crate) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
