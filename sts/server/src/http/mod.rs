//! HTTP: two listeners. Each request is routed and read, and calls one service method. Each answer
//! or failure gets the request id.

mod admin;
mod body;
mod capacity;
mod client_ip;
mod connection;
mod credentials;
mod draining;
mod failure;
mod failure_limit;
mod form;
mod head;
mod library_answer;
mod listener;
mod metadata;
mod public;
mod reason;
mod route;

pub(crate) use admin::AdminState;
pub(crate) use client_ip::Proxies;
pub(crate) use draining::Draining;
pub(crate) use failure::Failure;
pub(crate) use failure_limit::FailureLimit;
pub(crate) use listener::{BindError, ListenerSpec, Listeners, ServedCertificate, leaf_problems, read_certificate};
pub(crate) use metadata::Metadata;
pub(crate) use public::PublicState;
pub(crate) use reason::HttpReason;
pub(crate) use route::Endpoint;

use std::future::Future;
use std::panic::AssertUnwindSafe;

use actix_web::HttpResponse;
use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;
use sts_service::Reason;
use sts_types::RequestId;

/// Runs a handler and catches its panic. Not an `async fn`, whose future would hold the handler's
/// twice.
fn caught<F: Future>(handler: F) -> CatchUnwind<AssertUnwindSafe<F>> {
    AssertUnwindSafe(handler).catch_unwind()
}

/// The answer for a handler's outcome. A panic becomes a 500, and the process goes on.
fn answer(
    outcome: std::thread::Result<Result<HttpResponse, Failure>>,
    request_id: &RequestId,
    well_known: bool,
) -> HttpResponse {
    let result = outcome.unwrap_or_else(|_| {
        tracing::error!(%request_id, "a handler panicked");
        Err(Reason::ServerError.into())
    });
    let mut response = result.unwrap_or_else(|failure| failure.response(request_id, well_known));
    failure::mark(&mut response, request_id);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use serde_json::Value;

    #[tokio::test]
    async fn c123_a_handler_that_panics_is_one_500_that_says_nothing() {
        let id = RequestId::new("01J00000000000000000000000").unwrap();
        for well_known in [false, true] {
            let panics = async { panic!("a secret in a message") };
            let response = answer(caught(panics).await, &id, well_known);
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers().get("x-request-id").unwrap(), id.as_str());
            let body: Value = serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap();
            assert_eq!((&body["error"], &body["reason"]), (&"server_error".into(), &"server_error".into()));
            assert!(!body.to_string().contains("secret"), "{body}");
            // The next one is answered as if nothing had been.
            let fine = answer(caught(async { Ok(HttpResponse::Ok().finish()) }).await, &id, well_known);
            assert_eq!(fine.status(), 200);
        }
    }
}
