//! One store of several shards. Each shard is a whole store: it keeps its own records, claims, rules
//! and status indexes, and checks that none of them are lost.
//!
//! The first octet of a token's `jti` names the shard of its record. The record of a token that comes
//! from another lies in that token's shard. A record that takes a one-use claim lies in the claim's
//! shard. So an exchange, an introspection and a revocation by `jti` each ask one shard. A rule is in
//! all shards.

mod claims;
mod objects;
mod pages;
mod readiness;
mod rule_book;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join_all, try_join_all};
use sts_types::{Digest256, Jti, StatusWindow, UnixTime};

use self::rule_book::{RuleBook, merged};
use crate::ledger::{Acceptance, Lease, Ledger, LedgerError, LedgerFuture, RuledEntries, StatusMark};
use crate::managed::ObjectStore;
use crate::record::{
    EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RevocationScope, RuleId, TakenClaim, TokenRecord,
};
use crate::refusals::RefusalStore;
use crate::sessions::SessionStore;
use crate::warning::Warning;

/// A store that can be one of several shards.
pub trait Shard: Ledger + ObjectStore + RefusalStore + SessionStore {
    /// Claims that were taken by [`take_aside`](Self::take_aside).
    type Held: Send + 'static;

    /// Whether it answered lately and is trusted, as far as is known. Waits for nothing.
    fn is_well(&self) -> bool;

    /// Takes all of `claims`, or none, for the request `by`, whose record lies in another shard. It
    /// may give them back.
    fn take_aside(&self, claims: Vec<ReplayClaim>, by: EarlierUse) -> LedgerFuture<'_, TakenAside<Self::Held>>;

    /// Keeps the claims for good: the record is there.
    fn keep(&self, held: Self::Held);

    /// Frees the claims, since nobody gets the token. If that fails they stay taken until they end.
    fn give_back(&self, held: Self::Held) -> LedgerFuture<'_, ()>;

    /// What [`Ledger::list`] answers, of the records that were issued before this millisecond.
    fn list_before(&self, listing: Listing, millis: i64) -> LedgerFuture<'_, Vec<Entry>>;
}

/// The outcome of [`Shard::take_aside`].
#[derive(Debug)]
pub enum TakenAside<H> {
    /// All of them are the caller's.
    Held(H),
    /// The first claim that was taken already. None was taken.
    Replayed(TakenClaim),
}

/// The shard that the first octet of `jti` names, if it is one of ours.
#[must_use]
pub fn shard_of(jti: &Jti) -> Option<u8> {
    let mut digits = jti.as_str().bytes().map(base64url_digit);
    let (high, low) = (digits.next()??, digits.next()??);
    Some((high << 2) | (low >> 4))
}

const fn base64url_digit(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    })
}

/// A store of several shards.
pub struct ShardedStore<S> {
    /// At most 256.
    shards: Vec<S>,
    /// Counts the records that may lie anywhere.
    next: AtomicUsize,
    rules: RuleBook,
}

impl<S> std::fmt::Debug for ShardedStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardedStore").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl<S: Shard> ShardedStore<S> {
    /// A store of these shards, in their order.
    #[must_use]
    pub fn new(shards: Vec<S>) -> Self {
        Self { rules: RuleBook::new(shards.len()), shards, next: AtomicUsize::new(0) }
    }

    /// The shard at `index`.
    fn shard(&self, index: usize) -> Result<&S, LedgerError> {
        self.shards.get(index).ok_or_else(|| LedgerError::Unavailable("the store has no such shard".into()))
    }

    /// The index of the shard with the record of `jti`. `None` if no record of that `jti` can be
    /// there.
    fn index_of(&self, jti: &Jti) -> Option<usize> {
        shard_of(jti).map(usize::from).filter(|index| *index < self.shards.len())
    }

    /// The index of the shard that keeps what `digest` names.
    fn index_for(&self, digest: &Digest256) -> usize {
        let number = digest.0.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets));
        remainder(number, self.shards.len())
    }

    /// The index of some shard that is well, each in turn.
    fn any(&self) -> usize {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let index = turn % self.shards.len().max(1);
        if self.shards.get(index).is_some_and(S::is_well) {
            return index;
        }
        // The share of a shard that is away goes to all others alike.
        let well: Vec<usize> =
            self.shards.iter().enumerate().filter(|(_, shard)| shard.is_well()).map(|(index, _)| index).collect();
        well.get(turn / self.shards.len().max(1) % well.len().max(1)).copied().unwrap_or(index)
    }

    /// Asks the shard at `index`. Its error names it.
    fn ask<'a, T: Send + 'a>(
        &'a self,
        index: usize,
        ask: impl FnOnce(&'a S) -> LedgerFuture<'a, T>,
    ) -> LedgerFuture<'a, T> {
        let asked = self.shard(index).map(ask);
        Box::pin(async move { asked?.await.map_err(|error| self.named(index, error)) })
    }

    /// Asks all shards at once.
    async fn ask_all<'a, T: Send + 'a>(
        &'a self,
        ask: impl Fn(&'a S) -> LedgerFuture<'a, T>,
    ) -> Vec<Result<T, LedgerError>> {
        join_all((0..self.shards.len()).map(|index| self.ask(index, &ask))).await
    }

    /// The answers of all shards, or the error of the first that fails.
    async fn all<'a, T: Send + 'a>(
        &'a self,
        ask: impl Fn(&'a S) -> LedgerFuture<'a, T>,
    ) -> Result<Vec<T>, LedgerError> {
        self.ask_all(ask).await.into_iter().collect()
    }

    fn named(&self, index: usize, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Unavailable(why) => LedgerError::Unavailable(format!("{}: {why}", self.name_of(index)).into()),
            LedgerError::Duplicate | LedgerError::InPart(_) => error,
        }
    }

    /// The name of a shard in messages, counted from 1.
    fn name_of(&self, index: usize) -> String {
        format!("shard {} of {}", index.saturating_add(1), self.shards.len())
    }

    /// Looks up `jtis` at their shards.
    async fn find_all(&self, jtis: &[Jti]) -> Result<RuledEntries, LedgerError> {
        let mut positions: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, jti) in jtis.iter().enumerate() {
            if let Some(index) = self.index_of(jti) {
                positions.entry(index).or_default().push(position);
            }
        }
        let asked = positions.iter().map(|(&index, positions)| {
            let jtis = positions.iter().filter_map(|position| jtis.get(*position)).cloned().collect();
            self.ask(index, |shard| shard.look_up_with_rules(jtis))
        });
        let answers = try_join_all(asked).await?;
        let mut found: Vec<Option<Entry>> = jtis.iter().map(|_| None).collect();
        let mut rules = Vec::with_capacity(answers.len());
        for ((index, positions), (entries, of_shard)) in positions.into_iter().zip(answers) {
            for (position, entry) in positions.into_iter().zip(entries) {
                if let Some(place) = found.get_mut(position) {
                    *place = entry;
                }
            }
            rules.push((index, of_shard));
        }
        Ok((found, self.rules.updated(&rules)))
    }

    /// Makes a rule in all shards.
    async fn make_rule(&self, rule: Revocation) -> Result<Revocation, LedgerError> {
        let made = self.ask_all(|shard| shard.revoke(rule.clone())).await;
        let (made, failed) = sorted_out(made);
        let in_force = made.len();
        match failed {
            None => merged(&made, self.shards.len()).ok_or_else(|| LedgerError::Unavailable("no shard".into())),
            Some(error) if in_force == 0 => Err(error),
            Some(error) => Err(LedgerError::InPart(
                format!("{error}; the rule is in force in {in_force} of {} shards already", self.shards.len()).into(),
            )),
        }
    }

    /// Takes a rule back from all shards that have it.
    async fn take_back_rule(&self, id: RuleId) -> Result<Option<Revocation>, LedgerError> {
        let undone = self.ask_all(|shard| shard.undo_rule(id.clone())).await;
        let (undone, failed) = sorted_out(undone);
        let undone: Vec<_> = undone.into_iter().filter_map(|(index, rule)| Some((index, rule?))).collect();
        match failed {
            None => Ok(merged(&undone, self.shards.len())),
            Some(error) if undone.is_empty() => Err(error),
            Some(error) => Err(LedgerError::InPart(
                format!("{error}; the rule is taken back in {} of {} shards already", undone.len(), self.shards.len())
                    .into(),
            )),
        }
    }
}

/// The index among `shards` for a number that is spread evenly.
fn remainder(number: u64, shards: usize) -> usize {
    let shards = u64::try_from(shards.max(1)).unwrap_or(u64::MAX);
    usize::try_from(number % shards).unwrap_or(0)
}

/// The answers with their indexes, and the first error.
fn sorted_out<T>(answers: Vec<Result<T, LedgerError>>) -> (Vec<(usize, T)>, Option<LedgerError>) {
    let (mut done, mut failed) = (Vec::with_capacity(answers.len()), None);
    for (index, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(answer) => done.push((index, answer)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    (done, failed)
}

impl<S: Shard> Ledger for ShardedStore<S> {
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        let Some(index) = self.index_of(&record.jti) else {
            return Box::pin(async { Err(LedgerError::Unavailable("the token's jti names no shard".into())) });
        };
        if claims.iter().all(|claim| self.index_for(&claim.key) == index) {
            return self.ask(index, |shard| shard.issue(record, claims));
        }
        Box::pin(self.issue_across(index, record, claims))
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.ask(self.index_for(&claim.key), |shard| shard.take_claim(claim, by))
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.ask(self.index_for(&key), |shard| shard.find_claim(key))
    }

    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>> {
        match self.index_of(&jti) {
            Some(index) => self.ask(index, |shard| shard.look_up(jti)),
            None => Box::pin(async { Ok(None) }),
        }
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        Box::pin(async move { Ok(self.find_all(&jtis).await?.0) })
    }

    fn look_up_with_rules(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, RuledEntries> {
        Box::pin(async move { self.find_all(&jtis).await })
    }

    fn place(&self, parent: Option<&Jti>, claims: &dyn Fn() -> Vec<ReplayClaim>) -> Option<u8> {
        let of_parent = parent.and_then(|parent| self.index_of(parent));
        let index = of_parent.unwrap_or_else(|| match claims().first() {
            Some(claim) => self.index_for(&claim.key),
            None => self.any(),
        });
        u8::try_from(index).ok()
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        match &revocation.scope {
            RevocationScope::Rule(_) => Box::pin(self.make_rule(revocation)),
            RevocationScope::Token(jti) => match self.index_of(jti) {
                Some(index) => self.ask(index, |shard| shard.revoke(revocation)),
                None => Box::pin(async { Err(LedgerError::Unavailable("the token's jti names no shard".into())) }),
            },
        }
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        Box::pin(self.take_back_rule(id))
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        Box::pin(async move {
            let rules: Vec<_> = self.all(S::rules).await?.into_iter().enumerate().collect();
            Ok(self.rules.updated(&rules))
        })
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        Box::pin(async move { Ok(self.all(S::last_end).await?.into_iter().flatten().max()) })
    }

    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        Box::pin(self.page(listing))
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        Box::pin(async move { readiness::combined(self.ask_all(S::ready).await) })
    }

    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize> {
        Box::pin(async move { Ok(self.all(|shard| shard.sweep(now)).await?.into_iter().sum()) })
    }

    fn lease(&self, shard: Option<u8>, window: StatusWindow, _: u32) -> LedgerFuture<'_, Lease> {
        let index = shard.map_or_else(|| self.any(), usize::from);
        Box::pin(self.lease_block(index, window))
    }

    fn lease_era(&self, shard: Option<u8>) -> u64 {
        let asked = shard.and_then(|shard| self.shards.get(usize::from(shard)));
        asked.map_or(0, |shard| shard.lease_era(None))
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        Box::pin(async move { Ok(status::combined(self.all(S::status).await?)) })
    }

    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        Box::pin(self.revoked_in_shards_since(seen))
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        Box::pin(async move {
            let accepted = self.all(S::accept_epoch).await?;
            let is_new = accepted.contains(&Acceptance::Accepted);
            Ok(if is_new { Acceptance::Accepted } else { Acceptance::NothingToAccept })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octet_of_a_jti_in_base64url_is_its_shard() {
        for (text, shard) in [
            ("AA", Some(0)),
            ("AQAA", Some(1)),
            ("_w", Some(255)),
            ("-_", Some(251)),
            ("H_abc", Some(31)),
            ("AP__", Some(0)),
            ("A", None),
            ("A+", None),
            ("\u{e9}A", None),
            ("A=", None),
        ] {
            assert_eq!(shard_of(&Jti::new(text).unwrap()), shard, "{text}");
        }
    }
}
