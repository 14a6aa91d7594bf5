//! `sts completions`: scripts that complete commands in a shell.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::terminal::say;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(None), "sts", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
