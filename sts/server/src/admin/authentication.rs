//! Who asks, and what they may: the admin token, or a token of ours with `sts:read` or `sts:admin`.

use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use sts_service::manage::Author;
use sts_service::{Reason, RefusedError};
use sts_types::rfc;

use super::Right;
use crate::http::{AdminState, BEARER, Context, Credentials, Failure, credentials, dpop_proofs, from_extensions};

/// Said to who sent nothing that could be a token.
const NO_CREDENTIALS: &str = "no token was sent: send the admin token (`admin.token` in `data_dir`), or a token of ours with \
                              `sts:read` or `sts:admin`, as `Authorization: Bearer`";

/// Who asks, and what they may.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Under whose name a change is kept. The holder of a token of ours must never make what outlives it.
    pub(super) author: Author,
    right: Right,
}

impl Caller {
    /// The command line, where no server runs.
    pub(crate) fn command_line() -> Self {
        Self { author: Author::Person("command line".to_owned()), right: Right::Admin }
    }

    /// For the log and for records: `admin token`, or the account of a token of ours.
    pub(super) fn name(&self) -> &str {
        self.author.name()
    }

    /// Refuses a caller who may only read where `right` is that of administrators.
    pub(super) fn check(&self, right: Right) -> Result<(), Failure> {
        if right == Right::Admin && self.right == Right::Read { Err(Reason::InsufficientScope.into()) } else { Ok(()) }
    }
}

impl FromRequest for Caller {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(from_extensions(request))
    }
}

/// The middleware around every operation: without a token nobody learns which paths there are.
pub(crate) async fn authenticate(
    state: Data<AdminState>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    match caller(request.request(), &state).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await
        }
        Err(failure) => Ok(request.error_response(failure)),
    }
}

async fn caller(request: &HttpRequest, state: &AdminState) -> Result<Caller, Failure> {
    let credentials = credentials(request)?;
    match &credentials {
        Credentials::Bearer(token) if state.token.is(token) => {
            return Ok(Caller { author: Author::Person("admin token".to_owned()), right: Right::Admin });
        }
        Credentials::Bearer(_) | Credentials::Dpop(_) => {}
        // No error code for a caller without a bearer token (RFC 6750 section 3.1).
        Credentials::None | Credentials::PublicClient(_) | Credentials::Basic(_) => {
            let refused = RefusedError::because(Reason::InvalidToken, NO_CREDENTIALS);
            return Err(Failure::challenged(refused, BEARER));
        }
    }
    let service = &state.state.service;
    // No metadata names the URL of this listener, so `htu` is the URL that the caller used. Its host
    // was checked before.
    let scheme = if state.is_tls { "https" } else { "http" };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let uri = format!("{scheme}://{host}{}", request.path());
    let proofs = dpop_proofs(request);
    let presented = credentials.access_token(&proofs, request.method().as_str(), &uri).ok_or(Reason::InvalidToken)?;
    let scopes = &[rfc::SCOPE_READ, rfc::SCOPE_ADMIN];
    let request_id = &from_extensions::<Context>(request)?.request_id;
    let own = service.authenticate_token(&service.snapshot(), presented, scopes, request_id).await;
    let own = own.map_err(Failure::at_resource)?;
    let right = if own.scope().contains(rfc::SCOPE_ADMIN) { Right::Admin } else { Right::Read };
    Ok(Caller { author: Author::Token(own.account().clone()), right })
}
