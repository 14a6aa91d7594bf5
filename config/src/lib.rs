//! The configuration of sts: YAML files to typed [`Settings`] and to the specs of other crates, with diagnostics that point at
//! the text and say what to write instead, and the JSON Schema of it all. It compiles nothing.
//!
//! [`read`] reads everything and reports every mistake of form. YAML is read by an event parser into a tree in which each
//! value knows its place, and decoded by hand: a derived decoder stops at the first mistake.

mod admin_access;
mod decode;
mod diagnostic;
mod files;
mod json;
mod keys;
mod load;
mod object_files;
mod object_text;
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
pub use load::{AbsentSecrets, Configuration, read};
pub use object_files::{ObjectDocument, ObjectFile, ObjectFiles, object_files};
pub use object_text::object_text;
pub use objects::{ApiObject, CrateSpecs, IssuerObject, KeyOrigins, KeysSpec, Objects};
pub use outline::{Changes, NameChanges, Outline};
pub use quote::quoted;
pub use report::Report;
pub use schema::json_schema;
pub use settings::{
    AdminSettings, ApiKeySettings, AuditSettings, Limits, LogFormat, LogLevel, LogSettings, Secret, Settings, TlsFiles,
};
pub use source::Sources;
pub use store_access::{StoreAccess, store_access};
