//! The `sts` server and command line. It chooses the implementations, connects them, and speaks
//! HTTP. It evaluates no claim.

mod admin;
mod admin_token;
mod app_state;
mod audit;
mod backups;
mod build;
mod certificate;
mod cli;
mod clock;
pub mod compile;
mod components;
mod dev;
mod directories;
mod environment;
mod file_permissions;
mod http;
mod issuer_keys;
mod last_uses;
mod maintenance;
mod managed;
mod metrics;
mod openapi;
mod openid_provider;
mod reload;
mod rule_base;
mod schemas;
mod serve;
mod service_manager;
mod signing_keys;
mod start_error;
mod store_health;
mod syslog_tls;
mod telemetry;
mod terminal;
mod traces;

pub use cli::{run, serve_on};
