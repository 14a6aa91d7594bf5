//! The store's part of status lists: indexes that no other process has, and the input for a new
//! list.

use std::collections::BTreeMap;

use sts_types::{StatusWindow, TokenRecord, UnixTime};

use super::RedisLedger;
use super::batch::{Batch, command};
use super::error::RedisStoreError;
use super::list::STEP;
use super::load::LOGGED;
use super::registry::Change;
use sts_store::Listing;
use sts_store::backend::live_until;
use sts_store::{Lease, StatusMark};

/// How many more log entries a read asks for, because revocations may arrive between the last mark
/// and this read.
const SLACK: u64 = 256;

impl RedisLedger {
    /// Leases indexes. An older copy of Redis would lease them a second time, so a Redis that
    /// failed its check leases nothing.
    pub(super) async fn take_indexes(&self, window: StatusWindow, count: u32) -> Result<Lease, RedisStoreError> {
        self.recheck_integrity().await?;
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("HINCRBY", &[self.names().leases(), &window.number().to_string(), &count.to_string()]));
        let floor = self.verification_floor()?;
        let (_, mut replies) = self.verify_mark(floor, self.pool.run_on_newest(batch).await?)?;
        let first = replies.number()?.checked_sub(i64::from(count)).and_then(|first| u64::try_from(first).ok());
        Ok(Lease { first: first.ok_or(RedisStoreError::Form)?, era: self.era_of(replies.connection()) })
    }

    /// The era of a lease that came over this connection. Redis has lost nothing while that
    /// connection lives. A later connection may lead to a Redis that lost its last writes. It lost
    /// records and leases in the order they were made, so no record there has an index of a lost
    /// lease, and the rest of such a lease is not used any more. An exchange that took its index
    /// just before the loss may still record its token. If another token gets the same index,
    /// revoking either shows both as revoked.
    pub(super) fn era_of(&self, connection: u64) -> u64 {
        connection.saturating_add(self.guard().epochs())
    }

    pub(super) async fn find_status(&self) -> Result<StatusMark, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::plain());
        batch.add(command("HGETALL", &[self.names().leases()]));
        let (mark, mut replies) = self.guarded(batch).await?;
        let mut leased = BTreeMap::new();
        for pair in replies.texts()?.chunks_exact(2) {
            let [window, taken] = pair else { return Err(RedisStoreError::Form) };
            let number = |text: &String| text.parse::<u64>().map_err(|_| RedisStoreError::Form);
            leased.insert(StatusWindow::new(number(window)?), number(taken)?);
        }
        Ok(StatusMark { leased, revocations: mark.numbers.sequence, tokens: mark.numbers.changes, shards: Vec::new() })
    }

    /// Reads the tokens revoked since `seen`. The list of ids is not sealed, so each id must lead
    /// to a sealed revocation. If one does not, or one is missing, the result is `None`.
    pub(super) async fn find_revoked_since(
        &self,
        seen: &StatusMark,
    ) -> Result<Option<Vec<TokenRecord>>, RedisStoreError> {
        let tokens = self.guarded(self.inspector.reading(Batch::plain())).await?.0.numbers.changes;
        let wanted = match tokens.checked_sub(seen.tokens) {
            Some(0) => return Ok(Some(Vec::new())),
            Some(missed) if missed <= LOGGED => missed.saturating_add(SLACK),
            _ => return Ok(None),
        };
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("LRANGE", &[self.names().revoked(), &format!("-{wanted}"), "-1"]));
        let (mark, mut replies) = self.guarded(batch).await?;
        let log = replies.texts()?;
        let missed = mark.numbers.changes.checked_sub(seen.tokens).and_then(|missed| usize::try_from(missed).ok());
        let first = missed.and_then(|missed| log.len().checked_sub(missed));
        let Some(log) = first.and_then(|first| log.get(first..)) else { return Ok(None) };
        let changes: Option<Vec<Change>> = log.iter().map(|text| Change::parse(text)).collect();
        let Some(changes) = changes else { return Ok(None) };
        let revoked = changes.into_iter().filter_map(|change| match change {
            Change::Token(id, _) => Some(sts_types::hex(&id)),
            Change::Swept(_) => None,
        });
        let ids: Vec<String> = revoked.collect();
        // The log is not sealed. A repeated id may stand in the place of another one.
        if ids.iter().collect::<std::collections::BTreeSet<_>>().len() < ids.len() {
            return Ok(None);
        }
        let mut records = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(STEP) {
            let entries = self.entries(chunk, &Listing::default()).await?;
            records.extend(entries.into_iter().filter(|entry| entry.revoked.is_some()).map(|entry| entry.record));
        }
        Ok((records.len() == ids.len()).then_some(records))
    }

    /// Forgets windows whose tokens are all dead, and log entries that every process has read by
    /// now.
    pub(super) async fn forget_leases(&self, now: UnixTime) -> Result<(), RedisStoreError> {
        let mark = self.find_status().await?;
        let mut batch = Batch::plain();
        batch.add(command("LTRIM", &[self.names().revoked(), &format!("-{LOGGED}"), "-1"]));
        let is_dead = |window: &&StatusWindow| live_until(window.end()) < now;
        let dead: Vec<String> = mark.leased.keys().filter(is_dead).map(|window| window.number().to_string()).collect();
        if !dead.is_empty() {
            let mut forget = redis::cmd("HDEL");
            forget.arg(self.names().leases()).arg(&dead);
            batch.add(forget);
        }
        let mut replies = self.pool.run(batch).await?;
        replies.value()?;
        if !dead.is_empty() {
            replies.number()?;
        }
        Ok(())
    }
}
