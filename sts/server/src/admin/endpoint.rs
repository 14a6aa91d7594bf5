//! Where operations are: method, path, right and documentation, and the route that leads a request there.

use actix_web::web;
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

use super::download::{OCTETS, send};
use super::handler::{AnyOperation, perform};
use super::{Download, Operation};
use crate::http::method;
use crate::openapi::Model;
use crate::schemas;

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
    handler: Handler,
}

/// What a request is led to.
enum Handler {
    Operation(AnyOperation),
    File(fn(actix_web::Route) -> actix_web::Route),
}

impl Route {
    pub(super) const fn to<O: Operation>() -> Self {
        Self {
            endpoint: O::ENDPOINT,
            query_parameters: if schemas::ARE_MADE { O::query_parameters } else { Vec::new },
            successes: O::SUCCESSES,
            file: None,
            handler: Handler::Operation(AnyOperation::of::<O>()),
        }
    }

    pub(super) const fn to_file<D: Download>() -> Self {
        Self {
            endpoint: D::ENDPOINT,
            query_parameters: Vec::new,
            successes: &[200],
            file: Some(OCTETS),
            handler: Handler::File(|route| route.to(send::<D>)),
        }
    }

    /// The operation, unless its answer is a file.
    pub(super) const fn operation(&self) -> Option<AnyOperation> {
        match self.handler {
            Handler::Operation(operation) => Some(operation),
            Handler::File(_) => None,
        }
    }

    /// The route that leads a request to the operation.
    pub(super) fn handler(&self) -> actix_web::Route {
        let route = web::method(method(self.endpoint.method));
        match self.handler {
            Handler::Operation(operation) => {
                route.to(move |request, body, caller, state| perform(operation, request, body, caller, state))
            }
            Handler::File(handle) => handle(route),
        }
    }
}
