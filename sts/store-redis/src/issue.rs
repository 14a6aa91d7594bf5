//! Issues a token: its claims, record and indexes go into one transaction.

use sts_types::{Digest256, ReplayClaim, TokenRecord};

use super::batch::{Batch, Replies, command, sized};
use super::error::RedisStoreError;
use super::rollback_guard::StoreMark;
use super::seen_claims::SeenClaim;
use super::{RedisLedger, forget_at};
use sts_store::LedgerError;
use sts_store::backend::codec;
use sts_store::backend::distinct;
use sts_store::backend::live_until;
use sts_store::{Alert, Fault, Place};
use sts_store::{EarlierUse, Issued, TakenClaim};

/// The value that earlier versions wrote for a taken claim. It does not say which exchange took it.
const TAKEN: &[u8] = b"1";

impl RedisLedger {
    /// Each claim is one atomic set-if-absent. No later command in a transaction can depend on its
    /// outcome, so if a claim was taken already, the other writes are undone at once. Nobody has
    /// received that token.
    #[tracing::instrument(level = "debug", name = "store.issue", skip_all, fields(jti = %record.jti))]
    pub(super) async fn issue_record(
        &self,
        mut record: TokenRecord,
        claims: Vec<ReplayClaim>,
    ) -> Result<Issued, LedgerError> {
        self.recheck_integrity().await?;
        let claims = distinct(claims);
        let names = self.names();
        let (id, account_id) = (names.id(&record.jti), names.account_id(&record.account));
        let (record_key, account_key) = (names.record(&id), names.account(&account_id));
        let preceding = self.guard().rules();
        record.preceding_rules = Some(preceding);
        let stored = self.guard().lineage()?.seal_record(&*self.inspector.seal, &id, &record)?;
        let end = live_until(record.exp);
        let issued = record.iat.as_secs().saturating_mul(1000).saturating_add(i64::from(record.iat_millis));
        let end_member = format!("{id}{account_id}");

        let mut batch = self.inspector.reading(Batch::atomic());
        self.add_claims(&mut batch, &claims, &record)?;
        let mut set = sized("SET", 5, stored.len());
        set.arg(&record_key).arg(stored).arg("NX").arg("PXAT").arg(forget_at(end));
        batch.add(set);
        let sets = [
            (account_key.as_str(), issued, id.as_str()),
            (names.all(), issued, &id),
            (names.ends(), end.as_secs(), &end_member),
        ];
        for (key, score, member) in &sets {
            let mut add = sized("ZADD", 4, 0);
            add.arg(key).arg("NX").arg(score).arg(member);
            batch.add(add);
        }

        let floor = self.verification_floor()?;
        // Read `seen` before the command is sent. A concurrent exchange on this server may lose
        // against this one and mark the claim as seen before this one reads the reply that it won.
        let now = self.clock().now();
        let seen: Vec<_> = claims.iter().map(|claim| self.seen_claims.standing(&claim.key, now)).collect();
        let mut replies = self.pool.run(batch).await?;
        let checked = StoreMark::read(&mut replies)
            .and_then(|mut mark| self.guard().check(&mut mark, floor).map(|_| mark.numbers.rules));
        let mut undo: Vec<redis::Cmd> = Vec::new();
        let taken = self.read_claims(&mut replies, &claims, seen, checked.is_ok(), &mut undo)?;
        let recorded = replies.was_set()?;
        if recorded {
            undo.push(command("DEL", &[&record_key]));
        }
        for (key, _, member) in &sets {
            if replies.number()? > 0 {
                undo.push(command("ZREM", &[*key, *member]));
            }
        }
        let is_untrusted = checked.is_err();
        let outcome = match (checked, taken) {
            (Err(error), _) => Err(error.into()),
            (Ok(_), Some(taken)) => Ok(Issued::Replayed(taken)),
            (Ok(_), None) if !recorded => Err(LedgerError::Duplicate),
            (Ok(rules), None) => {
                for claim in &claims {
                    self.seen_claims.remember(claim, Some(EarlierUse::of(&record)), self.clock().now());
                }
                if rules != preceding {
                    record.preceding_rules = Some(rules);
                    Box::pin(self.record_again(&id, &record, &replies)).await?;
                }
                return Ok(Issued::Recorded);
            }
        };
        // Boxed, because it is rare and its future is as large as the rest of this one.
        Box::pin(self.take_back(undo, &replies)).await;
        if is_untrusted {
            self.distrust();
        }
        outcome
    }

    /// Adds the commands that take `claims` for the token of `record`, after a read of their
    /// current values.
    fn add_claims(&self, batch: &mut Batch, claims: &[ReplayClaim], record: &TokenRecord) -> Result<(), LedgerError> {
        if claims.is_empty() {
            return Ok(());
        }
        // Not GET: GET fails on a value of another type, and the transaction with it.
        let mut read = sized("MGET", claims.len(), 0);
        claims.iter().for_each(|claim| {
            read.arg(self.names().claim(claim.key));
        });
        batch.add(read);
        let used = EarlierUse::of(record);
        for claim in claims {
            batch.add(self.set_claim(claim, Some(&used), "NX")?);
        }
        Ok(())
    }

    /// Reads the replies to [`Self::add_claims`], collects in `undo` the commands that undo them,
    /// and returns the first claim that was taken already. The claims of a Redis that failed its
    /// check mean nothing.
    fn read_claims(
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
            let earlier_use =
                seen.and_then(|seen| seen.used).or_else(|| self.earlier_use_in(claim.key, existing.as_deref()));
            if was_free {
                // Somebody freed the claim, or Redis lost it. It stays taken from now on, by the
                // exchange that took it first.
                self.alerts.raise(Alert { place: Place::Claim, fault: Fault::Missing });
                undo.push(self.set_claim(claim, earlier_use.as_ref(), "XX")?);
            }
            self.seen_claims.remember(claim, earlier_use.clone(), self.clock().now());
            first.get_or_insert(TakenClaim { key: claim.key, earlier_use });
        }
        Ok(first)
    }

    /// The command that marks a claim as taken, and by which exchange.
    fn set_claim(
        &self,
        claim: &ReplayClaim,
        used: Option<&EarlierUse>,
        condition: &str,
    ) -> Result<redis::Cmd, LedgerError> {
        let stored = match used {
            None => TAKEN.to_vec(),
            Some(used) => codec::seal_value(&*self.inspector.seal, Place::Claim, &claim.key.0, used)
                .map_err(|_| LedgerError::Unavailable("a value of the ledger cannot be encoded".into()))?,
        };
        let mut set = sized("SET", 5, stored.len());
        set.arg(self.names().claim(claim.key)).arg(stored).arg(condition).arg("PXAT").arg(forget_at(claim.until));
        Ok(set)
    }

    /// The exchange that took the claim, according to its value in Redis. The claim stays taken if
    /// the value cannot be trusted.
    fn earlier_use_in(&self, key: Digest256, stored: Option<&[u8]>) -> Option<EarlierUse> {
        let stored = stored.filter(|stored| *stored != TAKEN)?;
        self.unseal(Place::Claim, &key.0, stored)
    }

    /// The claim of `key`, if Redis has it or this process has seen it taken.
    pub(super) async fn find_taken(&self, key: Digest256) -> Result<Option<TakenClaim>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::plain());
        let name = self.names().claim(key);
        batch.add(command("EXISTS", &[&name])).add(command("MGET", &[&name]));
        let (_, mut replies) = self.guarded(batch).await?;
        let is_there = replies.number()? > 0;
        let existing = replies.list()?.pop().flatten();
        let seen = self.seen_claims.standing(&key, self.clock().now());
        if !is_there && seen.is_none() {
            return Ok(None);
        }
        let earlier_use = seen.and_then(|seen| seen.used).or_else(|| self.earlier_use_in(key, existing.as_deref()));
        Ok(Some(TakenClaim { key, earlier_use }))
    }

    /// Writes the record again, with the number of rules at the time of its transaction. Nobody has
    /// the token before that. With another number, a rule could miss the token, or cover it
    /// although the rule is older.
    async fn record_again(&self, id: &str, record: &TokenRecord, written: &Replies) -> Result<(), LedgerError> {
        let stored = self.guard().lineage()?.seal_record(&*self.inspector.seal, id, record)?;
        let mut set = sized("SET", 5, stored.len());
        set.arg(self.names().record(id)).arg(stored).arg("XX").arg("PXAT").arg(forget_at(live_until(record.exp)));
        let mut batch = Batch::plain();
        batch.add(set);
        if self.pool.run_after(written, batch).await?.was_set()? {
            Ok(())
        } else {
            Err(LedgerError::Unavailable("the record of the token is gone already".into()))
        }
    }

    /// Undoes the writes of this issue over the same connection: another Redis may hold a valid
    /// claim under that name. If this fails, a record stays until it expires, and nobody has its
    /// token.
    async fn take_back(&self, undo: Vec<redis::Cmd>, written: &Replies) {
        if undo.is_empty() {
            return;
        }
        let mut batch = Batch::atomic();
        for command in undo {
            batch.add(command);
        }
        if let Err(error) = self.pool.run_after(written, batch).await {
            tracing::warn!(%error, "the record of a token that was never answered stays listed until it expires");
        }
    }
}
