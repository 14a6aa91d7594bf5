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
use crate::admin_token::AdminToken;
use crate::metrics;
use crate::openapi;
use crate::operation::{AppState, Operation, OperationError, Right};
use crate::sinks::SinkStatus;

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
            Ok(measured(&state.state).await)
        }
        "/readyz" => {
            get_only(request)?;
            Ok(ready(state).await)
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
    let operation = match Operation::from_request(request.method().as_str(), path, request.query_string(), &body) {
        Err(None) => return Err(HttpReason::NotFound.into()),
        Err(Some(allow)) => return Err(Failure::method(allow)),
        Ok(Err(wrong)) => return Err(Failure::told(Reason::RequestMalformed, wrong)),
        Ok(Ok(operation)) => operation,
    };
    if operation.right() == Right::Admin && right == Right::Read {
        return Err(Reason::InsufficientScope.into());
    }
    match operation.run(&state.state, &by).await {
        Ok(value) => Ok(private(StatusCode::OK, &value)),
        Err(OperationError::NotFound(text)) => Err(Failure::told(HttpReason::NotFound, text)),
        Err(OperationError::Refused(text)) => Err(Failure::told(Reason::RequestMalformed, text)),
        Err(failure @ OperationError::StoreUnavailable(_)) => {
            state.state.store.request_failed(state.state.service.clock().monotonic());
            Err(Failure::told(RefusedError::for_now(Reason::StoreUnavailable, RETRY), failure.to_string()))
        }
        Err(OperationError::IssuerUnavailable(text)) => {
            Err(Failure::told(RefusedError::for_now(Reason::IssuerUnavailable, RETRY), text))
        }
        Err(OperationError::Failed(text)) => Err(Failure::told(Reason::ServerError, text)),
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
    let right = if own.scope.contains(rfc::SCOPE_ADMIN) { Right::Admin } else { Right::Read };
    Ok((own.account.to_string(), right))
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

async fn measured(state: &AppState) -> HttpResponse {
    // What was answered before is counted.
    state.service.told_of_exchanges().await;
    let cache = state.issuers.borrow().clone();
    let text = state.metrics.render(
        &state.service.snapshot().generation,
        &cache.status(),
        &cache.families(),
        (state.service.status_lists(), state.service.clock().monotonic()),
        metrics::DroppedObservations {
            decisions: state.service.dropped_decisions(),
            refusals: state.service.dropped_refusals(),
        },
        state.store.read(state.service.clock().monotonic()).as_ref(),
    );
    HttpResponse::Ok().content_type(metrics::MEDIA_TYPE).body(text)
}

async fn ready(state: &AdminState) -> HttpResponse {
    let store = state.state.store.look(&state.state.service).await;
    let is_audited = state.state.service.can_audit();
    let is_ready = store.is_ok() && is_audited && !state.draining.has_begun();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let cache = state.state.issuers.borrow().clone();
    let issuers: Vec<Value> = cache.status().iter().map(|own| json!({ "name": own.name, "status": own })).collect();
    let families: Vec<Value> = cache.families().iter().map(|own| json!({ "name": own.name, "status": own })).collect();
    let (told, warnings) = match &store {
        Ok(warnings) => ("ok".to_owned(), warnings.as_slice()),
        Err(error) => (error.to_string(), [].as_slice()),
    };
    let detail = json!({
        "ready": is_ready,
        "store": told,
        "store_warnings": warnings,
        "audit": if is_audited { "ok" } else { "no sink takes decision events, and `audit.required` is set" },
        "sinks": state.state.metrics.sinks().iter().map(SinkStatus::to_json).collect::<Vec<_>>(),
        "generation": state.state.service.snapshot().generation,
        "issuers": issuers,
        "families": families,
    });
    private(status, &detail)
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
