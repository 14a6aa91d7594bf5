//! `sts dev`.
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct DevArgs {
    /// Exit after the walk
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: &DevArgs) -> ExitCode {
    let _ = args.once;
    ExitCode::FAILURE
}
