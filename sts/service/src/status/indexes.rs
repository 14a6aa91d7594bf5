//! Status list indexes for tokens about to be minted. The ledger leases them in blocks, so most
//! exchanges need no extra round trip. They are handed out in random order, so an index does not
//! reveal how many tokens were minted before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sts_store::{Lease, Ledger, LedgerError, STATUS_BLOCK};
use sts_types::{Entropy, StatusWindow, UnixTime};

/// When this many indexes of a window are left, the next block is leased in the background.
const LOW: usize = 256;

/// The leased indexes that are not used yet.
pub(crate) struct StatusIndexes {
    ledger: Arc<dyn Ledger>,
    entropy: Arc<dyn Entropy>,
    /// By the shard that the tokens are for, if the ledger has any.
    shards: Mutex<BTreeMap<Option<u8>, Arc<IndexesOfShard>>>,
}

#[derive(Default)]
struct IndexesOfShard {
    /// Held only while an index is taken out.
    free: Mutex<FreeIndexes>,
    /// Held while a block is leased. A task that waited for it finds the new block. Nobody waits for
    /// the lease of another shard.
    leasing: tokio::sync::Mutex<()>,
}

/// The unused indexes. All were leased in the same era.
#[derive(Default)]
struct FreeIndexes {
    era: u64,
    blocks: BTreeMap<StatusWindow, Vec<u64>>,
}

impl FreeIndexes {
    /// The blocks of `era`. Drops those of another era, which are no longer ours.
    fn of(&mut self, era: u64) -> &mut BTreeMap<StatusWindow, Vec<u64>> {
        if self.era != era {
            self.blocks.clear();
            self.era = era;
        }
        &mut self.blocks
    }
}

impl StatusIndexes {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, entropy: Arc<dyn Entropy>) -> Arc<Self> {
        Arc::new(Self { ledger, entropy, shards: Mutex::default() })
    }

    /// An index of `window` that no other token has, for a token in `shard`.
    ///
    /// # Errors
    /// The ledger's error, if no index is left.
    pub(crate) async fn next(self: &Arc<Self>, shard: Option<u8>, window: StatusWindow) -> Result<u64, LedgerError> {
        let of_shard = Arc::clone(self.shards().entry(shard).or_default());
        loop {
            let (index, left) = {
                let mut free = of_shard.free();
                let block = free.of(self.ledger.lease_era(shard)).entry(window).or_default();
                (block.pop(), block.len())
            };
            match index {
                Some(index) => {
                    // `==`, not `<=`: start one background lease per block.
                    if left == LOW {
                        let (indexes, of_shard) = (Arc::clone(self), Arc::clone(&of_shard));
                        tokio::spawn(async move {
                            if let Err(error) = indexes.refill(&of_shard, shard, window, LOW).await {
                                tracing::warn!(%error, "no status list indexes could be leased in advance");
                            }
                        });
                    }
                    return Ok(index);
                }
                None => self.refill(&of_shard, shard, window, 0).await?,
            }
        }
    }

    /// Forgets the indexes of windows that ended before `now`.
    pub(crate) fn forget_before(&self, now: UnixTime) {
        for of_shard in self.shards().values() {
            of_shard.free().blocks.retain(|window, _| window.end() >= now);
        }
    }

    /// Leases a block, unless more than `enough` indexes are left by now.
    async fn refill(
        &self,
        of_shard: &IndexesOfShard,
        shard: Option<u8>,
        window: StatusWindow,
        enough: usize,
    ) -> Result<(), LedgerError> {
        let _leasing = of_shard.leasing.lock().await;
        let left = |free: &mut FreeIndexes| free.of(self.ledger.lease_era(shard)).get(&window).map_or(0, Vec::len);
        if left(&mut of_shard.free()) > enough {
            return Ok(());
        }
        let Lease { first, era } = self.ledger.lease(shard, window, STATUS_BLOCK).await?;
        let mut block: Vec<u64> = (first..first.saturating_add(u64::from(STATUS_BLOCK))).collect();
        self.shuffle(&mut block);
        let mut free = of_shard.free();
        let left = free.of(era).entry(window).or_default();
        // Use up the older indexes first: `pop` takes from the end.
        block.append(left);
        *left = block;
        Ok(())
    }

    fn shuffle(&self, block: &mut [u64]) {
        for index in (1..block.len()).rev() {
            let mut random = [0; 8];
            self.entropy.fill(&mut random);
            let choices = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1);
            block.swap(index, usize::try_from(u64::from_ne_bytes(random) % choices).unwrap_or(0));
        }
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<Option<u8>, Arc<IndexesOfShard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexesOfShard {
    fn free(&self) -> MutexGuard<'_, FreeIndexes> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
