//! Indexes for tokens that are about to be minted. They are leased from the ledger in blocks, so that an exchange waits for the
//! ledger once only; and given out in random order, so that an index does not tell how many tokens came before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sts_store::{Lease, Ledger, LedgerError};
use sts_types::{Entropy, StatusWindow, UnixTime};

/// Indexes in a block.
const BLOCK: u32 = 1024;
/// With so many left of a window the next block is fetched, while these are given out.
const LOW: usize = 256;

/// The indexes that are leased and not given out yet.
pub(crate) struct StatusIndexes {
    ledger: Arc<dyn Ledger>,
    entropy: Arc<dyn Entropy>,
    /// Locked for as long as it takes to take one out.
    free: Mutex<Free>,
    /// One lease at a time: who waits for it finds what it brought.
    leasing: tokio::sync::Mutex<()>,
}

/// What is free, all of it leased in one era.
#[derive(Default)]
struct Free {
    era: u64,
    blocks: BTreeMap<StatusWindow, Vec<u64>>,
}

impl Free {
    /// The blocks that may be used in `era`.
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
        Arc::new(Self { ledger, entropy, free: Mutex::default(), leasing: tokio::sync::Mutex::default() })
    }

    /// An index of `window` that no other token has.
    ///
    /// # Errors
    /// What the ledger says, when none is left.
    pub(crate) async fn next(self: &Arc<Self>, window: StatusWindow) -> Result<u64, LedgerError> {
        loop {
            let (index, left) = {
                let mut free = self.free();
                let block = free.of(self.ledger.lease_era()).entry(window).or_default();
                (block.pop(), block.len())
            };
            match index {
                Some(index) => {
                    if left == LOW {
                        let indexes = Arc::clone(self);
                        tokio::spawn(async move {
                            if let Err(error) = indexes.refill(window, LOW).await {
                                tracing::warn!(%error, "indexes of status lists could not be leased ahead");
                            }
                        });
                    }
                    return Ok(index);
                }
                None => self.refill(window, 0).await?,
            }
        }
    }

    /// Forgets what is left of windows that ended before `now`.
    pub(crate) fn forget_before(&self, now: UnixTime) {
        self.free().blocks.retain(|window, _| window.end() >= now);
    }

    /// Leases a block, unless more than `enough` are left by now.
    async fn refill(&self, window: StatusWindow, enough: usize) -> Result<(), LedgerError> {
        let _alone = self.leasing.lock().await;
        let left = |free: &mut Free| free.of(self.ledger.lease_era()).get(&window).map_or(0, Vec::len);
        if left(&mut self.free()) > enough {
            return Ok(());
        }
        let Lease { first, era } = self.ledger.lease(window, BLOCK).await?;
        let mut block: Vec<u64> = (first..first.saturating_add(u64::from(BLOCK))).collect();
        self.shuffle(&mut block);
        let mut free = self.free();
        let left = free.of(era).entry(window).or_default();
        // What is left goes out first.
        block.append(left);
        *left = block;
        Ok(())
    }

    fn shuffle(&self, block: &mut [u64]) {
        for at in (1..block.len()).rev() {
            let mut random = [0; 8];
            self.entropy.fill(&mut random);
            let places = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
            block.swap(at, usize::try_from(u64::from_ne_bytes(random) % places).unwrap_or(0));
        }
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
