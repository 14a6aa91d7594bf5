//! `sts schema`.

use std::process::ExitCode;

use clap::Args;

use crate::schemas;
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
        SchemaArgs { openapi: true, .. } => schemas::openapi(),
        SchemaArgs { event: true, .. } => schemas::event(),
        _ => schemas::configuration(),
    };
    say(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
