//! Recording a token: claim, record and indexes in one transaction.

use sts_types::{ReplayClaim, TokenRecord};

use super::batch::{Batch, Replies, command, sized};
use super::guard::Mark;
use super::{RedisLedger, forget_at};
use crate::alert::{Alert, Fault, Place};
use crate::ledger::{LedgerError, live_until};
use crate::record::Issued;

/// What stands for a claim that is taken: a version, for no more is to be known of it.
const CLAIM: &str = "1";

impl RedisLedger {
    /// The claim is one atomic set-if-absent. Nothing in a transaction can depend on it, so a record whose claim was taken is written
    /// too, and taken back at once; nobody was ever given its token.
    pub(super) async fn issue_record(
        &self,
        mut record: TokenRecord,
        claim: Option<ReplayClaim>,
    ) -> Result<Issued, LedgerError> {
        self.settle_doubt().await?;
        let names = self.names();
        let (id, account_id) = (names.id(&record.jti), names.account_id(&record.account));
        let (record_key, account_key) = (names.record(&id), names.account(&account_id));
        let preceding = self.guard().rules();
        record.preceding_rules = Some(preceding);
        let stored = self.guard().lineage()?.seal_record(&*self.inspector.seal, &id, &record)?;
        let end = live_until(record.exp);
        let issued = record.iat.as_secs().saturating_mul(1000).saturating_add(i64::from(record.iat_millis));
        let end_member = format!("{id}{account_id}");

        let mut undo: Vec<redis::Cmd> = Vec::new();
        let mut batch = self.inspector.reading(Batch::atomic());
        let claim_key = claim.as_ref().map(|claim| {
            let key = names.claim(claim.key);
            let mut set = sized("SET", 5, 0);
            set.arg(&key).arg(CLAIM).arg("NX").arg("PXAT").arg(forget_at(claim.until));
            batch.add(set);
            key
        });
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
        let was_seen = claim.as_ref().is_some_and(|claim| self.seen_claims.stands(&claim.key, self.clock().now()));
        let mut replies = self.link.run(batch).await?;
        let judged = Mark::read(&mut replies)
            .and_then(|mut mark| self.guard().judge(&mut mark, floor).map(|_| mark.numbers.rules));
        let claimed = match &claim_key {
            None => true,
            Some(key) => {
                let was_free = replies.was_set()?;
                // Of another Redis than the one that is known it says nothing.
                let was_freed = was_free && judged.is_ok() && was_seen;
                if was_freed {
                    // Somebody has freed it, or Redis has lost it. It stays taken from now on.
                    self.alerts.raise(Alert { place: Place::Claim, fault: Fault::Missing });
                } else if was_free {
                    undo.push(command("DEL", &[key]));
                }
                was_free && !was_freed
            }
        };
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
        let outcome = match judged {
            Err(doubt) => Err(doubt.into()),
            Ok(_) if !claimed => {
                self.remember(claim.as_ref());
                Ok(Issued::Replayed)
            }
            Ok(_) if !recorded => Err(LedgerError::Duplicate),
            Ok(rules) => {
                self.remember(claim.as_ref());
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

    fn remember(&self, claim: Option<&ReplayClaim>) {
        if let Some(claim) = claim {
            self.seen_claims.remember(claim, self.clock().now());
        }
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
