//! `sts keys`: our signing keys.

use std::process::ExitCode;

use clap::Subcommand;
use sts_api::{KeyPhase, SigningKey, SigningKeys};

use super::admin_commands::{self, ServerArgs};
use super::explain::rfc3339;
use super::table::{moment, table};
use crate::admin::{ListKeys, RotateKeys};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// List the signing keys and what each is used for
    List(ServerArgs),
    /// Make the next keys now; they sign once verifiers have had time to fetch them
    Rotate(ServerArgs),
}

pub(super) fn run(command: &KeysCommand) -> ExitCode {
    match command {
        KeysCommand::List(server) => admin_commands::run(server, ListKeys, |answer| list(&answer.keys)),
        KeysCommand::Rotate(server) => admin_commands::run(server, RotateKeys, rotated),
    }
}

fn list(keys: &[SigningKey]) -> String {
    let row = |key: &SigningKey| {
        vec![
            key.kid.to_string(),
            key.algorithm.clone(),
            key.phase.to_string(),
            rfc3339(key.created),
            rfc3339(key.signs_from),
            moment(key.signs_until),
        ]
    };
    let titles = ["KID", "ALGORITHM", "PHASE", "CREATED", "SIGNS FROM", "SIGNS UNTIL"];
    table(&titles, keys.iter().map(row).collect(), "there are no keys")
}

/// The result of a rotation: the new keys, and the keys that were waiting already.
fn rotated(answer: &SigningKeys) -> String {
    let made = answer.made.as_deref().unwrap_or_default();
    let next = answer.keys.iter().filter(|key| key.phase == KeyPhase::Next);
    let mut lines: Vec<String> = next
        .map(|key| {
            let (kid, algorithm, from) = (&key.kid, &key.algorithm, rfc3339(key.signs_from));
            if made.contains(kid) {
                format!("made the {algorithm} key {kid}; it signs from {from}")
            } else {
                format!("no {algorithm} key was made: the successor {kid} waits already, and signs from {from}")
            }
        })
        .collect();
    if made.is_empty() {
        lines.insert(0, "nothing was changed".to_owned());
    }
    format!("{}\n\n{}", lines.join("\n"), list(&answer.keys))
}
