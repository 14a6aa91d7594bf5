//! The embedded store: one process, one file.

mod open_error;

pub use open_error::OpenError;

use std::path::Path;
use std::sync::Arc;

use sts_types::{Clock, Jti, Seal, UnixTime};

use crate::alert::Alerts;
use crate::ledger::{Ledger, LedgerError, LedgerFuture};
use crate::record::{Entry, Issued, Listing, ReplayClaim, Revocation, TokenRecord};

/// The ledger in one file of this process.
pub struct EmbeddedLedger {}

impl EmbeddedLedger {
    /// Opens the store at `path`, a file; makes it when there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        path: &Path,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, OpenError> {
        let _ = (path, seal, clock, alerts);
        Ok(Self {})
    }

    fn unavailable<T: Send + 'static>(&self) -> LedgerFuture<'_, T> {
        Box::pin(async { Err(LedgerError::Unavailable("not open".into())) })
    }
}

impl Ledger for EmbeddedLedger {
    fn issue(&self, _: TokenRecord, _: Option<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        self.unavailable()
    }

    fn look_up(&self, _: Jti) -> LedgerFuture<'_, Option<Entry>> {
        self.unavailable()
    }

    fn revoke(&self, _: Revocation) -> LedgerFuture<'_, ()> {
        self.unavailable()
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        self.unavailable()
    }

    fn list(&self, _: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        self.unavailable()
    }

    fn ready(&self) -> LedgerFuture<'_, ()> {
        self.unavailable()
    }

    fn sweep(&self, _: UnixTime) -> LedgerFuture<'_, usize> {
        self.unavailable()
    }
}
