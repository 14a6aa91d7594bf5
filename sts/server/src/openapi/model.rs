//! A Rust type as the OpenAPI document shows it.

use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};

use crate::schemas;

/// Schemas by name.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// A type, for a table that holds many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    name: fn() -> String,
    collect: fn(&mut Schemas),
}

impl Model {
    pub(crate) const fn of<T: ToSchema>() -> Self {
        if schemas::ARE_MADE {
            Self { name: name::<T>, collect: collect::<T> }
        } else {
            Self { name: String::new, collect: |_| () }
        }
    }

    /// A reference to its schema.
    pub(super) fn reference(self) -> Ref {
        Ref::from_schema_name((self.name)())
    }

    /// Its schema, and those that it refers to.
    pub(super) fn schemas(self) -> Schemas {
        let mut schemas = Schemas::new();
        (self.collect)(&mut schemas);
        schemas
    }
}

fn name<T: ToSchema>() -> String {
    T::name().into_owned()
}

fn collect<T: ToSchema>(schemas: &mut Schemas) {
    T::schemas(schemas);
    schemas.push((name::<T>(), T::schema()));
}
