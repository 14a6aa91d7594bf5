//! The remembered refusals, in memory and in the store.

mod saving;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde::de::IgnoredAny;
use sts_store::{LedgerError, ListedRefusal, RefusalStore, StoredRefusal};
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
    /// The refusals of the last list. A refusal never changes, and to fetch and read it takes most of the
    /// time that a list takes.
    pub(crate) last_list: Mutex<Arc<LastList>>,
}

/// The refusals of a list, by request.
#[derive(Default)]
pub(crate) struct LastList {
    known: Arc<HashSet<RequestId>>,
    refusals: HashMap<RequestId, ListedRow>,
}

/// One refusal without its trace, and the millisecond in which it was refused.
#[derive(Clone)]
struct ListedRow {
    time_millis: u64,
    refusal: Arc<RememberedRefusal>,
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

    /// All remembered refusals, newest first, without their traces.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn denials(&self) -> Result<Vec<Arc<RememberedRefusal>>, LedgerError> {
        /// More than a store holds.
        const ALL: usize = 10_000;
        self.observers.caught_up().await;
        // Fetching takes long, so no other list waits for this one.
        let last = Arc::clone(&self.last_list());
        let mut listed = match &self.store {
            Some(store) => store.latest(ALL, Arc::clone(&last.known)).await?,
            None => Vec::new(),
        };
        let stored: HashSet<RequestId> = listed.iter().map(|refusal| refusal.request_id().clone()).collect();
        let in_memory = self.memory.all(&last.known).into_iter();
        listed.extend(in_memory.filter(|refusal| !stored.contains(refusal.request_id())));
        let row = |refusal: ListedRefusal| match refusal {
            ListedRefusal::Known { request_id, .. } => last.refusals.get(&request_id).cloned(),
            ListedRefusal::Read(refusal) => ListedRow::of(&refusal),
        };
        let mut rows: Vec<ListedRow> = listed.into_iter().filter_map(row).collect();
        rows.sort_by(|a, b| b.order().cmp(&a.order()));
        *self.last_list() = Arc::new(LastList::of(&rows));
        Ok(rows.into_iter().map(|row| row.refusal).collect())
    }

    fn last_list(&self) -> MutexGuard<'_, Arc<LastList>> {
        self.last_list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastList {
    fn of(rows: &[ListedRow]) -> Self {
        let request_id = |row: &ListedRow| row.refusal.request_id.clone();
        Self {
            known: Arc::new(rows.iter().map(request_id).collect()),
            refusals: rows.iter().map(|row| (request_id(row), row.clone())).collect(),
        }
    }
}

impl ListedRow {
    fn of(stored: &StoredRefusal) -> Option<Self> {
        let refusal = Arc::new(read_without_trace(stored)?);
        Some(Self { time_millis: stored.time_millis, refusal })
    }

    fn order(&self) -> (u64, &str) {
        (self.time_millis, self.refusal.request_id.as_str())
    }
}

/// The stored refusal. `None` if another version stored it in another format.
fn read(refusal: &StoredRefusal) -> Option<RememberedRefusal> {
    serde_json::from_str(refusal.payload.as_json()).ok()
}

/// The same without its trace, which is most of its text and takes most of the time.
fn read_without_trace(refusal: &StoredRefusal) -> Option<RememberedRefusal> {
    #[derive(Deserialize)]
    struct WithoutTrace {
        #[serde(rename = "decision", default)]
        _decision: IgnoredAny,
        #[serde(rename = "text", default)]
        _text: IgnoredAny,
        #[serde(flatten)]
        refusal: RememberedRefusal,
    }
    serde_json::from_str::<WithoutTrace>(refusal.payload.as_json()).ok().map(|read| read.refusal)
}
