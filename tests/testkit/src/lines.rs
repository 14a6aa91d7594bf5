//! What a child process prints, as it prints it.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The lines that a process has printed so far, on both of its streams.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Lines {
    /// Collects what `stream` gives, until it ends; in `own`, too, which has nothing of another stream.
    pub(crate) fn collect(&self, stream: impl Read + Send + 'static, own: &Self) -> JoinHandle<()> {
        let both = [self.clone(), own.clone()];
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                for lines in &both {
                    let (list, changed) = &*lines.0;
                    list.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
                    changed.notify_all();
                }
            }
        })
    }

    /// Collects what `stream` gives, until it ends.
    pub fn read(&self, stream: impl Read + Send + 'static) {
        drop(self.collect(stream, &Self::default()));
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Everything so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// The first value that `find` makes of a line, waiting for one that is still to come.
    ///
    /// # Panics
    /// When none comes within 20 seconds.
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(&mut find, &mut || true).unwrap_or_else(|| panic!("no {what} in:\n{}", self.text()))
    }

    /// As [`wait`](Self::wait), but gives up as soon as `alive` does not hold.
    #[expect(clippy::disallowed_methods, reason = "the deadline of a line that another process prints")]
    pub(crate) fn wait_for<T>(
        &self,
        find: &mut dyn FnMut(&str) -> Option<T>,
        alive: &mut dyn FnMut() -> bool,
    ) -> Option<T> {
        let (list, changed) = &*self.0;
        let mut list = list.lock().unwrap();
        let mut seen = 0;
        // However many other lines come in that time.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            // Asked before the lines are read: what a process printed before it ended is still found.
            let alive = alive();
            if let Some(found) = list[seen..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            seen = list.len();
            if !alive {
                return None;
            }
            list = changed.wait_timeout(list, Duration::from_millis(50)).unwrap().0;
        }
        None
    }

    /// The decision event of that request.
    #[must_use]
    pub fn decision(&self, request_id: &str) -> Value {
        self.wait("decision event", |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let event = if event["event"] == "decision" { event } else { event.get("fields")?.clone() };
            (event["event"] == "decision" && event["request_id"] == request_id).then_some(event)
        })
    }
}
