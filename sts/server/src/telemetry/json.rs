//! Log lines as JSON: `time`, `level`, `event`, `message`, `target` and the fields of the line. A
//! structured field is JSON itself, not a string of JSON. `event` is `log` unless the line names its event.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use sts_types::Clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::SystemClock;

/// Formats one event as one JSON object.
pub(super) struct JsonLines(SystemClock);

impl Default for JsonLines {
    fn default() -> Self {
        Self(SystemClock::new())
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut members = Members::default();
        event.record(&mut members);
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("time".to_owned(), rfc3339_millis(&self.0).into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("event".to_owned(), members.0.remove("event").unwrap_or_else(|| "log".into()));
        line.insert("target".to_owned(), metadata.target().into());
        for (name, value) in members.0 {
            line.entry(name).or_insert(value);
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The members of one line.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string fails only if the value's own `Debug` fails.
        let _ = write!(text, "{value:?}");
        // Lists and documents arrive as their JSON text.
        let is_structure = field.name() != "message" && text.starts_with(['[', '{']);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if is_structure => self.insert(field, value),
            _ => self.insert(field, text),
        }
    }
}

/// The wall-clock time in RFC 3339, UTC, with milliseconds.
pub(super) fn rfc3339_millis(clock: &SystemClock) -> String {
    sts_types::rfc3339_millis(clock.now_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fld50_members_are_values_and_no_text_holds_json() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(JsonLines::default()).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                document = %serde_json::json!({ "a": [1, { "b": null }] }),
                list = ?["x", "y\n"],
                count = 7u64,
                flag = true,
                sent = "{\"a\":1}",
                cause = %"[not json",
                "said: {}", "{}"
            );
        });
        let line = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line}");
        let mut line: Value = serde_json::from_str(&line).unwrap();
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert!(sts_types::UnixTime::from_rfc3339(time.as_str().unwrap()).is_some(), "{time}");
        let expected = serde_json::json!({
            "level": "WARN",
            "event": "log",
            "target": module_path!(),
            "message": "said: {}",
            "document": { "a": [1, { "b": null }] },
            "list": ["x", "y\n"],
            "count": 7,
            "flag": true,
            "sent": "{\"a\":1}",
            "cause": "[not json",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_may_name_its_event() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).event_format(JsonLines::default()).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(event = "console_signed_in", "signed in"));
        let line: Value = serde_json::from_slice(&written.0.lock().unwrap()).unwrap();
        assert_eq!((&line["event"], &line["message"]), (&"console_signed_in".into(), &"signed in".into()));
    }
}
