//! Refused requests that are remembered for their owner: a bounded, fairly shared part of the store.

mod shares;

use sts_types::{RequestId, UnixTime};

pub use shares::{Capacity, RefusalShare, surplus};

use crate::ledger::LedgerFuture;

/// How long a refusal is remembered, in seconds.
pub const REFUSAL_KEPT: i64 = 86_400;

/// What a store holds at most.
pub const STORED: Capacity = Capacity { full: 4096, small: 256 };

/// A refusal as it is kept. What its payload means is the service's business.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredRefusal {
    /// The refused request.
    pub request_id: RequestId,
    /// When it was refused, in milliseconds since the epoch.
    pub time_millis: u64,
    /// Whose share of the space it takes.
    pub share: RefusalShare,
    /// What is told of it.
    pub payload: serde_json::Value,
}

impl StoredRefusal {
    /// The moment until which it is remembered.
    pub fn until(&self) -> UnixTime {
        seconds(self.time_millis).plus(REFUSAL_KEPT)
    }
}

pub(crate) fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}

/// The first millisecond that is still remembered at `now`.
pub fn remembered_from(now: UnixTime) -> u64 {
    u64::try_from(now.plus(-REFUSAL_KEPT).as_secs()).unwrap_or(0).saturating_mul(1000)
}

/// The memory of refusals that all replicas share. It is no evidence: losing it grants nobody
/// anything, so nothing on the request path waits for it.
pub trait RefusalStore: Send + Sync + 'static {
    /// Remembers these. Once the space is full, the share that takes most of it gives up its oldest.
    fn remember(&self, refusals: Vec<StoredRefusal>) -> LedgerFuture<'_, ()>;

    /// The refusal of that request, `None` when it is not remembered.
    fn find(&self, request_id: RequestId) -> LedgerFuture<'_, Option<StoredRefusal>>;

    /// The latest `limit`, newest first.
    fn latest(&self, limit: usize) -> LedgerFuture<'_, Vec<StoredRefusal>>;

    /// Forgets those that are older than [`REFUSAL_KEPT`] at `now`.
    fn forget(&self, now: UnixTime) -> LedgerFuture<'_, ()>;
}
