//! The output of a child process, while it is printed.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The lines that a process has printed so far, on both of its streams.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Vec<String>>, Condvar)>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Lines {
    /// Collects the lines of `stream` until it ends, here and in `own`, which collects no other
    /// stream.
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

    /// Collects the lines of `stream` until it ends.
    pub fn read(&self, stream: impl Read + Send + 'static) {
        drop(self.collect(stream, &Self::default()));
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// All lines so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// The first value that `find` returns for a line. Waits for lines that are still to come.
    ///
    /// # Panics
    /// If none comes within 20 seconds.
    pub fn wait<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_for(&mut find, &mut || true).unwrap_or_else(|| panic!("no {what} in:\n{}", self.text()))
    }

    /// Like [`wait`](Self::wait), but gives up as soon as `alive` returns false.
    #[expect(clippy::disallowed_methods, reason = "the deadline of a line that another process prints")]
    pub(crate) fn wait_for<T>(
        &self,
        find: &mut dyn FnMut(&str) -> Option<T>,
        alive: &mut dyn FnMut() -> bool,
    ) -> Option<T> {
        let (list, changed) = &*self.0;
        let mut list = list.lock().unwrap();
        let mut seen = 0;
        // The limit holds however many other lines come.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            // Ask before reading the lines, so that the last lines of a process that has ended are
            // still found.
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
