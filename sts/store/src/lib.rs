//! The ledger of sts: issue, look up, revoke.
//!
//! [`Ledger`] is what a store promises; `sts-store-embedded` keeps it in one file of one process, `sts-store-redis` in a Redis that any
//! number of processes share. What is stored is sealed under a key that the store does not hold: a record that somebody else wrote
//! or altered counts as absent and raises an [`Alert`], and a store whose revocations are fewer than were made answers nothing until
//! an operator accepts the loss. No error of the store is ever read as "not recorded" or "not revoked".
//!
//! The promises are a test-suite, `contract` (behind the feature of that name), that every store is put through.

mod alert;
mod codec;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod ledger;
mod multiset;
mod record;
mod record_of_version_1;
mod refusals;
mod rules;
mod warning;
mod watermark;

pub use alert::{Alert, Alerts, Fault, Place};
pub use ledger::{Acceptance, Lease, Ledger, LedgerError, LedgerFuture, StatusMark};
pub use record::{
    EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RevocationRule, RevocationScope, RuleId, RuleIdError,
    TakenClaim, TokenRecord,
};
pub use refusals::{Capacity, REFUSAL_KEPT, RefusalShare, RefusalStore, StoredRefusal, surplus};
pub use warning::Warning;

/// What implementations of a store share: how values are sealed and coded, how rules are kept, and what is remembered beside
/// the store.
pub mod backend {
    /// How a value is sealed, and opened again.
    pub mod codec {
        pub use crate::codec::{open, open_record, seal, seal_value};
    }
    /// Codes of rows whose sum does not depend on their order.
    pub mod multiset {
        pub use crate::multiset::{code, mask, row_code, xor};
    }
    pub use crate::ledger::live_until;
    pub use crate::record::{UNREADABLE, distinct};
    pub use crate::refusals::{STORED, remembered_from};
    pub use crate::rules::{Rules, rule_id, with_id};
    pub use crate::watermark::{Watermark, WatermarkError};
}
