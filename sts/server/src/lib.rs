//! The `sts` server and command line. It chooses the implementations, connects them, and speaks
//! HTTP. It evaluates no claim.

mod admin_token;
mod certificate;
mod cli;
mod clock;
pub mod compile;
mod components;
mod dev;
mod environment;
mod file_permissions;
mod http;
mod issuer_keys;
mod maintenance;
mod metrics;
mod openapi;
mod operation;
mod reload;
mod serve;
mod sinks;
mod start_error;
mod store_health;
mod telemetry;

pub use cli::{run, serve_on};
