//! Where operations are: method, path, right and documentation, and the route that leads a request there.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

use super::download::{OCTETS, send};
use super::handler::{perform, perform_here};
use super::{Caller, Download, Operation, Request};
use crate::app_state::AppState;
use crate::http::{Failure, HttpReason, method};
use crate::openapi::Model;

/// Who may do an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Admin,
}

/// Where an operation is.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// Below `/admin/v1`. One segment at most is a `{parameter}`.
    pub(crate) path: &'static str,
    pub(crate) right: Right,
    /// Whether it is about what the configuration says, and not about what is recorded.
    pub(crate) needs_rules: bool,
    pub(crate) documentation: Documentation,
}

/// What the OpenAPI document says of an operation.
#[derive(Debug)]
pub(crate) struct Documentation {
    /// The operation id.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) body: Option<Body>,
    /// The answer, unless it has no body.
    pub(crate) answer: Option<Model>,
    /// Statuses of failures that not every operation has.
    pub(crate) failures: &'static [u16],
}

impl Endpoint {
    /// The path on the listener.
    pub(crate) fn full_path(&self) -> String {
        format!("/admin/v1{}", self.path)
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) model: Model,
    pub(crate) is_required: bool,
}

impl Body {
    pub(super) const fn required<T: ToSchema>() -> Self {
        Self { model: Model::of::<T>(), is_required: true }
    }

    pub(super) const fn optional<T: ToSchema>() -> Self {
        Self { model: Model::of::<T>(), is_required: false }
    }
}

/// An operation for the tables of the listener and of the OpenAPI document.
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    pub(crate) query_parameters: fn() -> Vec<Parameter>,
    pub(crate) successes: &'static [u16],
    /// The media type of an answer that is a file. Other answers are JSON.
    pub(crate) file: Option<&'static str>,
    handle: fn(actix_web::Route) -> actix_web::Route,
    perform: fn(Request, Caller, Arc<AppState>) -> Performing,
}

/// An operation that the console asks for, under way.
type Performing = Pin<Box<dyn Future<Output = Result<HttpResponse, Failure>>>>;

impl Route {
    pub(super) const fn to<O: Operation>() -> Self {
        Self {
            endpoint: O::ENDPOINT,
            query_parameters: O::query_parameters,
            successes: O::SUCCESSES,
            file: None,
            handle: handle::<O>,
            perform: |request, caller, state| {
                Box::pin(async move { perform_here::<O>(&request, &caller, &state).await })
            },
        }
    }

    pub(super) const fn to_file<D: Download>() -> Self {
        Self {
            endpoint: D::ENDPOINT,
            query_parameters: Vec::new,
            successes: &[200],
            file: Some(OCTETS),
            handle: |route| route.to(send::<D>),
            // A page has no use for a file.
            perform: |_, _, _| Box::pin(async { Err(HttpReason::NotFound.into()) }),
        }
    }

    /// Does the operation for a caller in this process.
    pub(super) fn perform(&self, request: Request, caller: Caller, state: Arc<AppState>) -> Performing {
        (self.perform)(request, caller, state)
    }

    /// The route that leads a request to the operation.
    pub(super) fn handler(&self) -> actix_web::Route {
        (self.handle)(web::method(method(self.endpoint.method)))
    }
}

fn handle<O: Operation>(route: actix_web::Route) -> actix_web::Route {
    route.to(perform::<O>)
}
