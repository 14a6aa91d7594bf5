//! The remembered refusals, in memory and in the store.

mod saving;

use std::collections::HashSet;
use std::sync::Arc;

use sts_store::{LedgerError, RefusalStore, StoredRefusal};
use sts_types::{Clock, RequestId};

use crate::observers::Observers;
use crate::refusals::{Refusals, RememberedRefusal};

/// Finds them, and writes them to the store.
pub(crate) struct RefusalLog {
    pub(crate) observers: Arc<Observers>,
    pub(crate) memory: Arc<Refusals>,
    /// Where refusals are remembered for all replicas.
    pub(crate) store: Option<Arc<dyn RefusalStore>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl RefusalLog {
    /// How many refusals were forgotten before the store had them.
    pub(crate) fn dropped(&self) -> u64 {
        self.memory.dropped()
    }

    /// The refusal of that request, from memory or from the store.
    ///
    /// # Errors
    /// If it is not in memory and the store does not answer.
    pub(crate) async fn denial(&self, request_id: &str) -> Result<Option<RememberedRefusal>, LedgerError> {
        self.observers.caught_up().await;
        let Ok(request_id) = RequestId::new(request_id) else { return Ok(None) };
        if let Some(refusal) = self.memory.find(&request_id) {
            return Ok(read(&refusal));
        }
        let Some(store) = &self.store else { return Ok(None) };
        Ok(store.find(request_id).await?.as_ref().and_then(read))
    }

    /// All remembered refusals, newest first.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn denials(&self) -> Result<Vec<RememberedRefusal>, LedgerError> {
        /// More than a store holds.
        const ALL: usize = 10_000;
        self.observers.caught_up().await;
        let mut refusals = match &self.store {
            Some(store) => store.latest(ALL).await?,
            None => Vec::new(),
        };
        let stored: HashSet<RequestId> = refusals.iter().map(|refusal| refusal.request_id.clone()).collect();
        refusals.extend(self.memory.all().into_iter().filter(|refusal| !stored.contains(&refusal.request_id)));
        refusals.sort_by(|a, b| (b.time_millis, b.request_id.as_str()).cmp(&(a.time_millis, a.request_id.as_str())));
        Ok(refusals.iter().filter_map(read).collect())
    }
}

/// The stored refusal. `None` if another version stored it in another format.
fn read(refusal: &StoredRefusal) -> Option<RememberedRefusal> {
    serde_json::from_value(refusal.payload.clone()).ok()
}
