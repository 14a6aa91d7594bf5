//! The `sts` server and command line. It chooses the implementations, connects them, and speaks
//! HTTP. It evaluates no claim.

mod admin;
mod admin_token;
mod app_state;
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
mod managed;
mod metrics;
mod openapi;
mod reload;
mod rule_base;
mod serve;
mod sinks;
mod start_error;
mod store_health;
mod telemetry;
mod terminal;

pub use cli::{run, serve_on};
