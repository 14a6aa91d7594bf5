//! Issues a token: its claims, record and indexes go into one transaction.

use sts_types::{ReplayClaim, TokenRecord};

use super::batch::{Batch, Replies, command, sized};
use super::error::RedisStoreError;
use super::names::Names;
use super::store_mark::StoreMark;
use super::{RedisLedger, forget_at};
use sts_store::LedgerError;
use sts_store::backend::distinct;
use sts_store::backend::live_until;
use sts_store::{EarlierUse, Issued};

/// The names and scores under which a record is stored.
struct RecordKeys {
    id: String,
    record: String,
    account: String,
    end_member: String,
    issued: i64,
    end: i64,
}

impl RecordKeys {
    fn of(names: &Names, record: &TokenRecord) -> Self {
        let (id, account_id) = (names.id(&record.jti), names.account_id(&record.account));
        Self {
            record: names.record(&id),
            account: names.account(&account_id),
            end_member: format!("{id}{account_id}"),
            issued: record.iat.as_secs().saturating_mul(1000).saturating_add(i64::from(record.iat_millis)),
            end: live_until(record.exp).as_secs(),
            id,
        }
    }

    /// Key, score and member of each row in an index.
    fn rows<'a>(&'a self, names: &'a Names) -> [(&'a str, i64, &'a str); 3] {
        [
            (&self.account, self.issued, &self.id),
            (names.all(), self.issued, &self.id),
            (names.ends(), self.end, &self.end_member),
        ]
    }
}

impl RedisLedger {
    /// Each claim is one atomic set-if-absent. No later command in a transaction can depend on its
    /// outcome, so if a claim was taken already, the other writes are undone at once. Nobody has
    /// received that token.
    pub(super) async fn issue_record(
        &self,
        mut record: TokenRecord,
        claims: Vec<ReplayClaim>,
    ) -> Result<Issued, LedgerError> {
        self.recheck_integrity().await?;
        let claims = distinct(claims);
        let keys = RecordKeys::of(self.names(), &record);
        let preceding = self.guard().rules();
        record.preceding_rules = Some(preceding);

        let mut batch = self.inspector.reading(Batch::atomic());
        self.add_claims(&mut batch, &claims, &EarlierUse::of(&record), false)?;
        self.add_record(&mut batch, &keys, &record)?;

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
        let recorded = self.read_record(&mut replies, &keys, &mut undo)?;
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
                    Box::pin(self.record_again(&keys.id, &record, &replies)).await?;
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

    /// Adds the commands that write the record and its rows in the indexes.
    fn add_record(&self, batch: &mut Batch, keys: &RecordKeys, record: &TokenRecord) -> Result<(), RedisStoreError> {
        let stored = self.guard().lineage()?.seal_record(&*self.inspector.seal, &keys.id, record)?;
        let mut set = sized("SET", 5, stored.len());
        set.arg(&keys.record).arg(stored).arg("NX").arg("PXAT").arg(forget_at(live_until(record.exp)));
        batch.add(set);
        for (key, score, member) in keys.rows(self.names()) {
            let mut add = sized("ZADD", 4, 0);
            add.arg(key).arg("NX").arg(score).arg(member);
            batch.add(add);
        }
        Ok(())
    }

    /// Reads the replies to [`Self::add_record`] and collects in `undo` the commands that undo
    /// them. Returns whether the record was written.
    fn read_record(
        &self,
        replies: &mut Replies,
        keys: &RecordKeys,
        undo: &mut Vec<redis::Cmd>,
    ) -> Result<bool, RedisStoreError> {
        let recorded = replies.was_set()?;
        if recorded {
            undo.push(command("DEL", &[&keys.record]));
        }
        for (key, _, member) in keys.rows(self.names()) {
            if replies.number()? > 0 {
                undo.push(command("ZREM", &[key, member]));
            }
        }
        Ok(recorded)
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
    pub(super) async fn take_back(&self, undo: Vec<redis::Cmd>, written: &Replies) {
        if undo.is_empty() {
            return;
        }
        let mut batch = Batch::atomic();
        for command in undo {
            batch.add(command);
        }
        if let Err(error) = self.pool.run_after(written, batch).await {
            tracing::warn!(%error, "what a failed write left in Redis stays until it expires; no token came of it");
        }
    }
}
