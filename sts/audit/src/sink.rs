//! Sinks for events and log lines. Each sink is a bounded queue and a thread that writes. A slow,
//! full, closed or broken target therefore never blocks the sender of a line.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most bytes that wait. The busiest server needs some seconds to write that much.
const MAX_WAITING: usize = 8 * 1024 * 1024;
/// Free space that an available sink guarantees for the next line.
const ROOM: usize = 64 * 1024;
/// Free space to keep for each pending event.
const ROOM_OF_WAITING: usize = 4 * 1024;
/// Bytes that wait before the writer is woken in the middle of a batch.
const BATCH: usize = 64 * 1024;
/// The pause between attempts to write to a target that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Interval at which a writer without lines may do what is due.
const TICK: Duration = Duration::from_secs(30);

/// A target for lines. Its methods may block.
pub trait LineWriter: Send + 'static {
    /// Writes lines, each of which ends in a line feed. Without lines it only makes sure that the
    /// target is there.
    ///
    /// # Errors
    /// The cause, and how many bytes of whole lines were written before it.
    fn write_lines(&mut self, lines: &[u8]) -> Result<(), (usize, io::Error)>;

    /// Does what is due. Called once at the start, and at intervals while there are no lines.
    ///
    /// # Errors
    /// The cause why the target takes no lines now.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// How many lines it left out since the last call, because the target does not take such lines.
    fn take_skipped(&mut self) -> u64 {
        0
    }

    /// Ends the target properly. There are no more lines.
    fn close(&mut self) {}
}

/// A bounded queue of lines and the thread that writes them.
#[derive(Debug)]
pub struct Sink {
    name: &'static str,
    max_waiting: usize,
    queue: Mutex<Queue>,
    /// Wakes the thread.
    lines: Condvar,
    /// Wakes those who wait for the thread.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole lines that wait.
    waiting: Vec<u8>,
    /// Whether the thread sleeps until it is woken. Waking it costs a system call even if it does not
    /// sleep.
    is_asleep: bool,
    /// How many wait for the thread.
    observers: usize,
    /// Whether the thread is writing lines that it has taken from the queue, or has not begun yet.
    is_writing: bool,
    /// Lines that were not written, or not at the first attempt.
    lost: u64,
    /// Why the last write failed. While it is set, the sink takes no lines.
    fault: Option<String>,
    is_closed: bool,
    /// Whether the thread has ended.
    is_done: bool,
}

/// The state of a sink.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// Its name.
    pub name: &'static str,
    /// Whether it takes lines.
    pub is_available: bool,
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
    /// Lines that were not written.
    pub lost: u64,
    /// Why the last write failed.
    pub fault: Option<String>,
}

impl Sink {
    /// Starts a sink for `writer`. If there is no writer, because the stream was closed before the
    /// process began, the sink takes no lines.
    pub fn start(name: &'static str, writer: Result<impl LineWriter, String>) -> Arc<Self> {
        Self::bounded(name, writer, MAX_WAITING)
    }

    fn bounded(name: &'static str, writer: Result<impl LineWriter, String>, max_waiting: usize) -> Arc<Self> {
        // Until the thread has looked at its target, nobody knows whether that takes lines.
        let queue = Mutex::new(Queue { is_writing: true, ..Queue::default() });
        let sink = Arc::new(Self { name, max_waiting, queue, lines: Condvar::new(), progress: Condvar::new() });
        let started = writer.and_then(|writer| {
            let writer_sink = Arc::clone(&sink);
            // A limit on memory counts each stack whole, and to write lines takes little of one.
            let thread = std::thread::Builder::new().name(format!("sink-{name}")).stack_size(512 << 10);
            thread.spawn(move || writer_sink.run(writer)).map_err(|error| error.to_string())
        });
        if let Err(fault) = started {
            sink.lock().fault = Some(fault);
        }
        sink
    }

    /// Queues a line, which ends in a line feed. Never waits for the stream. A line that does not
    /// fit is lost and counted. Returns whether it fits.
    pub fn offer(&self, line: &[u8]) -> bool {
        let (fits, queue) = self.push(line);
        if fits {
            self.wake(queue);
        }
        fits
    }

    /// The same for a line of a batch. The writer may sleep until [`Self::end_batch`], so that it
    /// writes many lines at once.
    pub fn offer_in_batch(&self, line: &[u8]) -> bool {
        let (fits, queue) = self.push(line);
        if fits && (queue.waiting.len() >= BATCH || queue.observers > 0) {
            self.wake(queue);
        }
        fits
    }

    /// Has the lines of a batch written.
    pub fn end_batch(&self) {
        let queue = self.lock();
        if !queue.waiting.is_empty() {
            self.wake(queue);
        }
    }

    fn push(&self, line: &[u8]) -> (bool, MutexGuard<'_, Queue>) {
        let mut queue = self.lock();
        let fits = queue.fault.is_none() && !queue.is_closed && queue.waiting.len() + line.len() <= self.max_waiting;
        if fits {
            queue.waiting.extend_from_slice(line);
        } else {
            queue.lost += 1;
        }
        (fits, queue)
    }

    /// Wakes the thread if it sleeps.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let is_asleep = std::mem::take(&mut queue.is_asleep);
        drop(queue);
        if is_asleep {
            self.lines.notify_one();
        }
    }

    /// Tells those who wait for the thread that the queue has changed.
    fn tell(&self, queue: &Queue) {
        if queue.observers > 0 {
            self.progress.notify_all();
        }
    }

    /// Sleeps until woken, at most for `timeout`, and while `is_idle`.
    fn sleep<'q>(
        &'q self,
        mut queue: MutexGuard<'q, Queue>,
        timeout: Duration,
        is_idle: impl Fn(&Queue) -> bool,
    ) -> MutexGuard<'q, Queue> {
        let is_idle = |queue: &mut Queue| {
            queue.is_asleep = is_idle(queue);
            queue.is_asleep
        };
        queue = self.lines.wait_timeout_while(queue, timeout, is_idle).unwrap_or_else(PoisonError::into_inner).0;
        queue.is_asleep = false;
        queue
    }

    /// Whether another line would fit after `lines` pending ones.
    #[must_use]
    pub fn has_room_behind(&self, lines: usize) -> bool {
        let queue = self.lock();
        let room = lines.saturating_mul(ROOM_OF_WAITING);
        self.has_room(&queue) && (lines <= 1 || queue.waiting.len().saturating_add(room) <= self.max_waiting)
    }

    /// Whether a line would be taken now.
    #[cfg(test)]
    pub(crate) fn is_available(&self) -> bool {
        self.has_room(&self.lock())
    }

    fn has_room(&self, queue: &Queue) -> bool {
        queue.fault.is_none() && queue.waiting.len() + ROOM.min(self.max_waiting / 2) <= self.max_waiting
    }

    /// Its state.
    #[must_use]
    pub fn status(&self) -> SinkStatus {
        let queue = self.lock();
        SinkStatus {
            name: self.name,
            is_available: self.has_room(&queue),
            waiting_bytes: queue.waiting.len(),
            lost: queue.lost,
            fault: queue.fault.clone(),
        }
    }

    /// Waits until all queued lines are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        self.end_batch();
        let mut queue = self.lock();
        queue.observers += 1;
        let is_ending = |queue: &Queue| queue.is_closed && !queue.is_done;
        let is_busy = |queue: &mut Queue| {
            queue.fault.is_none() && (queue.is_writing || !queue.waiting.is_empty() || is_ending(queue))
        };
        let waited = self.progress.wait_timeout_while(queue, timeout, is_busy);
        waited.unwrap_or_else(PoisonError::into_inner).0.observers -= 1;
    }

    /// Takes no more lines, and waits for the queued ones, at most for `timeout`.
    pub fn close(&self, timeout: Duration) {
        let mut queue = self.lock();
        queue.is_closed = true;
        self.wake(queue);
        self.flush(timeout);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut writer: impl LineWriter) {
        let mut lines = Vec::new();
        // With no lines yet, so that a target that is not there shows at once.
        let mut result = writer.tick().map_err(|error| (0, error));
        loop {
            let skipped = writer.take_skipped();
            if skipped > 0 {
                self.lock().lost += skipped;
            }
            if let Err((written, error)) = result {
                let rest = lines.get(written..).unwrap_or_default();
                self.fail(count_lines(rest), &error);
                if !self.retry(&mut writer, first_line(rest)) {
                    break;
                }
            }
            result = match self.take(&mut lines) {
                Next::Lines => writer.write_lines(&lines),
                Next::Tick => writer.tick().map_err(|error| (0, error)),
                Next::End => break,
            };
        }
        writer.close();
        let mut queue = self.lock();
        queue.is_writing = false;
        queue.is_done = true;
        self.tell(&queue);
    }

    /// Takes all waiting lines into `lines`, whose old content is written.
    fn take(&self, lines: &mut Vec<u8>) -> Next {
        // Release the memory of a burst.
        lines.clear();
        lines.shrink_to(ROOM);
        let mut queue = self.lock();
        queue.is_writing = false;
        if queue.waiting.is_empty() {
            self.tell(&queue);
            queue = self.sleep(queue, TICK, |queue| queue.waiting.is_empty() && !queue.is_closed);
        }
        if queue.waiting.is_empty() {
            return if queue.is_closed { Next::End } else { Next::Tick };
        }
        std::mem::swap(&mut queue.waiting, lines);
        queue.is_writing = true;
        Next::Lines
    }

    fn fail(&self, lost: u64, error: &io::Error) {
        let mut queue = self.lock();
        // The lines in the queue cannot be written either.
        let waiting = std::mem::take(&mut queue.waiting);
        queue.lost += lost + count_lines(&waiting);
        queue.fault = Some(error.to_string());
        let lost = queue.lost;
        self.tell(&queue);
        drop(queue);
        tracing::error!(sink = self.name, %error, lost, "lines cannot be written, and are lost until they can be");
    }

    /// Repeats an attempt to write one line until it succeeds. Returns false at the end.
    fn retry(&self, writer: &mut impl LineWriter, line: &[u8]) -> bool {
        loop {
            if self.sleep(self.lock(), RETRY, |queue| !queue.is_closed).is_closed {
                return false;
            }
            match writer.write_lines(line) {
                Ok(()) => {
                    let mut queue = self.lock();
                    queue.fault = None;
                    let lost = queue.lost;
                    drop(queue);
                    tracing::warn!(sink = self.name, lost, "lines are written again");
                    return true;
                }
                Err((_, error)) => self.lock().fault = Some(error.to_string()),
            }
        }
    }
}

/// What a writer does next.
enum Next {
    Lines,
    Tick,
    End,
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn first_line(lines: &[u8]) -> &[u8] {
    lines.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
