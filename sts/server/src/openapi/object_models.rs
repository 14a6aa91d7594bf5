//! What the OpenAPI document shows of operations whose requests or answers have no type of their own.

use std::borrow::Cow;

use sts_api::{DryRun, IssuerEntry, IssuerFamily, KeySource, Object};
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::responses::string;

/// A merge patch of an object.
pub(crate) enum ObjectPatch {}
/// A merge patch of an identity.
pub(crate) enum IdentityPatch {}
/// An identity.
pub(crate) enum IdentityDocument {}
/// The answer to a change of an object.
pub(crate) enum ChangedObject {}
/// The answer to a change of an identity.
pub(crate) enum ChangedIdentity {}
/// What would be decided.
pub(crate) enum Evaluation {}
/// The configuration in force.
pub(crate) enum EffectiveConfig {}
/// An issuer entry with the state of its keys.
pub(crate) enum IssuerState {}

macro_rules! shown_as {
    ($($type:ident $name:literal $schema:expr, [$($other:ty),*];)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }

                fn schemas(_schemas: &mut Vec<(String, RefOr<Schema>)>) {
                    $(
                        _schemas.push((<$other as ToSchema>::name().into_owned(), <$other as PartialSchema>::schema()));
                        <$other as ToSchema>::schemas(_schemas);
                    )*
                }
            }
        )+
    };
}

shown_as! {
    ObjectPatch "ObjectPatch"
        object("A merge patch of the object, such as `{\"spec\": {\"enabled\": false}}`."), [];
    IdentityPatch "IdentityPatch" object("A merge patch of the identity."), [];
    IdentityDocument "Identity"
        object("An identity as a configuration file has it, with its name.")
            .property("name", string())
            .required("name"), [];
    ChangedObject "WrittenObject" any_of(&[Object::name(), DryRun::name()]), [Object, DryRun];
    ChangedIdentity "WrittenIdentity"
        any_of(&[IdentityDocument::name(), DryRun::name()]), [IdentityDocument, DryRun];
    Evaluation "Evaluation" evaluation(), [];
    EffectiveConfig "EffectiveConfig"
        ["issuer", "generation"]
            .into_iter()
            .fold(object("The configuration in force."), |config, name| config.property(name, string()).required(name))
            .property("sources", object("Where each part is declared."))
            .required("sources"), [];
    IssuerState "IssuerState"
        object(
            "The members of the object that declares the entry, and those of the state of its keys, as `IssuerEntry` or \
             `IssuerFamily` has them, but for `source`: that of the keys is `key_source`.",
        )
        .property("name", string())
        .required("name")
        .property("key_source", Ref::from_schema_name(<KeySource as ToSchema>::name())), [KeySource, IssuerEntry, IssuerFamily];
}

fn evaluation() -> ObjectBuilder {
    let verdict = string().enum_values(Some(["granted", "refused"]));
    object("What would be decided.")
        .property("verdict", verdict)
        .required("verdict")
        .property("summary", string().description(Some("The verdict with its cause.")))
        .required("summary")
        .property(
            "judged_at",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .description(Some("When it is judged as of. Epoch seconds.")),
        )
        .required("judged_at")
        .property("decision", object("The trace."))
        .property("text", string().description(Some("The trace for people.")))
}

fn object(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object).description(Some(description))
}

fn any_of(names: &[Cow<'static, str>]) -> AnyOfBuilder {
    names.iter().fold(AnyOfBuilder::new(), |any_of, name| any_of.item(Ref::from_schema_name(name.as_ref())))
}
