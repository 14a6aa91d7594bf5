//! A timer that is more exact than the runtime's.
//!
//! The runtime rounds a deadline to whole milliseconds, counted from when it last went to sleep. An
//! answer that waits for such a timer leaves at a moment that still shows how long the work before
//! it took. A thread that sleeps to the very moment hides it.
//!
//! `futures-timer` works the same way, and is not used: its `Delay` panics if the system has no
//! thread to spare, and its documentation promises no high resolution.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Wakes its waiters from one thread, which ends when the timer is dropped.
pub(crate) struct PreciseTimer {
    /// `None` when the system has no thread to spare; the runtime's timer stands in then.
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Reverse<PendingWake>>,
    is_over: bool,
}

struct PendingWake {
    until: Instant,
    waker: oneshot::Sender<()>,
}

impl PreciseTimer {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("precise-timer".to_owned()).stack_size(256 << 10);
        let started = thread.spawn(move || own.run());
        Self { shared: started.is_ok().then_some(shared) }
    }

    /// Resolves `time` from now.
    pub(crate) async fn after(&self, time: Duration) {
        let Some(shared) = &self.shared else { return tokio::time::sleep(time).await };
        let (waker, woken) = oneshot::channel();
        shared.lock().due.push(Reverse(PendingWake { until: now() + time, waker }));
        shared.changed.notify_one();
        // The sender is dropped only with the timer, which we hold.
        let _ = woken.await;
    }
}

impl Drop for PreciseTimer {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lock().is_over = true;
            shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut queue = self.lock();
        while !queue.is_over {
            let Some(left) = queue.due.peek().map(|Reverse(next)| next.until.saturating_duration_since(now())) else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if left.is_zero() {
                // A failed send means that the waiter gave up.
                let _ = queue.due.pop().map(|Reverse(next)| next.waker.send(()));
            } else {
                queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread sleeps by the system's clock")]
fn now() -> Instant {
    Instant::now()
}

impl Ord for PendingWake {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.until.cmp(&other.until)
    }
}

impl PartialOrd for PendingWake {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for PendingWake {}

impl PartialEq for PendingWake {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_waiter_is_woken_early() {
        let timer = PreciseTimer::start();
        let begun = now();
        let wait = async |millis: u64| {
            timer.after(Duration::from_millis(millis)).await;
            assert!(begun.elapsed() >= Duration::from_millis(millis));
        };
        tokio::join!(wait(20), wait(1), wait(0), wait(40));
    }

    #[test]
    fn the_nearest_deadline_is_the_first_in_the_queue() {
        let begun = now();
        let mut due = BinaryHeap::new();
        for millis in [20, 1, 0, 40] {
            let until = begun + Duration::from_millis(millis);
            due.push(Reverse(PendingWake { until, waker: oneshot::channel().0 }));
        }
        let order: Vec<_> = std::iter::from_fn(|| due.pop()).map(|Reverse(next)| next.until - begun).collect();
        assert_eq!(order, [0, 1, 20, 40].map(Duration::from_millis));
    }

    #[tokio::test]
    async fn a_waiter_that_gave_up_is_forgotten_and_the_thread_ends_with_the_timer() {
        let timer = PreciseTimer::start();
        drop(tokio::time::timeout(Duration::ZERO, timer.after(Duration::from_millis(1))).await);
        timer.after(Duration::from_millis(2)).await;
        let shared = Arc::clone(timer.shared.as_ref().unwrap());
        assert!(shared.lock().due.is_empty());
        drop(timer);
        // The thread's own is the other one.
        while Arc::strong_count(&shared) > 1 {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn without_a_thread_the_runtime_waits_instead() {
        let begun = now();
        PreciseTimer { shared: None }.after(Duration::from_millis(2)).await;
        assert!(begun.elapsed() >= Duration::from_millis(2));
    }
}
