//! The embedded store: one process, one file.
//!
//! Writes go through one thread that commits them in groups. Each read takes its own snapshot. A
//! write returns only after the fsync that made it durable.

mod accept;
mod backup;
mod deferred_changes;
mod engine;
mod examine;
mod file;
mod last_uses;
mod object_log;
mod objects;
mod open_error;
mod open_file;
mod overlay;
mod read;
mod record_index;
mod refusals;
mod sessions;
mod sweep;
mod table_in_use;
mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod watched_file;
mod write;
mod writer;

pub use examine::{Examined, examine};
pub use open_error::OpenError;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sts_types::{Clock, Digest256, Jti, Seal, StatusWindow, UnixTime};

use self::engine::{DatabaseHandle, Opener};
use self::open_file::OpenedStore;
use self::write::{Encoded, Tables, WriteError};
use self::writer::Writer;
use sts_store::Alerts;
use sts_store::Warning;
use sts_store::backend::distinct;
use sts_store::{Acceptance, Lease, Ledger, LedgerError, LedgerFuture, StatusMark};
use sts_store::{EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RuleId, TakenClaim, TokenRecord};

/// The most records in one page of a listing.
const PAGE: usize = 1000;
/// How many rows one sweep step forgets. It shares its transaction with waiting issues.
const SWEEP_STEP: usize = 64;
/// The largest sweep step, when expired rows pile up faster than the usual steps remove them.
const LONGEST_SWEEP_STEP: usize = 1024;
/// How long a commit proves that the store takes writes.
const COMMIT_PROOF: Duration = Duration::from_secs(10);

/// The ledger in one file of this process. Its futures run on a Tokio runtime with time enabled.
///
/// Dropping it waits for pending writes and releases the file.
pub struct EmbeddedLedger {
    writer: Writer,
    engine: Arc<DatabaseHandle>,
    /// Issues since the last sweep step.
    issued: AtomicUsize,
}

impl std::fmt::Debug for EmbeddedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLedger").finish_non_exhaustive()
    }
}

impl EmbeddedLedger {
    /// Opens the store in the file `path`, or creates it if nothing is there. This verifies every
    /// checksum in the file. The watermark lies beside it. A store without the latest revocations
    /// or managed objects opens, but answers nothing until an operator accepts the loss.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        path: &Path,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, OpenError> {
        let opened = file::open_or_create(path)?;
        let owned = path.to_owned();
        // Reopening never creates a file: if the store vanishes while it is in use, that is an
        // error, not an empty ledger.
        let watermark = watermark_path(path);
        Self::start(path, opened, Box::new(move || file::open(&owned)), Some(watermark), seal, clock, alerts)
    }

    /// A ledger that exists only in this process, for the tests of other crates. No file and no
    /// fsync, but otherwise the same.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[cfg(any(test, feature = "in-memory"))]
    pub fn in_memory(seal: Arc<dyn Seal>, clock: Arc<dyn Clock>, alerts: Arc<dyn Alerts>) -> Result<Self, OpenError> {
        let path = Path::new("in memory");
        let gone = move || Err(OpenError::Damaged { path: path.to_owned(), what: "it is gone".to_owned() });
        Self::start(path, file::in_memory(path)?, Box::new(gone), None, seal, clock, alerts)
    }

    /// Lets the writer reopen a store that has failed, so that reads work again without a write.
    async fn reopen_if_failed(&self) -> Result<(), LedgerError> {
        if self.engine.state().is_err() {
            self.writer.submit(|_| Ok(())).await?;
        }
        Ok(())
    }

    /// Runs `work` on the writer thread, unless the store is in doubt.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DatabaseHandle, &mut Tables<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.write_large(Duration::ZERO, work).await
    }

    /// As [`write`](Self::write), for work that may take `allowance` longer.
    async fn write_large<T: Send + 'static>(
        &self,
        allowance: Duration,
        work: impl FnOnce(&DatabaseHandle, &mut Tables<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let engine = Arc::clone(&self.engine);
        let checked_work = move |tables: &mut Tables<'_>| {
            engine.check_integrity().map_err(WriteError::Refused)?;
            work(&engine, tables)
        };
        self.writer.submit_large(allowance, checked_work).await
    }

    fn start(
        path: &Path,
        opened: OpenedStore,
        opener: Opener,
        watermark: Option<PathBuf>,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, OpenError> {
        let engine = DatabaseHandle::new(path, opened, opener, watermark, seal, clock, alerts)
            .map_err(|error| OpenError::Damaged { path: path.to_owned(), what: error.to_string() })?;
        let engine = Arc::new(engine);
        let writer = Writer::start(Arc::clone(&engine)).map_err(|cause| OpenError::Io {
            path: path.to_owned(),
            doing: "served by a thread",
            cause,
        })?;
        Ok(Self { writer, engine, issued: AtomicUsize::new(0) })
    }
}

/// The path of the watermark of the store at `path`.
fn watermark_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".seen");
    PathBuf::from(name)
}

impl Ledger for EmbeddedLedger {
    fn issue(&self, mut record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        Box::pin(async move {
            // Usually this is still the right number when the writer gets to it. If not, the writer
            // encodes the record again.
            record.preceding_rules = Some(self.engine.rules_made());
            let (record, claims) = (Encoded::new(record)?, distinct(claims));
            self.issued.fetch_add(1, Ordering::Relaxed);
            self.write(move |engine, tables| tables.issue(engine, record, &claims)).await
        })
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        Box::pin(self.write(move |engine, tables| tables.take_lone_claim(engine, &claim, &by)))
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let now = self.engine.clock.now();
            self.engine.read(|database, reader| read::find_claim(database, reader, key, now))
        })
    }

    /// Reads on the calling thread. A few pages, mostly cached, take less time than waking another
    /// thread.
    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let now = self.engine.clock.now();
            self.engine.read(|database, reader| read::look_up(database, reader, &self.engine, &jti, now))
        })
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let now = self.engine.clock.now();
            self.engine.read(|database, reader| read::look_up_all(database, reader, &self.engine, &jtis, now))
        })
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        Box::pin(self.write(move |engine, tables| tables.revoke(&*engine.seal, revocation, engine.clock.now())))
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        Box::pin(self.write(move |engine, tables| tables.undo_rule(&*engine.seal, &id, engine.clock.now())))
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        Box::pin(std::future::ready(self.engine.rules()))
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            self.engine.read(|database, _| read::last_end(database))
        })
    }

    /// Returns at most 1,000 records, and none if the record in `after` is forgotten.
    fn list(&self, mut listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            listing.limit = listing.limit.min(PAGE);
            let engine = Arc::clone(&self.engine);
            let now = engine.clock.now();
            let page = tokio::task::spawn_blocking(move || {
                engine.read(|database, reader| read::list(database, reader, &engine, &listing, now))
            });
            page.await.unwrap_or_else(|_| Err(LedgerError::Unavailable("the listing was given up".into())))
        })
    }

    /// A commit proves for ten seconds that the store takes writes. After that, a probe writes a
    /// row.
    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        Box::pin(async move {
            let is_in_place = || self.engine.check_file().is_ok();
            if self.engine.state().is_ok() && self.engine.since_commit() < COMMIT_PROOF && is_in_place() {
                self.engine.check_integrity()?;
                return Ok(Vec::new());
            }
            let now = self.engine.clock.now();
            self.write(move |_, tables| Ok(tables.probe(now)?)).await?;
            Ok(Vec::new())
        })
    }

    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize> {
        Box::pin(async move {
            let mut records = 0;
            self.issued.store(0, Ordering::Relaxed);
            loop {
                // A token with a claim leaves two rows to forget.
                let step = self.issued.swap(0, Ordering::Relaxed).saturating_mul(4);
                let step = step.clamp(SWEEP_STEP, LONGEST_SWEEP_STEP);
                let swept = self.write(move |engine, tables| tables.sweep(&*engine.seal, now, step)).await?;
                records += swept.records;
                if swept.rows < step {
                    return Ok(records);
                }
            }
        })
    }

    /// A lease is in the file for good, so there is only one era.
    fn lease(&self, _: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease> {
        Box::pin(async move {
            let first = self.write(move |_, tables| tables.lease(window, count)).await?;
            Ok(Lease { first, era: self.lease_era(None) })
        })
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            self.engine.read(read::status)
        })
    }

    /// No other process revokes while this one holds the file, unless an older copy was put back
    /// meanwhile.
    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        Box::pin(async move { Ok((self.status().await?.revocations >= seen.revocations).then(Vec::new)) })
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            if self.engine.check_integrity().is_ok() {
                return Ok(Acceptance::NothingToAccept);
            }
            let engine = Arc::clone(&self.engine);
            let accept = move |tables: &mut Tables<'_>| {
                let (seen, now) = (engine.remembered(), engine.clock.now());
                tables.accept(&*engine.seal, seen.as_ref(), now)
            };
            let forgotten = self.writer.submit(accept).await?;
            tracing::warn!(
                rules = forgotten.rules,
                objects = forgotten.objects,
                "an operator accepted the store as it is; the revocation rules and managed objects that could not be read are forgotten"
            );
            Ok(Acceptance::Accepted)
        })
    }
}
