//! The configuration of sts. It decodes YAML files to typed [`Settings`] and to the specs of other
//! crates, and generates the JSON Schema. Diagnostics underline the text and say what to write
//! instead. This crate compiles nothing.
//!
//! [`read`] reads everything and reports every mistake of form. An event parser builds a YAML tree
//! with a position for each value. The tree is decoded by hand, because a derived decoder stops at
//! the first mistake.

mod admin_access;
mod decode;
mod diagnostic;
mod files;
mod json;
mod keys;
mod load;
mod object_changes;
mod object_files;
mod object_source;
mod object_text;
mod object_tree;
mod objects;
mod outline;
mod quote;
mod render;
mod report;
mod schema;
mod settings;
mod source;
mod store_access;
mod yaml;

pub use admin_access::{AdminAccess, admin_access};
pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity, SourceLocation};
pub use load::{AbsentSecrets, Configuration, read, read_with};
pub use object_changes::{ObjectContext, Recoded, decode_again};
pub use object_files::{ObjectDocument, ObjectFile, ObjectFiles, object_files};
pub use object_source::ObjectSource;
pub use object_text::object_text;
pub use objects::{ApiObject, ConsoleProvider, CrateSpecs, IssuerObject, KeyOrigins, KeysSpec, Objects};
pub use outline::{Changes, NameChanges, Outline};
pub use quote::quoted;
pub use report::Report;
pub use schema::json_schema;
pub use settings::{
    AdminSettings, ApiKeySettings, Limits, LogFormat, LogLevel, LogSettings, Secret, Settings, TlsFiles,
};
pub use source::Sources;
pub use store_access::{StoreAccess, store_access};
