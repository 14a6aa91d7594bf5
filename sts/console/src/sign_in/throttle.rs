//! Bounds how many sign-ins begin. Anybody who reaches the listener can begin one, and each is kept in
//! the store for minutes. Each address has its own bound, so that one address cannot lock out all others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The sign-ins of one address.
const OF_ADDRESS: Limit = Limit { burst: 60, interval: Duration::from_millis(500) };
/// The sign-ins of all addresses.
const OF_ALL: Limit = Limit { burst: 600, interval: Duration::from_millis(50) };

/// How many sign-ins may begin at once, and the time in which one more may begin.
#[derive(Clone, Copy)]
struct Limit {
    burst: u32,
    interval: Duration,
}

impl Limit {
    /// The time at which the bucket is full once a token more is taken. `None` if it is empty.
    fn take(self, full_at: Duration, now: Duration) -> Option<Duration> {
        let next = full_at.max(now) + self.interval;
        (next <= now + self.interval * self.burst).then_some(next)
    }
}

/// Buckets of tokens, each as the time at which it would be full.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    all: Duration,
    /// Without the full ones. As many as the bucket of all lets in while one fills, at most.
    addresses: HashMap<Option<IpAddr>, Duration>,
}

impl Throttle {
    /// Takes a token of `address` at `now`, the time since some moment. Unknown addresses share a bucket.
    pub(crate) fn admits(&self, address: Option<IpAddr>, now: Duration) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.addresses.retain(|_, full_at| *full_at > now);
        let address = address.map(host);
        let own = buckets.addresses.get(&address).copied().unwrap_or_default();
        let Some(own) = OF_ADDRESS.take(own, now) else { return false };
        let Some(all) = OF_ALL.take(buckets.all, now) else { return false };
        buckets.all = all;
        buckets.addresses.insert(address, own);
        true
    }
}

/// What counts as one address: an IPv6 host has a whole /64.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn admitted(throttle: &Throttle, address: &str, now: Duration) -> usize {
        let address = Some(address.parse().unwrap());
        (0..100).filter(|_| throttle.admits(address, now)).count()
    }

    #[test]
    fn a_burst_is_admitted_and_then_one_an_interval() {
        let throttle = Throttle::default();
        let step = OF_ADDRESS.interval;
        assert_eq!(admitted(&throttle, "192.0.2.1", NOW), 60);
        assert_eq!(admitted(&throttle, "192.0.2.1", NOW + step / 2), 0);
        assert_eq!(admitted(&throttle, "192.0.2.1", NOW + step), 1);
        assert_eq!(admitted(&throttle, "192.0.2.1", NOW + step * 1000), 60);
    }

    #[test]
    fn one_address_does_not_use_up_what_others_have() {
        let throttle = Throttle::default();
        assert_eq!(admitted(&throttle, "192.0.2.1", NOW), 60);
        assert_eq!(admitted(&throttle, "::ffff:192.0.2.1", NOW), 0, "the same host");
        assert_eq!(admitted(&throttle, "192.0.2.2", NOW), 60);
        assert_eq!(admitted(&throttle, "2001:db8::1", NOW), 60);
        assert_eq!(admitted(&throttle, "2001:db8::2", NOW), 0, "the same network of one host");
        assert_eq!(admitted(&throttle, "2001:db8:0:1::1", NOW), 60);
        assert_eq!((0..100).filter(|_| throttle.admits(None, NOW)).count(), 60);
    }

    #[test]
    fn all_addresses_together_are_bounded_and_so_is_what_is_kept_of_them() {
        let throttle = Throttle::default();
        let sum: usize = (0..100).map(|last| admitted(&throttle, &format!("192.0.2.{last}"), NOW)).sum();
        assert_eq!(sum, 600);
        assert!(throttle.0.lock().unwrap().addresses.len() <= 10);
        assert!(throttle.admits(None, NOW * 2));
        assert_eq!(throttle.0.lock().unwrap().addresses.len(), 1, "full buckets are forgotten");
    }
}
