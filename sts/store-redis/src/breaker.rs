//! The circuit breaker. After several failures in a row, no call goes to Redis, except one now and
//! then that probes whether it is back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures in a row that open the breaker.
const PATIENCE: u32 = 5;
/// The first pause between two probes. Each failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The breaker. It starts closed.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// When the next call may pass, on the monotonic clock. Read only while the breaker is open.
    next: Duration,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Passes,
    /// The call passes as a probe. Its outcome must be reported even if its caller is gone.
    Probes,
    Refused,
}

impl Breaker {
    /// Decides about a call at `now`. While the breaker is open, one call passes per pause.
    pub(super) fn admits(&self, now: Duration) -> Admission {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < PATIENCE {
            return Admission::Passes;
        }
        if now < state.next {
            return Admission::Refused;
        }
        state.next = now + state.pause();
        Admission::Probes
    }

    /// Whether the last call was answered, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures == 0
    }

    /// Reports that a call was answered.
    pub(super) fn succeeded(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures = 0;
    }

    /// Reports that a call was not answered, or not in time.
    pub(super) fn failed(&self, now: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        state.next = now + state.pause();
    }
}

impl State {
    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(PATIENCE).min(16);
        FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::Admission::{Passes, Probes, Refused};
    use super::*;

    #[test]
    fn c129_it_opens_after_failures_in_a_row_lets_one_probe_through_per_pause_and_closes_on_success() {
        let breaker = Breaker::default();
        let at = Duration::from_millis;
        for _ in 0..PATIENCE {
            assert_eq!(breaker.admits(at(0)), Passes);
            breaker.failed(at(0));
        }
        assert_eq!(breaker.admits(at(99)), Refused);
        assert_eq!(breaker.admits(at(100)), Probes);
        assert_eq!(breaker.admits(at(100)), Refused, "and no second one");
        breaker.failed(at(100));
        assert_eq!(breaker.admits(at(299)), Refused, "the pause doubles");
        assert_eq!(breaker.admits(at(300)), Probes);
        breaker.succeeded();
        assert_eq!([breaker.admits(at(300)), breaker.admits(at(300))], [Passes, Passes]);
    }

    #[test]
    fn a_success_forgets_the_failures_before_it_and_the_pause_has_a_bound() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.failed(Duration::ZERO);
            assert!(!breaker.is_well());
            breaker.succeeded();
            assert!(breaker.is_well());
        }
        assert_eq!(breaker.admits(Duration::ZERO), Passes);
        for _ in 0..100 {
            breaker.failed(Duration::ZERO);
        }
        assert_eq!(breaker.admits(LONGEST_PAUSE - Duration::from_millis(1)), Refused);
        assert_eq!(breaker.admits(LONGEST_PAUSE), Probes);
    }
}
