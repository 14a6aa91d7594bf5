//! `sts audit tail`: the last audit events of a server, and those that come.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{Map, Value};
use sts_api::{AuditPage, AuditQuery};
use sts_types::{UnixTime, visible};

use super::admin_commands::{self, ServerArgs, Session, failed, refuse, refuse_start};
use super::denials::escaped;
use crate::admin::{ListAudit, OperationError};
use crate::terminal::complain;

/// How often a server is asked for events that came.
const INTERVAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The most events of one request.
const PAGE: usize = 1000;
/// An event may be listed this much later than the time in it, in seconds.
const LATENESS: i64 = 5;

/// An event as the admin API lists it.
type Event = Map<String, Value>;

/// Lists the last events.
pub(super) fn list(server: &ServerArgs, query: AuditQuery) -> ExitCode {
    admin_commands::run(server, ListAudit(query), lines)
}

/// One line for each event, the newest last.
fn lines(page: &AuditPage) -> String {
    if page.items.is_empty() {
        return "no audit event fits; the server lists only its last ones, and its sinks have them all".to_owned();
    }
    page.items.iter().rev().map(line).collect::<Vec<_>>().join("\n")
}

/// An event for people: when, what, who, and then its other members as `name=value`, in JSON, so that
/// no text of a stranger can break the line.
fn line(event: &Event) -> String {
    const FIRST: [&str; 6] = ["time", "event", "actor_kind", "outcome", "level", "version"];
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("-");
    let mut line = format!("{} {} {} {}", text("time"), text("event"), text("outcome"), text("actor_kind"));
    for (name, value) in event.iter().filter(|(name, _)| !FIRST.contains(&name.as_str())) {
        line.push_str(&format!(" {name}={value}"));
    }
    // What strangers wrote must not reach the terminal as it is.
    escaped(&line)
}

/// Lists the last events, and then those that come, until nobody reads them. The server is asked, so
/// neither its restart nor a new file ends this. A signal ends the process as signals do.
pub(super) fn follow(server: &ServerArgs, query: AuditQuery) -> ExitCode {
    let session = match Session::open(server) {
        Ok(session) => session,
        Err(error) => return refuse_start(server.json, &error),
    };
    let mut follower = Follower::new(query);
    let mut is_away = false;
    loop {
        match follower.poll(|query| session.ask_server(&ListAudit(query))) {
            Ok(events) => {
                is_away = false;
                match write(&events, server.json) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                    Err(error) => {
                        complain(&format!("error: standard output cannot be written: {error}"));
                        return ExitCode::FAILURE;
                    }
                }
            }
            Err(NoEvents::Away(text)) if follower.has_begun => {
                if !std::mem::replace(&mut is_away, true) {
                    complain(&format!("note: {text}; waiting for the server"));
                }
            }
            Err(NoEvents::Away(text)) => {
                refuse(server.json, &text);
                return ExitCode::FAILURE;
            }
            Err(NoEvents::Refused(error)) => {
                failed(server.json, &error);
                return ExitCode::FAILURE;
            }
        }
        if is_reader_gone() {
            return ExitCode::SUCCESS;
        }
    }
}

fn write(events: &[Event], json: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for event in events {
        let text = if json { visible(&Value::Object(event.clone()).to_string()) } else { line(event) };
        writeln!(output, "{text}")?;
    }
    output.flush()
}

/// Waits for [`INTERVAL`], or until the reader of standard output has gone.
fn is_reader_gone() -> bool {
    let output = io::stdout();
    // Errors and hang-ups are told without asking for them.
    let mut polled = [PollFd::new(&output, PollFlags::empty())];
    match rustix::event::poll(&mut polled, Some(&INTERVAL)) {
        Ok(count) => count > 0,
        Err(_) => false,
    }
}

/// Why there are no events.
enum NoEvents {
    /// The server does not answer.
    Away(String),
    /// The server refuses to list them.
    Refused(OperationError),
}

/// The answer of a server; the outer error says that it does not answer.
type Asked = Result<Result<AuditPage, OperationError>, String>;

/// Knows which events were listed.
struct Follower {
    query: AuditQuery,
    /// The events of the last seconds, as JSON.
    listed: BTreeSet<String>,
    /// The time of the newest event.
    newest: Option<UnixTime>,
    has_begun: bool,
}

impl Follower {
    fn new(query: AuditQuery) -> Self {
        Self { query, listed: BTreeSet::new(), newest: None, has_begun: false }
    }

    /// The events that were not listed yet, the oldest first.
    fn poll(&mut self, mut ask: impl FnMut(AuditQuery) -> Asked) -> Result<Vec<Event>, NoEvents> {
        if self.has_begun {
            let mut found = self.recent(&mut ask)?;
            found.retain(|event| !self.listed.contains(&as_text(event)));
            found.reverse();
            self.note(&found);
            return Ok(found);
        }
        let mut listed = asked(&mut ask, self.query.clone())?.items;
        self.note(&listed);
        // Those of the last seconds that the first page has no room for are older than its events, and
        // are not to be listed behind them.
        let recent = self.recent(&mut ask)?;
        let newer = recent.iter().position(|event| self.listed.contains(&as_text(event)));
        let (newer, older) = recent.split_at_checked(newer.unwrap_or(recent.len())).unwrap_or_default();
        listed.splice(..0, newer.iter().cloned());
        self.note(older);
        self.note(newer);
        self.has_begun = true;
        listed.reverse();
        Ok(listed)
    }

    /// The events of the last seconds, the newest first.
    fn recent(&self, ask: &mut impl FnMut(AuditQuery) -> Asked) -> Result<Vec<Event>, NoEvents> {
        let since = self.newest.map(|newest| newest.plus(-LATENESS)).max(self.query.since);
        let mut query = AuditQuery { limit: Some(PAGE), since, ..self.query.clone() };
        let mut found = Vec::new();
        loop {
            let page = asked(ask, query.clone())?;
            found.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn note(&mut self, events: &[Event]) {
        let time = |event: &Event| UnixTime::from_rfc3339(event.get("time")?.as_str()?);
        self.newest = self.newest.max(events.iter().filter_map(time).max());
        self.listed.extend(events.iter().map(as_text));
        let Some(oldest) = self.newest.map(|newest| newest.plus(-LATENESS)) else { return };
        self.listed.retain(|text| {
            serde_json::from_str(text).ok().and_then(|event: Event| time(&event)).is_none_or(|time| time >= oldest)
        });
    }
}

/// A page of events.
fn asked(ask: &mut impl FnMut(AuditQuery) -> Asked, query: AuditQuery) -> Result<AuditPage, NoEvents> {
    ask(query).map_err(NoEvents::Away)?.map_err(|error| match error {
        // It stops, starts, or is busy.
        OperationError::Failed(text) => NoEvents::Away(text),
        error => NoEvents::Refused(error),
    })
}

fn as_text(event: &Event) -> String {
    Value::Object(event.clone()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: u32, number: u32) -> Event {
        let json = serde_json::json!({ "time": format!("2026-11-29T12:00:{second:02}.000Z"), "n": number });
        json.as_object().unwrap().clone()
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event["n"].as_u64().unwrap()).collect()
    }

    /// A server that has these events, the oldest first, and answers pages of two after the first.
    fn server(events: &[Event]) -> impl FnMut(AuditQuery) -> Asked + '_ {
        move |query: AuditQuery| {
            let since = |event: &&Event| {
                let time = UnixTime::from_rfc3339(event["time"].as_str().unwrap()).unwrap();
                query.since.is_none_or(|since| time >= since)
            };
            let fitting: Vec<&Event> = events.iter().rev().filter(since).collect();
            let skipped: usize = query.after.as_deref().map_or(0, |after| after.parse().unwrap());
            let size = if query.limit == Some(PAGE) { 2 } else { query.limit.unwrap() };
            let items = fitting.iter().skip(skipped).take(size).map(|event| (*event).clone()).collect();
            let next = (fitting.len() > skipped + size).then(|| (skipped + size).to_string());
            Ok(Ok(AuditPage { items, next }))
        }
    }

    #[test]
    fn each_event_is_listed_once_and_none_is_left_out() {
        let mut events: Vec<Event> = (0..5).map(|number| event(number, number)).collect();
        let mut follower = Follower::new(AuditQuery { limit: Some(2), ..AuditQuery::default() });
        let mut poll = |events: &[Event]| numbers(&follower.poll(server(events)).ok().unwrap());
        assert_eq!(poll(&events[..0]), [] as [u64; 0]);
        assert_eq!(poll(&events), [0, 1, 2, 3, 4]);
        assert_eq!(poll(&events), [] as [u64; 0]);
        // Several of one second, and one that is late.
        events.extend([event(9, 5), event(9, 6), event(8, 7), event(9, 8), event(9, 9)]);
        assert_eq!(poll(&events), [5, 6, 7, 8, 9]);
        events.push(event(30, 10));
        assert_eq!(poll(&events), [10]);
        assert!(follower.listed.len() == 1, "{:?}", follower.listed);
    }

    #[test]
    fn what_the_first_page_has_no_room_for_is_not_listed_later() {
        // All within seconds, so that the server lists them again.
        let mut events: Vec<Event> = (0..40).map(|number| event(number / 20, number)).collect();
        let mut follower = Follower::new(AuditQuery { limit: Some(3), ..AuditQuery::default() });
        let mut poll = |events: &[Event]| numbers(&follower.poll(server(events)).ok().unwrap());
        assert_eq!(poll(&events), [37, 38, 39]);
        assert_eq!(poll(&events), [] as [u64; 0]);
        events.extend([event(2, 40), event(1, 41)]);
        assert_eq!(poll(&events), [40, 41]);
        assert_eq!(poll(&events), [] as [u64; 0]);
    }

    #[test]
    fn an_event_that_comes_while_the_first_page_is_read_is_listed_with_it() {
        let before: Vec<Event> = (0..5).map(|number| event(0, number)).collect();
        let after: Vec<Event> = (0..7).map(|number| event(0, number)).collect();
        let mut follower = Follower::new(AuditQuery { limit: Some(3), ..AuditQuery::default() });
        let mut requests = 0;
        let poll = follower.poll(|query| {
            requests += 1;
            if requests == 1 { server(&before)(query) } else { server(&after)(query) }
        });
        assert_eq!(numbers(&poll.ok().unwrap()), [2, 3, 4, 5, 6]);
        assert_eq!(numbers(&follower.poll(server(&after)).ok().unwrap()), [] as [u64; 0]);
    }
}
