//! How fast a family takes in members that nothing vouches for.

use std::time::Duration;

use crate::moment::Moment;

/// The most admissions at once.
const BURST: u32 = 128;
/// The time after which another admission is there.
const INTERVAL: Duration = Duration::from_millis(500);

/// A bucket of [`BURST`] admissions that gains one each [`INTERVAL`]. Each new member costs its platform
/// two requests, and a platform that answers a flood with 429 would answer the same to its real members'
/// refreshes.
#[derive(Default)]
pub(crate) struct Admissions {
    full_at: Option<Moment>,
}

impl Admissions {
    /// Whether an admission is there at `now`.
    ///
    /// # Errors
    /// How long until one is.
    pub(crate) fn check(&self, now: Moment) -> Result<(), Duration> {
        let wait = now.until(self.after_one(now)).saturating_sub(INTERVAL * BURST);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Takes one.
    pub(crate) fn take(&mut self, now: Moment) {
        self.full_at = Some(self.after_one(now));
    }

    /// When the bucket would be full again if one were taken at `now`.
    fn after_one(&self, now: Moment) -> Moment {
        self.full_at.filter(|at| *at > now).unwrap_or(now).plus(INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_a_burst_is_admitted_and_then_two_a_second() {
        let mut admissions = Admissions::default();
        let mut taken = |from: Moment, seconds: u64| {
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
        assert_eq!(taken(Moment::EPOCH, 10), 128 + 19);
        let later = Moment::EPOCH.plus(Duration::from_secs(3600));
        assert_eq!(taken(later, 1), 128 + 1, "the bucket holds no more than a burst");
    }
}
