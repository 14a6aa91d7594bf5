//! The circuit breaker: after some failures in a row nobody waits for Redis any more, but for one call now and then that finds out
//! whether it is back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures in a row that open it.
const PATIENCE: u32 = 5;
/// The first pause between two probes; each failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Closed to begin with.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// When the next call may pass, on the monotonic clock; read only when open.
    next: Duration,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It passes.
    Passes,
    /// It passes to find out whether Redis is back: its outcome must be told, whoever has waited for it.
    Probes,
    /// It does not pass.
    Refused,
}

impl Breaker {
    /// What becomes of a call at `now`. While it is open one call passes per pause, and what becomes of that is not waited for.
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

    /// A call was answered.
    pub(super) fn succeeded(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures = 0;
    }

    /// A call was not answered, or not in time.
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
            breaker.succeeded();
        }
        assert_eq!(breaker.admits(Duration::ZERO), Passes);
        for _ in 0..100 {
            breaker.failed(Duration::ZERO);
        }
        assert_eq!(breaker.admits(LONGEST_PAUSE - Duration::from_millis(1)), Refused);
        assert_eq!(breaker.admits(LONGEST_PAUSE), Probes);
    }
}
