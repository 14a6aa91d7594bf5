//! What is told of an exchange after its answer has left: the decision event, and the memory of refusals. Both are made
//! on one thread, so that an answer's time shows nothing of what is told of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use sts_store::Warning;
use tokio::sync::watch;

use crate::decision_record::EndedExchange;
use crate::event::{DecisionEvent, EventSink};
use crate::refusals::{Refusals, RememberedRefusal};

/// The most exchanges that wait to be told: what a busy server ends in a third of a second.
const CAPACITY: usize = 4096;

/// With more than this waiting, refusals are told without their trace, which costs most.
const CROWDED: u64 = CAPACITY as u64 / 2;

/// No exchange is told sooner than this after its answer was handed to the network, so that the
/// work does not compete with the answer for a processor.
const SETTLE: Duration = Duration::from_millis(5);

/// The longest wait for observers to catch up.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A queue that never blocks a request, and the thread that empties it.
pub(crate) struct Observers {
    /// `None` when the system has no thread to spare.
    queue: Option<SyncSender<QueuedExchange>>,
    progress: Arc<Progress>,
}

struct QueuedExchange {
    exchange: Box<EndedExchange>,
    handed_over: Instant,
}

/// How many exchanges were handed over, told, and lost.
struct Progress {
    handed_over: AtomicU64,
    told: watch::Sender<u64>,
    dropped: AtomicU64,
    /// Places in the queue that are taken or reserved, the exchange that is being told included.
    places: AtomicUsize,
}

impl Observers {
    pub(crate) fn start(events: Arc<dyn EventSink>, refusals: Arc<Refusals>) -> Self {
        let progress = Arc::new(Progress {
            handed_over: AtomicU64::new(0),
            told: watch::Sender::new(0),
            dropped: AtomicU64::new(0),
            places: AtomicUsize::new(0),
        });
        let (sender, receiver) = sync_channel(CAPACITY);
        let thread = Thread { receiver, events, refusals, progress: Arc::clone(&progress) };
        let spawned = std::thread::Builder::new().name("observers".to_owned()).spawn(move || thread.run());
        Self { queue: spawned.is_ok().then_some(sender), progress }
    }

    /// Keeps a place for an exchange that is under way; false when none is free.
    pub(crate) fn reserve(&self) -> bool {
        let take = |taken: usize| (taken < CAPACITY).then_some(taken + 1);
        self.queue.is_some() && self.progress.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// How many exchanges are still to be told, or have a place kept for them.
    pub(crate) fn waiting(&self) -> usize {
        self.progress.places.load(Ordering::Acquire)
    }

    /// Takes an exchange whose answer is about to be sent; `has_place` says that its place was kept. Never blocks: what does not
    /// fit is counted.
    pub(crate) fn hand_over(&self, exchange: EndedExchange, has_place: bool) {
        if !has_place && !self.reserve() {
            self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Counted before it can be told, so that no count of those told runs ahead.
        self.progress.handed_over.fetch_add(1, Ordering::AcqRel);
        let waiting = QueuedExchange { exchange: Box::new(exchange), handed_over: now() };
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(waiting).is_err()) {
            self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            self.progress.handed_over.fetch_sub(1, Ordering::AcqRel);
            self.progress.places.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many exchanges were not told, for want of space in the queue or through a fault of ours.
    pub(crate) fn dropped(&self) -> u64 {
        self.progress.dropped.load(Ordering::Relaxed)
    }

    /// What the operator should hear, once an exchange was not told.
    pub(crate) fn warning(&self) -> Option<Warning> {
        let dropped = self.dropped();
        (dropped > 0).then(|| Warning {
            name: "decisions_dropped",
            text: format!(
                "{dropped} exchanges since the start have no decision event: more ended at once than could be told; \
                 see whether the log or the processor is too slow"
            ),
        })
    }

    /// Waits until every exchange that was handed over before this call is told, but not for long.
    pub(crate) async fn caught_up(&self) {
        let target = self.progress.handed_over.load(Ordering::Acquire);
        let mut told = self.progress.told.subscribe();
        // An error would mean that the sender is gone, and it lives as long as we do.
        let _ = tokio::time::timeout(CATCH_UP, told.wait_for(|told| *told >= target)).await;
    }
}

/// What the thread owns. It ends once the queue is empty and its senders are gone.
struct Thread {
    receiver: Receiver<QueuedExchange>,
    events: Arc<dyn EventSink>,
    refusals: Arc<Refusals>,
    progress: Arc<Progress>,
}

impl Thread {
    fn run(self) {
        while let Some(waiting) = self.next() {
            if now().saturating_duration_since(waiting.handed_over) < SETTLE {
                // Those that come meanwhile are told in the same batch.
                settle();
            }
            let told = std::panic::catch_unwind(AssertUnwindSafe(|| self.tell(*waiting.exchange)));
            if told.is_err() {
                self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.progress.places.fetch_sub(1, Ordering::AcqRel);
            self.progress.told.send_modify(|told| *told += 1);
        }
    }

    fn next(&self) -> Option<QueuedExchange> {
        match self.receiver.try_recv() {
            Ok(waiting) => Some(waiting),
            Err(TryRecvError::Empty) => self.receiver.recv().ok(),
            Err(TryRecvError::Disconnected) => None,
        }
    }

    fn tell(&self, exchange: EndedExchange) {
        let waiting = self.progress.handed_over.load(Ordering::Relaxed) - *self.progress.told.borrow();
        let ended_millis = exchange.ended_millis;
        let refusal = RememberedRefusal::of(&exchange, waiting > CROWDED);
        let event = DecisionEvent::of(exchange, refusal.as_ref().map(|(refusal, _)| refusal));
        // First the memory: whoever reads the event finds the refusal.
        if let Some(stored) = refusal.and_then(|(refusal, share)| refusal.to_stored(ended_millis, share)) {
            self.refusals.remember(stored);
        }
        self.events.decision(&event);
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread waits by the system's clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the answers that were handed over leave in this time")]
fn settle() {
    std::thread::sleep(SETTLE);
}
