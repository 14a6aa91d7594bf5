//! The real clock. The one place that may ask the system what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sts_types::{Clock, UnixTime};

/// The system's wall and monotonic clocks.
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
        // A wall clock before 1970 is no clock: everything is judged as of 1970, where no token is valid.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Wall time that stands still, for `sts explain --at`; monotonic time goes on, so that deadlines still hold.
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
