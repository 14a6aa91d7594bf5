//! Measures the phases of an exchange.

use std::time::Duration;

/// A phase of an exchange. The phases run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From arrival until the request's body is read. The caller's network takes this time.
    Receive,
    /// The request's shape, the names in it, and the token's shape.
    Parse,
    /// The issuer's keys: cached, or fetched.
    Keys,
    /// The signature and the token's times.
    Verify,
    /// The rules.
    Decide,
    /// The new token's claims and signature.
    Mint,
    /// Its record, until that is durable.
    Record,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 7] =
        [Self::Receive, Self::Parse, Self::Keys, Self::Verify, Self::Decide, Self::Mint, Self::Record];

    /// A stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Parse => "parse",
            Self::Keys => "keys",
            Self::Verify => "verify",
            Self::Decide => "decide",
            Self::Mint => "mint",
            Self::Record => "record",
        }
    }
}

/// Time spent in each phase the exchange reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes([Option<Duration>; Phase::ALL.len()]);

impl PhaseTimes {
    /// The time of `phase`. `None` if the exchange did not reach it.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Option<Duration> {
        self.0.get(phase as usize).copied().flatten()
    }

    /// The sum of all phases.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().flatten().sum()
    }

    fn add(&mut self, phase: Phase, time: Duration) {
        if let Some(slot) = self.0.get_mut(phase as usize) {
            *slot = Some(slot.unwrap_or_default() + time);
        }
    }
}

/// Measures the phases of one exchange. Exactly one phase runs at any time, so their times add up
/// to the whole. Times are of a monotonic clock.
pub(crate) struct Stopwatch {
    since: Duration,
    running: Phase,
    times: PhaseTimes,
}

impl Stopwatch {
    /// Starts with [`Phase::Receive`] at the time of arrival.
    pub(crate) fn since(arrived: Duration) -> Self {
        Self { since: arrived, running: Phase::Receive, times: PhaseTimes::default() }
    }

    /// Ends the running phase at `now` and starts or resumes `phase`.
    pub(crate) fn enter(&mut self, phase: Phase, now: Duration) {
        self.times.add(self.running, now.saturating_sub(self.since));
        self.since = now;
        self.running = phase;
    }

    /// Ends the running phase at `now`.
    pub(crate) fn stop(&mut self, now: Duration) -> PhaseTimes {
        self.enter(self.running, now);
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_add_up_to_the_whole_and_one_that_is_entered_again_goes_on() {
        let mut stopwatch = Stopwatch::since(Duration::from_millis(1));
        for (now, phase) in [(2, Phase::Parse), (4, Phase::Keys), (8, Phase::Verify), (16, Phase::Keys)] {
            stopwatch.enter(phase, Duration::from_millis(now));
        }
        let times = stopwatch.stop(Duration::from_millis(32));
        let millis = |phase| times.of(phase).map(|time| time.as_millis());
        assert_eq!(Phase::ALL.map(millis), [Some(1), Some(2), Some(4 + 16), Some(8), None, None, None]);
        assert_eq!(times.total(), Duration::from_millis(31));
    }

    #[test]
    fn every_phase_has_its_place_and_name() {
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, at);
            assert!(Phase::ALL.iter().filter(|other| other.name() == phase.name()).count() == 1);
        }
    }
}
