//! `sts keys`: our signing keys.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use sts_api::{KeyPhase, SigningKey, SigningKeys, WithdrawnKey};

use super::admin_commands::{self, ServerArgs};
use super::explain::rfc3339;
use super::table::{moment, table};
use super::tokens::covered;
use crate::admin::{ListKeys, RotateKeys, WithdrawKey};

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// List the signing keys and what each is used for
    List(ServerArgs),
    /// Make the next keys now; they sign once verifiers have had time to fetch them
    Rotate(ServerArgs),
    /// Destroy a key that was stolen, and end the tokens that it signed
    Withdraw(WithdrawArgs),
}

#[derive(Args)]
pub(super) struct WithdrawArgs {
    /// The key's kid
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Reason to record with the revocation of its tokens
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Count the tokens that would end, and withdraw nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(command: KeysCommand) -> ExitCode {
    match command {
        KeysCommand::List(server) => admin_commands::run(&server, ListKeys, |answer| list(&answer.keys)),
        KeysCommand::Rotate(server) => admin_commands::run(&server, RotateKeys, rotated),
        KeysCommand::Withdraw(WithdrawArgs { kid, reason, dry_run, server }) => {
            admin_commands::run(&server, WithdrawKey { kid, reason, dry_run }, withdrawn)
        }
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

/// The result of a withdrawal.
fn withdrawn(answer: &WithdrawnKey) -> String {
    let (kid, ended) = (&answer.withdrawn, covered(answer.coverage));
    if answer.dry_run {
        return format!("would withdraw the key {kid} and end {ended}; nothing was done (dry run)");
    }
    let mut lines = vec![format!(
        "withdrew the key {kid} and ended {ended}; other servers drop the key within a minute, and offline verifiers \
         when they fetch our keys again, within five"
    )];
    if !answer.recorded {
        lines.push("the store did not answer: no revocation rule was written, so other servers take its tokens until they drop the key".to_owned());
    }
    if let Some(why) = &answer.not_destroyed {
        lines.push(format!("it may still be on its device: {why}; destroy the key with the label {kid} there"));
    }
    lines.extend(answer.made.iter().map(|made| format!("made the key {made}; it signs now")));
    format!("{}\n\n{}", lines.join("\n"), list(&answer.keys))
}
