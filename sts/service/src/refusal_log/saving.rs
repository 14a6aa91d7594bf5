//! Writes refusals from memory to the store, outside of requests.

use std::collections::HashSet;
use std::time::Duration;

use super::RefusalLog;

/// Refusals per write. Few enough that an issue behind them is not delayed.
const BATCH: usize = 32;
/// The pause between two batches.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after a failure.
const BACK_OFF: Duration = Duration::from_secs(2);
/// How often old refusals are forgotten.
const SWEEP: Duration = Duration::from_secs(300);
/// The longest that a shutdown waits for the store.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

impl RefusalLog {
    /// Writes new refusals to the store, for as long as the server runs.
    pub(crate) async fn keep_refusals(&self) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = self.memory.arrived() => {}
                _ = sweep.tick() => self.forget_refusals().await,
            }
            while let Some(is_stored) = self.save_batch().await {
                tokio::time::sleep(if is_stored { PAUSE } else { BACK_OFF }).await;
            }
        }
    }

    /// Writes the remaining refusals before the server ends.
    pub(crate) async fn save_refusals(&self) {
        self.observers.caught_up().await;
        let all = async { while self.save_batch().await == Some(true) {} };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all).await.is_err() {
            tracing::warn!("the store did not take the last refusals in time; only the log has them");
        }
    }

    /// Writes a batch. Returns whether the store took it, or `None` if there was nothing to write.
    async fn save_batch(&self) -> Option<bool> {
        let store = self.store.as_ref()?;
        let batch = self.memory.unstored(BATCH);
        if batch.is_empty() {
            return None;
        }
        let request_ids: HashSet<_> = batch.iter().map(|refusal| refusal.request_id.clone()).collect();
        match store.remember(batch).await {
            Ok(()) => {
                self.memory.stored(&request_ids);
                Some(true)
            }
            Err(error) => {
                tracing::debug!(%error, "the store did not take refusals; they wait in memory");
                Some(false)
            }
        }
    }

    async fn forget_refusals(&self) {
        if let Some(store) = &self.store
            && let Err(error) = store.forget(self.clock.now()).await
        {
            tracing::debug!(%error, "the store could not forget old refusals");
        }
    }
}
