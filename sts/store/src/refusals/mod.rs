//! Remembered refusals, for the owner of the refused request. They have a bounded part of the
//! store, shared fairly.

mod shares;

use std::collections::HashSet;
use std::sync::Arc;

use sts_types::{RequestId, UnixTime};

pub use shares::{Capacity, RefusalShare, surplus};

use crate::ledger::LedgerFuture;

/// How long a refusal is remembered, in seconds.
pub const REFUSAL_KEPT: i64 = 86_400;

/// The capacity of a store.
pub const STORED: Capacity = Capacity { full: 4096, small: 256 };

/// A stored refusal. Only the service reads its payload.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredRefusal {
    /// The refused request.
    pub request_id: RequestId,
    /// When it was refused, in milliseconds since the epoch.
    pub time_millis: u64,
    /// The share that it counts for.
    pub share: RefusalShare,
    /// What the owner gets to see.
    pub payload: RefusalPayload,
}

/// JSON as the service wrote it. The store does not read it, and a list of refusals reads little of
/// it: most of its text is the trace.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RefusalPayload(Box<serde_json::value::RawValue>);

impl RefusalPayload {
    /// `payload` as JSON.
    ///
    /// # Errors
    /// If it has no form in JSON.
    pub fn of(payload: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(payload).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for RefusalPayload {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl StoredRefusal {
    /// When it may be forgotten.
    pub fn until(&self) -> UnixTime {
        seconds(self.time_millis).plus(REFUSAL_KEPT)
    }
}

/// One refusal of a list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListedRefusal {
    /// One that the caller knows already, so it was not read.
    Known {
        /// The refused request.
        request_id: RequestId,
        /// When it was refused, in milliseconds since the epoch.
        time_millis: u64,
    },
    /// Any other.
    Read(StoredRefusal),
}

impl ListedRefusal {
    /// The refused request.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        match self {
            Self::Known { request_id, .. } => request_id,
            Self::Read(refusal) => &refusal.request_id,
        }
    }

    /// When it was refused, in milliseconds since the epoch.
    pub(crate) const fn time_millis(&self) -> u64 {
        match self {
            Self::Known { time_millis, .. } => *time_millis,
            Self::Read(refusal) => refusal.time_millis,
        }
    }
}

pub(crate) fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}

/// The first millisecond that is still remembered at `now`.
pub fn remembered_from(now: UnixTime) -> u64 {
    u64::try_from(now.plus(-REFUSAL_KEPT).as_secs()).unwrap_or(0).saturating_mul(1000)
}

/// The memory of refusals, shared by all replicas. It is no evidence: losing it grants nobody
/// anything, so no request waits for it.
pub trait RefusalStore: Send + Sync + 'static {
    /// Remembers `refusals`. If the space is full, the largest share loses its oldest ones.
    fn remember(&self, refusals: Vec<StoredRefusal>) -> LedgerFuture<'_, ()>;

    /// The refusal of that request. `None` if it is not remembered.
    fn find(&self, request_id: RequestId) -> LedgerFuture<'_, Option<StoredRefusal>>;

    /// The latest `limit` refusals, newest first. Those of `known` requests are named and not read, since
    /// a refusal never changes.
    fn latest(&self, limit: usize, known: Arc<HashSet<RequestId>>) -> LedgerFuture<'_, Vec<ListedRefusal>>;

    /// Forgets those that are older than [`REFUSAL_KEPT`] at `now`.
    fn forget(&self, now: UnixTime) -> LedgerFuture<'_, ()>;
}
