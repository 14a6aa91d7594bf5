//! The configuration of sts: YAML files to typed, validated [`Settings`], with diagnostics that point at the text and say what to
//! write instead, and the JSON Schema of it all.
//!
//! [`load`] reads everything and reports everything that is wrong. YAML is read by an event parser into a tree in which each
//! value knows its place, and decoded by hand: a derived decoder stops at the first mistake.

mod admin_access;
mod decode;
mod diagnostic;
mod files;
mod json;
mod key_sets;
mod keys;
mod load;
mod named_members;
mod outline;
mod overlaps;
mod policy_tests;
mod render;
mod report;
mod schema;
mod settings;
mod source;
mod store_access;
mod yaml;

pub use admin_access::{AdminAccess, admin_access};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, SourceLocation};
pub use load::{AbsentSecrets, Loaded, load, load_to_explain, load_with};
pub use outline::{Changes, NameChanges, Outline};
pub use overlaps::describe_overlaps;
pub use policy_tests::{guard, run_policy_tests};
pub use schema::json_schema;
pub use settings::{
    AdminSettings, AuditSettings, IpNetwork, Limits, LogFormat, LogLevel, LogSettings, Secret, Settings,
    SourceDocuments, TlsFiles,
};
pub use store_access::store_access;
