//! `sts store`: the store as a whole.

use std::process::ExitCode;

use clap::Subcommand;
use sts_api::Acceptance;

use super::admin_commands::{self, ServerArgs};
use crate::admin::AcceptEpoch;

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Accept a store that was emptied, replaced or restored from an older copy. Tokens whose revocation it has lost become
    /// active again
    AcceptEpoch(ServerArgs),
}

pub(super) fn run(command: &StoreCommand) -> ExitCode {
    let StoreCommand::AcceptEpoch(server) = command;
    admin_commands::run(server, AcceptEpoch, accepted)
}

fn accepted(answer: &Acceptance) -> String {
    let text = if answer.accepted {
        "accepted: the store is the ledger from now on; what was revoked and is missing from it has come back"
    } else {
        "there is nothing to accept: the store is the one that is known, and nothing is missing"
    };
    text.to_owned()
}
