//! HTTP: two listeners. The routes of each stand in `public` and `admin`, each path beside its
//! handler, which reads the request and calls one service method. Around them, from the outside in:
//! [`answer`] gives each request its id and writes its answer, [`routing`] gives the router one form
//! of each path, and the listener's `admit` refuses what no handler may see.

mod admin;
mod answer;
mod body;
mod capacity;
mod client_ip;
mod connection;
mod console;
mod context;
mod credentials;
mod draining;
mod endpoint;
mod failure;
mod failure_limit;
mod form;
mod head;
mod library_answer;
mod limit;
mod listener;
mod metadata;
mod public;
mod reason;
mod routing;

pub(crate) use admin::{AdminState, OPEN_ENDPOINTS};
pub(crate) use body::{MAX_BODY, RequestBody};
pub(crate) use client_ip::Proxies;
pub(crate) use context::{Context, from_extensions};
pub(crate) use credentials::{Credentials, credentials, dpop_proofs};
pub(crate) use draining::Draining;
#[cfg(test)]
pub(crate) use endpoint::register;
pub(crate) use endpoint::{HttpEndpoint, method};
pub(crate) use failure::{BEARER, ErrorForm, Failure};
pub(crate) use failure_limit::FailureLimit;
pub(crate) use form::{Media, media};
pub(crate) use listener::{
    BindError, ListenerSpec, Listeners, ServedCertificate, bind_advice, leaf_problems, read_certificate,
};
pub(crate) use metadata::Metadata;
pub(crate) use public::{PUBLIC_ENDPOINTS, PublicState};
pub(crate) use reason::HttpReason;
pub(crate) use routing::{decoded, normalise, route_of};

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::CatchUnwind;

/// Runs a handler and catches its panic. Not an `async fn`, whose future would hold the handler's
/// twice.
fn caught<F: Future>(handler: F) -> CatchUnwind<AssertUnwindSafe<F>> {
    AssertUnwindSafe(handler).catch_unwind()
}
