//! Exchanges of the last hour by minute, and of the last week by hour, for the charts of the console.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use sts_api::{ActivityInterval, ActivityPeriod};
use sts_service::{DecisionEvent, Outcome};
use sts_types::UnixTime;

/// Counts by interval. Its size is bounded: 228 intervals, each with one count a reason at most.
#[derive(Default)]
pub(crate) struct Activity {
    started: OnceLock<UnixTime>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    minutes: Intervals,
    hours: Intervals,
}

/// Intervals by their first second. Those in which nothing happened are left out.
#[derive(Default)]
struct Intervals(BTreeMap<i64, Interval>);

#[derive(Default)]
struct Interval {
    granted: u64,
    abandoned: u64,
    refused: BTreeMap<&'static str, u64>,
}

impl Activity {
    /// Notes when counting began.
    pub(crate) fn begin(&self, now: UnixTime) {
        // Counting begins once.
        let _ = self.started.set(now);
    }

    /// Counts an exchange. Called after its answer has left, by one thread.
    pub(super) fn count(&self, event: &DecisionEvent) {
        if let Some(time) = UnixTime::from_rfc3339(&event.time) {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.minutes.count(ActivityPeriod::Hour, time, event.outcome, event.reason);
            counts.hours.count(ActivityPeriod::Week, time, event.outcome, event.reason);
        }
    }

    /// When counting began.
    pub(crate) fn started(&self) -> Option<UnixTime> {
        self.started.get().copied()
    }

    /// Every interval of the period that ends now, oldest first.
    pub(crate) fn intervals(&self, period: ActivityPeriod, now: UnixTime) -> Vec<ActivityInterval> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_period = match period {
            ActivityPeriod::Hour => &counts.minutes,
            ActivityPeriod::Day | ActivityPeriod::Week => &counts.hours,
        };
        let last = start(period, now);
        let starts = (0..period.intervals()).rev().map(|back| last.saturating_sub(back * period.interval()));
        starts.map(|start| of_period.shown(start)).collect()
    }
}

impl Intervals {
    fn count(&mut self, period: ActivityPeriod, time: UnixTime, outcome: Outcome, reason: Option<&'static str>) {
        let current = start(period, time);
        let oldest = current.saturating_sub(period.intervals() * period.interval());
        // An interval later than the next one is left from a clock that was wrong.
        let next = current.saturating_add(period.interval());
        self.0.retain(|start, _| (oldest..=next).contains(start));
        let interval = self.0.entry(current).or_default();
        match (outcome, reason) {
            (Outcome::Abandoned, _) => interval.abandoned += 1,
            (_, Some(reason)) => *interval.refused.entry(reason).or_default() += 1,
            (_, None) => interval.granted += 1,
        }
    }

    fn shown(&self, start: i64) -> ActivityInterval {
        let counts = self.0.get(&start);
        ActivityInterval {
            start: UnixTime::from_secs(start),
            granted: counts.map_or(0, |counts| counts.granted),
            abandoned: counts.map_or(0, |counts| counts.abandoned),
            refused: counts.map_or_else(BTreeMap::new, |counts| {
                counts.refused.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
            }),
        }
    }
}

/// The first second of the interval that `time` is in.
fn start(period: ActivityPeriod, time: UnixTime) -> i64 {
    let seconds = time.as_secs();
    seconds.saturating_sub(seconds.rem_euclid(period.interval()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_000_000 / 3600 * 3600;

    fn count(activity: &Activity, time: i64, outcome: Outcome, reason: Option<&'static str>) {
        let mut counts = activity.counts.lock().unwrap();
        let time = UnixTime::from_secs(time);
        counts.minutes.count(ActivityPeriod::Hour, time, outcome, reason);
        counts.hours.count(ActivityPeriod::Week, time, outcome, reason);
    }

    #[test]
    fn each_exchange_counts_once_in_its_minute_and_once_in_its_hour() {
        let activity = Activity::default();
        count(&activity, NOON - 61, Outcome::Granted, None);
        count(&activity, NOON, Outcome::Refused, Some("token_expired"));
        count(&activity, NOON + 59, Outcome::Unavailable, Some("store_unavailable"));
        count(&activity, NOON + 59, Outcome::Abandoned, None);
        let hour = activity.intervals(ActivityPeriod::Hour, UnixTime::from_secs(NOON + 59));
        assert_eq!(hour.len(), 60);
        let last = hour.last().unwrap();
        assert_eq!((last.start.as_secs(), last.granted, last.abandoned), (NOON, 0, 1));
        assert_eq!(
            last.refused,
            BTreeMap::from([("store_unavailable".to_owned(), 1), ("token_expired".to_owned(), 1)])
        );
        assert_eq!(hour[57].granted, 1, "two minutes earlier");
        for (period, length) in [(ActivityPeriod::Day, 24), (ActivityPeriod::Week, 168)] {
            let intervals = activity.intervals(period, UnixTime::from_secs(NOON + 59));
            assert_eq!(intervals.len(), length);
            let of = |index: usize| (intervals[index].start.as_secs(), intervals[index].granted);
            assert_eq!((of(length - 1), of(length - 2)), ((NOON, 0), (NOON - 3600, 1)));
        }
    }

    #[test]
    fn a_minute_leaves_after_an_hour_and_the_memory_stays_bounded() {
        let activity = Activity::default();
        for minute in 0..20_000 {
            count(&activity, NOON + minute * 60, Outcome::Granted, None);
        }
        let counts = activity.counts.lock().unwrap();
        assert!(counts.minutes.0.len() <= 62 && counts.hours.0.len() <= 170);
    }

    #[test]
    fn a_clock_that_was_ahead_hides_nothing() {
        let activity = Activity::default();
        count(&activity, NOON + 1_000_000, Outcome::Granted, None);
        count(&activity, NOON, Outcome::Granted, None);
        count(&activity, NOON + 1, Outcome::Granted, None);
        let hour = activity.intervals(ActivityPeriod::Hour, UnixTime::from_secs(NOON));
        assert_eq!(hour.iter().map(|interval| interval.granted).sum::<u64>(), 2);
    }
}
