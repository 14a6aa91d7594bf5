//! The open database. The readers share it with the one writer.
//!
//! After an I/O error the handle answers nothing until the database is opened again. The writer
//! does that, see [`super::writer`]. Until then every call gets [`LedgerError::Unavailable`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use redb::{Database, StorageError};
use sts_types::{Clock, Seal, UnixTime};

use super::open_error::OpenError;
use super::open_file::OpenFile;
use super::read::{self, RecordReader};
use super::tally::{self, IntegrityError, Tally};
use sts_store::LedgerError;
use sts_store::Revocation;
use sts_store::backend::Rules;
use sts_store::backend::Watermark;
use sts_store::{Alert, Alerts, Place};

/// Opens the file again. A parameter, so that a test can inject failures.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// The database, or why there is none.
pub(super) type State = Result<Database, LedgerError>;

/// What the readers and the writer share.
pub(super) struct DatabaseHandle {
    pub(super) seal: Arc<dyn Seal>,
    pub(super) clock: Arc<dyn Clock>,
    alerts: Arc<dyn Alerts>,
    opener: Opener,
    /// `None` for a store without a file.
    file: Option<OpenFile>,
    state: ArcSwap<State>,
    rules: ArcSwap<Rules>,
    /// How many rules were ever made.
    rules_made: AtomicU64,
    /// The error of a failed integrity check. While it is set, every call gets it.
    integrity_error: ArcSwapOption<LedgerError>,
    /// The file of the watermark. `None` for a store without a file.
    watermark: Option<PathBuf>,
    /// Monotonic milliseconds of the last commit.
    committed: AtomicU64,
}

impl DatabaseHandle {
    /// Serves `database`, and reopens it with `opener` when it fails. If revocations are missing,
    /// every later call fails.
    ///
    /// # Errors
    /// If the revocations cannot be read: without them, revoked tokens would pass.
    pub(super) fn new(
        database: Database,
        opener: Opener,
        file: Option<OpenFile>,
        watermark: Option<PathBuf>,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, redb::Error> {
        let handle = Self {
            seal,
            clock,
            alerts,
            opener,
            file,
            state: ArcSwap::from_pointee(Err(LedgerError::Unavailable("the store is not open yet".into()))),
            rules: ArcSwap::from_pointee(Rules::new([], UnixTime::from_secs(0))),
            rules_made: AtomicU64::new(0),
            integrity_error: ArcSwapOption::empty(),
            watermark,
            committed: AtomicU64::new(0),
        };
        handle.load(&database)?;
        handle.state.store(Arc::new(Ok(database)));
        handle.mark_commit();
        Ok(handle)
    }

    /// The current database. The returned value keeps it open, so drop it soon.
    pub(super) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Reads from a snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Database, &RecordReader<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, LedgerError> {
        let state = self.state();
        let database = state.as_ref().as_ref().map_err(LedgerError::clone)?;
        self.check_integrity()?;
        guarded(|| read(database, &self.check())).map_err(|error| {
            tracing::error!(error = %error, "the store cannot be read");
            self.fail(&state, &error)
        })
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> Result<Arc<[Revocation]>, LedgerError> {
        self.check_integrity()?;
        let now = self.clock.now();
        loop {
            match self.rules.load().all_at(now) {
                Some(rules) => return Ok(rules),
                None => self.rules.rcu(|rules| rules.pruned(now)),
            };
        }
    }

    /// Fails while revocations are missing.
    pub(super) fn check_integrity(&self) -> Result<(), LedgerError> {
        self.integrity_error.load().as_ref().map_or(Ok(()), |integrity_error| Err(LedgerError::clone(integrity_error)))
    }

    /// Adds up the revocations of a newly opened `database` and reads its rules.
    fn load(&self, database: &Database) -> Result<(), redb::Error> {
        let watermark = self.watermark.as_deref().map_or(Ok(None), Watermark::read);
        let verdict = match &watermark {
            Ok(watermark) => guarded(|| tally::verify(database, &*self.seal, watermark.as_ref()))?,
            Err(error) => Err(IntegrityError::Watermark(error.to_string())),
        };
        match verdict {
            Ok(tally) => {
                self.integrity_error.store(None);
                self.remember(&tally);
                self.reload_rules(database)
            }
            Err(integrity_error) => {
                let error = unavailable(&format_args!(
                    "the revocations in the store cannot be trusted: {integrity_error}. What was revoked may come back to life, so that nothing is \
                     minted and no token is active: bring the right file back, or accept the loss with `sts store accept-epoch`"
                ));
                tracing::error!(%error, "the store is in doubt");
                self.alerts.raise(Alert { place: Place::Epoch, fault: integrity_error.fault() });
                self.integrity_error.store(Some(Arc::new(error)));
                Ok(())
            }
        }
    }

    /// The saved watermark, if it can be read.
    pub(super) fn remembered(&self) -> Option<Watermark> {
        self.watermark.as_deref().and_then(|path| Watermark::read(path).ok().flatten())
    }

    /// Trusts the store again, after an operator accepted the state of `tally`.
    pub(super) fn accepted(&self, tally: &Tally) {
        self.remember(tally);
        self.integrity_error.store(None);
    }

    /// How many rules were ever made. Exact on the writer's thread.
    pub(super) fn rules_made(&self) -> u64 {
        self.rules_made.load(Ordering::Acquire)
    }

    /// Saves the number of revocations, so that an older copy of the store is recognised.
    pub(super) fn remember(&self, tally: &Tally) {
        self.rules_made.store(tally.rules(), Ordering::Release);
        if let (Some(path), Some(mark)) = (&self.watermark, tally.watermark())
            && self.remembered().as_ref() != Some(&mark)
            && let Err(error) = mark.write(path)
        {
            tracing::error!(%error, "a restart would not notice that revocations are missing");
        }
    }

    /// Reads the rules again, after one was written.
    pub(super) fn reload_rules(&self, database: &Database) -> Result<(), redb::Error> {
        let rules = guarded(|| read::rules(database, &self.check()))?;
        self.rules.store(Arc::new(Rules::new(rules, self.clock.now())));
        Ok(())
    }

    /// Opens the database again, after it has failed and its last reader has closed it.
    pub(super) fn reopen(&self) -> Arc<State> {
        let state = (self.opener)()
            .map_err(|error| unavailable(&error))
            .and_then(|database| self.load(&database).map(|()| database).map_err(|error| unavailable(&error)));
        if state.is_ok() {
            self.file.iter().for_each(OpenFile::note_opened);
            tracing::info!("the store is open again");
        }
        let state = Arc::new(state);
        self.state.store(Arc::clone(&state));
        state
    }

    /// Checks that the path still leads to the open file.
    ///
    /// # Errors
    /// If it does not. Writes would then be lost with this process.
    pub(super) fn check_file(&self) -> Result<(), redb::Error> {
        self.file.as_ref().map_or(Ok(()), OpenFile::check).map_err(redb::Error::Io)
    }

    /// Drops the database `used`, unless another one has replaced it.
    pub(super) fn fail(&self, used: &Arc<State>, cause: &redb::Error) -> LedgerError {
        let error = unavailable(cause);
        self.state.compare_and_swap(used, Arc::new(Err(error.clone())));
        error
    }

    /// Records the time of a successful commit.
    pub(super) fn mark_commit(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.committed.store(now, Ordering::Relaxed);
    }

    /// Time since the last successful commit.
    pub(super) fn since_commit(&self) -> Duration {
        self.clock.monotonic().saturating_sub(Duration::from_millis(self.committed.load(Ordering::Relaxed)))
    }

    pub(super) fn check(&self) -> RecordReader<'_> {
        RecordReader { seal: &*self.seal, alerts: &*self.alerts }
    }
}

/// Runs `work` on the database. redb checks its pages when it opens the file. If one is damaged
/// later, redb may panic, and that is an error of the store like any other.
pub(super) fn guarded<T, E: From<StorageError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StorageError::Corrupted("the engine stumbled over a damaged page".to_owned()).into()))
}

fn unavailable(cause: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(cause.to_string().into())
}
