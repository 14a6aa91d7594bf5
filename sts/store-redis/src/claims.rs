//! Claims on one-use tokens.

use sts_types::{Digest256, ReplayClaim, RequestId};

use super::batch::{Batch, Replies, command, sized};
use super::error::RedisStoreError;
use super::seen_claims::SeenClaim;
use super::store_mark::StoreMark;
use super::stored_value::{StoredValue, found};
use super::{RedisLedger, forget_at};
use sts_store::backend::codec;
use sts_store::{Alert, EarlierUse, Fault, LedgerError, Place, TakenClaim};

/// The value that earlier versions wrote for a taken claim. It does not say which exchange took it.
const TAKEN: &[u8] = b"1";
/// After this many milliseconds a claim that is there is not taken back any more: an undo follows
/// its transaction at once. Far longer than that, because the clocks of servers differ.
const SETTLED_MILLIS: u64 = 60_000;

/// The stored form of a claim.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredClaim {
    at_millis: u64,
    request_id: RequestId,
    /// Whether its issue had other claims, too. If one of those was taken, this one is taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    among_others: bool,
}

impl StoredClaim {
    fn new(used: &EarlierUse, among_others: bool) -> Self {
        Self { at_millis: used.at_millis, request_id: used.request_id.clone(), among_others }
    }

    /// Whether the issue that wrote it may still take it back at `now_millis`.
    fn may_be_taken_back(&self, now_millis: u64) -> bool {
        self.among_others && now_millis < self.at_millis.saturating_add(SETTLED_MILLIS)
    }

    fn into_use(self) -> EarlierUse {
        EarlierUse { at_millis: self.at_millis, request_id: self.request_id }
    }
}

impl RedisLedger {
    /// Takes a claim that comes without a record, in one round trip.
    pub(super) async fn take_lone_claim(
        &self,
        claim: ReplayClaim,
        by: EarlierUse,
    ) -> Result<Option<TakenClaim>, LedgerError> {
        self.recheck_integrity().await?;
        let claims = [claim];
        let mut batch = self.inspector.reading(Batch::atomic());
        self.add_claims(&mut batch, &claims, &by, false)?;
        let floor = self.verification_floor()?;
        // Read before the command is sent, as for an issue.
        let now = self.clock().now();
        let seen = claims.iter().map(|claim| self.seen_claims.standing(&claim.key, now)).collect();
        let mut replies = self.pool.run(batch).await?;
        let checked = StoreMark::read(&mut replies).and_then(|mut mark| self.guard().check(&mut mark, floor));
        let mut undo = Vec::new();
        let taken = self.read_claims(&mut replies, &claims, seen, checked.is_ok(), &mut undo)?;
        if checked.is_ok() && taken.is_none() {
            let now = self.clock().now();
            claims.iter().for_each(|claim| self.seen_claims.remember(claim, Some(by.clone()), now));
            return Ok(None);
        }
        // Boxed, because it is rare and its future is as large as the rest of this one.
        Box::pin(self.take_back(undo, &replies)).await;
        match checked {
            Ok(_) => Ok(taken),
            Err(error) => {
                self.distrust();
                Err(error.into())
            }
        }
    }

    /// Adds the commands that take `claims` for the request `by`, after a read of their current
    /// values. `among_others` says that they may be taken back because of claims in other shards.
    pub(super) fn add_claims(
        &self,
        batch: &mut Batch,
        claims: &[ReplayClaim],
        by: &EarlierUse,
        among_others: bool,
    ) -> Result<(), LedgerError> {
        if claims.is_empty() {
            return Ok(());
        }
        // Not GET: GET fails on a value of another type, and the transaction with it.
        let mut read = sized("MGET", claims.len(), 0);
        claims.iter().for_each(|claim| {
            read.arg(self.names().claim(claim.key));
        });
        batch.add(read);
        let stored = StoredClaim::new(by, among_others || claims.len() > 1);
        for claim in claims {
            batch.add(self.set_claim(claim, Some(&stored), "NX")?);
        }
        Ok(())
    }

    /// Reads the replies to [`Self::add_claims`], collects in `undo` the commands that undo them,
    /// and returns the first claim that was taken already. The claims of a Redis that failed its
    /// check mean nothing.
    pub(super) fn read_claims(
        &self,
        replies: &mut Replies,
        claims: &[ReplayClaim],
        seen: Vec<Option<SeenClaim>>,
        is_trusted: bool,
        undo: &mut Vec<redis::Cmd>,
    ) -> Result<Option<TakenClaim>, LedgerError> {
        if claims.is_empty() {
            return Ok(None);
        }
        let existing = replies.list()?;
        if existing.len() != claims.len() {
            return Err(RedisStoreError::Form.into());
        }
        let mut first = None;
        for ((claim, seen), existing) in claims.iter().zip(seen).zip(existing) {
            let was_free = replies.was_set()?;
            if was_free && (seen.is_none() || !is_trusted) {
                undo.push(command("DEL", &[&self.names().claim(claim.key)]));
                continue;
            }
            if !is_trusted {
                continue;
            }
            let taken = if was_free {
                // Somebody freed the claim, or Redis lost it. It stays taken from now on, by the
                // exchange that took it first.
                let used = seen.and_then(|seen| seen.used);
                self.alerts.raise(Alert { place: Place::Claim, fault: Fault::Missing });
                let stored = used.as_ref().map(|used| StoredClaim::new(used, false));
                undo.push(self.set_claim(claim, stored.as_ref(), "XX")?);
                self.seen_claims.remember(claim, used.clone(), self.clock().now());
                TakenClaim { key: claim.key, earlier_use: used }
            } else {
                // The transaction found the key, so without a string it holds another type.
                let existing = existing.map_or(StoredValue::Foreign, StoredValue::Bytes);
                self.note_taken(claim, seen, &existing)
            };
            first.get_or_insert(taken);
        }
        Ok(first)
    }

    /// The claim as it stands in Redis and in memory. Remembers it, unless it may be taken back.
    fn note_taken(&self, claim: &ReplayClaim, seen: Option<SeenClaim>, existing: &StoredValue) -> TakenClaim {
        let stored = self.open_claim(claim.key, existing, seen.as_ref());
        let now = self.clock().now_millis();
        let is_settled = stored.as_ref().is_none_or(|stored| !stored.may_be_taken_back(now));
        let is_seen = seen.is_some();
        let earlier_use = seen.and_then(|seen| seen.used).or_else(|| stored.map(StoredClaim::into_use));
        if is_seen || is_settled {
            self.seen_claims.remember(claim, earlier_use.clone(), self.clock().now());
        }
        TakenClaim { key: claim.key, earlier_use }
    }

    /// The command that marks a claim as taken, and by which exchange.
    fn set_claim(
        &self,
        claim: &ReplayClaim,
        taken: Option<&StoredClaim>,
        condition: &str,
    ) -> Result<redis::Cmd, LedgerError> {
        let stored = match taken {
            None => TAKEN.to_vec(),
            Some(taken) => codec::seal_value(&*self.inspector.seal, Place::Claim, &claim.key.0, taken)
                .map_err(|_| LedgerError::Unavailable("a value of the ledger cannot be encoded".into()))?,
        };
        let mut set = sized("SET", 5, stored.len());
        set.arg(self.names().claim(claim.key)).arg(stored).arg(condition).arg("PXAT").arg(forget_at(claim.until));
        Ok(set)
    }

    /// The value of a claim that is taken. One that cannot be trusted raises an alert, and the claim
    /// stays taken.
    fn open_claim(&self, key: Digest256, existing: &StoredValue, seen: Option<&SeenClaim>) -> Option<StoredClaim> {
        let is_use_known = seen.is_some_and(|seen| seen.used.is_some());
        let opened = match existing {
            StoredValue::Nothing => return None,
            // A claim that said which exchange took it does not become one of an earlier version.
            StoredValue::Bytes(stored) if stored == TAKEN && is_use_known => Err(Fault::Form),
            StoredValue::Bytes(stored) if stored == TAKEN => return None,
            StoredValue::Bytes(stored) => codec::open(&*self.inspector.seal, Place::Claim, &key.0, stored),
            StoredValue::Foreign => Err(Fault::Form),
        };
        opened.map_err(|fault| self.alerts.raise(Alert { place: Place::Claim, fault })).ok()
    }

    /// The claim of `key`, if Redis has it or this process has seen it taken.
    pub(super) async fn find_taken(&self, key: Digest256) -> Result<Option<TakenClaim>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("GET", &[self.names().claim(key)]));
        let (_, mut replies) = self.guarded(batch).await?;
        let existing = found(&mut replies)?;
        let seen = self.seen_claims.standing(&key, self.clock().now());
        if matches!(existing, StoredValue::Nothing) && seen.is_none() {
            return Ok(None);
        }
        let stored = self.open_claim(key, &existing, seen.as_ref());
        let earlier_use = seen.and_then(|seen| seen.used).or_else(|| stored.map(StoredClaim::into_use));
        Ok(Some(TakenClaim { key, earlier_use }))
    }
}
