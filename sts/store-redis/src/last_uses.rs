//! When accounts and identities were last used, by any server. Not sealed, because they are no
//! evidence.

use sts_store::UseKey;
use sts_types::UnixTime;

use super::RedisLedger;
use super::batch::{Batch, command, sized};
use super::error::RedisStoreError;

/// The most ids of one command.
const CHUNK: usize = 1000;

impl RedisLedger {
    /// Writes uses that are later than those that are there.
    pub(super) async fn write_last_uses(
        &self,
        uses: Vec<(UseKey, UnixTime)>,
        forget_before: Option<UnixTime>,
    ) -> Result<(), RedisStoreError> {
        if uses.is_empty() && forget_before.is_none() {
            return Ok(());
        }
        self.recheck_integrity().await?;
        let key = self.names().last_uses();
        let mut batch = Batch::plain();
        for chunk in uses.chunks(CHUNK) {
            let mut add = sized("ZADD", 2 + 2 * chunk.len(), 0);
            add.arg(key).arg("GT");
            for (used, at) in chunk {
                add.arg(at.as_secs()).arg(self.names().use_id(used));
            }
            batch.add(add);
        }
        if let Some(before) = forget_before {
            batch.add(command("ZREMRANGEBYSCORE", &[key, "-inf", &format!("({}", before.as_secs())]));
        }
        let commands = uses.chunks(CHUNK).len() + usize::from(forget_before.is_some());
        let mut replies = self.pool.run(batch).await?;
        for _ in 0..commands {
            replies.value()?;
        }
        Ok(())
    }

    pub(super) async fn read_last_uses(&self, keys: Vec<UseKey>) -> Result<Vec<Option<UnixTime>>, RedisStoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch::plain();
        for chunk in keys.chunks(CHUNK) {
            let mut read = sized("ZMSCORE", 1 + chunk.len(), 0);
            read.arg(self.names().last_uses());
            for key in chunk {
                read.arg(self.names().use_id(key));
            }
            batch.add(read);
        }
        let mut replies = self.pool.run(batch).await?;
        let mut found = Vec::with_capacity(keys.len());
        for _ in keys.chunks(CHUNK) {
            found.extend(replies.list()?.into_iter().map(|score| seconds(score.as_deref()?)));
        }
        Ok(found)
    }
}

/// A score, which Redis writes as a floating-point number.
fn seconds(score: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(score).ok()?;
    text.split('.').next()?.parse().ok().map(UnixTime::from_secs)
}
