//! How the OpenAPI document shows values whose types lie in `sts-types`, which knows nothing of
//! that document. The types here are for the document only: no value of them exists.

use std::borrow::Cow;

use sts_types::ObjectKind;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A point in time.
pub(crate) enum EpochSeconds {}

/// The id of a request.
#[derive(Debug)]
pub enum RequestIdText {}

/// A SHA-256 digest.
pub(crate) enum Sha256 {}

/// The kind of an object.
pub(crate) enum ObjectKindName {}

/// A type of the document: its name, and its schema.
macro_rules! shown_as {
    ($($type:ident $name:literal $schema:expr;)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema.build().into()
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
    EpochSeconds "EpochSeconds" ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("Epoch seconds."));
    RequestIdText "RequestId" text().pattern(Some("^[0-9A-Z]{26}$")).description(Some("The id of a request."));
    Sha256 "Sha256" text().pattern(Some("^[0-9a-f]{64}$")).description(Some("A SHA-256 digest."));
    ObjectKindName "ObjectKind" text()
        .enum_values(Some(ObjectKind::ALL.map(ObjectKind::name)))
        .description(Some("A kind of object, as paths name it."));
}

/// Patterns by claim name, in each form that is read.
pub(crate) fn claim_patterns() -> RefOr<Schema> {
    let by_name = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(text()));
    let forms = OneOfBuilder::new().item(by_name).item(text()).item(text().to_array_builder());
    forms.description(Some("Patterns on copied claims, by name; also `NAME=PATTERN`, or a list of these.")).into()
}

/// A moment before now, in each form that is read.
pub(crate) fn before() -> RefOr<Schema> {
    moment("Only tokens issued before this moment, which has passed. Without it, every token recorded by now.")
}

/// The moment of a question, in each form that is read.
pub(crate) fn at() -> RefOr<Schema> {
    moment("Judge as of then: epoch seconds, or RFC 3339.")
}

fn moment(description: &str) -> RefOr<Schema> {
    let date_time = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    let forms = OneOfBuilder::new().item(Ref::from_schema_name(EpochSeconds::name())).item(date_time);
    forms.description(Some(description)).into()
}

/// Values of `audience`, in each form that is read.
pub(crate) fn audience_values() -> RefOr<Schema> {
    one_or_many("Values of `audience`.")
}

/// Values of `resource`, in each form that is read.
pub(crate) fn resource_values() -> RefOr<Schema> {
    one_or_many("Values of `resource`.")
}

fn one_or_many(description: &str) -> RefOr<Schema> {
    OneOfBuilder::new().item(text()).item(text().to_array_builder()).description(Some(description)).into()
}

/// A duration, in each form that is read.
pub(crate) fn duration() -> RefOr<Schema> {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    let forms = OneOfBuilder::new().item(text().pattern(Some("^[0-9]+[smhd]$"))).item(seconds);
    forms.description(Some("How long it is valid: `30d`, or seconds. Default: `api_keys.default_ttl`.")).into()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
