//! `sts console`: the way into the web console.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::admin_commands::{self, ServerArgs};
use crate::admin::{CreateConsoleLink, Operation as _};

#[derive(Subcommand)]
pub(super) enum ConsoleCommand {
    /// Print a link that opens the web console once, within a minute, with all rights
    Link(ServerArgs),
}

/// What is printed.
#[derive(Serialize)]
struct PrintedLink {
    url: String,
    expires_at: i64,
}

pub(super) fn run(command: &ConsoleCommand) -> ExitCode {
    let ConsoleCommand::Link(server) = command;
    admin_commands::run_with(
        server,
        CreateConsoleLink.not_done(),
        |session| {
            let done = session.perform(CreateConsoleLink)?;
            let base = session.server_url().unwrap_or_default();
            Ok(done.map(|link| PrintedLink { url: format!("{base}{}", link.path), expires_at: link.expires_at }))
        },
        |link| link.url.clone(),
    )
}
