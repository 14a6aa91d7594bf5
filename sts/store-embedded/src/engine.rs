//! The open database. The readers share it with the one writer.
//!
//! After an I/O error the handle answers nothing until the database is opened again. The writer
//! does that, see [`super::writer`]. Until then every call gets [`LedgerError::Unavailable`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use redb::{Database, ReadableDatabase as _, StorageError};
use sts_types::{Clock, Seal, UnixTime};

use super::file;
use super::object_log::{ObjectCommit, ObjectLog};
use super::open_error::OpenError;
use super::open_file::{OpenFile, OpenedStore};
use super::read::{self, RecordReader};
use super::record_index::RecordIndex;
use super::tables::{RECORD_ENDS, SCHEMA_VERSION};
use super::tally::{self, IntegrityError, Tally};
use super::write::{Changed, Extent};
use sts_store::LedgerError;
use sts_store::ObjectChanges;
use sts_store::Revocation;
use sts_store::backend::Rules;
use sts_store::backend::Watermark;
use sts_store::{Alert, Alerts, Fault, Place};

/// Opens the file again. A parameter, so that a test can inject failures.
pub(super) type Opener = Box<dyn Fn() -> Result<OpenedStore, OpenError> + Send + Sync>;

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
    /// Of what is durable. Held for a look, never over I/O.
    index: RwLock<RecordIndex>,
    /// Whether the file has an earlier schema version. The next commit changes that.
    is_of_former_version: AtomicBool,
    rules: ArcSwap<Rules>,
    /// How many rules were ever made.
    rules_made: AtomicU64,
    objects: ArcSwap<ObjectLog>,
    /// Only the writer thread uses it after the start.
    last: Mutex<LastStates>,
    /// The error of a failed integrity check. While it is set, every call gets it.
    integrity_error: ArcSwapOption<LedgerError>,
    /// The file of the watermark. `None` for a store without a file.
    watermark: Option<PathBuf>,
    /// Monotonic milliseconds of the last commit.
    committed: AtomicU64,
}

impl DatabaseHandle {
    /// Serves the database `opened`, and reopens it with `opener` when it fails. If revocations or
    /// objects are missing, every later call fails.
    ///
    /// # Errors
    /// If the revocations cannot be read: without them, revoked tokens would pass.
    pub(super) fn new(
        path: &Path,
        opened: OpenedStore,
        opener: Opener,
        watermark: Option<PathBuf>,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, redb::Error> {
        let OpenedStore { database, origin } = opened;
        // Only a store with a file has a watermark.
        let file = watermark.is_some().then(|| OpenFile::new(path, origin));
        let handle = Self {
            seal,
            clock,
            alerts,
            opener,
            file,
            state: ArcSwap::from_pointee(Err(LedgerError::Unavailable("the store is not open yet".into()))),
            index: RwLock::default(),
            is_of_former_version: AtomicBool::new(false),
            rules: ArcSwap::from_pointee(Rules::new([], UnixTime::from_secs(0))),
            rules_made: AtomicU64::new(0),
            objects: ArcSwap::default(),
            last: Mutex::default(),
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

    /// Where the durable records stand. Read this before a snapshot is taken: all that is in it is in a later
    /// snapshot, too, unless it was forgotten meanwhile.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, RecordIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file has an earlier schema version.
    pub(super) fn is_of_former_version(&self) -> bool {
        self.is_of_former_version.load(Ordering::Relaxed)
    }

    /// The extent of the last commit, if there is one that is trusted.
    pub(super) fn extent(&self) -> Option<Extent> {
        self.last_states().committed.as_ref().map(|state| state.extent)
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

    /// The sequence of the last commit of objects. Exact on the writer's thread.
    pub(super) fn object_sequence(&self) -> u64 {
        self.objects.load().sequence()
    }

    /// What was changed after `sequence`, if this process can tell.
    pub(super) fn object_changes_since(&self, sequence: u64) -> Option<ObjectChanges> {
        self.objects.load().since(sequence)
    }

    /// Fails while the store cannot be trusted.
    pub(super) fn check_integrity(&self) -> Result<(), LedgerError> {
        self.integrity_error.load().as_ref().map_or(Ok(()), |integrity_error| Err(LedgerError::clone(integrity_error)))
    }

    /// Checks the rows of a newly opened `database`, and reads its rules and where its records stand.
    fn load(&self, database: &Database) -> Result<(), redb::Error> {
        self.is_of_former_version.store(file::schema(database)? != Some(SCHEMA_VERSION), Ordering::Relaxed);
        let index = guarded(|| RecordIndex::of(&database.begin_read()?.open_table(RECORD_ENDS)?))?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
        let watermark = self.watermark.as_deref().map_or(Ok(None), Watermark::read);
        let verdict = match &watermark {
            Ok(watermark) => guarded(|| tally::verify(database, &*self.seal, watermark.as_ref()))?,
            Err(error) => Err(IntegrityError::Watermark(error.to_string())),
        };
        let verdict = match verdict {
            Ok(tally) => {
                let state = StoreState { tally, extent: guarded(|| read::extent(database))? };
                self.last_states().accept(&state).map(|()| state.tally)
            }
            Err(error) => Err(error),
        };
        match verdict {
            Ok(tally) => {
                self.integrity_error.store(None);
                self.remember(&tally);
                self.objects.store(Arc::new(ObjectLog::beginning_at(tally.objects())));
                self.reload_rules(database)
            }
            Err(error) => {
                self.distrust(&error);
                Ok(())
            }
        }
    }

    /// Refuses every call from here on, until an operator accepts the loss or the right file is back.
    pub(super) fn distrust(&self, cause: &IntegrityError) -> LedgerError {
        let error = unavailable(&format_args!(
            "the store cannot be trusted: {cause}. Revoked tokens and removed accounts may be back in it, so nothing is minted and no token is \
             active: put the right file back, or accept the loss with `sts store accept-epoch`"
        ));
        tracing::error!(%error, "the store is in doubt");
        self.alerts.raise(Alert { place: Place::Epoch, fault: cause.fault() });
        self.integrity_error.store(Some(Arc::new(error.clone())));
        error
    }

    /// The saved watermark, if it can be read.
    pub(super) fn remembered(&self) -> Option<Watermark> {
        self.watermark.as_deref().and_then(|path| Watermark::read(path).ok().flatten())
    }

    /// Records what a transaction is about to commit. After a failure the file may hold it, or not.
    pub(super) fn note_attempt(&self, changed: &Changed) {
        let mut last = self.last_states();
        // Without a change of the tally it is still that of the last commit.
        let tally = changed.tally.clone().or_else(|| last.committed.as_ref().map(|state| state.tally.clone()));
        last.attempted = tally.map(|tally| StoreState { tally, extent: changed.extent });
    }

    /// Takes over the changes of a durable transaction.
    ///
    /// # Errors
    /// If the rules cannot be read.
    pub(super) fn note_commit(&self, database: &Database, changed: Changed) -> Result<(), redb::Error> {
        let mut last = self.last_states();
        if let Some(attempted) = last.attempted.take() {
            last.committed = Some(attempted);
        }
        drop(last);
        self.is_of_former_version.store(false, Ordering::Relaxed);
        self.index.write().unwrap_or_else(PoisonError::into_inner).apply(changed.records);
        // Before the store is trusted again: until then its rules may be missing.
        if changed.rules {
            self.reload_rules(database)?;
        }
        if let Some(tally) = &changed.tally {
            self.remember(tally);
        }
        for commit in &changed.objects {
            self.log_objects(commit);
        }
        if let (Some(tally), true) = (&changed.tally, changed.accepted) {
            self.objects.store(Arc::new(ObjectLog::beginning_at(tally.objects())));
            self.integrity_error.store(None);
        }
        self.mark_commit();
        Ok(())
    }

    fn log_objects(&self, commit: &Arc<ObjectCommit>) {
        self.objects.store(Arc::new(self.objects.load().with(commit)));
    }

    fn last_states(&self) -> MutexGuard<'_, LastStates> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rules were ever made. Exact on the writer's thread.
    pub(super) fn rules_made(&self) -> u64 {
        self.rules_made.load(Ordering::Acquire)
    }

    /// Saves the number of changes, so that an older copy of the store is recognised.
    pub(super) fn remember(&self, tally: &Tally) {
        self.rules_made.store(tally.rules(), Ordering::Release);
        if let (Some(path), Some(mark)) = (&self.watermark, tally.watermark())
            && self.remembered().as_ref() != Some(&mark)
            && let Err(error) = mark.write(path)
        {
            tracing::error!(%error, "after a restart, a store without the latest revocations would pass");
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
        let state =
            (self.opener)().map_err(|error| unavailable(&error)).and_then(|OpenedStore { database, origin }| {
                if self.file.as_ref().is_some_and(|file| file.reopened(origin)) {
                    self.alerts.raise(Alert { place: Place::File, fault: Fault::Replaced });
                }
                self.load(&database).map(|()| database).map_err(|error| unavailable(&error))
            });
        if state.is_ok() {
            tracing::info!("the store is open again");
        }
        let state = Arc::new(state);
        self.state.store(Arc::clone(&state));
        state
    }

    /// Checks that the path still leads to the open file, and that nobody else wrote to that.
    ///
    /// # Errors
    /// If it does not: writes would then be lost with this process.
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
    fn mark_commit(&self) {
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

/// A state of the store's content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StoreState {
    tally: Tally,
    /// It also tells states apart between which no revocation was made.
    extent: Extent,
}

/// What this process wrote last. The file that it opens again must hold exactly that.
#[derive(Debug, Default)]
struct LastStates {
    /// The last state known to be durable. `None` before a store was trusted.
    committed: Option<StoreState>,
    /// The state of a transaction whose outcome is unknown.
    attempted: Option<StoreState>,
}

impl LastStates {
    /// Checks the state of a file that was opened again, and takes it over.
    fn accept(&mut self, state: &StoreState) -> Result<(), IntegrityError> {
        if self.committed.is_some()
            && ![&self.committed, &self.attempted].into_iter().flatten().any(|last| last == state)
        {
            return Err(IntegrityError::NotLast);
        }
        *self = Self { committed: Some(state.clone()), attempted: None };
        Ok(())
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
