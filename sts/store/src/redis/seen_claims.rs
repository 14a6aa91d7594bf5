//! The claims on one-use tokens that this process has seen taken. Their absence cannot be sealed in Redis, so somebody with write access
//! there could free one. He cannot free it here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sts_types::{Digest256, ReplayClaim, UnixTime};

/// The most claims that are remembered; those that end first are forgotten first.
const MOST: usize = 65_536;

#[derive(Default)]
pub(super) struct SeenClaims(Mutex<Claims>);

#[derive(Default)]
struct Claims {
    until: HashMap<Digest256, UnixTime>,
    by_end: BTreeSet<(UnixTime, [u8; 32])>,
}

impl SeenClaims {
    /// Whether the claim was seen taken and still stands.
    pub(super) fn stands(&self, key: &Digest256, now: UnixTime) -> bool {
        self.claims().until.get(key).is_some_and(|until| *until >= now)
    }

    /// Remembers that it is taken.
    pub(super) fn remember(&self, claim: &ReplayClaim, now: UnixTime) {
        let mut claims = self.claims();
        if let Some(before) = claims.until.insert(claim.key, claim.until) {
            claims.by_end.remove(&(before, claim.key.0));
        }
        claims.by_end.insert((claim.until, claim.key.0));
        while let Some(&(until, key)) = claims.by_end.first()
            && (until < now || claims.by_end.len() > MOST)
        {
            claims.by_end.pop_first();
            claims.until.remove(&Digest256(key));
        }
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{START, claim};

    #[test]
    fn f2_a_claim_stands_to_its_end_and_the_memory_has_a_bound() {
        let seen = SeenClaims::default();
        let taken = claim(1, START.plus(10));
        seen.remember(&taken, START);
        assert!(seen.stands(&taken.key, START.plus(10)));
        assert!(!seen.stands(&taken.key, START.plus(11)));
        seen.remember(&claim(1, START.plus(20)), START);
        assert!(seen.stands(&taken.key, START.plus(20)));
        for number in 0..u64::try_from(MOST).unwrap() + 9 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            seen.remember(&ReplayClaim { key: Digest256(key), until: START.plus(100) }, START);
        }
        assert!(!seen.stands(&taken.key, START), "it would have ended first");
        assert_eq!(seen.claims().until.len(), MOST);
        seen.remember(&claim(1, START.plus(300)), START.plus(200));
        let held = seen.claims();
        assert_eq!((held.until.len(), held.by_end.len()), (1, 1));
    }
}
