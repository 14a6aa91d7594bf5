//! The limit on refused requests per source address (DESIGN section 9): a token bucket that only refusals empty. Memory is
//! bounded: when the table is full, the buckets that have filled up again go.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The most addresses that are remembered.
const MAX_SOURCES: usize = 16_384;

/// One address's bucket: `level` refusals that it may still make, as of `at`.
struct Bucket {
    level: f64,
    at: Duration,
}

/// The limit.
pub(crate) struct FailureLimit {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl FailureLimit {
    /// `per_second` refusals a second, `burst` at once; 0 turns it off.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_second), burst: f64::from(burst.max(1)), buckets: Mutex::default() }
    }

    fn is_off(&self) -> bool {
        self.per_second <= 0.0
    }

    /// How long `source` must wait before it is heard again; `None` when it is heard now. `now` is monotonic.
    pub(crate) fn wait(&self, source: IpAddr, now: Duration) -> Option<Duration> {
        if self.is_off() {
            return None;
        }
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let level = buckets.get(&network(source)).map(|bucket| self.level(bucket, now))?;
        (level < 1.0).then(|| Duration::from_secs_f64((1.0 - level) / self.per_second))
    }

    /// Counts a refusal of `source`.
    pub(crate) fn count(&self, source: IpAddr, now: Duration) {
        if self.is_off() {
            return;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let source = network(source);
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(&source) {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.burst);
            if buckets.len() >= MAX_SOURCES {
                return;
            }
        }
        let bucket = buckets.entry(source).or_insert(Bucket { level: self.burst, at: now });
        bucket.level = (self.level(bucket, now) - 1.0).max(0.0);
        bucket.at = now;
    }

    fn level(&self, bucket: &Bucket, now: Duration) -> f64 {
        (bucket.level + now.saturating_sub(bucket.at).as_secs_f64() * self.per_second).min(self.burst)
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_heard_again_as_its_bucket_fills() {
        let limit = FailureLimit::new(2, 3);
        let (source, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let t0 = Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(limit.wait(source, t0), None);
            limit.count(source, t0);
        }
        assert_eq!(limit.wait(source, t0), Some(Duration::from_millis(500)));
        assert_eq!(limit.wait(other, t0), None);
        assert_eq!(limit.wait(source, t0 + Duration::from_millis(500)), None);
        assert_eq!(limit.wait("::ffff:192.0.2.1".parse().unwrap(), t0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_zero_turns_the_limit_off() {
        let limit = FailureLimit::new(1, 1);
        limit.count("2001:db8::1".parse().unwrap(), Duration::ZERO);
        assert!(limit.wait("2001:db8::2".parse().unwrap(), Duration::ZERO).is_some());
        assert!(limit.wait("2001:db8:0:1::1".parse().unwrap(), Duration::ZERO).is_none());
        let off = FailureLimit::new(0, 1);
        off.count("192.0.2.1".parse().unwrap(), Duration::ZERO);
        assert_eq!(off.wait("192.0.2.1".parse().unwrap(), Duration::ZERO), None);
    }

    #[test]
    fn memory_is_bounded_whoever_calls() {
        let limit = FailureLimit::new(1, 10);
        for at in 0..40_000_u32 {
            limit.count(IpAddr::V4(at.into()), Duration::ZERO);
        }
        assert!(limit.buckets.lock().unwrap().len() <= MAX_SOURCES);
    }
}
