//! How the parts of the server do, and what wants attention.

use sts_api::{ApiKeyPage, ApiKeyState, EntryState, IssuerEntry, Readiness, SinkStatus};
use sts_types::UnixTime;

use crate::pages::frame::Section;
use crate::pages::issuers;
use crate::pages::pieces::{Badge, Tone, segment};

/// An API key wants attention this many seconds before it expires.
const SOON: i64 = 14 * 24 * 60 * 60;

/// A part of the server.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) state: Badge,
    /// What is wrong, or more about it.
    pub(super) text: String,
    pub(super) path: Option<String>,
}

/// Something that a person should look at.
#[derive(Debug)]
pub(super) struct Concern {
    pub(super) state: Badge,
    pub(super) text: String,
    /// The page where something can be done.
    pub(super) path: Option<String>,
}

impl Concern {
    fn new(tone: Tone, word: &'static str, text: String, path: Option<String>) -> Self {
        Self { state: Badge { tone, word }, text, path }
    }
}

/// The parts, with their states.
pub(super) fn parts(readiness: &Readiness) -> Vec<Part> {
    let part = |name: &str, told: &str| {
        let (tone, word) = if told == "ok" { (Tone::Good, "Works") } else { (Tone::Bad, "Fails") };
        let text = if told == "ok" { String::new() } else { told.to_owned() };
        Part { name: name.to_owned(), state: Badge { tone, word }, text, path: None }
    };
    let mut parts = vec![
        part("Store", &readiness.store),
        part("Signing keys", &readiness.signing),
        part("Audit", &readiness.audit),
        part("Configuration", &readiness.configuration),
        part("Managed objects", &readiness.managed_objects),
    ];
    for sink in &readiness.sinks {
        let told = if sink.ok { "ok" } else { sink.error.as_deref().unwrap_or("it takes no lines") };
        let own = part(&format!("Sink {}", sink.name), told);
        parts.push(if is_told_by_audit(sink, readiness) { Part { text: String::new(), ..own } } else { own });
    }
    let entries = readiness.issuers.iter().map(|own| (own.name.to_string(), &own.status));
    parts.extend(entries.map(|(name, entry)| Part {
        path: Some(issuers::path(&name)),
        name: format!("Issuer {name}"),
        state: issuers::state(entry),
        text: failure(entry).unwrap_or_default(),
    }));
    parts.extend(readiness.families.iter().map(|family| Part {
        path: Some(issuers::path(family.name.as_str())),
        name: format!("Issuers {}", family.name),
        state: worst(family.status.members.iter()),
        text: format!("{} members", family.status.members.len()),
    }));
    parts.extend(readiness.directories.iter().map(|directory| {
        let age = directory.age_seconds.map(|age| format!("answered {age} s ago")).unwrap_or_default();
        let own = part(&format!("Directory {}", directory.name), &directory.status);
        Part { text: if own.text.is_empty() { age } else { own.text }, ..own }
    }));
    parts
}

/// Whether the state of the audit trail has the sink's fault in it.
fn is_told_by_audit(sink: &SinkStatus, readiness: &Readiness) -> bool {
    sink.error.as_ref().is_some_and(|error| readiness.audit.contains(error.as_str()))
}

fn worst<'a>(entries: impl Iterator<Item = &'a IssuerEntry>) -> Badge {
    let none = Badge { tone: Tone::Neutral, word: "Not fetched yet" };
    entries.map(issuers::state).max_by_key(|badge| badge.tone.severity()).unwrap_or(none)
}

fn failure(entry: &IssuerEntry) -> Option<String> {
    entry.last_error.as_ref().map(|error| error.message.clone())
}

/// What wants attention, the worst first.
pub(super) fn concerns(readiness: &Readiness, keys: &ApiKeyPage, now: UnixTime) -> Vec<Concern> {
    let mut concerns = Vec::new();
    if !readiness.ready {
        concerns.push(Concern::new(Tone::Bad, "Not ready", "The server serves no exchanges.".to_owned(), None));
    }
    for (name, told) in [
        ("The store", &readiness.store),
        ("The signing keys", &readiness.signing),
        ("The audit trail", &readiness.audit),
        ("The configuration", &readiness.configuration),
        ("Managed objects", &readiness.managed_objects),
    ] {
        if told != "ok" {
            concerns.push(Concern::new(Tone::Bad, "Fails", format!("{name}: {told}"), None));
        }
    }
    for aside in &readiness.set_aside {
        let text = format!("{} is not in force: {}", aside.object, aside.why);
        concerns.push(Concern::new(Tone::Bad, "Set aside", text, object_path(&aside.object)));
    }
    concerns.extend(readiness.issuers.iter().filter_map(|own| of_issuer(own.name.as_str(), &own.status)));
    for family in &readiness.families {
        concerns.extend(family.status.members.iter().filter_map(|member| of_issuer(family.name.as_str(), member)));
    }
    for directory in readiness.directories.iter().filter(|directory| directory.status != "ok") {
        let text = format!("Directory {}: {}", directory.name, directory.status);
        concerns.push(Concern::new(Tone::Warning, "Not refreshed", text, None));
    }
    let is_untold = |sink: &SinkStatus| !sink.ok && !is_told_by_audit(sink, readiness);
    for sink in readiness.sinks.iter().filter(|sink| is_untold(sink) || sink.lost > 0) {
        let lost = format!("The sink {} lost or delayed {} lines.", sink.name, sink.lost);
        let error = sink.error.as_ref().filter(|_| is_untold(sink));
        let error = error.map(|error| format!(" {error}")).unwrap_or_default();
        concerns.push(Concern::new(Tone::Warning, "Lines lost", format!("{lost}{error}"), None));
    }
    for warning in &readiness.store_warnings {
        concerns.push(Concern::new(Tone::Warning, "Store", warning.text.clone(), None));
    }
    for key in keys.items.iter().filter(|key| key.state == ApiKeyState::Active && key.expires_at <= now.plus(SOON)) {
        let days = key.expires_at.since(now).max(0) / (24 * 60 * 60);
        let when = match days {
            0 => "in less than a day".to_owned(),
            1 => "in a day".to_owned(),
            days => format!("in {days} days"),
        };
        let text = format!("The API key {} of {} expires {when}.", key.name, key.account);
        let path = format!("{}/{}", Section::ServiceAccounts.path(), segment(&key.account));
        concerns.push(Concern::new(Tone::Warning, "Expires soon", text, Some(path)));
    }
    if keys.next.is_some() {
        let text = format!(
            "Only the first {} API keys were looked at for those that expire soon. `sts api-keys list` shows all.",
            keys.items.len()
        );
        concerns.push(Concern::new(Tone::Neutral, "Not all seen", text, None));
    }
    concerns.sort_by_key(|concern| std::cmp::Reverse(concern.state.tone.severity()));
    concerns
}

fn of_issuer(name: &str, entry: &IssuerEntry) -> Option<Concern> {
    let error = failure(entry);
    if entry.state == EntryState::Fresh && error.is_none() || entry.state == EntryState::Absent && error.is_none() {
        return None;
    }
    let state = issuers::state(entry);
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    Some(Concern { text: format!("Issuer {name}{why}"), path: Some(issuers::path(name)), state })
}

/// The page of `kind/name`.
fn object_path(object: &str) -> Option<String> {
    let (kind, name) = object.split_once('/')?;
    let section = match kind {
        "service-accounts" => Section::ServiceAccounts,
        "teams" => Section::Teams,
        "apis" => Section::Apis,
        "issuers" => Section::Issuers,
        _ => return None,
    };
    Some(format!("{}/{}", section.path(), segment(name)))
}
