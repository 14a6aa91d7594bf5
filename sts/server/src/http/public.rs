//! The handlers of the public listener: read, call one service method, answer.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use sts_keyring::MAX_AGE;
use sts_service::{
    Caller, Introspection, Origin, Parameters, Reason, RefusedError, RequestContext, STATUS_LIST_TTL, Service, Snapshot,
};
use sts_types::rfc::{self, parameter};

use super::credentials::{Credentials, credentials, public_client};
use super::failure::{BASIC, BASIC_OR_BEARER};
use super::failure_limit::Admission;
use super::form::{Accepts, parameters};
use super::head::refuse_malformed;
use super::reason::HttpReason;
use super::route::{Endpoint, endpoint, normalise};
use super::{Draining, Failure, FailureLimit, Metadata, Proxies, body};
use crate::store_health::StoreHealth;

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
}

/// Handles every request of the public listener.
pub(super) async fn serve(request: HttpRequest, mut payload: Payload, state: Data<PublicState>) -> HttpResponse {
    let context = RequestContext {
        request_id: state.service.new_request_id(),
        source: state.proxies.source(&request),
        arrived: state.service.clock().monotonic(),
    };
    let path = normalise(request.path());
    let well_known = path.split('/').any(|part| part == ".well-known");
    let outcome = match admit(&request, &state, &context, &path) {
        Err(failure) => Ok(Err(failure)),
        Ok((endpoint, admission)) => {
            let outcome = super::caught(handle(endpoint, &request, &mut payload, &state, &context)).await;
            note_store(endpoint, &outcome, &state, &context);
            if let Some(admission) = admission.filter(|_| !is_callers_fault(&outcome)) {
                admission.give_back();
            }
            outcome.map(|result| result.map(|answered| answered.response))
        }
    };
    if let Ok(Err(failure)) = &outcome
        && failure.is_ours()
    {
        // The caller gets this id instead of the cause.
        let (request_id, reason) = (&context.request_id, failure.reason().name());
        tracing::error!(%request_id, reason, "a request failed by a fault that is not the caller's");
    }
    let response = super::answer(outcome, &context.request_id, well_known);
    body::close_if_unread(&request, payload, response)
}

/// A handler's answer, unless it refuses.
struct Reply {
    response: HttpResponse,
    /// Whether the presented token is not ours. That counts against the caller, although the
    /// protocol demands a 200.
    is_foreign: bool,
}

impl From<HttpResponse> for Reply {
    fn from(response: HttpResponse) -> Self {
        Self { response, is_foreign: false }
    }
}

/// Updates the state of the store by the outcome of a request.
fn note_store(
    endpoint: Endpoint,
    outcome: &std::thread::Result<Result<Reply, Failure>>,
    state: &PublicState,
    context: &RequestContext,
) {
    match outcome {
        // A status list may be late even if the store works.
        Ok(Err(failure)) if failure.reason() == Reason::StoreUnavailable.into() && endpoint != Endpoint::StatusList => {
            state.store.request_failed(state.service.clock().monotonic());
        }
        Ok(Ok(_)) if endpoint == Endpoint::Token => state.store.token_was_recorded(context.arrived),
        _ => {}
    }
}

/// Whether a request counts against its source. A panic of a handler is our fault.
fn is_callers_fault(outcome: &std::thread::Result<Result<Reply, Failure>>) -> bool {
    match outcome {
        Ok(Ok(answered)) => answered.is_foreign,
        Ok(Err(failure)) => !failure.is_ours(),
        Err(_) => false,
    }
}

/// The endpoint of an acceptable request, and its share of the source's limit on refusals.
fn admit<'s>(
    request: &HttpRequest,
    state: &'s PublicState,
    context: &RequestContext,
    path: &str,
) -> Result<(Endpoint, Option<Admission<'s>>), Failure> {
    refuse_malformed(request)?;
    let endpoint = endpoint(path, &state.metadata.base).ok_or(HttpReason::NotFound);
    let is_probe = matches!(endpoint, Ok(Endpoint::Live | Endpoint::Ready));
    if !is_probe && !state.proxies.admit(request) {
        let rule = "plain http is served to the proxy that ends TLS alone: connect through it";
        return Err(RefusedError::because(Reason::RequestMalformed, rule).into());
    }
    let endpoint = check_method(request, endpoint?)?;
    if endpoint.methods() != "POST" {
        return Ok((endpoint, None));
    }
    let source = context.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match state.limit.admit(source, context.arrived) {
        Ok(admission) => Ok((endpoint, Some(admission))),
        Err(wait) => {
            let failure = Failure::rate_limited(wait);
            if endpoint == Endpoint::Token {
                failure.refuse(&mut state.service.begin_exchange(context));
            }
            Err(failure)
        }
    }
}

fn check_method(request: &HttpRequest, endpoint: Endpoint) -> Result<Endpoint, Failure> {
    let allowed = match endpoint.methods() {
        "POST" => request.method() == Method::POST,
        _ => request.method() == Method::GET || request.method() == Method::HEAD,
    };
    if allowed { Ok(endpoint) } else { Err(Failure::method(endpoint.methods())) }
}

async fn handle(
    endpoint: Endpoint,
    request: &HttpRequest,
    payload: &mut Payload,
    state: &PublicState,
    context: &RequestContext,
) -> Result<Reply, Failure> {
    let response = match endpoint {
        Endpoint::Token => token(request, payload, state, context).await?,
        Endpoint::Revoke => {
            let outcome = revoke(request, payload, state).await;
            return outcome.map_err(|failure| failure.instead_of_minting("nothing was revoked"));
        }
        Endpoint::Introspect => {
            let outcome = introspect(request, payload, state).await;
            return outcome
                .map_err(|failure| failure.instead_of_minting("it is not known whether the token is active"));
        }
        Endpoint::Metadata => document(request, JSON, MAX_AGE, &state.metadata.etag, state.metadata.document.clone()),
        Endpoint::KeySet => {
            let keyring = state.service.keyring();
            document(request, JSON, MAX_AGE, &keyring.etag(), keyring.document().to_vec())
        }
        Endpoint::StatusList => status_list(request, state).await?,
        Endpoint::Live => HttpResponse::Ok().finish(),
        Endpoint::Ready => ready(state),
    };
    Ok(response.into())
}

/// `GET /status/{list}`, draft-ietf-oauth-status-list section 8.1.
async fn status_list(request: &HttpRequest, state: &PublicState) -> Result<HttpResponse, Failure> {
    let path = normalise(request.path());
    let name = path.rsplit('/').next().unwrap_or_default();
    let list = state.service.status_list(name).await?.ok_or(HttpReason::NotFound)?;
    Ok(document(request, STATUS_LIST, STATUS_LIST_TTL.into(), &list.etag, list.jwt.clone()))
}

/// `POST /token`, RFC 8693 section 2.
async fn token(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &PublicState,
    context: &RequestContext,
) -> Result<HttpResponse, Failure> {
    let mut pending = state.service.begin_exchange(context);
    let mut body = Bytes::new();
    let parameters = read_exchange(request, payload, &mut body).await;
    let parameters = parameters.inspect_err(|failure| failure.refuse(&mut pending))?;
    let exchanged = state.service.exchange(&parameters, &mut pending).await?;
    // RFC 8693 section 2.2.1. Nothing here needs an escape: base64url and dots, a number, and
    // scopes, which contain neither `"` nor `\`.
    let mut body = String::with_capacity(exchanged.access_token.len() + 256);
    write!(body, r#"{{"access_token":"{}","#, exchanged.access_token).map_err(|_| Reason::ServerError)?;
    if let Some(issued) = exchanged.issued_token_type {
        write!(body, r#""issued_token_type":"{issued}","#).map_err(|_| Reason::ServerError)?;
    }
    let (expires_in, scope) = (exchanged.expires_in, &exchanged.scope);
    write!(body, r#""token_type":"Bearer","expires_in":{expires_in},"scope":"{scope}"}}"#)
        .map_err(|_| Reason::ServerError)?;
    Ok(private(StatusCode::OK).content_type(JSON).body(body))
}

async fn read_exchange<'b>(
    request: &HttpRequest,
    payload: &mut Payload,
    body: &'b mut Bytes,
) -> Result<Parameters<'b>, Failure> {
    let client_id = public_client(request)?;
    *body = body::read(request, payload).await?;
    let mut parameters = parameters(request, body, Accepts::FormOrJson)?;
    if let Some(client_id) = client_id {
        parameters.add_client_id(client_id)?;
    }
    Ok(parameters)
}

/// `POST /revoke`, RFC 7009 section 2. The token is the authority. Credentials are optional, but
/// must be right if sent.
async fn revoke(request: &HttpRequest, payload: &mut Payload, state: &PublicState) -> Result<Reply, Failure> {
    let (credentials, body) = (credentials(request)?, body::read(request, payload).await?);
    // Take the snapshot after the body is here, so that a slow caller is judged by the rules in
    // force at the end.
    let snapshot = state.service.snapshot();
    match credentials {
        Credentials::None | Credentials::PublicClient(_) => {}
        Credentials::Basic(readings) => {
            authenticate_basic(state, &snapshot, &readings)?;
        }
        Credentials::Bearer(token) => {
            state.service.authenticate_bearer(&snapshot, &token, &[rfc::SCOPE_REVOKE, rfc::SCOPE_ADMIN]).await?;
        }
    }
    let parameters = parameters(request, &body, Accepts::Form)?;
    parameters.forbid_repeats(&[])?;
    refuse_body_credentials(&parameters)?;
    let origin = state.service.revoke_presented(&snapshot, required_token(&parameters)?).await?;
    Ok(Reply { response: private(StatusCode::OK).finish(), is_foreign: origin == Origin::Foreign })
}

/// `POST /introspect`, RFC 7662 section 2. The answer is signed on request (RFC 9701 section 4).
async fn introspect(request: &HttpRequest, payload: &mut Payload, state: &PublicState) -> Result<Reply, Failure> {
    let credentials = match credentials(request)? {
        Credentials::None | Credentials::PublicClient(_) => {
            return Err(Failure::challenged(
                RefusedError::because(Reason::InvalidClient, NO_CREDENTIALS),
                BASIC_OR_BEARER,
            ));
        }
        credentials => credentials,
    };
    let body = body::read(request, payload).await?;
    // Take the snapshot after the body is here, so that a slow caller is judged by the rules in
    // force at the end.
    let snapshot = state.service.snapshot();
    let caller = match credentials {
        Credentials::None | Credentials::PublicClient(_) => return Err(Reason::InvalidClient.into()),
        Credentials::Basic(readings) => authenticate_basic(state, &snapshot, &readings)?,
        Credentials::Bearer(token) => {
            let bearer = state.service.authenticate_bearer(&snapshot, &token, &[rfc::SCOPE_INTROSPECT]).await?;
            Caller::Bearer(bearer.account().clone())
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
    Ok(Reply { response, is_foreign })
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

/// Always tries both readings of the header, so that the work is the same whichever one is right.
fn authenticate_basic(
    state: &PublicState,
    snapshot: &Snapshot,
    readings: &[(String, zeroize::Zeroizing<String>); 2],
) -> Result<Caller, Failure> {
    let [sent, decoded] =
        readings.each_ref().map(|(name, secret)| state.service.authenticate_api(snapshot, name, secret));
    sent.or(decoded).map(Caller::Api).ok_or_else(|| Failure::challenged(Reason::InvalidClient, BASIC))
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
fn ready(state: &PublicState) -> HttpResponse {
    let is_store_ready = state.store.is_ready(state.service.clock().monotonic());
    let can_answer = state.service.can_audit() && state.service.can_sign().is_ok();
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
