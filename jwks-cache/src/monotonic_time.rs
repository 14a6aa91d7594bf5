//! Points in time on the monotonic clock.

use std::time::Duration;

use sts_types::Clock;

/// Milliseconds on [`Clock::monotonic`]. Negative before the clock's zero: a set loaded from disk
/// may have been fetched before this process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MonotonicTime(i64);

impl MonotonicTime {
    #[cfg(test)]
    pub(crate) const EPOCH: Self = Self(0);

    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self(millis(clock.monotonic()))
    }

    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(millis(time)))
    }

    pub(crate) fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(millis(time)))
    }

    /// Milliseconds since the clock's zero; 0 for a negative moment.
    pub(crate) fn as_millis(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// Time from `self` until `later`; zero if `later` has passed.
    pub(crate) fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
