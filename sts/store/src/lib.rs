//! The ledger of sts: issue, look up, revoke.

mod alert;
mod codec;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod embedded;
mod ledger;
mod record;

pub use alert::{Alert, Alerts, Fault, Place};
pub use embedded::{EmbeddedLedger, OpenError};
pub use ledger::{Ledger, LedgerError, LedgerFuture};
pub use record::{Entry, Issued, Listing, ReplayClaim, Revocation, RevocationRule, RevocationScope, TokenRecord};
