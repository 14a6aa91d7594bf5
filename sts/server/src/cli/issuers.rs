//! `sts issuers`: the issuer entries and the state of their keys.

use std::process::ExitCode;

use clap::Subcommand;
use sts_api::{
    FetchCounts, HistoryAnswer, HistoryQuery, HistoryState, IssuerAnswer, IssuerEntry, IssuerFamily, IssuerKey,
    Issuers, KeySetSeen, RefreshRequest, SkippedKey,
};
use sts_types::UnixTime;

use super::admin_commands::{self, ServerArgs, document};
use super::explain::{self, rfc3339};
use super::table::{moment, or_dash, table};
use crate::admin::{IssuerHistory, ListIssuers, RefreshIssuer, ShowIssuer};

#[derive(Subcommand)]
pub(super) enum IssuersCommand {
    /// List the issuer entries
    List(ServerArgs),
    /// Show one issuer entry
    Show {
        /// The entry's name
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Show which keys an entry had, and when
    History {
        /// The entry's name
        name: String,
        /// The issuer, if the entry is a family of issuers
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        /// Only the keys that were trusted at this time (RFC 3339, or seconds since the epoch)
        #[arg(long, value_name = "TIME", value_parser = explain::time)]
        at: Option<UnixTime>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Fetch an entry's keys now, and drop keys that the issuer has withdrawn
    Refresh {
        /// The entry's name
        name: String,
        /// The issuer, if the entry is a family [default: all issuers that were used lately]
        #[arg(long, value_name = "URL")]
        issuer: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(super) fn run(command: IssuersCommand) -> ExitCode {
    match command {
        IssuersCommand::List(server) => admin_commands::run(&server, ListIssuers::default(), list),
        IssuersCommand::Show { name, server } => {
            admin_commands::run(&server, ShowIssuer { name, source: None }, |answer| match &answer.state {
                Some(IssuerAnswer::Entry(entry)) => show(entry),
                Some(IssuerAnswer::Family(family)) => show_family(family),
                None => document(answer),
            })
        }
        IssuersCommand::History { name, issuer, at, server } => {
            let query = HistoryQuery { issuer, at };
            admin_commands::run(&server, IssuerHistory { name, query }, history)
        }
        IssuersCommand::Refresh { name, issuer, server } => {
            let refresh = RefreshRequest { issuer };
            admin_commands::run(&server, RefreshIssuer { name, refresh }, document)
        }
    }
}

/// One line for each entry, and for each member of a family.
fn list(answer: &Issuers) -> String {
    let row = |entry: &IssuerEntry| {
        vec![
            entry.name.to_string(),
            entry.state.to_string(),
            format!("{} of {}", entry.usable, entry.keys.len() + entry.skipped.len()),
            or_dash(age(entry)),
            moment(entry.next_refresh_at),
            or_dash(last_fetch(entry)),
            entry.source.to_string(),
            entry.issuer.to_string(),
            or_dash(entry.last_error.as_ref().map(|error| &error.message)),
        ]
    };
    let idle = |family: &IssuerFamily| {
        let none = || "-".to_owned();
        vec![
            family.name.to_string(),
            "no member was asked for lately".to_owned(),
            none(),
            none(),
            none(),
            none(),
            "discovery".to_owned(),
            family.issuer_template.clone(),
            none(),
        ]
    };
    let members = answer.families.iter().flat_map(|family| &family.members);
    let mut rows: Vec<Vec<String>> = answer.issuers.iter().chain(members).map(row).collect();
    rows.extend(answer.families.iter().filter(|family| family.members.is_empty()).map(idle));
    let titles =
        ["NAME", "STATE", "USABLE KEYS", "AGE", "NEXT REFRESH", "LAST FETCH", "SOURCE", "ISSUER", "LAST ERROR"];
    table(&titles, rows, "there are no issuer entries")
}

/// One entry: its state, its keys, and the keys that are not used.
fn show(entry: &IssuerEntry) -> String {
    let last_error = entry.last_error.as_ref().map(|error| format!("{} at {}", error.message, rfc3339(error.at)));
    let facts = facts(&[
        ("name", entry.name.to_string()),
        ("issuer", entry.issuer.to_string()),
        ("source", entry.source.to_string()),
        ("state", entry.state.to_string()),
        ("usable keys", entry.usable.to_string()),
        ("set hash", or_dash(entry.set_hash.as_ref())),
        ("fetched", format!("{} ({} ago)", moment(entry.fetched_at), or_dash(age(entry)))),
        ("fresh until", moment(entry.fresh_until)),
        ("stale until", moment(entry.stale_until)),
        ("next refresh", moment(entry.next_refresh_at)),
        ("last fetch", or_dash(last_fetch(entry))),
        ("last error", or_dash(last_error)),
        ("fetches", fetches(&entry.fetches)),
        ("kids reused", entry.kids_reused.to_string()),
    ]);
    let key = |key: &IssuerKey| {
        let shared: Vec<&str> = key.shared_with.iter().map(|name| name.as_str()).collect();
        let shared = Some(shared.join(" ")).filter(|shared| !shared.is_empty());
        vec![or_dash(key.kid.as_ref()), key.algorithm.clone(), key.thumbprint.clone(), or_dash(shared)]
    };
    let skipped = |key: &SkippedKey| {
        vec![key.index.to_string(), or_dash(key.kid.as_ref()), key.reason.clone(), key.message.clone()]
    };
    format!(
        "{facts}\n\n{}\n\n{}",
        table(
            &["KID", "ALGORITHM", "THUMBPRINT", "SHARED WITH"],
            entry.keys.iter().map(key).collect(),
            "there are no keys"
        ),
        table(
            &["INDEX", "KID", "REASON", "WHY IT IS NOT USED"],
            entry.skipped.iter().map(skipped).collect(),
            "no key is skipped"
        )
    )
}

/// A family, and each of its members.
fn show_family(family: &IssuerFamily) -> String {
    let facts = facts(&[
        ("name", family.name.to_string()),
        ("template", family.issuer_template.clone()),
        ("members", family.members.len().to_string()),
        ("fetches", fetches(&family.fetches)),
        ("turned away", family.turned_away.to_string()),
    ]);
    std::iter::once(facts).chain(family.members.iter().map(show)).collect::<Vec<_>>().join("\n\n")
}

/// Aligns names and values.
fn facts(facts: &[(&str, String)]) -> String {
    let lines: Vec<String> = facts.iter().map(|(name, text)| format!("{:14}{text}", format!("{name}:"))).collect();
    lines.join("\n")
}

/// The age of the entry's keys in its two largest units.
fn age(entry: &IssuerEntry) -> Option<String> {
    let seconds = entry.age?;
    Some(match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    })
}

fn last_fetch(entry: &IssuerEntry) -> Option<String> {
    entry.last_fetch.as_ref().map(|last| format!("{} {}", last.outcome, rfc3339(last.at)))
}

/// The counts by outcome.
fn fetches(counts: &FetchCounts) -> String {
    let good = [format!("replaced {}", counts.replaced), format!("unchanged {}", counts.unchanged)];
    let failed = counts.failed.iter().map(|(kind, count)| format!("{kind} {count}"));
    good.into_iter().chain(failed).collect::<Vec<_>>().join(", ")
}

/// The key history of an entry, key by key with the set it came in, or the keys trusted at one time.
fn history(answer: &HistoryAnswer) -> String {
    let (mut text, unreadable) = match answer {
        HistoryAnswer::Whole(history) => {
            let mut text = keys_seen(&history.events);
            if let Some(lapsed_at) = history.lapsed_at {
                text.push_str(&format!("\nno key is trusted since {}", rfc3339(lapsed_at)));
            }
            (text, history.unreadable)
        }
        HistoryAnswer::At(history) => {
            let at = rfc3339(history.at);
            let text = match history.state {
                HistoryState::InForce => keys_seen(history.event.as_slice()),
                HistoryState::Lapsed => {
                    let lapsed_at = history.lapsed_at.map(rfc3339).unwrap_or_default();
                    format!("no key was trusted at {at}: the last set was used until {lapsed_at}")
                }
                HistoryState::NotRecorded => format!("the history does not reach back to {at}"),
            };
            (text, history.unreadable)
        }
    };
    if unreadable > 0 {
        text.push_str(&format!(
            "\n{unreadable} lines of the log cannot be read: a crash tore them, or somebody changed them"
        ));
    }
    text
}

fn keys_seen(events: &[KeySetSeen]) -> String {
    let rows = events.iter().flat_map(|event| {
        event.keys.iter().map(|key| {
            vec![
                rfc3339(event.at),
                or_dash(key.kid.as_ref()),
                key.algorithm.clone(),
                key.thumbprint.clone(),
                event.source.in_words(),
            ]
        })
    });
    let titles = ["SINCE", "KID", "ALGORITHM", "THUMBPRINT", "FROM"];
    table(&titles, rows.collect(), "no keys were seen yet")
}
