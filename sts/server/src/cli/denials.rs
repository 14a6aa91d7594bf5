//! `sts denials`: the refused requests that are remembered.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use sts_types::UnixTime;

use super::admin_commands::{self, ServerArgs};
use super::explain::rfc3339;
use super::table::table;
use super::tokens::limit;
use crate::operation::{DenialsQuery, Operation};

#[derive(Subcommand)]
pub(super) enum DenialsCommand {
    /// List the refused requests of the last 24 hours, newest first
    List {
        /// Only refusals that name this account, or came nearest to one of its identities
        #[arg(long)]
        account: Option<String>,
        /// Only refusals of tokens of this issuer entry
        #[arg(long, value_name = "ENTRY")]
        issuer: Option<String>,
        /// Only refusals for this reason
        #[arg(long)]
        reason: Option<String>,
        /// Group and count by these, separated by commas: reason, account, identity, condition
        #[arg(long, value_name = "NAMES")]
        group_by: Option<String>,
        /// Continue after the refusal with this request id
        #[arg(long, value_name = "REQUEST_ID")]
        after: Option<String>,
        /// List at most this many [default: 100]
        #[arg(long, value_name = "N", value_parser = limit)]
        limit: Option<usize>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show one refused request, with its cause and the whole trace
    Show {
        /// The request's id
        request_id: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(super) fn run(command: DenialsCommand) -> ExitCode {
    match command {
        DenialsCommand::List { account, issuer, reason, group_by, after, limit, server } => {
            let query = DenialsQuery { account, issuer, reason, group_by, after, limit };
            admin_commands::run(&server, Operation::ListDenials(query))
        }
        DenialsCommand::Show { request_id, server } => {
            admin_commands::run(&server, Operation::ShowDenial { request_id })
        }
    }
}

/// One refusal for people: the verdict with its cause first, the trace last.
pub(super) fn one(value: &Value) -> String {
    let mut text = format!("{}\n\n", member(value, "summary"));
    let names = ["request_id", "issuer_entry", "subject", "account", "nearest_identity", "source", "told"];
    let titles = ["request", "issuer entry", "subject", "account", "nearest identity", "caller", "told to the caller"];
    for (name, title) in names.into_iter().zip(titles).filter(|(name, _)| value.get(name).is_some()) {
        text.push_str(&format!("{title}: {}\n", member(value, name)));
    }
    if let Some(time) = value.get("time").and_then(Value::as_i64) {
        text.push_str(&format!("refused at: {}\n", rfc3339(UnixTime::from_secs(time))));
    }
    if let Some(presented) = value.get("presented") {
        text.push_str(&token(presented));
    }
    // What strangers wrote must not reach the terminal as it is.
    text = escaped(&text);
    if value.get("text").is_some() {
        text.push_str(&format!("\n{}", member(value, "text")));
    }
    text.trim_end().to_owned()
}

/// `text` in ASCII, its lines kept.
fn escaped(text: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_graphic() || matches!(c, ' ' | '\n') { c.to_string() } else { c.escape_unicode().to_string() }
    };
    text.chars().map(one).collect()
}

/// What the token says of itself, each member as JSON so that no text of a stranger can break the line.
fn token(presented: &Value) -> String {
    let is_verified = presented.get("verified") == Some(&Value::Bool(true));
    let members = presented.as_object().into_iter().flatten().filter(|(name, _)| *name != "verified");
    let members: Vec<String> = members.map(|(name, value)| format!("{name} {value}")).collect();
    let kind = if is_verified { "verified" } else { "not verified: anybody may have written it" };
    format!("token ({kind}): {}\n", members.join(", "))
}

/// The list as a table: one row for each refusal, or for each group with what it has in common.
pub(super) fn list(query: &DenialsQuery, value: &Value) -> String {
    let is_filtered = [&query.account, &query.issuer, &query.reason].into_iter().any(Option::is_some);
    let none =
        if is_filtered { "no refused request that fits is remembered" } else { "no refused request is remembered" };
    let items = value.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let Some(names) = &query.group_by else {
        let columns = [
            ("time", "TIME"),
            ("request_id", "REQUEST"),
            ("reason", "REASON"),
            ("issuer_entry", "ISSUER"),
            ("account", "ACCOUNT"),
            ("nearest_identity", "NEAREST IDENTITY"),
            ("cause", "CAUSE"),
        ];
        let mut text = table(Some(&json!(items)), &columns, none);
        if let Some(next) = value.get("next").and_then(Value::as_str) {
            text.push_str(&format!("\nthere are more: continue with --after {next}"));
        }
        return text;
    };
    // A number in a table is a time.
    let rows: Vec<Value> = items
        .iter()
        .map(|item| {
            let mut row = item.clone();
            let count = item.get("count").and_then(Value::as_u64).unwrap_or(0).to_string();
            if let Some(members) = row.as_object_mut() {
                members.insert("count".to_owned(), Value::String(count));
            }
            row
        })
        .collect();
    let names: Vec<(&str, String)> = names.split(',').map(|name| (name.trim(), name.trim().to_uppercase())).collect();
    let mut columns = vec![("count", "COUNT")];
    columns.extend(names.iter().map(|(name, title)| (*name, title.as_str())));
    columns.extend([("last", "LAST"), ("request_id", "REQUEST"), ("summary", "CAUSE OF THE LAST")]);
    let mut text = table(Some(&Value::Array(rows)), &columns, none);
    if let Some(left_out) = value.get("left_out").and_then(Value::as_u64).filter(|left_out| *left_out > 0) {
        text.push_str(&format!("\n{left_out} smaller groups are left out: raise --limit to see them"));
    }
    text
}

fn member<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
