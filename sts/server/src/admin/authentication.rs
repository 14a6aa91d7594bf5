//! Who asks, and what they may: the admin token, or a token of ours with `sts:read` or `sts:admin`.

use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use sts_service::{Reason, RefusedError};
use sts_types::rfc;

use super::Right;
use crate::http::{AdminState, BEARER, Credentials, Failure, credentials, from_extensions};

/// Said to who sent nothing that could be a token.
const NO_CREDENTIALS: &str = "no token was sent: send the admin token (`admin.token` in `data_dir`), or a token of ours with \
                              `sts:read` or `sts:admin`, as `Authorization: Bearer`";

/// Who asks, and what they may.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// For the log and for records: `admin token`, or the account of a token of ours.
    pub(super) name: String,
    right: Right,
}

impl Caller {
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
    let presented = match credentials(request)? {
        Credentials::Bearer(token) => token,
        // Whoever sent nothing, or another scheme, gets no error code (RFC 6750 section 3.1).
        Credentials::None | Credentials::PublicClient(_) | Credentials::Basic(_) => {
            let refused = RefusedError::because(Reason::InvalidToken, NO_CREDENTIALS);
            return Err(Failure::challenged(refused, BEARER));
        }
    };
    if state.token.is(&presented) {
        return Ok(Caller { name: "admin token".to_owned(), right: Right::Admin });
    }
    let service = &state.state.service;
    let own =
        service.authenticate_bearer(&service.snapshot(), &presented, &[rfc::SCOPE_READ, rfc::SCOPE_ADMIN]).await?;
    let right = if own.scope().contains(rfc::SCOPE_ADMIN) { Right::Admin } else { Right::Read };
    Ok(Caller { name: own.account().to_string(), right })
}
