//! Where the time of an exchange goes.

use std::time::Duration;

use sts_types::Clock;

/// A part of an exchange, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From arrival until the request's body is read: what the caller's network takes.
    Receive,
    /// The request's shape, what it names, and the token's shape.
    Parse,
    /// The issuer's keys: at hand, or waited for.
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

/// How long each phase took that an exchange came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseTimes([Option<Duration>; Phase::ALL.len()]);

impl PhaseTimes {
    /// The time of `phase`; none if the exchange did not come to it.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Option<Duration> {
        self.0.get(phase as usize).copied().flatten()
    }

    /// The time of all phases together.
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

/// Measures the phases of one exchange: exactly one is under way at any moment, so that their times add up to the whole.
pub(crate) struct Stopwatch<'a> {
    clock: &'a dyn Clock,
    since: Duration,
    under_way: Phase,
    times: PhaseTimes,
}

impl<'a> Stopwatch<'a> {
    /// For a request that arrived at the monotonic time `arrived`.
    pub(crate) fn since(arrived: Duration, clock: &'a dyn Clock) -> Self {
        Self { clock, since: arrived, under_way: Phase::Receive, times: PhaseTimes::default() }
    }

    /// The phase under way ends, and `phase` begins or goes on.
    pub(crate) fn enter(&mut self, phase: Phase) {
        let now = self.clock.monotonic();
        self.times.add(self.under_way, now.saturating_sub(self.since));
        self.since = now;
        self.under_way = phase;
    }

    /// The phase under way ends, and with it the exchange.
    pub(crate) fn stop(mut self) -> PhaseTimes {
        self.enter(self.under_way);
        self.times
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    struct Ticking(AtomicU64);

    impl Clock for Ticking {
        fn now_millis(&self) -> u64 {
            0
        }

        /// 1, 2, 4, 8, ... milliseconds.
        fn monotonic(&self) -> Duration {
            Duration::from_millis(1 << self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    #[test]
    fn the_phases_add_up_to_the_whole_and_one_that_is_entered_again_goes_on() {
        let clock = Ticking(AtomicU64::new(1));
        let mut stopwatch = Stopwatch::since(Duration::from_millis(1), &clock);
        for phase in [Phase::Parse, Phase::Keys, Phase::Verify, Phase::Keys] {
            stopwatch.enter(phase);
        }
        let times = stopwatch.stop();
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
