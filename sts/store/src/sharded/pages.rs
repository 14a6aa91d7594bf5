//! Pages of records over all shards, newest first.
//!
//! Records of one millisecond come in the order of their shards, and within a shard in its own order.

use std::collections::VecDeque;

use futures_util::future::try_join_all;
use sts_types::{Jti, TokenRecord};

use super::{Shard, ShardedStore};
use crate::ledger::LedgerError;
use crate::record::{Entry, Listing};

/// The most records in one page.
const PAGE: usize = 1000;
/// The fewest records that a shard is asked for.
const LEAST: usize = 16;

/// Where the records of one shard go on.
enum Position {
    Newest,
    /// After this record of the shard.
    After(Jti),
    /// Before this millisecond.
    Before(i64),
    End,
}

/// The records of one shard that were read, and where to go on.
struct Run {
    position: Position,
    read: VecDeque<Entry>,
}

fn issued_millis(record: &TokenRecord) -> i64 {
    record.iat.as_secs().saturating_mul(1000).saturating_add(i64::from(record.iat_millis))
}

impl<S: Shard> ShardedStore<S> {
    /// Merges the shards' records. Each shard is asked for its part of the page, and again if it has
    /// more of the newest than its part.
    pub(super) async fn page(&self, listing: Listing) -> Result<Vec<Entry>, LedgerError> {
        let limit = listing.limit.min(PAGE);
        let Some(mut runs) = self.runs_after(listing.after.as_ref()).await? else { return Ok(Vec::new()) };
        let step = (limit / self.shards.len().max(1)).saturating_mul(2).clamp(LEAST, PAGE);
        let mut page = Vec::with_capacity(limit);
        while page.len() < limit {
            self.refill(&mut runs, &listing, step.min(limit)).await?;
            let heads = runs
                .iter()
                .enumerate()
                .filter_map(|(index, run)| run.read.front().map(|entry| (index, issued_millis(&entry.record))));
            // The first of the greatest: `max_by_key` would take the last.
            let newest = heads.reduce(|best, head| if head.1 > best.1 { head } else { best });
            let entry = newest.and_then(|(index, _)| runs.get_mut(index)?.read.pop_front());
            match entry {
                Some(entry) => page.push(entry),
                None => break,
            }
        }
        Ok(page)
    }

    /// The shards' records that follow `after`. `None` if that record is forgotten.
    async fn runs_after(&self, after: Option<&Jti>) -> Result<Option<Vec<Run>>, LedgerError> {
        let run = |position| Run { position, read: VecDeque::new() };
        let Some(after) = after else {
            return Ok(Some(self.shards.iter().map(|_| run(Position::Newest)).collect()));
        };
        let Some(home) = self.index_of(after) else { return Ok(None) };
        let Some(entry) = self.ask(home, |shard| shard.look_up(after.clone())).await? else { return Ok(None) };
        let millis = issued_millis(&entry.record);
        let position = |index: usize| match index.cmp(&home) {
            std::cmp::Ordering::Less => Position::Before(millis),
            std::cmp::Ordering::Equal => Position::After(after.clone()),
            std::cmp::Ordering::Greater => Position::Before(millis.saturating_add(1)),
        };
        Ok(Some((0..self.shards.len()).map(|index| run(position(index))).collect()))
    }

    /// Reads on in the shards of which nothing is left, all at once.
    async fn refill(&self, runs: &mut [Run], listing: &Listing, step: usize) -> Result<(), LedgerError> {
        let empty = runs.iter_mut().enumerate().filter(|(_, run)| run.read.is_empty());
        let reading = empty.map(async |(index, run)| -> Result<(), LedgerError> {
            let wanted = |after| Listing { account: listing.account.clone(), after, limit: step };
            let read = match &run.position {
                Position::End => return Ok(()),
                Position::Newest => self.ask(index, |shard| shard.list(wanted(None))).await?,
                Position::After(jti) => self.ask(index, |shard| shard.list(wanted(Some(jti.clone())))).await?,
                Position::Before(millis) => self.ask(index, |shard| shard.list_before(wanted(None), *millis)).await?,
            };
            run.position = match read.last() {
                Some(last) if read.len() == step => Position::After(last.record.jti.clone()),
                _ => Position::End,
            };
            run.read.extend(read);
            Ok(())
        });
        try_join_all(reading).await.map(drop)
    }
}
