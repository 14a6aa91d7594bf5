//! The ledger of sts: issue, look up, revoke.
//!
//! [`Ledger`] is the contract of a store. `sts-store-embedded` keeps the ledger in one file of one
//! process, `sts-store-redis` in a Redis that any number of processes share. Values are sealed
//! under a key that the store does not hold. A record that somebody else wrote or altered counts as
//! absent and raises an [`Alert`]. A store with fewer revocations than were made answers nothing
//! until an operator accepts the loss. No error of the store is ever read as "not recorded" or "not
//! revoked".
//!
//! The contract is also a test suite, `contract` (behind the feature of that name), which every
//! store runs.

mod alert;
mod codec;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod ledger;
mod managed;
mod multiset;
mod record;
mod record_of_version_1;
mod refusals;
mod rules;
mod sessions;
mod sharded;
pub mod spec;
mod warning;
mod watermark;

pub use alert::{Alert, Alerts, Fault, Place};
pub use ledger::{Acceptance, Lease, Ledger, LedgerError, LedgerFuture, RuledEntries, STATUS_BLOCK, StatusMark};
pub use managed::{
    Committed, KeyUse, ManagedObject, ManagedObjects, ObjectChange, ObjectChanges, ObjectKey, ObjectKind, ObjectStore,
    UseKey,
};
pub use record::{
    EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RevocationRule, RevocationScope, RuleId, RuleIdError,
    TakenClaim, TokenRecord,
};
pub use refusals::{
    Capacity, ListedRefusal, REFUSAL_KEPT, RefusalPayload, RefusalShare, RefusalStore, StoredRefusal, surplus,
};
pub use sessions::{SessionKey, SessionKind, SessionStore, StoredSession};
pub use sharded::{Shard, ShardedStore, TakenAside, shard_of};
pub use warning::Warning;

/// What the stores share: sealing, rules, and the watermark.
pub mod backend {
    /// Seals and opens values.
    pub mod codec {
        pub use crate::codec::{open, open_record, seal, seal_value};
    }
    /// Codes of rows, whose sum does not depend on their order.
    pub mod multiset {
        pub use crate::multiset::{code, mask, row_code, xor};
    }
    pub use crate::ledger::live_until;
    pub use crate::record::{UNREADABLE, distinct};
    pub use crate::refusals::{STORED, remembered_from};
    pub use crate::rules::{Rules, rule_id, with_id};
    pub use crate::watermark::{Watermark, WatermarkError};
}
