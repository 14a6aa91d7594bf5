//! The audit trail of a process: each event goes to every sink, and is kept for those who ask.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sts_types::Clock;

use crate::decision::DecisionEvent;
use crate::event::{Act, ActLine, Actor, EVENT_VERSION};
use crate::sink::Sink;
use crate::tail::Tail;

/// How much of the end of the audit file is read at the start, so that its events are listed.
const REMEMBERED: u64 = 8 * 1024 * 1024;

/// Starts sinks.
type StartSinks = Box<dyn FnOnce() -> Vec<Arc<Sink>> + Send>;

/// Takes audit events. No method waits for a sink.
pub struct Trail {
    clock: Arc<dyn Clock>,
    sinks: OnceLock<Vec<Arc<Sink>>>,
    /// Starts the sinks with the first event.
    start: Mutex<Option<StartSinks>>,
    tail: Tail,
    is_required: bool,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").field("sinks", &self.sinks().len()).finish_non_exhaustive()
    }
}

impl Trail {
    /// A trail into these sinks. With `is_required`, decisions are refused while none takes them.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, sinks: Vec<Arc<Sink>>, is_required: bool) -> Self {
        let start = Mutex::new(None);
        Self { clock, sinks: sinks.into(), start, tail: Tail::default(), is_required }
    }

    /// A trail whose sinks are started with the first event. For a command, which may have none: it
    /// creates no file and takes no lock then.
    #[must_use]
    pub fn with_first_event(clock: Arc<dyn Clock>, start: StartSinks, is_required: bool) -> Self {
        let (sinks, start) = (OnceLock::new(), Mutex::new(Some(start)));
        Self { clock, sinks, start, tail: Tail::default(), is_required }
    }

    /// A trail into nothing. For what no operator shall read, such as a command's own use of the
    /// service.
    #[must_use]
    pub fn nowhere(clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, Vec::new(), false)
    }

    /// Reads the end of the file of an earlier run, so that its events are listed. What cannot be
    /// read is left out.
    pub fn remember(&self, path: &Path) {
        let Ok(bytes) = end_of(path) else { return };
        for line in bytes.split(|byte| *byte == b'\n') {
            self.tail.push_line(line);
        }
    }

    /// Records what `actor` did.
    pub fn record(&self, actor: &Actor, act: impl Into<Act>) {
        let act = act.into();
        let millis = self.clock.now_millis();
        let time = sts_types::rfc3339_millis(millis).unwrap_or_default();
        let line = ActLine {
            level: act.level(),
            version: EVENT_VERSION,
            time: &time,
            request_id: actor.request_id.as_deref(),
            actor_kind: actor.kind,
            actor: actor.name.as_deref(),
            source: actor.source,
            outcome: act.outcome(),
            act: &act,
        };
        self.write(act.name(), millis, &line, Sink::offer);
    }

    /// Records the outcome of an exchange. The sinks may write it only after [`Self::end_batch`].
    pub fn decision(&self, event: &DecisionEvent) {
        self.write("decision", self.clock.now_millis(), event, Sink::offer_in_batch);
    }

    /// Has the sinks write the decisions so far.
    pub fn end_batch(&self) {
        self.sinks().iter().for_each(|sink| sink.end_batch());
    }

    fn write(
        &self,
        name: &'static str,
        millis: u64,
        line: &impl serde::Serialize,
        offer: impl Fn(&Sink, &[u8]) -> bool,
    ) {
        /// Above this size the buffer's memory is released.
        const KEPT: usize = 4096;
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|bytes| {
            bytes.clear();
            bytes.shrink_to(KEPT);
            if let Err(error) = serde_json::to_writer(&mut *bytes, line) {
                tracing::error!(%error, event = name, "an audit event could not be written");
                return;
            }
            self.tail.push(name, millis, bytes);
            bytes.push(b'\n');
            for sink in self.started() {
                offer(sink, bytes);
            }
        });
    }

    /// Whether a decision is refused if no sink takes it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// Whether `waiting` pending events and one more would be taken. False if no sink would take them
    /// and one must.
    #[must_use]
    pub fn is_available(&self, waiting: usize) -> bool {
        !self.is_required || self.started().iter().any(|sink| sink.has_room_behind(waiting))
    }

    /// The last events.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Its sinks, if they are started.
    #[must_use]
    pub fn sinks(&self) -> &[Arc<Sink>] {
        self.sinks.get().map_or(&[], Vec::as_slice)
    }

    fn started(&self) -> &[Arc<Sink>] {
        self.sinks.get_or_init(|| {
            let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
            start.map(|start| start()).unwrap_or_default()
        })
    }

    /// Waits until the events so far are written, at most for `timeout` each sink.
    pub fn flush(&self, timeout: Duration) {
        for sink in self.sinks() {
            sink.flush(timeout);
        }
    }

    /// Takes no more events, and waits for the last ones, at most for `timeout` each sink.
    pub fn close(&self, timeout: Duration) {
        for sink in self.sinks() {
            sink.close(timeout);
        }
    }
}

/// The whole lines at the end of a file.
fn end_of(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(REMEMBERED)))?;
    let mut bytes = Vec::new();
    file.take(REMEMBERED).read_to_end(&mut bytes)?;
    if length > REMEMBERED {
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..first);
    }
    Ok(bytes)
}
