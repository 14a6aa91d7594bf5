//! A histogram of durations: fixed buckets, no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in seconds, as the exposition writes them, and in nanoseconds.
const BOUNDS: [(&str, u64); 16] = [
    ("0.00005", 50_000),
    ("0.0001", 100_000),
    ("0.00025", 250_000),
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5", 5_000_000_000),
];

/// How many durations fell into each bucket, and their sum.
#[derive(Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    nanoseconds: AtomicU64,
}

/// A histogram at one moment.
pub(crate) struct HistogramSnapshot {
    /// The upper bound of each bucket, and how many durations are not above it; the last bound is `+Inf`.
    pub(crate) cumulative: Vec<(&'static str, u64)>,
    /// Their sum in seconds.
    pub(crate) sum: f64,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|(_, bound)| nanoseconds <= *bound);
        at.and_then(|at| self.buckets.get(at)).unwrap_or(&self.above).fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut add = |bound, bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            (bound, count)
        };
        let mut cumulative: Vec<_> =
            BOUNDS.iter().zip(&self.buckets).map(|((bound, _), bucket)| add(*bound, bucket)).collect();
        cumulative.push(add("+Inf", &self.above));
        HistogramSnapshot {
            cumulative,
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_what_they_say_and_rise() {
        for (text, nanoseconds) in BOUNDS {
            assert_eq!(Duration::from_secs_f64(text.parse().unwrap()), Duration::from_nanos(nanoseconds));
        }
        assert!(BOUNDS.is_sorted_by(|a, b| a.1 < b.1));
    }

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_it_fits_and_counts_in_all_above() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000, 5_000_000, 5_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let HistogramSnapshot { cumulative, sum } = histogram.read();
        let count = |bound: &str| cumulative.iter().find(|(other, _)| *other == bound).unwrap().1;
        assert_eq!(["0.00005", "0.0001", "0.0005", "0.001", "2.5", "5", "+Inf"].map(count), [2, 3, 3, 4, 4, 5, 6]);
        assert!((sum - 10.001_102).abs() < 1e-9, "{sum}");
    }
}
