//! The middleware that limits refused requests by their source. The limit itself is in
//! [`failure_limit`](super::failure_limit).

use std::net::{IpAddr, Ipv4Addr};
use std::panic::resume_unwind;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};

use super::context::Context;
use super::public::TOKEN;
use super::{Failure, PublicState, caught};

/// Refuses a source that was refused too often, before its request is read.
pub(super) async fn limit_refusals(
    state: Data<PublicState>,
    context: Context,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let source = context.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let admission = match state.limit.admit(source, context.arrived) {
        Ok(admission) => admission,
        Err(wait) => {
            let failure = Failure::rate_limited(wait);
            if request.match_info().as_str() == TOKEN {
                failure.refuse(&mut state.service.begin_exchange(&context));
            }
            return Ok(request.error_response(failure));
        }
    };
    let outcome = caught(next.call(request)).await;
    // A panic of a handler is our fault.
    if !outcome.as_ref().is_ok_and(|outcome| outcome.as_ref().is_ok_and(is_callers_fault)) {
        admission.give_back();
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Whether a request counts against its source.
fn is_callers_fault(answered: &ServiceResponse) -> bool {
    let response = answered.response();
    match response.error().and_then(|error| error.as_error::<Failure>()) {
        Some(failure) => !failure.is_ours(),
        None => response.extensions().contains::<ForeignToken>(),
    }
}

/// In an answer's extensions: the presented token is not ours. That counts against the caller,
/// although the protocol demands a 200.
struct ForeignToken;

/// `response`, which counts against the caller if the presented token is foreign.
pub(super) fn counted(mut response: HttpResponse, is_foreign: bool) -> HttpResponse {
    if is_foreign {
        response.extensions_mut().insert(ForeignToken);
    }
    response
}
