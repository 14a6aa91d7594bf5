//! The ledger of sts: issue, look up, revoke.
//!
//! [`Ledger`] is what a store promises; [`EmbeddedLedger`] keeps it in one file of one process, [`RedisLedger`] in a Redis that any
//! number of processes share. What is stored is sealed under a key that the store does not hold: a record that somebody else wrote
//! or altered counts as absent and raises an [`Alert`], and a store whose revocations are fewer than were made answers nothing until
//! an operator accepts the loss. No error of the store is ever read as "not recorded" or "not revoked".
//!
//! The promises are a test-suite, `contract` (behind the feature of that name), that every store is put through.

mod alert;
mod codec;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod embedded;
mod ledger;
mod multiset;
mod record;
mod record_of_version_1;
mod redis;
mod refusals;
mod rules;
mod warning;
mod watermark;

pub use alert::{Alert, Alerts, Fault, Place};
pub use embedded::{EmbeddedLedger, OpenError};
pub use ledger::{Acceptance, Lease, Ledger, LedgerError, LedgerFuture, StatusMark};
pub use record::{
    EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RevocationRule, RevocationScope, RuleId, RuleIdError,
    TakenClaim, TokenRecord,
};
pub use redis::{Node, RedisLedger, RedisOpenError, RedisParts, RedisSpec, RedisTls, Topology};
pub use refusals::{Capacity, REFUSAL_KEPT, RefusalShare, RefusalStore, StoredRefusal, surplus};
pub use warning::Warning;
