//! Logs and decision events, one line each on standard output.

use std::any::Any;
use std::cell::RefCell;
use std::io::Write as _;
use std::panic::Location;
use std::sync::Arc;

use sts_config::{LogFormat, LogSettings};
use sts_service::{DecisionEvent, EventSink};
use tracing_subscriber::EnvFilter;

use crate::metrics::Metrics;

/// Installs the log: our crates at the configured level, the others' warnings, but for what strangers make of HTTP: an error for each
/// line of nonsense would be theirs to fill the log with.
pub(crate) fn install(settings: LogSettings) {
    let level = settings.level.name();
    let ours = ["sts", "sts_service", "sts_store", "sts_token", "sts_config", "jwks_cache"];
    let directives = ours.iter().fold("warn,actix_http=off".to_owned(), |all, name| format!("{all},{name}={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(std::io::stdout)
        .with_ansi(false);
    // A second server in one process (there is none outside tests) keeps the first one's log.
    let _ = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let (place, message) = told(panic.location(), panic.payload());
        tracing::error!(%place, message, "a panic: a fault of sts itself");
    }));
}

/// What is said of a panic: its place, and its message where that is a constant of the source. One that was put together at run
/// time may hold what a caller sent, or a secret.
fn told<'a>(place: Option<&Location<'_>>, payload: &'a (dyn Any + Send)) -> (String, &'a str) {
    let place = place.map(ToString::to_string).unwrap_or_default();
    (place, payload.downcast_ref::<&'static str>().copied().unwrap_or("withheld: it may hold what must not be logged"))
}

/// Writes and counts decision events.
pub(crate) struct EventLog {
    pub(crate) format: LogFormat,
    pub(crate) metrics: Arc<Metrics>,
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
            if serde_json::to_writer(&mut *line, event).is_ok() {
                if matches!(self.format, LogFormat::Text) {
                    *line = text(event, line).into_bytes();
                }
                line.push(b'\n');
                // Standard output is gone or full: nothing that could be said would be heard.
                let _ = std::io::stdout().lock().write_all(line);
            }
        });
    }
}

/// The event for people: the same members as `name=value`, values in JSON so that no text can break the line.
fn text(event: &DecisionEvent, json: &[u8]) -> String {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let mut line = format!("{} decision {}", event.time, event.outcome.name());
    for (name, value) in
        members.iter().filter(|(name, _)| !["event", "version", "time", "outcome"].contains(&name.as_str()))
    {
        line.push_str(&format!(" {name}={value}"));
    }
    line
}

/// Counts nothing and writes nothing: for the command line's own use of the service.
pub(crate) struct Silent;

impl EventSink for Silent {
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
