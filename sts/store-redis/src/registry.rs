//! The live revocations in memory, as of the last verified mark. A revocation that is here and not
//! in Redis was deleted there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use sts_types::{Seal, UnixTime};

use super::error::RedisStoreError;
use super::mark::SealedMark;
use sts_store::Place;
use sts_store::Revocation;
use sts_store::backend::Rules;
use sts_store::backend::codec;
use sts_store::backend::live_until;

/// The 16 octets of a token's id.
pub(super) type TokenId = [u8; 16];

/// The mark that was verified last.
pub(super) struct Verified {
    /// As it is stored.
    pub(super) sealed: Vec<u8>,
    pub(super) mark: Arc<SealedMark>,
}

/// Everything that is revoked.
#[derive(Clone, Default)]
pub(super) struct Revoked {
    /// When each token's revocation ends, in seconds since the epoch.
    pub(super) tokens: HashMap<TokenId, i64>,
    /// The sealed rules by id.
    pub(super) rules: BTreeMap<String, Vec<u8>>,
}

/// One entry of the log of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A token was revoked, or its revocation was extended.
    Token(TokenId, i64),
    /// All tokens were forgotten whose revocation ended before this second.
    Swept(i64),
}

pub(super) struct Registry {
    /// Changes only together with `verified`.
    revoked: RwLock<Revoked>,
    verified: ArcSwapOption<Verified>,
    rules: ArcSwap<Rules>,
    suspicion: ArcSwapOption<RedisStoreError>,
    /// Monotonic time before which a Redis that failed its check is not read again.
    pub(super) loading: tokio::sync::Mutex<Duration>,
}

impl Change {
    /// The entry's text in the log.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Token(id, until) => format!("{}{until}", sts_types::hex(&id)),
            Self::Swept(before) => format!("-{before}"),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            Some(before) => before.parse().ok().map(Self::Swept),
            None => {
                let (id, until) = text.split_at_checked(32)?;
                Some(Self::Token(token_id(id)?, until.parse().ok()?))
            }
        }
    }
}

/// Parses an id in hexadecimal.
pub(super) fn token_id(hex: &str) -> Option<TokenId> {
    sts_types::from_hex(hex)
}

impl Revoked {
    /// The sum over all of it.
    pub(super) fn sum(&self, seal: &dyn Seal) -> SealedMark {
        let mut sum = SealedMark::default();
        self.tokens.iter().for_each(|(id, until)| sum.add_token(seal, id, *until));
        self.rules.iter().for_each(|(id, stored)| sum.add_rule(seal, id, stored));
        sum
    }

    /// The tokens that `changes` touch, as they are after them. `None` means that the token is gone.
    /// Moves `sum` along. The caller applies the result only if the sum is right at the end.
    fn overlay(&self, seal: &dyn Seal, changes: &[Change], sum: &mut SealedMark) -> HashMap<TokenId, Option<i64>> {
        let mut overlay: HashMap<TokenId, Option<i64>> = HashMap::new();
        for change in changes {
            match *change {
                Change::Token(id, until) => {
                    let current = overlay.get(&id).copied().unwrap_or_else(|| self.tokens.get(&id).copied());
                    if let Some(current) = current {
                        sum.remove_token(seal, &id, current);
                    }
                    sum.add_token(seal, &id, until);
                    overlay.insert(id, Some(until));
                }
                Change::Swept(before) => {
                    for (id, until) in self.tokens.iter().filter(|(_, until)| **until < before) {
                        overlay.entry(*id).or_insert(Some(*until));
                    }
                    for (id, current) in &mut overlay {
                        if let Some(until) = *current
                            && until < before
                        {
                            sum.remove_token(seal, id, until);
                            *current = None;
                        }
                    }
                }
            }
        }
        overlay
    }

    /// Applies `changes` and replaces the rules.
    pub(super) fn apply(&mut self, changes: &[Change], rules: BTreeMap<String, Vec<u8>>) {
        for change in changes {
            match *change {
                Change::Token(id, until) => drop(self.tokens.insert(id, until)),
                Change::Swept(before) => self.tokens.retain(|_, until| *until >= before),
            }
        }
        self.rules = rules;
    }
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            revoked: RwLock::default(),
            verified: ArcSwapOption::empty(),
            rules: ArcSwap::from_pointee(Rules::new([], UnixTime::from_secs(0))),
            suspicion: ArcSwapOption::empty(),
            loading: tokio::sync::Mutex::new(Duration::ZERO),
        }
    }

    /// The mark that was verified last.
    pub(super) fn verified(&self) -> Option<Arc<Verified>> {
        self.verified.load_full()
    }

    /// Whether `sealed` is the mark that was verified last, and no check has failed since.
    pub(super) fn is_at(&self, sealed: Option<&[u8]>) -> bool {
        self.suspicion.load().is_none()
            && self.verified.load().as_ref().is_some_and(|verified| Some(verified.sealed.as_slice()) == sealed)
    }

    /// Forgets everything, because an operator has accepted another state.
    pub(super) fn forget(&self) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        *revoked = Revoked::default();
        self.verified.store(None);
        self.suspicion.store(None);
    }

    /// Whether some mark was verified, and no check has failed since.
    pub(super) fn is_sound(&self) -> bool {
        self.suspicion.load().is_none() && self.verified.load().is_some()
    }

    /// The error of the failed check, if there is one.
    pub(super) fn suspicion(&self) -> Option<RedisStoreError> {
        self.suspicion.load().as_ref().map(|error| RedisStoreError::clone(error))
    }

    /// Distrusts Redis until all of it was verified again. Returns whether this is new.
    pub(super) fn suspect(&self, why: RedisStoreError) -> bool {
        self.suspicion.swap(Some(Arc::new(why))).is_none()
    }

    /// Whether the token itself is revoked. Rules are not considered.
    pub(super) fn revokes(&self, id: &str) -> bool {
        token_id(id).is_some_and(|id| self.read(|revoked| revoked.tokens.contains_key(&id)))
    }

    /// Whether some rule expired before `now`.
    pub(super) fn rules_end_before(&self, now: UnixTime) -> bool {
        self.rules.load().end_before(now)
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Revoked) -> T) -> T {
        read(&self.revoked.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the revocations, but only if `sealed` is still their mark.
    pub(super) fn read_at<T>(&self, sealed: &[u8], read: impl FnOnce(&Revoked) -> T) -> Option<T> {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        let is_at = self.verified.load().as_ref().is_some_and(|verified| verified.sealed == sealed);
        is_at.then(|| read(&revoked))
    }

    /// The rules in force, oldest first.
    pub(super) fn rules(&self, now: UnixTime) -> Arc<[Revocation]> {
        loop {
            match self.rules.load().all_at(now) {
                Some(rules) => return rules,
                None => drop(self.rules.rcu(|rules| rules.pruned(now))),
            }
        }
    }

    /// Advances from the verified mark to `next` by applying `changes`. Does nothing and returns
    /// `false` if the sums differ.
    pub(super) fn advance(
        &self,
        seal: &dyn Seal,
        next: Verified,
        changes: &[Change],
        rules: BTreeMap<String, Vec<u8>>,
        now: UnixTime,
    ) -> bool {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = self.verified.load_full() else { return false };
        let mut sum = SealedMark::clone(&before.mark);
        let overlay = revoked.overlay(seal, changes, &mut sum);
        let rules_changed = rules != revoked.rules;
        if rules_changed {
            revoked.rules.iter().for_each(|(id, stored)| sum.remove_rule(seal, id, stored));
            rules.iter().for_each(|(id, stored)| sum.add_rule(seal, id, stored));
        }
        if !sum.adds_up_to(&next.mark) {
            return false;
        }
        for (id, current) in overlay {
            match current {
                Some(until) => drop(revoked.tokens.insert(id, until)),
                None => drop(revoked.tokens.remove(&id)),
            }
        }
        if rules_changed {
            self.rules.store(Arc::new(open_rules(seal, &rules, now)));
            revoked.rules = rules;
        }
        self.verified.store(Some(Arc::new(next)));
        true
    }

    /// Replaces everything by what was read under `next`, if the sum is right and no known
    /// revocation is missing.
    pub(super) fn replace(&self, seal: &dyn Seal, next: Verified, fresh: Revoked, now: UnixTime) -> bool {
        if !fresh.sum(seal).adds_up_to(&next.mark) {
            return false;
        }
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        let is_same_epoch = self.verified.load().as_ref().is_some_and(|before| before.mark.epoch == next.mark.epoch);
        let is_kept = |(id, until): (&TokenId, &i64)| {
            live_until(UnixTime::from_secs(*until)) < now || fresh.tokens.get(id).is_some_and(|fresh| fresh >= until)
        };
        // This happens when Redis lost its last writes and another process went on from there. The
        // numbers are right, but a revocation is missing.
        if is_same_epoch && !revoked.tokens.iter().all(is_kept) {
            return false;
        }
        self.rules.store(Arc::new(open_rules(seal, &fresh.rules, now)));
        *revoked = fresh;
        self.verified.store(Some(Arc::new(next)));
        self.suspicion.store(None);
        true
    }
}

/// The rules, unsealed, in the order in which they were made.
fn open_rules(seal: &dyn Seal, rules: &BTreeMap<String, Vec<u8>>, now: UnixTime) -> Rules {
    let mut open_rules: Vec<Revocation> =
        rules.iter().filter_map(|(id, stored)| codec::open(seal, Place::Rule, id.as_bytes(), stored).ok()).collect();
    open_rules.sort_by_key(|rule| (rule.order, rule.at));
    Rules::new(open_rules, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::contract::{START, TestSeal};

    const OLD: TokenId = [1; 16];
    const EDGE: TokenId = [2; 16];

    fn next(epoch: &str, sequence: u64, revoked: &Revoked) -> Verified {
        let mark = SealedMark { epoch: epoch.to_owned(), sequence, ..revoked.sum(&TestSeal(1)) };
        Verified { sealed: format!("{epoch} {sequence}").into_bytes(), mark: Arc::new(mark) }
    }

    fn holding(tokens: &[(TokenId, i64)]) -> Revoked {
        Revoked { tokens: tokens.iter().copied().collect(), rules: BTreeMap::new() }
    }

    #[test]
    fn a_sweep_forgets_what_ended_before_its_moment_in_both_ways_of_reading_it() {
        let swept = [Change::Swept(100)];
        let mut fresh = holding(&[(OLD, 99), (EDGE, 100)]);
        fresh.apply(&swept, BTreeMap::new());
        assert_eq!(fresh.tokens, holding(&[(EDGE, 100)]).tokens);

        let registry = Registry::new();
        let first = holding(&[(OLD, 99), (EDGE, 100)]);
        assert!(registry.replace(&TestSeal(1), next("e", 1, &first), first, START));
        let follows = registry.advance(&TestSeal(1), next("e", 2, &fresh), &swept, BTreeMap::new(), START);
        assert!(follows && registry.read(|revoked| revoked.tokens == fresh.tokens));
    }

    #[test]
    fn what_is_known_to_be_revoked_is_not_lost_to_a_fresh_read_of_the_same_epoch() {
        let live = START.plus(500).as_secs();
        let present = || {
            let registry = Registry::new();
            let first = holding(&[(OLD, live), (EDGE, live)]);
            assert!(registry.replace(&TestSeal(1), next("e", 1, &first), first, START));
            registry
        };
        let takes = |epoch: &str, tokens: &[(TokenId, i64)], now: UnixTime| {
            let fresh = holding(tokens);
            present().replace(&TestSeal(1), next(epoch, 2, &fresh), fresh, now)
        };
        assert!(takes("e", &[(OLD, live), (EDGE, live + 1)], START));
        assert!(!takes("e", &[(OLD, live)], START), "one is missing");
        assert!(!takes("e", &[(OLD, live), (EDGE, live - 1)], START), "one would end earlier");
        assert!(takes("other", &[(OLD, live)], START), "another epoch was accepted");
        let last = live_until(UnixTime::from_secs(live));
        assert!(!takes("e", &[(OLD, live)], last), "it may live to the end of that second");
        assert!(takes("e", &[(OLD, live)], last.plus(1)), "nobody misses what is dead");
    }

    #[test]
    fn what_does_not_add_up_is_not_taken() {
        let registry = Registry::new();
        let first = holding(&[(OLD, 99)]);
        let other = next("e", 1, &holding(&[(OLD, 98)]));
        assert!(!registry.replace(&TestSeal(1), other, first, START));
        assert!(registry.verified().is_none() && !registry.is_sound());
    }

    #[test]
    fn a_change_is_read_as_it_was_written_and_nothing_else_is_one() {
        for change in
            [Change::Token([0xab; 16], 1_800_000_000), Change::Token(OLD, -5), Change::Swept(7), Change::Swept(-7)]
        {
            assert_eq!(Change::parse(&change.to_text()), Some(change));
        }
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(token_id(id).map(|octets| (octets[0], octets[1], octets[15])), Some((0x01, 0x23, 0xef)));
        let (short, long, foreign) = (&id[..31], format!("{id}0"), id.replace('f', "g"));
        for wrong in [short, &long, &foreign, "", "\u{e9}23456789abcdef0123456789abcdef"] {
            assert_eq!(token_id(wrong), None, "{wrong}");
        }
        for wrong in ["", "-", "-x", id, &format!("{id}x"), &format!("{short} 7")] {
            assert_eq!(Change::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn going_on_by_the_log_comes_to_what_reading_all_comes_to() {
        let rules = |text: &str| BTreeMap::from([(text.to_owned(), text.as_bytes().to_vec())]);
        let first = Revoked { rules: rules("one"), ..holding(&[(OLD, 100), (EDGE, 200), ([3; 16], 50)]) };
        let changes = [
            Change::Token(OLD, 300),
            Change::Token([4; 16], 150),
            Change::Token([4; 16], 160),
            Change::Swept(200),
            Change::Token([5; 16], 250),
            Change::Token([3; 16], 400),
            Change::Swept(250),
        ];
        let mut last = first.clone();
        last.apply(&changes, rules("two"));
        assert_eq!(last.tokens, holding(&[(OLD, 300), ([5; 16], 250), ([3; 16], 400)]).tokens);
        let registry = Registry::new();
        assert!(
            !registry.advance(&TestSeal(1), next("e", 2, &last), &changes, rules("two"), START),
            "nothing is known"
        );
        assert!(registry.replace(&TestSeal(1), next("e", 1, &first), first.clone(), START));
        for (wrong, own_rules) in [(&changes[..6], "two"), (&changes[1..], "two"), (&changes[..], "one")] {
            assert!(!registry.advance(&TestSeal(1), next("e", 2, &last), wrong, rules(own_rules), START));
            assert!(registry.read(|revoked| revoked.tokens == first.tokens && revoked.rules == first.rules));
            assert!(registry.is_at(Some(b"e 1")));
        }
        assert!(registry.advance(&TestSeal(1), next("e", 2, &last), &changes, rules("two"), START));
        assert!(registry.read(|revoked| revoked.tokens == last.tokens && revoked.rules == last.rules));
        assert!(registry.is_at(Some(b"e 2")) && !registry.is_at(Some(b"e 1")) && !registry.is_at(None));
        assert!(registry.read_at(b"e 2", |_| ()).is_some() && registry.read_at(b"e 1", |_| ()).is_none());
        assert!(registry.revokes(&sts_types::hex(&OLD)) && !registry.revokes(&sts_types::hex(&EDGE)));
    }
}
