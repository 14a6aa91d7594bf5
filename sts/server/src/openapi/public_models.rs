//! The requests and answers of the public listener, as the OpenAPI document shows them. Their names
//! come from where the handlers have them.

use std::borrow::Cow;

use sts_api::{Finding, RequestIdText};
use sts_service::GrantType;
use sts_types::rfc::{self, parameter};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::responses::string;
use crate::http::HttpReason;

/// The parameters of a token request.
pub(super) enum ExchangeRequest {}
/// The answer of the token endpoint.
pub(super) enum ExchangeAnswer {}
/// The parameters of a revocation or introspection.
pub(super) enum TokenRequest {}
/// What a token is.
pub(super) enum Introspection {}
/// Our metadata.
pub(super) enum ServerMetadata {}
/// Our public keys.
pub(super) enum KeySet {}
/// A document of any members.
pub(super) enum AnyObject {}
/// The body of every error that is not of an operation.
pub(super) enum ErrorModel {}
/// The body of every error of an operation.
pub(super) enum ProblemModel {}

macro_rules! shown_as {
    ($($type:ident $name:literal $schema:ident;)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema().build().into()
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )+
    };
}

shown_as! {
    ExchangeRequest "ExchangeRequest" exchange_request;
    ExchangeAnswer "ExchangeAnswer" exchange_answer;
    TokenRequest "TokenRequest" token_request;
    Introspection "Introspection" introspection;
    ServerMetadata "Metadata" metadata;
    KeySet "KeySet" key_set;
    AnyObject "AnyObject" object;
    ErrorModel "Error" error;
    ProblemModel "Problem" problem;
}

/// The types of a token that is presented.
const TOKEN_TYPES: &[&str] = &[rfc::TOKEN_TYPE_JWT, rfc::TOKEN_TYPE_ID_TOKEN, rfc::TOKEN_TYPE_ACCESS_TOKEN];
/// The longest token, in characters.
const MAX_TOKEN: usize = 16 * 1024;

fn exchange_request() -> ObjectBuilder {
    let token = |what: &str| string().min_length(Some(1)).max_length(Some(MAX_TOKEN)).description(Some(what));
    let one_or_many = || OneOfBuilder::new().item(string()).item(string().to_array_builder());
    object()
        .description(Some(
            "Each grant needs its own proof: `subject_token`, `assertion`, `client_assertion`, or an API key as \
             `client_secret` or Basic.",
        ))
        .property(parameter::GRANT_TYPE, one_of(&GrantType::ALL.map(GrantType::uri)))
        .required(parameter::GRANT_TYPE)
        .property(parameter::ASSERTION, token("The platform's ID token (RFC 7523 section 2.1)."))
        .property(parameter::CLIENT_ASSERTION, token("The platform's ID token (RFC 7523 section 2.2)."))
        .property(parameter::CLIENT_ASSERTION_TYPE, one_of(&[rfc::CLIENT_ASSERTION_JWT_BEARER]))
        .property(parameter::SUBJECT_TOKEN, token("The platform's ID token, or a token of ours."))
        .property(parameter::SUBJECT_TOKEN_TYPE, one_of(TOKEN_TYPES))
        .property(parameter::ACTOR_TOKEN, token("The token of who acts for the subject."))
        .property(parameter::ACTOR_TOKEN_TYPE, one_of(TOKEN_TYPES))
        .property(parameter::AUDIENCE, one_or_many())
        .property(parameter::RESOURCE, one_or_many())
        .property(parameter::SCOPE, string())
        .property(parameter::REQUESTED_TOKEN_TYPE, one_of(&[rfc::TOKEN_TYPE_ACCESS_TOKEN, rfc::TOKEN_TYPE_JWT]))
        .property(parameter::CLIENT_ID, string())
        .property(parameter::CLIENT_SECRET, string().description(Some("An API key of the account.")))
        .property(parameter::EXPIRES_IN, integer().minimum(Some(1)).description(Some("Seconds; can only shorten.")))
}

fn exchange_answer() -> ObjectBuilder {
    let members = object()
        .property(parameter::ACCESS_TOKEN, string())
        .property(parameter::ISSUED_TOKEN_TYPE, one_of(&[rfc::TOKEN_TYPE_ACCESS_TOKEN]))
        .property(parameter::TOKEN_TYPE, one_of(&[rfc::TOKEN_TYPE_BEARER, rfc::TOKEN_TYPE_DPOP]))
        .property(parameter::EXPIRES_IN, integer().minimum(Some(1)))
        .property(parameter::SCOPE, string());
    [parameter::ACCESS_TOKEN, parameter::TOKEN_TYPE, parameter::EXPIRES_IN, parameter::SCOPE]
        .into_iter()
        .fold(members, ObjectBuilder::required)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

fn token_request() -> ObjectBuilder {
    object()
        .property(parameter::TOKEN, string().min_length(Some(1)))
        .required(parameter::TOKEN)
        .property(parameter::TOKEN_TYPE_HINT, string())
}

fn introspection() -> ObjectBuilder {
    let seconds = || integer().description(Some("Epoch seconds."));
    let members = ["iss", "sub", "client_id", "aud", "scope", "jti"]
        .into_iter()
        .fold(object(), |members, name| members.property(name, string()));
    members
        .property("active", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("active")
        .property("exp", seconds())
        .property("iat", seconds())
        .property("token_type", one_of(&[rfc::TOKEN_TYPE_BEARER, rfc::TOKEN_TYPE_DPOP]))
        .property("federated", object().description(Some("The ID token that it was minted on.")))
        .property("credential", object().description(Some("The credential of ours that it was minted on.")))
        .property("act", object().description(Some("Who acts for the subject (RFC 8693 section 4.1).")))
        .property("cnf", object().description(Some("The key that it is bound to (RFC 9449 section 6.1).")))
}

fn metadata() -> ObjectBuilder {
    let texts = ["issuer", "token_endpoint", "jwks_uri", "revocation_endpoint", "introspection_endpoint"];
    let members = texts.into_iter().fold(object(), |members, name| members.property(name, string()).required(name));
    members.property("grant_types_supported", string().to_array_builder()).required("grant_types_supported")
}

/// A JWK has these members and no others: none of them is private.
fn key_set() -> ObjectBuilder {
    let required = ["kty", "kid", "use", "alg"];
    let key = ["n", "e", "crv", "x", "y"].into_iter().fold(object(), |key, name| key.property(name, string()));
    let key = required.into_iter().fold(key, |key, name| key.property(name, string()).required(name));
    let key = key.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    object().property("keys", key.to_array_builder()).required("keys")
}

fn problem() -> ObjectBuilder {
    let findings = ArrayBuilder::new().items(Ref::from_schema_name(Finding::name()));
    let members = ["type", "title", "detail", "error", "error_description"]
        .into_iter()
        .fold(object(), |members, name| members.property(name, string()).required(name));
    members
        .description(Some("RFC 9457, with the members that errors have elsewhere."))
        .property("status", integer())
        .required("status")
        .property("reason", reason())
        .required("reason")
        .property("request_id", Ref::from_schema_name(RequestIdText::name()))
        .required("request_id")
        .property("findings", findings.description(Some("What is wrong with what was sent.")))
        .required("findings")
}

fn reason() -> ObjectBuilder {
    let reasons: Vec<&str> = HttpReason::all().map(HttpReason::name).collect();
    one_of(&reasons)
}

fn error() -> ObjectBuilder {
    let members = object()
        .property("error", string().description(Some("The code of RFC 6749, 6750 or 8693.")))
        .property("error_description", string().pattern(Some(r"^[ !#-\[\]-~]+$")))
        .property("reason", reason())
        .property("request_id", Ref::from_schema_name(RequestIdText::name()))
        .property("ErrorMessage", string())
        .property("Errors", string().to_array_builder());
    ["error", "error_description", "reason", "request_id"].into_iter().fold(members, ObjectBuilder::required)
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn one_of(values: &[&str]) -> ObjectBuilder {
    string().enum_values(Some(values.iter().copied()))
}
