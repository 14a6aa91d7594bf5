//! What the OpenAPI document says of the endpoints of the public listener. The listener's table of
//! endpoints refers to these functions.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::{Content, Required, SecurityRequirement};

use super::Model;
use super::public_models::{ExchangeAnswer, ExchangeRequest, Introspection, KeySet, ServerMetadata, TokenRequest};
use super::responses::{answer, empty, errors, string, text, text_header};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// The types that these operations refer to.
pub(super) const MODELS: &[Model] = &[
    Model::of::<ExchangeRequest>(),
    Model::of::<ExchangeAnswer>(),
    Model::of::<TokenRequest>(),
    Model::of::<Introspection>(),
    Model::of::<ServerMetadata>(),
    Model::of::<KeySet>(),
];

pub(crate) fn exchange() -> OperationBuilder {
    let model = Model::of::<ExchangeRequest>();
    let responses = errors(&[400, 401, 413, 415, 429, 503]);
    let operation =
        public("exchange", "Exchange an ID token, a token of ours or an API key for an access token", responses)
            .parameter(dpop());
    posted(operation, &[(FORM, model), (JSON, model)], answer("Minted, and recorded", Model::of::<ExchangeAnswer>()))
        .securities(Some([SecurityRequirement::default(), requirement("key")]))
}

pub(crate) fn revoke() -> OperationBuilder {
    let responses = errors(&[400, 401, 403, 413, 415, 429, 503]);
    let operation = public("revoke", "Revoke the token that is presented (RFC 7009)", responses);
    let done = empty("It is revoked, or was never a token of ours");
    posted(operation, &[(FORM, Model::of::<TokenRequest>())], done)
        .securities(Some([SecurityRequirement::default(), requirement("api"), requirement("bearer")]))
        .parameter(dpop())
}

pub(crate) fn introspect() -> OperationBuilder {
    let signed = string().description(Some("RFC 9701, where `Accept` asks for it."));
    let told = answer("What the token is; exactly `{\"active\":false}` for every other", Model::of::<Introspection>())
        .content("application/token-introspection+jwt", Content::new(Some(signed)));
    let responses = errors(&[400, 401, 403, 413, 415, 429, 503]);
    let operation = public("introspect", "Ask whether a token is active (RFC 7662)", responses);
    posted(operation, &[(FORM, Model::of::<TokenRequest>())], told)
        .securities(Some([requirement("api"), requirement("bearer")]))
        .parameter(dpop())
}

pub(crate) fn metadata() -> OperationBuilder {
    let found = answer("The document", Model::of::<ServerMetadata>());
    cached("metadata", "Our metadata (RFC 8414)", found, errors(&[]))
}

pub(crate) fn key_set() -> OperationBuilder {
    let found = answer("The document", Model::of::<KeySet>());
    cached("keySet", "Our public keys (RFC 7517)", found, errors(&[]))
}

pub(crate) fn status_list() -> OperationBuilder {
    let found = text("The list, signed", "application/statuslist+jwt");
    let summary = "The status of tokens (draft-ietf-oauth-status-list)";
    let list = path_parameter("list").description(Some("As `status.status_list.uri` of a token ends."));
    cached("statusList", summary, found, errors(&[404, 503])).parameter(list)
}

pub(crate) fn live() -> OperationBuilder {
    public("live", "Whether the process serves", errors(&[])).response("200", empty("It serves"))
}

pub(crate) fn ready() -> OperationBuilder {
    // No body is documented, because the public listener sends none.
    let summary = "Whether exchanges can be served. The admin listener adds the answer of /admin/v1/health";
    let responses = errors(&[]).response("200", empty("They can")).response("503", empty("They cannot"));
    public("ready", summary, responses)
}

fn public(name: &str, summary: &str, responses: ResponsesBuilder) -> OperationBuilder {
    let operation = OperationBuilder::new().operation_id(Some(name)).summary(Some(summary)).tag("public");
    operation.responses(responses.build()).securities(Some([]))
}

fn posted(operation: OperationBuilder, bodies: &[(&str, Model)], done: ResponseBuilder) -> OperationBuilder {
    let body = bodies.iter().fold(RequestBodyBuilder::new(), |body, (media_type, model)| {
        body.content(*media_type, ContentBuilder::new().schema(Some(model.reference())).build())
    });
    operation.request_body(Some(body.required(Some(Required::True)).build())).response("200", done)
}

/// What caches may keep, and what is answered in its place.
fn cached(name: &str, summary: &str, found: ResponseBuilder, responses: ResponsesBuilder) -> OperationBuilder {
    let headers = ["ETag", "Cache-Control", "Access-Control-Allow-Origin"];
    let found = headers.into_iter().fold(found, |found, header| found.header(header, text_header()));
    public(name, summary, responses.response("200", found).response("304", empty("The caller has it already")))
}

/// The header of a proof of possession.
fn dpop() -> ParameterBuilder {
    Parameter::builder()
        .name("DPoP")
        .parameter_in(ParameterIn::Header)
        .description(Some("A proof of the key that the token is bound to (RFC 9449)."))
        .schema(Some(string()))
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, [""; 0])
}

/// A parameter of the path.
pub(super) fn path_parameter(name: &str) -> ParameterBuilder {
    Parameter::builder().name(name).parameter_in(ParameterIn::Path).required(Required::True).schema(Some(string()))
}
