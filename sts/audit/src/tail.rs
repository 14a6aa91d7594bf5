//! The last events, in memory.
//!
//! Decisions have a place of their own, so that a busy server does not push out who changed what.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::event::EVENT_TYPES;

/// The most decisions, and the most bytes of them.
const DECISIONS: (usize, usize) = (5_000, 4 * 1024 * 1024);
/// The most other events, and the most bytes of them.
const OTHERS: (usize, usize) = (20_000, 16 * 1024 * 1024);

/// The last events of this server.
#[derive(Debug, Default)]
pub struct Tail(Mutex<Rings>);

#[derive(Debug, Default)]
struct Rings {
    next_id: u64,
    decisions: Ring,
    others: Ring,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    id: u64,
    /// Milliseconds since the epoch.
    time: u64,
    event: &'static str,
    json: std::sync::Arc<[u8]>,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TailFilter {
    /// Their types; empty for all.
    pub types: Vec<String>,
    /// Who acted: a name, or a kind such as `admin_token`.
    pub actor: Option<String>,
    /// What it was about: `kind/name`, or a name.
    pub object: Option<String>,
    /// The earliest, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// The latest, in milliseconds since the epoch.
    pub until: Option<u64>,
    /// Only those before this one of an earlier page.
    pub before: Option<u64>,
    /// The most events.
    pub limit: usize,
}

/// A page of events, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TailPage {
    /// The events.
    pub items: Vec<Map<String, Value>>,
    /// For [`TailFilter::before`], if there are more.
    pub next: Option<u64>,
}

impl Tail {
    /// Keeps an event of type `event`, whose line is `json`.
    pub(crate) fn push(&self, event: &'static str, time: u64, json: &[u8]) {
        let json = std::sync::Arc::from(json);
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = rings.next_id;
        rings.next_id += 1;
        let is_decision = event == "decision";
        let ring = if is_decision { &mut rings.decisions } else { &mut rings.others };
        ring.push(Entry { id, time, event, json }, if is_decision { DECISIONS } else { OTHERS });
    }

    /// Keeps a line that an earlier run of this server wrote.
    pub(crate) fn push_line(&self, line: &[u8]) {
        let Ok(mut event) = serde_json::from_slice::<Map<String, Value>>(line) else { return };
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let name = EVENT_TYPES.iter().find(|name| text("event") == Some(name));
        let (Some(name), Some(time)) = (name, text("time").and_then(millis)) else { return };
        if event.get("jws").is_none() {
            // The file's own members. Without them the event is the one that was listed before.
            ["seq", "prev", "hash"].iter().for_each(|member| drop(event.remove(*member)));
        }
        self.push(name, time, Value::Object(event).to_string().as_bytes());
    }

    /// The events that fit. Reads them all, so it may take some time.
    #[must_use]
    pub fn page(&self, filter: &TailFilter) -> TailPage {
        let mut page = TailPage::default();
        let mut last = None;
        for entry in self.candidates(filter) {
            let Ok(event) = serde_json::from_slice::<Map<String, Value>>(&entry.json) else { continue };
            if !filter.fits(&event) {
                continue;
            }
            if page.items.len() >= filter.limit {
                page.next = last;
                return page;
            }
            last = Some(entry.id);
            page.items.push(event);
        }
        page
    }

    /// The entries whose type, time and id fit, the newest first.
    fn candidates(&self, filter: &TailFilter) -> Vec<Entry> {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |entry: &&Entry| {
            (filter.types.is_empty() || filter.types.iter().any(|name| name == entry.event))
                && filter.since.is_none_or(|since| entry.time >= since)
                && filter.until.is_none_or(|until| entry.time <= until)
                && filter.before.is_none_or(|before| entry.id < before)
        };
        let all = rings.decisions.entries.iter().chain(&rings.others.entries);
        let mut fitting: Vec<Entry> = all.filter(fits).cloned().collect();
        drop(rings);
        fitting.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
        fitting
    }
}

impl Ring {
    fn push(&mut self, entry: Entry, (most, most_bytes): (usize, usize)) {
        self.bytes += entry.json.len();
        self.entries.push_back(entry);
        while self.entries.len() > most || self.bytes > most_bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.json.len();
        }
    }
}

impl TailFilter {
    fn fits(&self, event: &Map<String, Value>) -> bool {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let is_of = |wanted: &String| ["actor", "actor_kind"].iter().any(|name| text(name) == Some(wanted));
        let is_about = |wanted: &String| {
            let object = text("object");
            let name = object.and_then(|object| object.split_once('/')).map(|(_, name)| name);
            let account = wanted.strip_prefix("service-accounts/").unwrap_or(wanted);
            let issuer = wanted.strip_prefix("issuers/").unwrap_or(wanted);
            object == Some(wanted)
                || name == Some(wanted)
                || text("account") == Some(account)
                || text("issuer_entry") == Some(issuer)
                || text("jti") == Some(wanted.strip_prefix("tokens/").unwrap_or(wanted))
                || text("request_id") == Some(wanted)
        };
        self.actor.as_ref().is_none_or(is_of) && self.object.as_ref().is_none_or(is_about)
    }
}

/// Milliseconds since the epoch of a time in an event.
fn millis(text: &str) -> Option<u64> {
    let seconds = u64::try_from(sts_types::UnixTime::from_rfc3339(text)?.as_secs()).ok()?;
    let fraction = text.rsplit_once('.').and_then(|(_, end)| end.get(..3)?.parse::<u64>().ok()).unwrap_or(0);
    Some(seconds * 1000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(events: &[(&'static str, &str)]) -> Tail {
        let tail = Tail::default();
        for (index, (event, members)) in events.iter().enumerate() {
            let json = format!(r#"{{"event":"{event}","n":{index},{members}}}"#);
            tail.push(event, index as u64 * 1000, json.as_bytes());
        }
        tail
    }

    fn numbers(page: &TailPage) -> Vec<u64> {
        page.items.iter().map(|item| item["n"].as_u64().unwrap()).collect()
    }

    #[test]
    fn events_are_found_by_type_actor_object_and_time_the_newest_first() {
        let tail = tail(&[
            ("decision", r#""actor_kind":"caller","account":"octo","jti":"j1""#),
            ("object_changed", r#""actor_kind":"admin_token","object":"teams/octo""#),
            ("object_changed", r#""actor_kind":"token","actor":"ci","object":"service-accounts/two""#),
            ("revocation", r#""actor_kind":"caller","object":"tokens/j1","jti":"j1""#),
        ]);
        let filter = || TailFilter { limit: 10, ..TailFilter::default() };
        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (filter(), vec![3, 2, 1, 0]),
            (TailFilter { types: vec!["decision".into(), "revocation".into()], ..filter() }, vec![3, 0]),
            (TailFilter { actor: text("ci"), ..filter() }, vec![2]),
            (TailFilter { actor: text("caller"), ..filter() }, vec![3, 0]),
            (TailFilter { object: text("octo"), ..filter() }, vec![1, 0]),
            (TailFilter { object: text("service-accounts/octo"), ..filter() }, vec![0]),
            (TailFilter { object: text("tokens/j1"), ..filter() }, vec![3, 0]),
            (TailFilter { since: Some(1000), until: Some(2000), ..filter() }, vec![2, 1]),
            (TailFilter { object: text("nobody"), ..filter() }, vec![]),
        ] {
            assert_eq!(numbers(&tail.page(&filter)), expected, "{filter:?}");
        }
    }

    #[test]
    fn pages_follow_each_other_while_events_come() {
        let tail = tail(&[("revocation", r#""a":1"#); 5]);
        let filter = TailFilter { limit: 2, ..TailFilter::default() };
        let first = tail.page(&filter);
        assert_eq!(numbers(&first), [4, 3]);
        tail.push("revocation", 0, br#"{"event":"revocation","n":9}"#);
        let second = tail.page(&TailFilter { before: first.next, ..filter.clone() });
        assert_eq!(numbers(&second), [2, 1]);
        let last = tail.page(&TailFilter { before: second.next, ..filter });
        assert_eq!((numbers(&last), last.next), (vec![0], None));
    }

    #[test]
    fn decisions_push_out_decisions_alone() {
        let tail = tail(&[("revocation", r#""a":1"#)]);
        let long = format!(r#"{{"event":"decision","n":1,"x":"{}"}}"#, "y".repeat(100_000));
        for _ in 0..100 {
            tail.push("decision", 1, long.as_bytes());
        }
        let rings = tail.0.lock().unwrap();
        assert!(rings.decisions.bytes <= DECISIONS.1 && rings.decisions.entries.len() > 10);
        assert_eq!(rings.others.entries.len(), 1);
    }

    #[test]
    fn a_line_of_an_earlier_run_is_kept_with_its_time() {
        let tail = Tail::default();
        tail.push_line(
            br#"{"event":"revocation","time":"2026-01-02T03:04:05.678Z","n":0,"seq":2,"prev":"00","hash":"00"}"#,
        );
        tail.push_line(b"{\"event\":\"revoc");
        tail.push_line(br#"{"event":"of another version","time":"2026-01-02T03:04:05.678Z"}"#);
        let rings = tail.0.lock().unwrap();
        assert_eq!(rings.others.entries.len(), 1);
        assert_eq!(rings.others.entries[0].time, 1_767_323_045_678);
        let event: Map<String, Value> = serde_json::from_slice(&rings.others.entries[0].json).unwrap();
        let mut members: Vec<&str> = event.keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["event", "n", "time"]);
    }
}
