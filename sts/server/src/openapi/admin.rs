//! What the OpenAPI document says of the admin listener: of each operation what its route knows,
//! and of what is open to everybody.

use sts_api::Finding;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{Required, SecurityRequirement};

use super::public::path_parameter;
use super::public_models::{AnyObject, ErrorModel, ProblemModel};
use super::responses::{answer, empty, errors, octets, problems, string, text};
use super::{Documented, Model, http_method};
use crate::admin::{Body, Documentation, Route, all_routes};

/// The statuses that any operation may answer with.
const STATUSES: &[u16] = &[400, 401, 403, 413, 415];

/// The types that the document shows beside those of operations.
pub(super) const MODELS: &[Model] =
    &[Model::of::<AnyObject>(), Model::of::<ErrorModel>(), Model::of::<ProblemModel>(), Model::of::<Finding>()];

/// The types that operations read and answer.
pub(super) fn models() -> impl Iterator<Item = Model> {
    all_routes().flat_map(|route| {
        let documentation = &route.endpoint.documentation;
        documentation.body.iter().map(|body| body.model).chain(documentation.answer)
    })
}

pub(super) fn operations() -> impl Iterator<Item = Documented> {
    all_routes().map(|route| {
        let item = PathItem::new(http_method(route.endpoint.method), operation(route));
        (route.endpoint.full_path(), item)
    })
}

fn operation(route: &Route) -> OperationBuilder {
    let Documentation { name, summary, body, answer: model, failures } = &route.endpoint.documentation;
    let responses = route.successes.iter().fold(problems(&[STATUSES, failures].concat()), |responses, status| {
        let description = match status {
            201 => "Created",
            204 => "Gone",
            _ => "Done",
        };
        let done = match model {
            Some(model) if *status != 204 => answer(description, *model),
            None if route.file.is_some() => octets(description, route.file.unwrap_or_default()),
            _ => empty(description),
        };
        responses.response(status.to_string(), done)
    });
    let path = route.endpoint.full_path();
    let if_match = failures.contains(&428).then(if_match);
    let parameters = path_parameters(&path).chain(if_match).chain((route.query_parameters)());
    let operation = OperationBuilder::new()
        .operation_id(Some(*name))
        .summary(Some(*summary))
        .tag("admin")
        .security(SecurityRequirement::new("admin", [""; 0]))
        .parameters(Some(parameters))
        .responses(responses.build());
    match body {
        None => operation,
        Some(Body { model, is_required }) => {
            let content = ContentBuilder::new().schema(Some(model.reference())).build();
            let required = if *is_required { Required::True } else { Required::False };
            let media =
                if route.endpoint.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            let body = RequestBodyBuilder::new().content(media, content).required(Some(required));
            operation.request_body(Some(body.build()))
        }
    }
}

fn path_parameters(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| path_parameter(name).build())
}

/// The condition of a change.
fn if_match() -> Parameter {
    Parameter::builder()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some("The `ETag` of the state that the change is of."))
        .schema(Some(string()))
        .build()
}

pub(crate) fn metrics() -> OperationBuilder {
    let counts = text("Counts, in the text format of Prometheus", "text/plain");
    open("metrics", "Counts for Prometheus").responses(errors(&[400]).response("200", counts).build())
}

pub(crate) fn openapi() -> OperationBuilder {
    let found = answer("The document", Model::of::<AnyObject>());
    open("openapi", "This document").responses(errors(&[400]).response("200", found).build())
}

fn open(name: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().operation_id(Some(name)).summary(Some(summary)).tag("admin").securities(Some([]))
}
