//! From memory to the store, off the request path.

use std::collections::HashSet;
use std::time::Duration;

use crate::Service;

/// Refusals that are written at once: few enough that an issue behind them does not notice.
const BATCH: usize = 32;
/// The pause between two batches.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after a failure.
const BACK_OFF: Duration = Duration::from_secs(2);
/// How often what is too old is forgotten.
const SWEEP: Duration = Duration::from_secs(300);
/// The longest that a server that ends waits for the store.
const LAST_WAIT: Duration = Duration::from_secs(2);

impl Service {
    /// Writes refusals to the store as they come, for as long as the server runs.
    pub async fn keep_refusals(&self) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = self.refusals.arrived() => {}
                _ = sweep.tick() => self.forget_refusals().await,
            }
            while let Some(is_stored) = self.save_some().await {
                tokio::time::sleep(if is_stored { PAUSE } else { BACK_OFF }).await;
            }
        }
    }

    /// Writes what the store does not have yet, before the server ends.
    pub async fn save_refusals(&self) {
        self.observers.caught_up().await;
        let all = async { while self.save_some().await == Some(true) {} };
        if tokio::time::timeout(LAST_WAIT, all).await.is_err() {
            tracing::warn!("the store did not take the last refusals in time; only the log has them");
        }
    }

    /// Writes a batch; whether the store took it, or `None` if there was nothing to write.
    async fn save_some(&self) -> Option<bool> {
        let store = self.refusal_store.as_ref()?;
        let batch = self.refusals.unstored(BATCH);
        if batch.is_empty() {
            return None;
        }
        let request_ids: HashSet<_> = batch.iter().map(|refusal| refusal.request_id.clone()).collect();
        match store.remember(batch).await {
            Ok(()) => {
                self.refusals.stored(&request_ids);
                Some(true)
            }
            Err(error) => {
                tracing::debug!(%error, "the store did not take refusals; they wait in memory");
                Some(false)
            }
        }
    }

    async fn forget_refusals(&self) {
        if let Some(store) = &self.refusal_store
            && let Err(error) = store.forget(self.clock.now()).await
        {
            tracing::debug!(%error, "the store could not forget old refusals");
        }
    }
}
