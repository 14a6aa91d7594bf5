//! Claims on one-use tokens that this process has seen taken. Redis cannot seal the absence of a
//! claim, so somebody with write access there could free one. This memory keeps it taken.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sts_types::{Digest256, ReplayClaim, UnixTime};

use sts_store::EarlierUse;

/// The most claims to remember, in all shards together. Those that end first are forgotten first.
pub(super) const MOST: usize = 65_536;

pub(super) struct SeenClaims {
    claims: Mutex<Claims>,
    most: usize,
}

#[derive(Default)]
struct Claims {
    seen: HashMap<Digest256, SeenClaim>,
    by_end: BTreeSet<(UnixTime, [u8; 32])>,
}

/// A claim that this process has seen taken.
#[derive(Clone)]
pub(super) struct SeenClaim {
    until: UnixTime,
    /// The exchange that took it, if known.
    pub(super) used: Option<EarlierUse>,
}

impl SeenClaims {
    /// Remembers `most` claims.
    pub(super) fn new(most: usize) -> Self {
        Self { claims: Mutex::default(), most }
    }

    /// The claim, if it was seen taken and has not ended.
    pub(super) fn standing(&self, key: &Digest256, now: UnixTime) -> Option<SeenClaim> {
        self.claims().seen.get(key).filter(|seen| seen.until >= now).cloned()
    }

    /// Remembers that the claim is taken, and by which exchange.
    pub(super) fn remember(&self, claim: &ReplayClaim, used: Option<EarlierUse>, now: UnixTime) {
        let mut claims = self.claims();
        if let Some(before) = claims.seen.insert(claim.key, SeenClaim { until: claim.until, used }) {
            claims.by_end.remove(&(before.until, claim.key.0));
        }
        claims.by_end.insert((claim.until, claim.key.0));
        while let Some(&(until, key)) = claims.by_end.first()
            && (until < now || claims.by_end.len() > self.most)
        {
            claims.by_end.pop_first();
            claims.seen.remove(&Digest256(key));
        }
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::{START, claim};

    #[test]
    fn f2_a_claim_stands_to_its_end_and_the_memory_has_a_bound() {
        let seen = SeenClaims::new(MOST);
        let taken = claim(1, START.plus(10));
        seen.remember(&taken, None, START);
        assert!(seen.standing(&taken.key, START.plus(10)).is_some());
        assert!(seen.standing(&taken.key, START.plus(11)).is_none());
        seen.remember(&claim(1, START.plus(20)), None, START);
        assert!(seen.standing(&taken.key, START.plus(20)).is_some());
        for number in 0..u64::try_from(MOST).unwrap() + 9 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            seen.remember(&ReplayClaim { key: Digest256(key), until: START.plus(100) }, None, START);
        }
        assert!(seen.standing(&taken.key, START).is_none(), "it would have ended first");
        assert_eq!(seen.claims().seen.len(), MOST);
        seen.remember(&claim(1, START.plus(300)), None, START.plus(200));
        let held = seen.claims();
        assert_eq!((held.seen.len(), held.by_end.len()), (1, 1));
    }
}
