//! Status indexes: blocks of all shards take turns, so that no two shards give out the same index.

use std::collections::BTreeMap;

use sts_types::{StatusWindow, TokenRecord};

use super::{Shard, ShardedStore};
use crate::ledger::{Lease, LedgerError, STATUS_BLOCK, StatusMark};

/// Indexes of a block.
const BLOCK: u64 = STATUS_BLOCK as u64;

/// The first index of block number `block` of a shard. Block `b` of shard `s` is block `b * N + s`
/// of all.
fn first_of_block(block: u64, shard: usize, shards: usize) -> Option<u64> {
    let (shard, shards) = (u64::try_from(shard).ok()?, u64::try_from(shards).ok()?);
    block.checked_mul(shards)?.checked_add(shard)?.checked_mul(BLOCK)
}

impl<S: Shard> ShardedStore<S> {
    /// Leases a whole block, however many indexes are wanted.
    pub(super) async fn lease_block(&self, index: usize, window: StatusWindow) -> Result<Lease, LedgerError> {
        let Lease { first, era } = self.ask(index, |shard| shard.lease(None, window, STATUS_BLOCK)).await?;
        let first =
            if first.is_multiple_of(BLOCK) { first_of_block(first / BLOCK, index, self.shards.len()) } else { None };
        let first =
            first.ok_or_else(|| LedgerError::Unavailable("the status indexes of a shard are used up".into()))?;
        Ok(Lease { first, era })
    }

    /// The tokens that were revoked in any shard. `None` if one cannot tell.
    pub(super) async fn revoked_in_shards_since(
        &self,
        seen: &StatusMark,
    ) -> Result<Option<Vec<TokenRecord>>, LedgerError> {
        if seen.shards.len() != self.shards.len() {
            return Ok(None);
        }
        let asked =
            seen.shards.iter().enumerate().map(|(index, seen)| self.ask(index, |shard| shard.revoked_since(seen)));
        let revoked: Option<Vec<Vec<TokenRecord>>> =
            futures_util::future::try_join_all(asked).await?.into_iter().collect();
        Ok(revoked.map(|revoked| revoked.into_iter().flatten().collect()))
    }
}

/// The mark of all shards.
pub(super) fn combined(marks: Vec<StatusMark>) -> StatusMark {
    let mut leased: BTreeMap<StatusWindow, u64> = BTreeMap::new();
    for (index, mark) in marks.iter().enumerate() {
        for (window, taken) in &mark.leased {
            let last = taken.div_ceil(BLOCK).checked_sub(1);
            let end = last.and_then(|block| first_of_block(block, index, marks.len()));
            let end = end.map_or(0, |first| first.saturating_add(BLOCK));
            let known = leased.entry(*window).or_default();
            *known = end.max(*known);
        }
    }
    StatusMark {
        leased,
        revocations: marks.iter().map(|mark| mark.revocations).sum(),
        tokens: marks.iter().map(|mark| mark.tokens).sum(),
        shards: marks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_all_shards_fill_the_indexes_without_gap_or_overlap() {
        for shards in [1, 2, 5, 256] {
            let mut firsts: Vec<u64> = (0..7)
                .flat_map(|block| (0..shards).map(move |shard| first_of_block(block, shard, shards).unwrap()))
                .collect();
            firsts.sort_unstable();
            assert!(firsts.iter().copied().eq((0..).map(|number: u64| number * BLOCK).take(firsts.len())));
        }
        assert_eq!(first_of_block(u64::MAX, 0, 2), None);
    }

    #[test]
    fn the_mark_of_all_covers_the_last_block_of_each_and_keeps_what_each_counts() {
        let (one, other) = (StatusWindow::new(1), StatusWindow::new(2));
        let mark = |leased: &[(StatusWindow, u64)], revocations, tokens| StatusMark {
            leased: leased.iter().copied().collect(),
            revocations,
            tokens,
            shards: vec![],
        };
        let marks = vec![mark(&[(one, 2 * BLOCK)], 3, 1), mark(&[], 4, 0), mark(&[(one, BLOCK), (other, BLOCK)], 5, 2)];
        let all = combined(marks.clone());
        assert_eq!(all.leased, [(one, 4 * BLOCK), (other, 3 * BLOCK)].into());
        assert_eq!((all.revocations, all.tokens, all.shards), (12, 3, marks));
    }
}
