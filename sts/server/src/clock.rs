//! The real clock. No other code may ask the system for the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sts_types::{Clock, UnixTime};

/// The system's wall clock and monotonic clock.
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else takes as a parameter")]
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else takes as a parameter")]
    fn now_millis(&self) -> u64 {
        // A wall clock before 1970 is broken. The time is then 1970, when no token is valid.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A wall clock that stands still, for `sts explain --at`. Its monotonic time goes on, so that
/// deadlines still work.
pub(crate) struct ClockAt {
    pub(crate) wall: UnixTime,
    pub(crate) system: SystemClock,
}

impl Clock for ClockAt {
    fn now_millis(&self) -> u64 {
        u64::try_from(self.wall.as_secs()).unwrap_or(0).saturating_mul(1000)
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }
}
