//! The admin listener: metrics and readiness are open; operations need the admin token, or a token of ours with `sts:read` or
//! `sts:admin`. `Host` must be an IP literal, `localhost` or listed, so that no web page can rebind its name to us.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use sts_service::{Reason, RefusedError};

use super::endpoint::{HttpEndpoint, register, shown};
use super::{Draining, Failure, Proxies, console};
use crate::admin::{self, health};
use crate::admin_token::AdminToken;
use crate::app_state::AppState;
use crate::metrics;
use crate::openapi;
use crate::schemas;

/// What the admin handlers need.
pub(crate) struct AdminState {
    pub(crate) state: Arc<AppState>,
    pub(crate) token: AdminToken,
    pub(crate) hosts: Vec<String>,
    /// Whether the listener speaks TLS.
    pub(crate) is_tls: bool,
    /// The proxies in front of the listener.
    pub(crate) proxies: Proxies,
    pub(crate) draining: Draining,
}

impl AdminState {
    /// Scheme, host and port that the caller used. The host was checked before.
    pub(crate) fn origin(&self, request: &HttpRequest) -> String {
        let is_tls = self.is_tls || self.proxies.ended_tls(request);
        let scheme = if is_tls { "https" } else { "http" };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        format!("{scheme}://{host}")
    }
}

const METRICS: HttpEndpoint = HttpEndpoint {
    paths: &["/metrics"],
    method: "GET",
    documentation: shown(openapi::admin::metrics),
    handle: |route| route.to(metrics_text),
};

/// What the admin listener tells without a token. Operations stand in the files of their resources.
pub(crate) const OPEN_ENDPOINTS: &[HttpEndpoint] = &[
    METRICS,
    HttpEndpoint { paths: &["/readyz"], method: "GET", documentation: None, handle: |route| route.to(ready) },
    HttpEndpoint { paths: &["/healthz"], method: "GET", documentation: None, handle: |route| route.to(live) },
    HttpEndpoint {
        paths: &["/openapi.json"],
        method: "GET",
        documentation: shown(openapi::admin::openapi),
        handle: |route| route.to(openapi_document),
    },
];

/// The one path of the listener for metrics.
pub(super) fn metrics_alone(config: &mut ServiceConfig) {
    register(&[METRICS], config);
}

/// Every path of the admin listener.
pub(super) fn routes(state: &AdminState, config: &mut ServiceConfig) {
    register(OPEN_ENDPOINTS, config);
    console::routes(state, config);
    config.service(
        web::scope("/admin").wrap(from_fn(admin::authenticate)).service(web::scope("/v1").configure(admin::routes)),
    );
}

/// `GET /metrics`, for Prometheus.
async fn metrics_text(state: Data<AdminState>) -> HttpResponse {
    let text = health::metrics_text(&state.state).await;
    HttpResponse::Ok().content_type(metrics::MEDIA_TYPE).body(text)
}

/// `GET /readyz`, with the detail.
async fn ready(state: Data<AdminState>) -> Result<HttpResponse, Failure> {
    let detail = health::readiness(&state.state, state.draining.has_begun()).await;
    let status = if detail.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    admin::json_answer(status, &detail)
}

/// `GET /healthz`: the process serves.
async fn live() -> HttpResponse {
    HttpResponse::Ok().finish()
}

/// `GET /openapi.json`.
async fn openapi_document() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(schemas::openapi().to_string())
}

/// Both the `Host` and the authority that the target may have, which a server may take for the host (RFC 9112 section 3.2.2).
pub(super) fn check_host(request: &HttpRequest, hosts: &[String]) -> Result<(), Failure> {
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
