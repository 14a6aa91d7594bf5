//! Rate limit for new family members that nothing vouches for.

use std::time::Duration;

use crate::monotonic_time::MonotonicTime;

/// Bucket size.
const BURST: u32 = 128;
/// Time in which the bucket gains one admission.
const INTERVAL: Duration = Duration::from_millis(500);

/// A token bucket of [`BURST`] admissions that gains one per [`INTERVAL`]. Each new member costs
/// its platform two requests. A platform that answers a flood with 429 would answer the refreshes
/// of its real members the same way.
#[derive(Default)]
pub(crate) struct Admissions {
    /// When the bucket is full again; `None` when it is full.
    full_at: Option<MonotonicTime>,
}

impl Admissions {
    /// Checks for an admission at `now`, without taking it.
    ///
    /// # Errors
    /// The time until the next admission.
    pub(crate) fn check(&self, now: MonotonicTime) -> Result<(), Duration> {
        let wait = now.until(self.after_one(now)).saturating_sub(INTERVAL * BURST);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    pub(crate) fn take(&mut self, now: MonotonicTime) {
        self.full_at = Some(self.after_one(now));
    }

    /// When the bucket would be full again after one admission at `now`.
    fn after_one(&self, now: MonotonicTime) -> MonotonicTime {
        self.full_at.filter(|full_at| *full_at > now).unwrap_or(now).plus(INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_a_burst_is_admitted_and_then_two_a_second() {
        let mut admissions = Admissions::default();
        let mut taken = |from: MonotonicTime, seconds: u64| {
            let mut count = 0;
            for millis in 0..seconds * 1000 {
                let now = from.plus(Duration::from_millis(millis));
                if admissions.check(now).is_ok() {
                    admissions.take(now);
                    count += 1;
                }
            }
            count
        };
        assert_eq!(taken(MonotonicTime::EPOCH, 10), 128 + 19);
        let later = MonotonicTime::EPOCH.plus(Duration::from_secs(3600));
        assert_eq!(taken(later, 1), 128 + 1, "the bucket holds no more than a burst");
    }
}
