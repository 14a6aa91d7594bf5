//! Work after the answer of an exchange: the decision event, the memory of refusals and that of recent
//! decisions. One thread does all, so that the time of an answer reveals nothing about it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use sts_store::Warning;
use tokio::sync::watch;

use crate::decision_record::EndedExchange;
use crate::event::{EventSink, ExchangeTimes, decision_event};
use crate::recent_decisions::RecentDecisions;
use crate::refusals::{Refusals, RememberedRefusal};

/// The most exchanges that wait for this thread. A busy server ends that many in a third of a
/// second.
const CAPACITY: usize = 4096;

/// If more than this wait, refusals are recorded without their trace, which takes the most time.
const CROWDED: u64 = CAPACITY as u64 / 2;

/// The thread waits at least this long after an answer was handed to the network, so that it does
/// not compete with the answer for a processor.
const SETTLE: Duration = Duration::from_millis(5);

/// The longest wait for observers to catch up.
const CATCH_UP: Duration = Duration::from_secs(1);

/// A queue that never blocks a request, and the thread that empties it.
pub(crate) struct Observers {
    /// `None` if the system could not start the thread.
    queue: Option<SyncSender<QueuedExchange>>,
    progress: Arc<Progress>,
}

struct QueuedExchange {
    exchange: Box<EndedExchange>,
    handed_over: Instant,
}

/// How many exchanges were handed over, observed, and lost.
struct Progress {
    handed_over: AtomicU64,
    observed: watch::Sender<u64>,
    /// The count up to which somebody waited in vain.
    given_up: AtomicU64,
    dropped: AtomicU64,
    /// Places in the queue that are taken or reserved, including the exchange that is being
    /// observed.
    places: AtomicUsize,
}

impl Observers {
    pub(crate) fn start(events: Arc<dyn EventSink>, refusals: Arc<Refusals>, recent: Arc<RecentDecisions>) -> Self {
        let progress = Arc::new(Progress {
            handed_over: AtomicU64::new(0),
            observed: watch::Sender::new(0),
            given_up: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            places: AtomicUsize::new(0),
        });
        let (sender, receiver) = sync_channel(CAPACITY);
        let thread = Thread { receiver, events, refusals, recent, progress: Arc::clone(&progress) };
        // A limit on memory counts each stack whole.
        let builder = std::thread::Builder::new().name("observers".to_owned()).stack_size(1 << 20);
        let spawned = builder.spawn(move || thread.run());
        Self { queue: spawned.is_ok().then_some(sender), progress }
    }

    /// Reserves a place for an exchange in progress. Returns false if none is free.
    pub(crate) fn reserve(&self) -> bool {
        let take = |taken: usize| (taken < CAPACITY).then_some(taken + 1);
        self.queue.is_some() && self.progress.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// How many exchanges wait or have a reserved place.
    pub(crate) fn waiting(&self) -> usize {
        self.progress.places.load(Ordering::Acquire)
    }

    /// Takes an exchange whose answer is about to be sent. `has_place` says that a place was
    /// reserved for it. Never blocks. An exchange that does not fit is lost and counted.
    pub(crate) fn hand_over(&self, exchange: EndedExchange, has_place: bool) {
        if !has_place && !self.reserve() {
            self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Count it before the thread can see it, so that `observed` never exceeds `handed_over`.
        self.progress.handed_over.fetch_add(1, Ordering::AcqRel);
        let queued = QueuedExchange { exchange: Box::new(exchange), handed_over: now() };
        if self.queue.as_ref().is_none_or(|queue| queue.try_send(queued).is_err()) {
            self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            self.progress.handed_over.fetch_sub(1, Ordering::AcqRel);
            self.progress.places.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// How many exchanges were lost, because the queue was full or by a bug of ours.
    pub(crate) fn dropped(&self) -> u64 {
        self.progress.dropped.load(Ordering::Relaxed)
    }

    /// A warning for the operator, once an exchange was lost.
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

    /// Waits until every exchange that was handed over before this call is observed, up to a limit.
    pub(crate) async fn caught_up(&self) {
        self.progress.caught_up(CATCH_UP).await;
    }
}

impl Progress {
    async fn caught_up(&self, limit: Duration) {
        let target = self.handed_over.load(Ordering::Acquire);
        let mut observed = self.observed.subscribe();
        // A page asks several times. While a backlog lasts that one wait did not outlast, the next would not
        // either.
        if *observed.borrow() < self.given_up.load(Ordering::Acquire) {
            return;
        }
        // An error would mean that the sender is gone, but `self` holds it.
        if tokio::time::timeout(limit, observed.wait_for(|observed| *observed >= target)).await.is_err() {
            self.given_up.fetch_max(target, Ordering::AcqRel);
        }
    }
}

/// The state of the thread. The thread ends once the queue is empty and its senders are gone.
struct Thread {
    receiver: Receiver<QueuedExchange>,
    events: Arc<dyn EventSink>,
    refusals: Arc<Refusals>,
    recent: Arc<RecentDecisions>,
    progress: Arc<Progress>,
}

impl Thread {
    fn run(self) {
        while let Some(queued) = self.next() {
            if now().saturating_duration_since(queued.handed_over) < SETTLE {
                self.events.end_batch();
                // Exchanges that end meanwhile join the same batch.
                settle();
            }
            let observed = std::panic::catch_unwind(AssertUnwindSafe(|| self.tell(*queued.exchange)));
            if observed.is_err() {
                self.progress.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.progress.places.fetch_sub(1, Ordering::AcqRel);
            self.progress.observed.send_modify(|observed| *observed += 1);
        }
    }

    fn next(&self) -> Option<QueuedExchange> {
        match self.receiver.try_recv() {
            Ok(queued) => Some(queued),
            Err(error) => {
                self.events.end_batch();
                (error == TryRecvError::Empty).then(|| self.receiver.recv().ok()).flatten()
            }
        }
    }

    fn tell(&self, exchange: EndedExchange) {
        let waiting = self.progress.handed_over.load(Ordering::Relaxed) - *self.progress.observed.borrow();
        let ended_millis = exchange.ended_millis;
        self.recent.observe(&exchange);
        let refusal = RememberedRefusal::of(&exchange, waiting > CROWDED);
        let times = ExchangeTimes { phases: exchange.phases, held: exchange.record.held };
        let event = decision_event(exchange, refusal.as_ref().map(|(refusal, _)| refusal));
        // First the memory, so that a reader of the event finds the refusal.
        if let Some(stored) = refusal.and_then(|(refusal, share)| refusal.to_stored(ended_millis, share?)) {
            self.refusals.remember(stored);
        }
        self.events.decision(&event, &times);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any test.
    const FOREVER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_backlog_that_one_reader_waited_for_in_vain_delays_no_other() {
        let progress = Progress {
            handed_over: AtomicU64::new(5),
            observed: watch::Sender::new(0),
            given_up: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            places: AtomicUsize::new(0),
        };
        progress.caught_up(Duration::from_millis(1)).await;
        progress.handed_over.store(7, Ordering::Release);
        progress.caught_up(FOREVER).await;
        progress.observed.send_replace(5);
        // The backlog is gone, so it pays to wait again.
        let is_caught_up = std::cell::Cell::new(false);
        let reader = async {
            progress.caught_up(FOREVER).await;
            is_caught_up.set(true);
        };
        let thread = async {
            tokio::task::yield_now().await;
            assert!(!is_caught_up.get());
            progress.observed.send_replace(7);
        };
        tokio::join!(reader, thread);
    }
}
