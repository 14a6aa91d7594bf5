//! What `sts issuers` says to people.

use serde_json::{Value, json};
use sts_types::UnixTime;

use super::explain::rfc3339;
use super::table::table;

/// One line for each entry, and for each member of a family.
pub(super) fn list(value: &Value) -> String {
    let entries = array(value, "issuers");
    let families = array(value, "families");
    let members = families.iter().flat_map(|family| array(family, "members"));
    let idle = families.iter().filter(|family| array(family, "members").is_empty()).map(|family| {
        json!({
            "name": member(family, "name"),
            "state": "no member was asked for lately",
            "source": "discovery",
            "issuer": member(family, "issuer_template"),
        })
    });
    let rows = entries.iter().chain(members).map(|entry| {
        let last_error = entry.get("last_error").and_then(|error| error.get("message"));
        json!({
            "name": member(entry, "name"),
            "state": member(entry, "state"),
            "keys": format!("{} of {}", member(entry, "usable"), count(entry, "keys") + count(entry, "skipped")),
            "age": age(entry),
            "next_refresh_at": member(entry, "next_refresh_at"),
            "last_fetch": last_fetch(entry),
            "source": member(entry, "source"),
            "issuer": member(entry, "issuer"),
            "last_error": last_error,
        })
    });
    let columns = [
        ("name", "NAME"),
        ("state", "STATE"),
        ("keys", "USABLE KEYS"),
        ("age", "AGE"),
        ("next_refresh_at", "NEXT REFRESH"),
        ("last_fetch", "LAST FETCH"),
        ("source", "SOURCE"),
        ("issuer", "ISSUER"),
        ("last_error", "LAST ERROR"),
    ];
    table(Some(&rows.chain(idle).collect()), &columns, "there are no issuer entries")
}

/// One entry: what is known of it, its keys, and those that are not used; of a family its members.
pub(super) fn show(entry: &Value) -> String {
    if entry.get("issuer_template").is_some() {
        return family(entry);
    }
    let time = |name: &str| match entry.get(name).and_then(Value::as_i64) {
        Some(at) => rfc3339(UnixTime::from_secs(at)),
        None => "-".to_owned(),
    };
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let last_error = match entry.get("last_error") {
        Some(error) if error.is_object() => format!(
            "{} at {}",
            error.get("message").and_then(Value::as_str).unwrap_or_default(),
            error.get("at").and_then(Value::as_i64).map(UnixTime::from_secs).map(rfc3339).unwrap_or_default()
        ),
        _ => "-".to_owned(),
    };
    let facts = [
        ("name", text("name")),
        ("issuer", text("issuer")),
        ("source", text("source")),
        ("state", text("state")),
        ("usable keys", member(entry, "usable").to_string()),
        ("set hash", text("set_hash")),
        ("fetched", format!("{} ({} ago)", time("fetched_at"), age(entry).unwrap_or_else(|| "-".to_owned()))),
        ("fresh until", time("fresh_until")),
        ("stale until", time("stale_until")),
        ("next refresh", time("next_refresh_at")),
        ("last fetch", last_fetch(entry).unwrap_or_else(|| "-".to_owned())),
        ("last error", last_error),
        ("fetches", fetches(entry)),
        ("kids reused", member(entry, "kids_reused").to_string()),
    ];
    let facts = facts.map(|(name, text)| format!("{:14}{text}", format!("{name}:"))).join("\n");
    let keys =
        [("kid", "KID"), ("algorithm", "ALGORITHM"), ("thumbprint", "THUMBPRINT"), ("shared_with", "SHARED WITH")];
    let skipped = [("index", "INDEX"), ("kid", "KID"), ("reason", "REASON"), ("message", "WHY IT IS NOT USED")];
    format!(
        "{facts}\n\n{}\n\n{}",
        table(Some(&keys_of(entry)), &keys, "there are no keys"),
        table(Some(&skipped_of(entry)), &skipped, "no key is skipped")
    )
}

/// A family, and each of its members.
fn family(family: &Value) -> String {
    let text = |name: &str| family.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let facts = [
        ("name", text("name")),
        ("template", text("issuer_template")),
        ("members", count(family, "members").to_string()),
        ("fetches", fetches(family)),
        ("turned away", member(family, "turned_away").to_string()),
    ];
    let facts = facts.map(|(name, text)| format!("{:14}{text}", format!("{name}:"))).join("\n");
    let members: Vec<String> = array(family, "members").iter().map(show).collect();
    std::iter::once(facts).chain(members).collect::<Vec<_>>().join("\n\n")
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The keys, each with the names of the entries that hold it too.
fn keys_of(entry: &Value) -> Value {
    let keys = entry.get("keys").and_then(Value::as_array).into_iter().flatten();
    keys.map(|key| {
        let shared: Vec<&str> =
            key.get("shared_with").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let shared = if shared.is_empty() { Value::Null } else { shared.join(" ").into() };
        json!({
            "kid": member(key, "kid"),
            "algorithm": member(key, "algorithm"),
            "thumbprint": member(key, "thumbprint"),
            "shared_with": shared,
        })
    })
    .collect()
}

/// The skipped keys; their place is text, for numbers in a table are times.
fn skipped_of(entry: &Value) -> Value {
    let skipped = entry.get("skipped").and_then(Value::as_array).into_iter().flatten();
    skipped
        .map(|key| {
            json!({
                "index": member(key, "index").to_string(),
                "kid": member(key, "kid"),
                "reason": member(key, "reason"),
                "message": member(key, "message"),
            })
        })
        .collect()
}

fn member(value: &Value, name: &str) -> Value {
    value.get(name).cloned().unwrap_or_default()
}

fn count(entry: &Value, name: &str) -> usize {
    entry.get(name).and_then(Value::as_array).map_or(0, Vec::len)
}

/// The age of the entry's keys in its two largest units.
fn age(entry: &Value) -> Option<String> {
    let seconds = entry.get("age").and_then(Value::as_u64)?;
    Some(match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86400, seconds % 86400 / 3600),
    })
}

fn last_fetch(entry: &Value) -> Option<String> {
    let last = entry.get("last_fetch")?;
    let at = UnixTime::from_secs(last.get("at")?.as_i64()?);
    Some(format!("{} {}", last.get("outcome")?.as_str()?, rfc3339(at)))
}

/// The counts by outcome.
fn fetches(entry: &Value) -> String {
    let Some(counts) = entry.get("fetches") else { return "-".to_owned() };
    let failed = counts.get("failed").and_then(Value::as_object).into_iter().flatten();
    let failed = failed.map(|(kind, count)| format!("{kind} {count}"));
    let good = ["replaced", "unchanged"].map(|outcome| format!("{outcome} {}", member(counts, outcome)));
    good.into_iter().chain(failed).collect::<Vec<_>>().join(", ")
}

/// The keys of an entry's history one by one, each with the set that it came with; or what was so at a moment.
pub(super) fn history(value: &Value) -> String {
    let when = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_i64).map(|at| rfc3339(UnixTime::from_secs(at))).unwrap_or_default()
    };
    let mut text = match value.get("state").and_then(Value::as_str) {
        Some("lapsed") => {
            format!(
                "no key was trusted at {}: the last set was used until {}",
                when(value, "at"),
                when(value, "lapsed_at")
            )
        }
        Some("not_recorded") => format!("the history does not reach back to {}", when(value, "at")),
        Some(_) => keys_seen(value.get("event").into_iter()),
        None => {
            let events = value.get("events").and_then(Value::as_array);
            let mut text = keys_seen(events.into_iter().flatten());
            if value.get("lapsed_at").is_some_and(Value::is_i64) {
                text.push_str(&format!("\nno key is trusted since {}", when(value, "lapsed_at")));
            }
            text
        }
    };
    if let Some(unreadable @ 1..) = value.get("unreadable").and_then(Value::as_u64) {
        text.push_str(&format!(
            "\n{unreadable} lines of the log cannot be read: a crash tore them, or somebody changed them"
        ));
    }
    text
}

fn keys_seen<'a>(events: impl Iterator<Item = &'a Value>) -> String {
    let member = |value: &Value, name: &str| value.get(name).cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for event in events {
        let source = [member(event, "source"), member(event, "place")];
        let source: Vec<&str> = source.iter().filter_map(Value::as_str).collect();
        for key in event.get("keys").and_then(Value::as_array).into_iter().flatten() {
            rows.push(json!({
                "at": member(event, "at"),
                "source": source.join(" "),
                "kid": member(key, "kid"),
                "algorithm": member(key, "algorithm"),
                "thumbprint": member(key, "thumbprint"),
            }));
        }
    }
    let columns =
        [("at", "SINCE"), ("kid", "KID"), ("algorithm", "ALGORITHM"), ("thumbprint", "THUMBPRINT"), ("source", "FROM")];
    table(Some(&Value::Array(rows)), &columns, "no keys were seen yet")
}
