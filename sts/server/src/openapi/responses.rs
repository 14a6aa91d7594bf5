//! The answers of operations: every one has the request's id, and every path has the errors that
//! come before any handler.

use sts_api::RequestIdText;
use utoipa::ToSchema as _;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, Ref};

use super::Model;
use super::public_models::{ErrorModel, ProblemModel};

const JSON: &str = "application/json";

/// A response whose body is JSON of that type.
pub(super) fn answer(description: &str, model: Model) -> ResponseBuilder {
    empty(description).content(JSON, Content::new(Some(model.reference())))
}

/// A response whose body is a text of that media type.
pub(super) fn text(description: &str, media_type: &str) -> ResponseBuilder {
    empty(description).content(media_type, Content::new(Some(string())))
}

/// A response whose body is a file of that media type.
pub(super) fn octets(description: &str, media_type: &str) -> ResponseBuilder {
    // Without a schema, as OpenAPI 3.1 has it for binary content.
    empty(description).content(media_type, Content::default())
}

/// A response without a body.
pub(super) fn empty(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description).header("X-Request-Id", request_id())
}

/// The error responses of these statuses, and 405.
pub(super) fn errors(statuses: &[u16]) -> ResponsesBuilder {
    failures(statuses, JSON, Model::of::<ErrorModel>())
}

/// The same, in the form that errors of operations have.
pub(super) fn problems(statuses: &[u16]) -> ResponsesBuilder {
    failures(statuses, "application/problem+json", Model::of::<ProblemModel>())
}

fn failures(statuses: &[u16], media_type: &str, model: Model) -> ResponsesBuilder {
    [405].iter().chain(statuses).fold(ResponsesBuilder::new(), |responses, status| {
        let content = Content::new(Some(model.reference()));
        let mut response = empty(meaning(*status)).content(media_type, content);
        let header = match status {
            401 | 403 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            response = response.header(header, text_header());
        }
        responses.response(status.to_string(), response)
    })
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "Refused: `reason` says why, as far as the caller may know",
        401 => "Credentials are missing, misplaced or wrong",
        403 => "The bearer's token does not have the scope",
        404 => "There is no such thing",
        405 => "The path has other methods",
        409 => "An object of this name exists, or a file declares it",
        412 => "Somebody else changed the object meanwhile",
        413 => "The body is too large",
        415 => "The body is of another media type",
        422 => "A load would refuse this; `findings` say why. Nothing was changed",
        428 => "`If-Match` is missing",
        429 => "Too many refused requests from this address",
        503 => "The store or the issuer's keys are unavailable; nothing was done",
        _ => "A fault of the server",
    }
}

/// A header whose value is any text.
pub(super) fn text_header() -> Header {
    Header::new(string())
}

fn request_id() -> Header {
    HeaderBuilder::new().schema(Some(Ref::from_schema_name(RequestIdText::name()))).build()
}

/// The schema of any text.
pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
