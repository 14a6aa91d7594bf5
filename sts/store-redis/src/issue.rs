//! Recording a token: claims, record and indexes in one transaction.

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

/// What earlier versions wrote for a claim that is taken. It does not say which exchange took it.
const TAKEN: &[u8] = b"1";

impl RedisLedger {
    /// Each claim is one atomic set-if-absent. Nothing in a transaction can depend on it, so what was written beside a claim that was
    /// taken is taken back at once; nobody was ever given that token.
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

        let floor = self.admitted()?;
        // Asked before the command leaves: a rival at this very server may lose to this one, and
        // note the claim as taken, before the answer that says we have it is read.
        let now = self.clock().now();
        let seen: Vec<_> = claims.iter().map(|claim| self.seen_claims.standing(&claim.key, now)).collect();
        let mut replies = self.link.run(batch).await?;
        let judged = StoreMark::read(&mut replies)
            .and_then(|mut mark| self.guard().check(&mut mark, floor).map(|_| mark.numbers.rules));
        let mut undo: Vec<redis::Cmd> = Vec::new();
        let taken = self.read_claims(&mut replies, &claims, seen, judged.is_ok(), &mut undo)?;
        let recorded = replies.was_set()?;
        if recorded {
            undo.push(command("DEL", &[&record_key]));
        }
        for (key, _, member) in &sets {
            if replies.number()? > 0 {
                undo.push(command("ZREM", &[*key, *member]));
            }
        }
        let is_doubted = judged.is_err();
        let outcome = match (judged, taken) {
            (Err(doubt), _) => Err(doubt.into()),
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
        // Seldom needed, and as large as all of this.
        Box::pin(self.take_back(undo, &replies)).await;
        if is_doubted {
            self.distrust();
        }
        outcome
    }

    /// Adds the taking of `claims` for the token of `record`, behind a look at what is there.
    fn add_claims(&self, batch: &mut Batch, claims: &[ReplayClaim], record: &TokenRecord) -> Result<(), LedgerError> {
        if claims.is_empty() {
            return Ok(());
        }
        // Not GET: it fails, and with it the transaction, where somebody put another kind of value.
        let mut look = sized("MGET", claims.len(), 0);
        claims.iter().for_each(|claim| {
            look.arg(self.names().claim(claim.key));
        });
        batch.add(look);
        let used = EarlierUse::of(record);
        for claim in claims {
            batch.add(self.claiming(claim, Some(&used), "NX")?);
        }
        Ok(())
    }

    /// Reads what came of [`Self::add_claims`], adds to `undo` what takes it back, and answers the first claim that was taken already.
    /// A Redis that is not the one that is known says nothing of any claim.
    fn read_claims(
        &self,
        replies: &mut Replies,
        claims: &[ReplayClaim],
        seen: Vec<Option<SeenClaim>>,
        is_known: bool,
        undo: &mut Vec<redis::Cmd>,
    ) -> Result<Option<TakenClaim>, LedgerError> {
        if claims.is_empty() {
            return Ok(None);
        }
        let held = replies.list()?;
        if held.len() != claims.len() {
            return Err(RedisStoreError::Form.into());
        }
        let mut first = None;
        for ((claim, seen), held) in claims.iter().zip(seen).zip(held) {
            let was_free = replies.was_set()?;
            if was_free && (seen.is_none() || !is_known) {
                undo.push(command("DEL", &[&self.names().claim(claim.key)]));
                continue;
            }
            if !is_known {
                continue;
            }
            let earlier_use = seen.and_then(|seen| seen.used).or_else(|| self.use_told_by(claim.key, held.as_deref()));
            if was_free {
                // Somebody has freed it, or Redis has lost it. It stays taken from now on, by the
                // exchange that took it first and not by this one.
                self.alerts.raise(Alert { place: Place::Claim, fault: Fault::Missing });
                undo.push(self.claiming(claim, earlier_use.as_ref(), "XX")?);
            }
            self.seen_claims.remember(claim, earlier_use.clone(), self.clock().now());
            first.get_or_insert(TakenClaim { key: claim.key, earlier_use });
        }
        Ok(first)
    }

    /// Writes that the claim is taken, and by which exchange.
    fn claiming(
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

    /// The exchange that took the claim of `key`, by its value in Redis. One that cannot be believed leaves the claim taken.
    fn use_told_by(&self, key: Digest256, stored: Option<&[u8]>) -> Option<EarlierUse> {
        let stored = stored.filter(|stored| *stored != TAKEN)?;
        self.unseal(Place::Claim, &key.0, stored)
    }

    /// The claim of `key`, if it is taken in Redis or was seen taken.
    pub(super) async fn find_taken(&self, key: Digest256) -> Result<Option<TakenClaim>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::plain());
        let name = self.names().claim(key);
        batch.add(command("EXISTS", &[&name])).add(command("MGET", &[&name]));
        let (_, mut replies) = self.guarded(batch).await?;
        let is_there = replies.number()? > 0;
        let held = replies.list()?.pop().flatten();
        let seen = self.seen_claims.standing(&key, self.clock().now());
        if !is_there && seen.is_none() {
            return Ok(None);
        }
        let earlier_use = seen.and_then(|seen| seen.used).or_else(|| self.use_told_by(key, held.as_deref()));
        Ok(Some(TakenClaim { key, earlier_use }))
    }

    /// Writes a record anew with the number of rules that there were in the transaction which recorded it. Nobody has its token
    /// before that: by another number a rule could miss it, or cover it that was made before.
    async fn record_again(&self, id: &str, record: &TokenRecord, written: &Replies) -> Result<(), LedgerError> {
        let stored = self.guard().lineage()?.seal_record(&*self.inspector.seal, id, record)?;
        let mut set = sized("SET", 5, stored.len());
        set.arg(self.names().record(id)).arg(stored).arg("XX").arg("PXAT").arg(forget_at(live_until(record.exp)));
        let mut batch = Batch::plain();
        batch.add(set);
        if self.link.run_after(written, batch).await?.was_set()? {
            Ok(())
        } else {
            Err(LedgerError::Unavailable("the record of the token is gone already".into()))
        }
    }

    /// Takes back what this issue wrote, from where it wrote it: another Redis may have a claim under that name that stands. Should that
    /// fail, a record stays whose token nobody has, until it dies.
    async fn take_back(&self, undo: Vec<redis::Cmd>, written: &Replies) {
        if undo.is_empty() {
            return;
        }
        let mut batch = Batch::atomic();
        for command in undo {
            batch.add(command);
        }
        if let Err(error) = self.link.run_after(written, batch).await {
            tracing::warn!(%error, "the record of a token that was never answered stays listed until it expires");
        }
    }
}
