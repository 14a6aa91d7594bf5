//! `sts schema`.

use std::process::ExitCode;

use clap::Args;

use crate::http::HttpReason;
use crate::openapi;
use crate::terminal::say;

#[derive(Args)]
pub(super) struct SchemaArgs {
    /// Print the schema of the decision event instead
    #[arg(long)]
    event: bool,
    /// Print the OpenAPI document of both listeners instead
    #[arg(long, conflicts_with = "event")]
    openapi: bool,
}

pub(super) fn run(args: &SchemaArgs) -> ExitCode {
    let schema = match args {
        SchemaArgs { openapi: true, .. } => openapi::document(),
        SchemaArgs { event: true, .. } => {
            sts_service::event_schema(&HttpReason::all().map(HttpReason::name).collect::<Vec<_>>())
        }
        _ => sts_config::json_schema(),
    };
    say(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
