//! Black-box tests of the built binary, over HTTP and the command line: everything that the
//! contract promises to the outside. A test's name has the ids of the requirements and attacks that
//! it covers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: what cannot go on is a failed test"
)]

mod admin;
mod audit;
mod audit_changes;
mod audit_files;
mod audit_tail;
mod backup;
mod bad_start;
mod check;
mod client;
mod client_platforms;
mod config;
mod console;
mod console_accounts;
mod console_operations;
mod console_sign_in;
mod custody;
mod custom_ca;
mod denial_drafts;
mod dev;
mod directories;
mod discovery;
mod doctor;
mod drain;
mod errors;
mod event;
mod exact_requests;
mod exchange;
mod explain;
mod explain_audit;
mod families;
mod faults;
mod grants_api_key;
mod grants_assertion;
mod grants_delegation;
mod grants_dpop;
mod grants_hostile;
mod grants_self_exchange;
mod grants_support;
mod history;
mod init;
mod introspection;
mod issuer_keys;
mod issuer_probe;
mod key_withdrawal;
mod kinds;
mod kinds_admin;
mod last_use;
mod limits;
mod managed_commands;
mod managed_keys;
mod managed_objects;
mod metadata;
mod metadata_values;
mod metrics;
mod naming;
mod offline;
mod operate;
mod pkcs11;
mod policy;
mod readiness;
mod real_input;
mod redis;
mod redis_keys;
mod redis_tampering;
mod refusals;
mod reload;
mod replay;
mod request_shape;
mod resource_server;
mod revocation;
mod secrets;
mod service_manager;
mod shards;
mod shared_keys;
mod signed_introspection;
mod sinks;
mod status_lists;
mod store;
mod support;
mod tenants;
mod tls;
mod token_shape;
mod traces;
mod trust;
mod wire;
