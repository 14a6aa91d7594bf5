//! The limit on refused requests per source address: a token bucket for each source, from which every admitted request takes one
//! and gets it back unless it is refused. So requests in parallel cannot pass the limit.
//!
//! Memory is fixed. A source that has no bucket takes the place of the fullest one in its set, so a source is never admitted
//! unlimited because there are many others, and evicting a bucket costs more requests than it gives back. A cache that evicts by
//! popularity (`moka`) may refuse to admit a new key, and its source would never be limited.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Sets of buckets; a source belongs to one by a keyed hash, so that nobody can choose whose bucket to evict.
const SETS: usize = 4096;
/// Buckets in a set.
const WAYS: usize = 16;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// One source's bucket. It fills by itself and is full at `full_at`, in monotonic nanoseconds; each level taken moves that further
/// away. The default is a full bucket.
#[derive(Clone, Copy, Default)]
struct Bucket {
    source: u64,
    full_at: u64,
}

type Set = Mutex<[Bucket; WAYS]>;

/// The limit.
pub(crate) struct FailureLimit {
    /// Nanoseconds in which a bucket gains one level.
    interval: u64,
    /// Nanoseconds in which an empty bucket becomes full.
    capacity: u64,
    hasher: RandomState,
    /// Empty when the limit is off.
    sets: Box<[Set]>,
}

/// A level that an admitted request has taken. Dropped, it stays taken: a caller who hangs up has not been granted anything.
#[must_use = "the level of a request that was granted is given back"]
pub(crate) struct Admission<'l> {
    limit: &'l FailureLimit,
    source: u64,
}

impl FailureLimit {
    /// `per_second` refusals a second, `burst` at once; 0 a second turns it off.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = NANOS_PER_SECOND / u64::from(per_second.max(1));
        let sets = if per_second == 0 { 0 } else { SETS };
        Self {
            interval,
            capacity: interval * u64::from(burst.max(1)),
            hasher: RandomState::new(),
            sets: (0..sets).map(|_| Set::default()).collect(),
        }
    }

    /// Takes a level of `source` at the monotonic time `now`.
    ///
    /// # Errors
    /// How long the source must wait until it is admitted again.
    pub(crate) fn admit(&self, source: IpAddr, now: Duration) -> Result<Admission<'_>, Duration> {
        let (source, now) = (key(source), nanos(now));
        let admission = Admission { limit: self, source };
        let Some(set) = self.set(source) else { return Ok(admission) };
        let mut buckets = set.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.iter().find(|bucket| bucket.source == source).map_or(0, |bucket| bucket.full_at);
        let taken = full_at.max(now) + self.interval;
        let wait = (taken - now).saturating_sub(self.capacity);
        if wait > 0 {
            return Err(Duration::from_nanos(wait));
        }
        let own = buckets.iter().position(|bucket| bucket.source == source);
        let fullest = || (0..WAYS).min_by_key(|at| buckets.get(*at).map(|bucket| bucket.full_at)).unwrap_or(0);
        let place = own.unwrap_or_else(fullest);
        if let Some(bucket) = buckets.get_mut(place) {
            *bucket = Bucket { source, full_at: taken };
        }
        Ok(admission)
    }

    fn set(&self, source: u64) -> Option<&Set> {
        let hash = usize::try_from(self.hasher.hash_one(source) % SETS as u64).unwrap_or(0);
        self.sets.get(hash)
    }
}

impl Admission<'_> {
    /// Gives the level back, since the request was granted or failed by our own fault.
    pub(crate) fn give_back(self) {
        let Some(set) = self.limit.set(self.source) else { return };
        let mut buckets = set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.iter_mut().find(|bucket| bucket.source == self.source) {
            bucket.full_at = bucket.full_at.saturating_sub(self.limit.interval);
        }
    }
}

/// 64:ff9b::/96, whose addresses stand for the IPv4 address in their last 32 bits (RFC 6052).
const TRANSLATED: u128 = 0x0064_ff9b << 96;

/// What counts as one source: an IPv4 address however it is written, or the /64 that one IPv6 host has to itself.
fn key(source: IpAddr) -> u64 {
    // ::ffff:0:0/96, where it cannot be the upper half of a routable IPv6 address.
    let v4 = |bits: u32| 0xffff_0000_0000 | u64::from(bits);
    match source.to_canonical() {
        IpAddr::V4(address) => v4(address.to_bits()),
        IpAddr::V6(address) => match u32::try_from(address.to_bits() ^ TRANSLATED) {
            Ok(bits) => v4(bits),
            Err(_) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
        },
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::from_secs(100);

    fn wait(limit: &FailureLimit, source: &str, now: Duration) -> Option<Duration> {
        limit.admit(source.parse().unwrap(), now).err()
    }

    #[test]
    fn an_address_is_heard_again_as_its_bucket_fills() {
        let limit = FailureLimit::new(2, 3);
        for _ in 0..3 {
            assert_eq!(wait(&limit, "192.0.2.1", T0), None);
        }
        assert_eq!(wait(&limit, "192.0.2.1", T0), Some(Duration::from_millis(500)));
        assert_eq!(wait(&limit, "::ffff:192.0.2.1", T0), Some(Duration::from_millis(500)));
        assert_eq!(wait(&limit, "64:ff9b::192.0.2.1", T0), Some(Duration::from_millis(500)));
        assert_eq!(wait(&limit, "192.0.2.2", T0), None);
        assert_eq!(wait(&limit, "64:ff9b::192.0.2.2", T0), None);
        assert_eq!(wait(&limit, "192.0.2.1", T0 + Duration::from_millis(500)), None);
        assert_eq!(wait(&limit, "192.0.2.1", T0 + Duration::from_millis(500)), Some(Duration::from_millis(500)));
        for _ in 0..3 {
            assert_eq!(wait(&limit, "192.0.2.1", T0 * 2), None, "it never holds more than its burst");
        }
        assert!(wait(&limit, "192.0.2.1", T0 * 2).is_some());
    }

    #[test]
    fn f4_a_level_is_taken_before_the_outcome_is_known_and_given_back_only_when_asked() {
        let limit = FailureLimit::new(1, 3);
        let source = "192.0.2.1".parse().unwrap();
        let held: Vec<_> = (0..3).map(|_| limit.admit(source, T0).ok().unwrap()).collect();
        assert!(limit.admit(source, T0).is_err(), "those under way count");
        let mut held = held.into_iter();
        held.next().unwrap().give_back();
        let granted = limit.admit(source, T0).ok().unwrap();
        drop(held);
        assert!(limit.admit(source, T0).is_err(), "who hangs up has spent his level");
        granted.give_back();
        assert!(limit.admit(source, T0).is_ok());
    }

    #[test]
    fn f4_what_is_given_back_late_never_fills_a_bucket_over_its_burst() {
        let limit = FailureLimit::new(1, 2);
        let source = "192.0.2.1".parse().unwrap();
        let held = [limit.admit(source, T0).ok().unwrap(), limit.admit(source, T0).ok().unwrap()];
        let later = T0 * 2;
        let [first, second] = held;
        first.give_back();
        second.give_back();
        assert!(limit.admit(source, later).is_ok() && limit.admit(source, later).is_ok());
        assert!(limit.admit(source, later).is_err());
    }

    #[test]
    fn an_ipv6_host_is_its_64_and_zero_turns_the_limit_off() {
        let limit = FailureLimit::new(1, 1);
        assert_eq!(wait(&limit, "2001:db8::1", T0), None);
        assert!(wait(&limit, "2001:db8::2", T0).is_some());
        assert_eq!(wait(&limit, "2001:db8:0:1::1", T0), None);
        let off = FailureLimit::new(0, 1);
        for _ in 0..3 {
            assert_eq!(wait(&off, "192.0.2.1", T0), None);
        }
        off.admit("192.0.2.1".parse().unwrap(), T0).ok().unwrap().give_back();
    }

    #[test]
    fn f4_among_any_number_of_sources_each_one_is_limited_and_the_most_refused_are_kept() {
        let limit = FailureLimit::new(1, 3);
        for source in 0..100_000_u32 {
            let source = IpAddr::V4((0x0a00_0000 + source).into());
            let admitted = (0..5).filter(|_| limit.admit(source, T0).is_ok()).count();
            assert_eq!(admitted, 3, "{source}");
        }
        let buckets = limit.sets.iter().map(|set| set.lock().unwrap().len()).sum::<usize>();
        assert_eq!(buckets, SETS * WAYS);
        // In a set of buckets that are all empty one has to go; a bucket that is less than empty is never the first.
        let offender = "192.0.2.1".parse().unwrap();
        let fresh = FailureLimit::new(1, 10);
        for _ in 0..10 {
            assert!(fresh.admit(offender, T0).is_ok());
        }
        for source in 0..200_000_u32 {
            let _ = fresh.admit(IpAddr::V4((0x0a00_0000 + source).into()), T0);
        }
        assert!(fresh.admit(offender, T0).is_err(), "200,000 sources that were refused once did not clear its bucket");
    }
}
