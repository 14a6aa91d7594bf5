//! The admin listener: metrics and readiness are open; operations need the admin token, or a token of ours with `sts:read` or
//! `sts:admin`. `Host` must be an IP literal, `localhost` or listed, so that no web page can rebind its name to us.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use sts_service::{NOT_AN_OBJECT, Reason, RefusedError};
use sts_types::rfc;

use super::credentials::{Credentials, credentials};
use super::failure::{BEARER, Failure};
use super::form::{Media, media};
use super::reason::HttpReason;
use super::{Draining, body, route};
use crate::admin::{self, OperationError, Request, Right, RouteError, health};
use crate::admin_token::AdminToken;
use crate::app_state::AppState;
use crate::metrics;
use crate::openapi;

/// What the admin handlers need.
pub(crate) struct AdminState {
    pub(crate) state: Arc<AppState>,
    pub(crate) token: AdminToken,
    pub(crate) hosts: Vec<String>,
    pub(crate) draining: Draining,
}

/// Every request of the admin listener.
pub(super) async fn serve(request: HttpRequest, mut payload: Payload, state: Data<AdminState>) -> HttpResponse {
    let request_id = state.state.service.new_request_id();
    let path = route::normalise(request.path());
    let outcome = super::caught(handle(&request, &mut payload, &state, &path)).await;
    if let Ok(Err(failure)) = &outcome
        && failure.is_ours()
    {
        // The answer may name this id instead of the cause.
        let reason = failure.reason().name();
        tracing::error!(%request_id, reason, "an admin request failed by a fault that is not the caller's");
    }
    let response = super::answer(outcome, &request_id, false);
    body::close_if_unread(&request, payload, response)
}

async fn handle(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &AdminState,
    path: &str,
) -> Result<HttpResponse, Failure> {
    super::head::refuse_malformed(request)?;
    check_host(request, &state.hosts)?;
    match path {
        "/metrics" => {
            get_only(request)?;
            let text = health::metrics_text(&state.state).await;
            Ok(HttpResponse::Ok().content_type(metrics::MEDIA_TYPE).body(text))
        }
        "/readyz" => {
            get_only(request)?;
            ready(state).await
        }
        "/openapi.json" => get_only(request)
            .map(|()| HttpResponse::Ok().content_type("application/json").body(openapi::document().to_string())),
        "/healthz" => get_only(request).map(|()| HttpResponse::Ok().finish()),
        path => operate(request, payload, state, path).await,
    }
}

fn get_only(request: &HttpRequest) -> Result<(), Failure> {
    if matches!(request.method().as_str(), "GET" | "HEAD") { Ok(()) } else { Err(Failure::method("GET, HEAD")) }
}

async fn operate(
    request: &HttpRequest,
    payload: &mut Payload,
    state: &AdminState,
    path: &str,
) -> Result<HttpResponse, Failure> {
    if !path.starts_with("/admin/") {
        return Err(HttpReason::NotFound.into());
    }
    let (by, right) = authenticate(request, state).await?;
    let body = read_json(request, payload).await?;
    let (route, parameter) = admin::find(request.method().as_str(), path).map_err(|allow| match allow {
        None => HttpReason::NotFound.into(),
        Some(allow) => Failure::method(allow),
    })?;
    let asked = Request { parameter, query: request.query_string().to_owned(), body };
    match route.answer(&asked, right, &state.state, &by).await {
        Ok(answer) => Ok(private(StatusCode::OK, &answer)),
        Err(RouteError::Malformed(text)) => Err(Failure::told(Reason::RequestMalformed, text)),
        Err(RouteError::Forbidden) => Err(Reason::InsufficientScope.into()),
        Err(RouteError::Operation(error)) => Err(failure(error, &state.state)),
    }
}

/// What the caller is told of an operation that was not done.
fn failure(error: OperationError, state: &AppState) -> Failure {
    match error {
        OperationError::NotFound(text) => Failure::told(HttpReason::NotFound, text),
        OperationError::Refused(text) => Failure::told(Reason::RequestMalformed, text),
        error @ OperationError::StoreUnavailable(_) => {
            state.store.request_failed(state.service.clock().monotonic());
            Failure::told(RefusedError::for_now(Reason::StoreUnavailable, RETRY), error.to_string())
        }
        OperationError::IssuerUnavailable(text) => {
            Failure::told(RefusedError::for_now(Reason::IssuerUnavailable, RETRY), text)
        }
        OperationError::Failed(text) => Failure::told(Reason::ServerError, text),
    }
}

/// When an operator may try again what failed for now.
const RETRY: Duration = Duration::from_secs(1);

/// Said to who sent nothing that could be a token.
const NO_CREDENTIALS: &str = "no token was sent: send the admin token (`admin.token` in `data_dir`), or a token of ours with \
                              `sts:read` or `sts:admin`, as `Authorization: Bearer`";

/// Who asks, and what they may.
async fn authenticate(request: &HttpRequest, state: &AdminState) -> Result<(String, Right), Failure> {
    let presented = match credentials(request)? {
        Credentials::Bearer(token) => token,
        // Whoever sent nothing, or another scheme, gets no error code (RFC 6750 section 3.1).
        Credentials::None | Credentials::PublicClient(_) | Credentials::Basic(_) => {
            let refused = RefusedError::because(Reason::InvalidToken, NO_CREDENTIALS);
            return Err(Failure::challenged(refused, BEARER));
        }
    };
    if state.token.is(&presented) {
        return Ok(("admin token".to_owned(), Right::Admin));
    }
    let service = &state.state.service;
    let own =
        service.authenticate_bearer(&service.snapshot(), &presented, &[rfc::SCOPE_READ, rfc::SCOPE_ADMIN]).await?;
    let right = if own.scope().contains(rfc::SCOPE_ADMIN) { Right::Admin } else { Right::Read };
    Ok((own.account().to_string(), right))
}

/// A body is one JSON object with its media type; none is an empty object. A form would be a cross-site post.
async fn read_json(request: &HttpRequest, payload: &mut Payload) -> Result<Value, Failure> {
    let bytes = body::read(request, payload).await?;
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    if media(request)? != Media::Json {
        return Err(HttpReason::MediaType.into());
    }
    let members =
        sts_claims::parse_object(&bytes).map_err(|_| RefusedError::because(Reason::RequestMalformed, NOT_AN_OBJECT))?;
    Ok(Value::Object(members))
}

/// Both the `Host` and the authority that the target may have, which a server may take for the host (RFC 9112 section 3.2.2).
fn check_host(request: &HttpRequest, hosts: &[String]) -> Result<(), Failure> {
    let refused = || {
        Failure::from(RefusedError::because(
            Reason::RequestMalformed,
            "this Host is not served here; list it under admin.hosts",
        ))
    };
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let is_target_served = request.uri().authority().is_none_or(|authority| is_served(authority.as_str(), hosts));
    if is_target_served && is_served(host, hosts) { Ok(()) } else { Err(refused()) }
}

fn is_served(authority: &str, hosts: &[String]) -> bool {
    let bare = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let is_literal = match bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
        None => bare.parse::<Ipv4Addr>().is_ok(),
    };
    is_literal
        || bare.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(bare) || host.eq_ignore_ascii_case(authority))
}

async fn ready(state: &AdminState) -> Result<HttpResponse, Failure> {
    let detail = health::readiness(&state.state, state.draining.has_begun()).await;
    let status = if detail.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let detail = serde_json::to_value(detail).map_err(|_| Reason::ServerError)?;
    Ok(private(status, &detail))
}

fn private(status: StatusCode, value: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/json")
        .body(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_ip_literal_localhost_or_listed_and_nothing_that_begins_so() {
        let hosts = ["sts-admin.internal".to_owned(), "other.internal:9090".to_owned()];
        for served in [
            "127.0.0.1",
            "127.0.0.1:9090",
            "[::1]",
            "[::1]:9090",
            "localhost",
            "LocalHost:9090",
            "sts-admin.internal",
            "STS-admin.internal:1",
            "other.internal:9090",
        ] {
            assert!(is_served(served, &hosts), "{served}");
        }
        for foreign in [
            "",
            ":9090",
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "127.0.0.1:evil.example",
            "127.0.0.1:9090:evil.example",
            "[::1]evil.example",
            "[::1].evil.example:9090",
            "[127.0.0.1]",
            "::1",
            "[evil.example]",
            "localhost.evil.example",
            "localhost:x",
            "user@127.0.0.1",
            "2130706433",
            "0x7f.1",
            "other.internal:9091",
        ] {
            assert!(!is_served(foreign, &hosts), "{foreign}");
        }
    }
}
