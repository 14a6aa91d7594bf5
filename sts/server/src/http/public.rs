//! The public listener: its routes, and their handlers, which read, call one service method, and answer.

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sts_audit::{Revocation, Trail};
use sts_keyring::MAX_AGE;
use sts_service::{
    Caller, Introspection, Origin, Parameters, Reason, RefusedError, STATUS_LIST_TTL, Service, Snapshot,
};
use sts_types::AccountId;
use sts_types::rfc::{self, parameter};

use super::body::RequestBody;
use super::context::{Context, from_extensions};
use super::credentials::{ClientHeader, Credentials, client, credentials, dpop_proofs};
use super::endpoint::{HttpEndpoint, register, shown};
use super::failure::{BASIC, BASIC_OR_BEARER};
use super::form::{Accepts, parameters};
use super::limit::{counted, limit_refusals};
use super::reason::HttpReason;
use super::{Draining, Failure, FailureLimit, Metadata, Proxies, metadata};
use crate::audit::{self, RequestLine, ShownPath};
use crate::metrics::Metrics;
use crate::openapi::public as documented;
use crate::store_health::StoreHealth;
use crate::traces::Traces;

/// The media type of a signed introspection answer (RFC 9701 section 8.2).
const SIGNED_INTROSPECTION: &str = "application/token-introspection+jwt";
/// The media type of a signed status list (draft-ietf-oauth-status-list section 5.1).
const STATUS_LIST: &str = "application/statuslist+jwt";
const JSON: &str = "application/json";

/// The message for an introspection request without credentials.
const NO_CREDENTIALS: &str = "no credentials were sent: send the name and secret of an API as Basic, or a token of ours with \
                              `sts:introspect` as Bearer";

/// The state of the public handlers.
pub(crate) struct PublicState {
    pub(crate) service: Arc<Service>,
    pub(crate) metadata: Metadata,
    pub(crate) proxies: Proxies,
    pub(crate) limit: FailureLimit,
    pub(crate) draining: Draining,
    pub(crate) store: Arc<StoreHealth>,
    pub(crate) audit: Arc<Trail>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Arc<Traces>>,
}

/// Every path of the public listener.
pub(crate) const PUBLIC_ENDPOINTS: &[HttpEndpoint] = &[
    HttpEndpoint {
        paths: &[TOKEN],
        method: "POST",
        documentation: shown(documented::exchange),
        handle: |route| route.to(token).wrap(from_fn(limit_refusals)),
    },
    HttpEndpoint {
        paths: &["/revoke"],
        method: "POST",
        documentation: shown(documented::revoke),
        handle: |route| route.to(revoke).wrap(from_fn(limit_refusals)),
    },
    HttpEndpoint {
        paths: &["/introspect"],
        method: "POST",
        documentation: shown(documented::introspect),
        handle: |route| route.to(introspect).wrap(from_fn(limit_refusals)),
    },
    HttpEndpoint {
        paths: &metadata::PATHS,
        method: "GET",
        documentation: shown(documented::metadata),
        handle: |route| route.to(metadata),
    },
    HttpEndpoint {
        paths: &["/.well-known/jwks.json", "/.well-known/jwks"],
        method: "GET",
        documentation: shown(documented::key_set),
        handle: |route| route.to(key_set),
    },
    HttpEndpoint {
        paths: &["/status/{list}"],
        method: "GET",
        documentation: shown(documented::status_list),
        handle: |route| route.to(status_list),
    },
    HttpEndpoint {
        paths: &[LIVE],
        method: "GET",
        documentation: shown(documented::live),
        handle: |route| route.to(live),
    },
    HttpEndpoint {
        paths: &[READY],
        method: "GET",
        documentation: shown(documented::ready),
        handle: |route| route.to(ready),
    },
];

pub(super) fn routes(config: &mut ServiceConfig) {
    register(PUBLIC_ENDPOINTS, config);
}

pub(super) const TOKEN: &str = "/token";
const LIVE: &str = "/healthz";
const READY: &str = "/readyz";

/// Refuses a caller who is not the proxy that ends TLS, unless it only probes.
pub(super) fn admit(request: &ServiceRequest, state: &PublicState) -> Result<(), Failure> {
    if [LIVE, READY].contains(&request.match_info().as_str()) || state.proxies.admit(request.request()) {
        return Ok(());
    }
    let rule = "plain http is served to the proxy that ends TLS alone: connect through it";
    Err(RefusedError::because(Reason::RequestMalformed, rule).into())
}

impl PublicState {
    /// Notes what a failure says of the store.
    fn noting(&self, failure: Failure) -> Failure {
        if failure.reason() == Reason::StoreUnavailable.into() {
            self.store.request_failed(self.service.clock().monotonic());
        }
        failure
    }

    /// Records a refused request.
    fn refused(&self, request: &HttpRequest, context: &Context, failure: &Failure) {
        let path = ShownPath::of(request, &self.service.snapshot().rules);
        audit::refused(&self.audit, &audit::caller(context), RequestLine::new(request.method(), &path), failure);
    }
}

/// `GET /.well-known/openid-configuration` and its alias, RFC 8414 section 3.
async fn metadata(request: HttpRequest, state: Data<PublicState>) -> HttpResponse {
    let metadata = state.metadata.document(state.service.snapshot().api_keys_enabled);
    document(&request, JSON, MAX_AGE, &metadata.etag, metadata.text.clone())
}

/// `GET /.well-known/jwks.json`, RFC 7517 section 5.
async fn key_set(request: HttpRequest, state: Data<PublicState>) -> HttpResponse {
    let keyring = state.service.keyring();
    document(&request, JSON, MAX_AGE, &keyring.etag(), keyring.document().to_vec())
}

/// `GET /healthz`: the process serves.
async fn live() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// `GET /status/{list}`, draft-ietf-oauth-status-list section 8.1.
///
/// A list may be late even if the store works, so its failure says nothing of the store.
async fn status_list(request: HttpRequest, state: Data<PublicState>) -> Result<HttpResponse, Failure> {
    let name = request.match_info().get("list").unwrap_or_default();
    let list = state.service.status_list(name).await?.ok_or(HttpReason::NotFound)?;
    Ok(document(&request, STATUS_LIST, STATUS_LIST_TTL.into(), &list.etag, list.jwt.clone()))
}

/// `POST /token`, RFC 8693 section 2.
async fn token(
    request: HttpRequest,
    body: RequestBody,
    context: Context,
    state: Data<PublicState>,
) -> Result<HttpResponse, Failure> {
    if let Some(traces) = &state.traces {
        traces.begin_exchange(&context.request_id);
    }
    let mut pending = state.service.begin_exchange(&context);
    let mut bytes = Bytes::new();
    let parameters = read_exchange(&request, &body, &mut bytes).await;
    let parameters = parameters.inspect_err(|failure| failure.refuse(&mut pending))?;
    let exchanged = state.service.exchange(&parameters, &mut pending).await;
    let exchanged = exchanged.map_err(|refused| state.noting(refused.into()))?;
    state.store.token_was_recorded(context.arrived);
    // RFC 8693 section 2.2.1. Nothing here needs an escape: base64url and dots, a number, and
    // scopes, which contain neither `"` nor `\`.
    let mut body = String::with_capacity(exchanged.access_token.len() + 256);
    write!(body, r#"{{"access_token":"{}","#, exchanged.access_token).map_err(|_| Reason::ServerError)?;
    if let Some(issued) = exchanged.issued_token_type {
        write!(body, r#""issued_token_type":"{issued}","#).map_err(|_| Reason::ServerError)?;
    }
    let (token_type, expires_in, scope) = (exchanged.token_type, exchanged.expires_in, &exchanged.scope);
    write!(body, r#""token_type":"{token_type}","expires_in":{expires_in},"scope":"{scope}"}}"#)
        .map_err(|_| Reason::ServerError)?;
    Ok(private(StatusCode::OK).content_type(JSON).body(body))
}

async fn read_exchange<'b>(
    request: &HttpRequest,
    body: &RequestBody,
    bytes: &'b mut Bytes,
) -> Result<Parameters<'b>, Failure> {
    let client = client(request)?;
    *bytes = body.read().await?;
    let mut parameters = parameters(request, bytes, Accepts::FormOrJson)?;
    match client {
        ClientHeader::Nothing => {}
        ClientHeader::Name(client_id) => parameters.add_client_id(client_id)?,
        ClientHeader::Secret(credentials) => parameters.add_basic(credentials),
    }
    for proof in dpop_proofs(request) {
        parameters.add_proof(proof.to_owned());
    }
    Ok(parameters)
}

/// `POST /revoke`, RFC 7009 section 2. The token is the authority. Credentials are optional, but
/// must be right if sent.
async fn revoke(
    request: HttpRequest,
    body: RequestBody,
    context: Context,
    state: Data<PublicState>,
) -> Result<HttpResponse, Failure> {
    let outcome = revoke_presented(&request, &body, &context, &state).await;
    let outcome = outcome.map_err(|failure| state.noting(failure).instead_of_minting("nothing was revoked"));
    outcome.inspect_err(|failure| state.refused(&request, &context, failure))
}

async fn revoke_presented(
    request: &HttpRequest,
    body: &RequestBody,
    context: &Context,
    state: &PublicState,
) -> Result<HttpResponse, Failure> {
    let (credentials, body) = (credentials(request)?, body.read().await?);
    // Take the snapshot after the body is here, so that a slow caller is judged by the rules in
    // force at the end.
    let snapshot = state.service.snapshot();
    match credentials {
        Credentials::None | Credentials::PublicClient(_) => {}
        Credentials::Basic(readings) => {
            authenticate_basic(state, &snapshot, &readings)?;
        }
        credentials @ (Credentials::Bearer(_) | Credentials::Dpop(_)) => {
            let scopes = &[rfc::SCOPE_REVOKE, rfc::SCOPE_ADMIN];
            authenticate_token(request, state, &snapshot, &credentials, "/revoke", scopes).await?;
        }
    }
    let parameters = parameters(request, &body, Accepts::Form)?;
    parameters.forbid_repeats(&[])?;
    refuse_body_credentials(&parameters)?;
    let done = state.service.revoke_presented(&snapshot, required_token(&parameters)?).await?;
    if let Some(jti) = done.revoked {
        state.metrics.revocation(false);
        let (object, jti) = (Some(format!("tokens/{jti}")), Some(jti.to_string()));
        state.audit.record(&audit::caller(context), Revocation { object, jti, ..Revocation::default() });
    }
    Ok(counted(private(StatusCode::OK).finish(), done.origin == Origin::Foreign))
}

/// `POST /introspect`, RFC 7662 section 2. The answer is signed on request (RFC 9701 section 4).
async fn introspect(
    request: HttpRequest,
    body: RequestBody,
    context: Context,
    state: Data<PublicState>,
) -> Result<HttpResponse, Failure> {
    let outcome = introspection(&request, &body, &state).await;
    state.metrics.introspection(outcome.as_ref().map(|(_, is_active)| *is_active));
    let outcome = outcome.map(|(response, _)| response);
    let undone = "it is not known whether the token is active";
    let outcome = outcome.map_err(|failure| state.noting(failure).instead_of_minting(undone));
    outcome.inspect_err(|failure| state.refused(&request, &context, failure))
}

/// The answer, and whether the token is active.
async fn introspection(
    request: &HttpRequest,
    body: &RequestBody,
    state: &PublicState,
) -> Result<(HttpResponse, bool), Failure> {
    let credentials = match credentials(request)? {
        Credentials::None | Credentials::PublicClient(_) => {
            return Err(Failure::challenged(
                RefusedError::because(Reason::InvalidClient, NO_CREDENTIALS),
                BASIC_OR_BEARER,
            ));
        }
        credentials => credentials,
    };
    let body = body.read().await?;
    // Take the snapshot after the body is here, so that a slow caller is judged by the rules in
    // force at the end.
    let snapshot = state.service.snapshot();
    let caller = match credentials {
        Credentials::None | Credentials::PublicClient(_) => return Err(Reason::InvalidClient.into()),
        Credentials::Basic(readings) => authenticate_basic(state, &snapshot, &readings)?,
        credentials @ (Credentials::Bearer(_) | Credentials::Dpop(_)) => {
            let scopes = &[rfc::SCOPE_INTROSPECT];
            Caller::Bearer(authenticate_token(request, state, &snapshot, &credentials, "/introspect", scopes).await?)
        }
    };
    let parameters = parameters(request, &body, Accepts::Form)?;
    parameters.forbid_repeats(&[])?;
    refuse_body_credentials(&parameters)?;
    let token = required_token(&parameters)?;
    let introspection = state.service.introspect(&snapshot, &caller, token).await?;
    let is_active = matches!(introspection, Introspection::Active(_));
    let is_foreign = !is_active && state.service.origin(&snapshot, token) == Origin::Foreign;
    let response = if prefers_signed(request) {
        let answer = state.service.sign_introspection(&snapshot, &caller, &introspection).await?;
        private(StatusCode::OK).content_type(SIGNED_INTROSPECTION).body(answer)
    } else {
        let answer = serde_json::to_string(&introspection).map_err(|_| Reason::ServerError)?;
        private(StatusCode::OK).content_type(JSON).body(answer)
    };
    Ok((counted(response, is_foreign), is_active))
}

/// Whether the caller asks for a signed answer by name, and does not prefer plain JSON (RFC 9110
/// section 12.5.1).
fn prefers_signed(request: &HttpRequest) -> bool {
    let (mut signed, mut plain) = (0.0, 0.0);
    for value in request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok()) {
        for range in value.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight: f32 = weight.map_or(Ok(1.0), str::parse).unwrap_or(0.0);
            if name.eq_ignore_ascii_case(SIGNED_INTROSPECTION) {
                signed = weight;
            } else if name.eq_ignore_ascii_case("application/json") {
                plain = weight;
            }
        }
    }
    signed > 0.0 && signed >= plain
}

/// The account of an access token with one of `scopes`, at the endpoint with that path.
async fn authenticate_token(
    request: &HttpRequest,
    state: &PublicState,
    snapshot: &Snapshot,
    credentials: &Credentials,
    path: &str,
    scopes: &[&str],
) -> Result<AccountId, Failure> {
    let uri = sts_service::endpoint_url(&snapshot.issuer, path);
    let proofs = dpop_proofs(request);
    let presented = credentials.access_token(&proofs, "POST", &uri).ok_or(Reason::InvalidToken)?;
    let request_id = &from_extensions::<Context>(request)?.request_id;
    let own = state.service.authenticate_token(snapshot, presented, scopes, request_id).await;
    Ok(own.map_err(Failure::at_resource)?.account().clone())
}

/// Always tries both readings of the header, so that the work is the same whichever one is right.
fn authenticate_basic(
    state: &PublicState,
    snapshot: &Snapshot,
    readings: &[(String, zeroize::Zeroizing<String>); 2],
) -> Result<Caller, Failure> {
    let [sent, decoded] =
        readings.each_ref().map(|(name, secret)| state.service.authenticate_api(snapshot, name, secret));
    if let Some(api) = sent.or(decoded) {
        return Ok(Caller::Api(api));
    }
    // It may be a managed API, which nobody has read yet.
    snapshot.require_objects("the managed APIs could not be read from the store yet; nothing was done")?;
    Err(Failure::challenged(Reason::InvalidClient, BASIC))
}

/// Credentials travel in the header only. Using two methods at once is an error (RFC 6749 section
/// 2.3).
fn refuse_body_credentials(parameters: &Parameters<'_>) -> Result<(), Failure> {
    if [parameter::CLIENT_SECRET, parameter::CLIENT_ASSERTION].iter().any(|name| parameters.has(name)) {
        return Err(Failure::challenged(Reason::InvalidClient, BASIC));
    }
    Ok(())
}

fn required_token<'a>(parameters: &'a Parameters<'_>) -> Result<&'a str, Failure> {
    let missing = || RefusedError::because(Reason::RequestMalformed, "`token` is missing");
    Ok(parameters.one(parameter::TOKEN)?.ok_or_else(missing)?)
}

/// `GET /readyz`: answers from the known state and waits for nothing.
async fn ready(state: Data<PublicState>) -> HttpResponse {
    let is_store_ready = state.store.is_ready(state.service.clock().monotonic());
    let can_answer = state.service.can_decide() && state.service.can_sign().is_ok();
    if is_store_ready && can_answer && !state.draining.has_begun() {
        HttpResponse::Ok().finish()
    } else {
        HttpResponse::ServiceUnavailable().insert_header((header::RETRY_AFTER, "1")).finish()
    }
}

/// An answer that no cache may keep (RFC 6749 section 5.1).
fn private(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    response
}

/// A public document with its entity tag: 304 if the caller already has it (RFC 9110 section
/// 13.1.2).
fn document(
    request: &HttpRequest,
    media_type: &str,
    max_age: i64,
    etag: &str,
    content: impl Into<bytes::Bytes>,
) -> HttpResponse {
    let is_cached =
        request.headers().get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        });
    let mut response = HttpResponse::build(if is_cached { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={max_age}")))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    if is_cached { response.finish() } else { response.content_type(media_type).body(content.into()) }
}
