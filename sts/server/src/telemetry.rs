//! The log on standard error, one line each. In JSON, its lines have the same names for time and level
//! as audit events.

mod json;

use std::any::Any;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use sts_audit::{Sink, Stream};
use sts_config::{LogFormat, LogLevel, LogSettings};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::clock::SystemClock;

/// How long a sink may write pending lines at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of this process. Dropping it flushes the last lines.
pub(crate) struct Log(Arc<Sink>);

impl Log {
    /// The sink behind it.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        Arc::clone(&self.0)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.close(FLUSH_TIMEOUT);
    }
}

/// Installs the log. Our crates log at the configured level, other crates warnings only. actix_http
/// logs nothing, because strangers could fill the log with one error per malformed request line.
pub(crate) fn install(settings: LogSettings) -> Log {
    let sink = Sink::start("stderr", Stream::stderr());
    // Each name also stands for all targets that begin with it.
    let ours = ["sts", "jwks_cache"].map(|name| (name, level(settings.level)));
    let levels = Targets::new().with_default(LevelFilter::WARN).with_target("actix_http", LevelFilter::OFF);
    let levels = levels.with_targets(ours);
    let layer = tracing_subscriber::fmt::layer::<Registry>()
        .with_writer(LogLines(Arc::clone(&sink)))
        // The library would print its own errors with a macro that panics.
        .log_internal_errors(false)
        .with_ansi(false);
    let layer = match settings.format {
        LogFormat::Json => layer.event_format(json::JsonLines::default()).with_filter(levels).boxed(),
        LogFormat::Text => {
            layer.with_timer(WallTime(SystemClock::new())).with_target(false).with_filter(levels).boxed()
        }
    };
    // A second server in one process (there is none outside tests) keeps the first one's log.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let (place, message) = describe_panic(panic.location(), panic.payload());
        tracing::error!(%place, message, "a panic: a fault of sts itself");
    }));
    Log(sink)
}

fn level(configured: LogLevel) -> LevelFilter {
    match configured {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// What the log says about a panic: its place, and its message if that is a constant of the source.
/// A message formatted at run time may contain caller input or a secret.
fn describe_panic<'a>(place: Option<&Location<'_>>, payload: &'a (dyn Any + Send)) -> (String, &'a str) {
    let place = place.map(ToString::to_string).unwrap_or_default();
    (place, payload.downcast_ref::<&'static str>().copied().unwrap_or("withheld: it may hold what must not be logged"))
}

/// Passes log lines to a sink.
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
        // Lost lines are counted by the sink. The caller could do nothing about them.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time of a text line, in the format of audit events.
struct WallTime(SystemClock);

impl FormatTime for WallTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str(&json::rfc3339_millis(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c125_a_panic_says_where_it_was_and_nothing_that_was_sent() {
        let here = Location::caller();
        let (place, message) = describe_panic(Some(here), &"index out of range");
        assert!(place.starts_with(file!()));
        assert_eq!(message, "index out of range");
        let sent = format!("no such key: {}", "canary");
        assert!(!describe_panic(Some(here), &sent).1.contains("canary"));
    }
}
