//! Decision events on standard output and logs on standard error, one line each; in JSON both name time and level alike.

mod json;

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sts_config::{LogFormat, LogSettings};
use sts_service::{DecisionEvent, EventSink, Outcome};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::sinks::{Sink, Stream};

/// Time that a sink has at the end to write what it has taken.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log of this process. Dropping it gives its last lines time to be written.
pub(crate) struct Log(Arc<Sink>);

impl Log {
    /// The sink behind it.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        Arc::clone(&self.0)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.close(LAST_WORDS);
    }
}

/// Installs the log: our crates at the configured level, the others' warnings, but for what strangers make of HTTP: an error for each
/// line of nonsense would be theirs to fill the log with.
pub(crate) fn install(settings: LogSettings) -> Log {
    let sink = Sink::start("stderr", Stream::stderr());
    let level = settings.level.name();
    let ours = ["sts", "sts_service", "sts_store", "sts_token", "sts_config", "jwks_cache"];
    let directives = ours.iter().fold("warn,actix_http=off".to_owned(), |all, name| format!("{all},{name}={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(LogLines(Arc::clone(&sink)))
        // What it would print of a fault of its own, it would print in a way that panics.
        .log_internal_errors(false)
        .with_ansi(false);
    // A second server in one process (there is none outside tests) keeps the first one's log.
    let _ = match settings.format {
        LogFormat::Json => builder.event_format(json::JsonLines::default()).try_init(),
        LogFormat::Text => builder.with_timer(WallTime(SystemClock::new())).with_target(false).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let (place, message) = told(panic.location(), panic.payload());
        tracing::error!(%place, message, "a panic: a fault of sts itself");
    }));
    Log(sink)
}

/// What is said of a panic: its place, and its message where that is a constant of the source. One that was put together at run
/// time may hold what a caller sent, or a secret.
fn told<'a>(place: Option<&Location<'_>>, payload: &'a (dyn Any + Send)) -> (String, &'a str) {
    let place = place.map(ToString::to_string).unwrap_or_default();
    (place, payload.downcast_ref::<&'static str>().copied().unwrap_or("withheld: it may hold what must not be logged"))
}

/// Hands log lines to a sink.
struct LogLines(Arc<Sink>);

/// One line, written by one call.
struct LogLine<'a>(&'a Sink);

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LogLine(&self.0)
    }
}

impl io::Write for LogLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.offer(line);
        // What was lost is counted; nobody here could do anything about it.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time at the head of a text line, as decision events have it.
struct WallTime(SystemClock);

impl FormatTime for WallTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&json::rfc3339_millis(&self.0))
    }
}

/// Counts decision events and hands them to sinks.
pub(crate) struct EventLog {
    format: LogFormat,
    is_required: bool,
    metrics: Arc<Metrics>,
    sinks: Vec<Arc<Sink>>,
}

impl EventLog {
    /// Events go to standard output. With `is_required` nothing may be decided that it cannot take.
    pub(crate) fn start(format: LogFormat, is_required: bool, metrics: Arc<Metrics>) -> Self {
        Self { format, is_required, metrics, sinks: vec![Sink::start("stdout", Stream::stdout())] }
    }

    /// The sinks.
    pub(crate) fn sinks(&self) -> &[Arc<Sink>] {
        &self.sinks
    }

    /// Waits until the events so far are written, but not for long.
    pub(crate) fn flush(&self) {
        for sink in &self.sinks {
            sink.flush(LAST_WORDS);
        }
    }

    /// Takes no more events, and gives the last ones time to be written.
    pub(crate) fn close(&self) {
        for sink in &self.sinks {
            sink.close(LAST_WORDS);
        }
    }
}

impl EventSink for EventLog {
    fn decision(&self, event: &DecisionEvent) {
        /// What a longer line took is given back.
        const KEPT: usize = 4096;
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        self.metrics.exchange(event);
        LINE.with_borrow_mut(|line| {
            line.clear();
            line.shrink_to(KEPT);
            if serde_json::to_writer(&mut *line, &EventLine { level: level(event), event }).is_ok() {
                if matches!(self.format, LogFormat::Text) {
                    *line = text(event, line).into_bytes();
                }
                line.push(b'\n');
                for sink in &self.sinks {
                    sink.offer(line);
                }
            }
        });
    }

    fn is_required(&self) -> bool {
        self.is_required
    }

    fn is_available(&self, waiting: usize) -> bool {
        !self.is_required || self.sinks.iter().any(|sink| sink.has_room_behind(waiting))
    }
}

/// An event as a line of the log has it.
#[derive(Serialize)]
struct EventLine<'a> {
    level: &'static str,
    #[serde(flatten)]
    event: &'a DecisionEvent,
}

/// By the same names as log lines.
fn level(event: &DecisionEvent) -> &'static str {
    if event.outcome == Outcome::Unavailable { "WARN" } else { "INFO" }
}

/// The event for people: the same members as `name=value`, values in JSON so that no text can break the line.
fn text(event: &DecisionEvent, json: &[u8]) -> String {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let mut line = format!("{} decision {}", event.time, event.outcome.name());
    for (name, value) in
        members.iter().filter(|(name, _)| !["event", "version", "time", "level", "outcome"].contains(&name.as_str()))
    {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

/// Counts nothing and writes nothing: for the command line's own use of the service.
pub(crate) struct NoEvents;

impl EventSink for NoEvents {
    fn decision(&self, _: &DecisionEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c125_a_panic_says_where_it_was_and_nothing_that_was_sent() {
        let here = Location::caller();
        let (place, message) = told(Some(here), &"index out of range");
        assert!(place.starts_with(file!()));
        assert_eq!(message, "index out of range");
        let sent = format!("no such key: {}", "canary");
        assert!(!told(Some(here), &sent).1.contains("canary"));
    }
}
