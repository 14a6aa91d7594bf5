//! Forgets expired data. Redis drops records, claims and revocation values by itself. The sweep
//! removes their rows from the indexes and from the sealed sum.

use sts_types::UnixTime;

use super::RedisLedger;
use super::batch::{Batch, command};
use super::error::RedisStoreError;

/// The most rows per step.
const STEP: usize = 100;
/// Hexadecimal digits of an id.
const ID_LEN: usize = 32;

impl RedisLedger {
    /// Works in steps. If several processes sweep at once, only one of them counts each row.
    pub(super) async fn forget_dead(&self, now: UnixTime) -> Result<usize, RedisStoreError> {
        let mut records = 0;
        loop {
            let (seen, forgotten) = self.forget_some(now).await?;
            records += forgotten;
            if seen < STEP {
                break;
            }
        }
        self.recheck_integrity().await?;
        while self.forget_revocations(now).await? {}
        self.forget_leases(now).await?;
        Ok(records)
    }

    async fn forget_some(&self, now: UnixTime) -> Result<(usize, usize), RedisStoreError> {
        let (ends, all) = (self.names().ends(), self.names().all());
        let mut batch = self.inspector.reading(Batch::plain());
        let (before, count) = (format!("({now}"), STEP.to_string());
        batch.add(command("ZRANGEBYSCORE", &[ends, "-inf", &before, "LIMIT", "0", &count]));
        let (_, mut replies) = self.guarded(batch).await?;
        let members = replies.texts()?;
        if members.is_empty() {
            return Ok((0, 0));
        }
        let mut batch = Batch::atomic();
        for member in &members {
            let (id, account_id) = member.split_at_checked(ID_LEN).ok_or(RedisStoreError::Form)?;
            batch.add(command("DEL", &[self.names().record(id)]));
            batch.add(command("ZREM", &[all, id]));
            batch.add(command("ZREM", &[self.names().account(account_id).as_str(), id]));
            batch.add(command("ZREM", &[ends, member]));
        }
        let mut replies = self.pool.run(batch).await?;
        let mut forgotten = 0;
        for _ in &members {
            for _ in 0..3 {
                replies.number()?;
            }
            forgotten += usize::try_from(replies.number()?).unwrap_or(0);
        }
        Ok((members.len(), forgotten))
    }
}
