//! `sts schema`.

use std::process::ExitCode;

use clap::Args;

use super::say;

#[derive(Args)]
pub(super) struct SchemaArgs {
    /// Print the schema of the decision event instead
    #[arg(long)]
    event: bool,
}

pub(super) fn run(args: &SchemaArgs) -> ExitCode {
    let schema = if args.event { sts_service::event_schema() } else { sts_config::json_schema() };
    say(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
