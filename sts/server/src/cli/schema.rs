//! `sts schema`.

use std::process::ExitCode;

use clap::Args;
use sts_service::GrantType;

use crate::http::HttpReason;
use crate::openapi;
use crate::terminal::say;

#[derive(Args)]
pub(super) struct SchemaArgs {
    /// Print the schema of the lines of the audit trail instead
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
            let reasons: Vec<&str> = HttpReason::all().map(HttpReason::name).collect();
            sts_audit::event_schema(&reasons, &GrantType::ALL.map(GrantType::name))
        }
        _ => sts_config::json_schema(),
    };
    say(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
