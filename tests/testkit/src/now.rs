//! The real time, for tests against a server with a real clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the server under test runs by the system's clock")]
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The result of `step`, and its duration.
#[expect(clippy::disallowed_methods, reason = "how long another process takes is real time")]
pub fn timed<T>(step: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let made = step();
    (made, begun.elapsed())
}

/// Polls until `condition` holds.
///
/// # Panics
/// If that takes over 20 seconds. No healthy server needs that long.
#[expect(clippy::disallowed_methods, reason = "the deadline of a condition that another process makes true")]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 seconds: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
