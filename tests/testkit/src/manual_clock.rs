//! A clock that only a test moves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sts_types::{Clock, UnixTime};

/// Wall and monotonic time, in milliseconds. Both stand still until a test moves them.
///
/// The suites of `sts-store` have a clock of their own. They are a part of that crate, which must
/// not depend on this one.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `start`. Its monotonic time is zero.
    #[must_use]
    pub fn at(start: UnixTime) -> Self {
        Self::at_millis(start.as_secs().unsigned_abs() * 1000)
    }

    /// A clock that shows this many milliseconds since 1970. Its monotonic time is zero.
    #[must_use]
    pub const fn at_millis(start: u64) -> Self {
        Self { wall: AtomicU64::new(start), monotonic: AtomicU64::new(0) }
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.wall.fetch_add(millis, Ordering::SeqCst);
        self.monotonic.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock. Monotonic time stands still.
    pub fn set_wall(&self, time: UnixTime) {
        self.wall.store(time.as_secs().unsigned_abs() * 1000, Ordering::SeqCst);
    }

    /// Sets the wall clock ahead by this many milliseconds, or back. Monotonic time stands still.
    pub fn step_wall(&self, millis: i64) {
        self.wall.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |wall| wall.checked_add_signed(millis)).unwrap();
    }
}

impl Clock for ManualClock {
    fn now_millis(&self) -> u64 {
        self.wall.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }
}
