//! What status lists need of Redis: indexes that nobody else has, and what there is to know before a list is made.

use std::collections::BTreeMap;

use sts_types::{StatusWindow, UnixTime};

use super::RedisLedger;
use super::batch::{Batch, command};
use super::trouble::Trouble;
use crate::ledger::{StatusMark, live_until};

impl RedisLedger {
    /// Nothing is taken from a Redis in doubt: an older copy would give indexes a second time.
    pub(super) async fn take_indexes(&self, window: StatusWindow, count: u32) -> Result<u64, Trouble> {
        self.settle_doubt().await?;
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("HINCRBY", &[self.names().leases(), window.number().to_string(), count.to_string()]));
        let (_, mut replies) = self.guarded(batch).await?;
        let first = replies.number()?.checked_sub(i64::from(count));
        first.and_then(|first| u64::try_from(first).ok()).ok_or(Trouble::Form)
    }

    pub(super) async fn find_status(&self) -> Result<StatusMark, Trouble> {
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("HGETALL", &[self.names().leases()]));
        let (mark, mut replies) = self.guarded(batch).await?;
        let mut leased = BTreeMap::new();
        for pair in replies.texts()?.chunks_exact(2) {
            let [window, taken] = pair else { return Err(Trouble::Form) };
            let number = |text: &String| text.parse::<u64>().map_err(|_| Trouble::Form);
            leased.insert(StatusWindow::new(number(window)?), number(taken)?);
        }
        Ok(StatusMark { leased, revocations: mark.sequence.unwrap_or(0) })
    }

    /// Forgets windows whose tokens are all dead.
    pub(super) async fn forget_leases(&self, now: UnixTime) -> Result<(), Trouble> {
        let mark = self.find_status().await?;
        let is_dead = |window: &&StatusWindow| live_until(window.end()) < now;
        let dead: Vec<String> = mark.leased.keys().filter(is_dead).map(|window| window.number().to_string()).collect();
        if dead.is_empty() {
            return Ok(());
        }
        let mut forget = redis::cmd("HDEL");
        forget.arg(self.names().leases()).arg(&dead);
        let mut batch = Batch::plain();
        batch.add(forget);
        self.link.run(batch).await?.number()?;
        Ok(())
    }
}
