//! Waiting to a moment, more exactly than a runtime does.
//!
//! A runtime's timers end whole milliseconds after it last fell asleep. Whatever waits for one moment so, leaves at moments that
//! still tell how long each was worked on before: to the microsecond, to who asks often enough. A thread that sleeps to the moment
//! itself tells nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Wakes whoever waits, by one thread of its own, which ends with it.
pub(crate) struct Alarm {
    /// Nothing where the system has no thread for it.
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    due: BinaryHeap<Reverse<Waiting>>,
    is_over: bool,
}

struct Waiting {
    until: Instant,
    waker: oneshot::Sender<()>,
}

impl Alarm {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("alarm".to_owned()).stack_size(64 << 10);
        let started = thread.spawn(move || own.run());
        Self { shared: started.is_ok().then_some(shared) }
    }

    /// Waits for `time`.
    pub(crate) async fn after(&self, time: Duration) {
        let Some(shared) = &self.shared else { return tokio::time::sleep(time).await };
        let (waker, woken) = oneshot::channel();
        shared.lock().due.push(Reverse(Waiting { until: now() + time, waker }));
        shared.changed.notify_one();
        // The sender is dropped only with the alarm, which we hold.
        let _ = woken.await;
    }
}

impl Drop for Alarm {
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
                // Who is not there any more need not be woken.
                let _ = queue.due.pop().map(|Reverse(next)| next.waker.send(()));
            } else {
                queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread sleeps by the system's clock, whatever is judged by another")]
fn now() -> Instant {
    Instant::now()
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.until.cmp(&other.until)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Waiting {}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.until == other.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_is_woken_early_and_everybody_in_turn_whatever_the_order_of_asking() {
        let alarm = Alarm::start();
        let begun = now();
        let order = Mutex::new(Vec::new());
        let wait = |millis: u64| {
            let (alarm, order) = (&alarm, &order);
            async move {
                alarm.after(Duration::from_millis(millis)).await;
                assert!(begun.elapsed() >= Duration::from_millis(millis));
                order.lock().unwrap().push(millis);
            }
        };
        tokio::join!(wait(20), wait(1), wait(0), wait(40));
        assert_eq!(*order.lock().unwrap(), [0, 1, 20, 40]);
    }

    #[tokio::test]
    async fn who_gave_up_is_forgotten_and_the_thread_ends_with_the_alarm() {
        let alarm = Alarm::start();
        drop(tokio::time::timeout(Duration::ZERO, alarm.after(Duration::from_millis(1))).await);
        alarm.after(Duration::from_millis(2)).await;
        let shared = Arc::clone(alarm.shared.as_ref().unwrap());
        assert!(shared.lock().due.is_empty());
        drop(alarm);
        // The thread's own is the other one.
        while Arc::strong_count(&shared) > 1 {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn without_a_thread_the_runtime_waits() {
        let begun = now();
        Alarm { shared: None }.after(Duration::from_millis(2)).await;
        assert!(begun.elapsed() >= Duration::from_millis(2));
    }
}
