//! `sts denials`: the refused requests that are remembered.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use sts_api::{Denial, DenialAnswer, DenialGroup, DenialGroups, DenialPage, DenialQuery, PresentedToken};

use super::admin_commands::{self, ServerArgs};
use super::explain::rfc3339;
use super::table::{or_dash, table};
use super::tokens::limit;
use crate::admin::{ListDenials, ShowDenial};

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
            let query = DenialQuery { account, issuer, reason, group_by, after, limit };
            admin_commands::run(&server, ListDenials(query.clone()), |answer| list(&query, answer))
        }
        DenialsCommand::Show { request_id, server } => show(&server, request_id),
    }
}

/// Shows one refused request.
pub(super) fn show(server: &ServerArgs, request_id: String) -> ExitCode {
    admin_commands::run(server, ShowDenial { request_id }, one)
}

/// One refusal for people: the verdict with its cause first, the trace last.
fn one(denial: &Denial) -> String {
    let mut text = format!("{}\n\nrequest: {}\n", denial.summary, denial.request_id);
    let source = denial.source.map(|source| source.to_string());
    for (title, value) in [
        ("issuer entry", &denial.issuer_entry),
        ("subject", &denial.subject),
        ("account", &denial.account),
        ("nearest identity", &denial.nearest_identity),
        ("caller", &source),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("{title}: {value}\n"));
        }
    }
    text.push_str(&format!("told to the caller: {}\nrefused at: {}\n", denial.told, rfc3339(denial.time)));
    if let Some(presented) = &denial.presented {
        text.push_str(&token(presented));
    }
    // What strangers wrote must not reach the terminal as it is.
    text = escaped(&text);
    if !denial.text.is_empty() {
        text.push_str(&format!("\n{}", denial.text));
    }
    text.trim_end().to_owned()
}

/// `text` in ASCII, its lines kept.
pub(super) fn escaped(text: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_graphic() || matches!(c, ' ' | '\n') { c.to_string() } else { c.escape_unicode().to_string() }
    };
    text.chars().map(one).collect()
}

/// What the token says of itself, each member as JSON so that no text of a stranger can break the line.
fn token(presented: &PresentedToken) -> String {
    fn member(name: &str, value: Option<impl Serialize>) -> Option<String> {
        Some(format!("{name} {}", serde_json::to_string(&value?).ok()?))
    }
    let members = [
        member("alg", presented.alg.as_ref()),
        member("aud", Some(&presented.aud).filter(|aud| !aud.is_empty())),
        member("exp", presented.exp.as_ref()),
        member("iat", presented.iat.as_ref()),
        member("iss", presented.iss.as_ref()),
        member("kid", presented.kid.as_ref()),
        member("nbf", presented.nbf.as_ref()),
        member("typ", presented.typ.as_ref()),
    ];
    let members: Vec<String> = members.into_iter().flatten().collect();
    let kind = if presented.verified { "verified" } else { "not verified: anybody may have written it" };
    format!("token ({kind}): {}\n", members.join(", "))
}

fn list(query: &DenialQuery, answer: &DenialAnswer) -> String {
    let is_filtered = [&query.account, &query.issuer, &query.reason].into_iter().any(Option::is_some);
    let none =
        if is_filtered { "no refused request that fits is remembered" } else { "no refused request is remembered" };
    match answer {
        DenialAnswer::Page(answer) => page(answer, none),
        DenialAnswer::Groups(answer) => groups(query.group_by.as_deref().unwrap_or_default(), answer, none),
    }
}

/// One row for each refusal.
fn page(page: &DenialPage, none: &str) -> String {
    let row = |denial: &Denial| {
        vec![
            rfc3339(denial.time),
            denial.request_id.to_string(),
            denial.reason.clone(),
            or_dash(denial.issuer_entry.as_ref()),
            or_dash(denial.account.as_ref()),
            or_dash(denial.nearest_identity.as_ref()),
            denial.cause.clone(),
        ]
    };
    let titles = ["TIME", "REQUEST", "REASON", "ISSUER", "ACCOUNT", "NEAREST IDENTITY", "CAUSE"];
    let mut text = table(&titles, page.items.iter().map(row).collect(), none);
    if let Some(next) = &page.next {
        text.push_str(&format!("\nthere are more: continue with --after {next}"));
    }
    text
}

/// One row for each group, with what its refusals have in common by `names`.
fn groups(names: &str, groups: &DenialGroups, none: &str) -> String {
    let names: Vec<(&str, String)> = names.split(',').map(|name| (name.trim(), name.trim().to_uppercase())).collect();
    let row = |group: &DenialGroup| {
        let mut row = vec![group.count.to_string()];
        row.extend(names.iter().map(|(name, _)| or_dash(group.common.get(*name).and_then(Option::as_ref))));
        row.extend([rfc3339(group.last), group.request_id.to_string(), group.summary.clone()]);
        row
    };
    let mut titles = vec!["COUNT"];
    titles.extend(names.iter().map(|(_, title)| title.as_str()));
    titles.extend(["LAST", "REQUEST", "CAUSE OF THE LAST"]);
    let mut text = table(&titles, groups.items.iter().map(row).collect(), none);
    if groups.left_out > 0 {
        text.push_str(&format!("\n{} smaller groups are left out: raise --limit to see them", groups.left_out));
    }
    text
}
