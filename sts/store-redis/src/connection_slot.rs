//! The place of one runtime's connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::connection::Connected;
use super::error::RedisStoreError;

/// Where a runtime finds its connection, and who makes it.
#[derive(Default)]
pub(super) struct ConnectionSlot {
    pub(super) connected: ArcSwapOption<Connected>,
    /// Attempts to connect so far.
    pub(super) attempts: AtomicU64,
    /// Held during an attempt. The value is the error of the last attempt, if it failed.
    pub(super) connecting: tokio::sync::Mutex<Option<RedisStoreError>>,
    /// Whether a background attempt is under way.
    begun: AtomicBool,
    /// In milliseconds of the monotonic clock. No background attempt starts before it.
    pause_until: AtomicU64,
}

/// The pause after a failed background attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// A time of the monotonic clock in milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl ConnectionSlot {
    /// Whether to start a background attempt now. If so, the caller must call [`Self::finish`]
    /// after it.
    pub(super) fn try_begin(&self, now: Duration) -> bool {
        self.pause_until.load(Ordering::Acquire) <= millis(now) && !self.begun.swap(true, Ordering::AcqRel)
    }

    /// Ends a background attempt. `failed` is the time of a failure.
    pub(super) fn finish(&self, failed: Option<Duration>) {
        if let Some(now) = failed {
            self.pause_until.store(millis(now.saturating_add(PAUSE)), Ordering::Release);
        }
        self.begun.store(false, Ordering::Release);
    }

    pub(super) fn holds(&self, connection: &Arc<Connected>) -> bool {
        self.connected.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, connection))
    }

    pub(super) fn discard(&self, used: &Arc<Connected>) {
        self.connected.compare_and_swap(used, None);
    }
}
