//! The open database, which readers share with the one writer, and what happens when it fails.
//!
//! After an I/O error the engine answers nothing more until it is opened anew. The writer does that, see [`super::writer`]; until it
//! succeeds every call is answered with [`LedgerError::Unavailable`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redb::{Database, StorageError};
use sts_types::{Clock, Seal, UnixTime};

use super::open_error::OpenError;
use super::read::{self, Judge};
use super::rules::Rules;
use crate::alert::Alerts;
use crate::ledger::LedgerError;
use crate::record::Revocation;

/// Opens the file anew; a parameter, so that a test can put failures under it.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, OpenError> + Send + Sync>;

/// The database, or why there is none.
pub(super) type State = Result<Database, LedgerError>;

/// What the readers and the writer share.
pub(super) struct Engine {
    pub(super) seal: Arc<dyn Seal>,
    pub(super) clock: Arc<dyn Clock>,
    alerts: Arc<dyn Alerts>,
    opener: Opener,
    state: ArcSwap<State>,
    rules: ArcSwap<Rules>,
    /// Monotonic milliseconds of the last commit.
    committed: AtomicU64,
}

impl Engine {
    /// Serves `database`, and opens it anew by `opener` when it fails.
    ///
    /// # Errors
    /// When the rules cannot be read: without them, what was revoked would pass.
    pub(super) fn new(
        database: Database,
        opener: Opener,
        seal: Arc<dyn Seal>,
        clock: Arc<dyn Clock>,
        alerts: Arc<dyn Alerts>,
    ) -> Result<Self, redb::Error> {
        let rules = load_rules(&database, &Judge { seal: &*seal, alerts: &*alerts }, clock.now())?;
        let engine = Self {
            seal,
            clock,
            alerts,
            opener,
            state: ArcSwap::from_pointee(Ok(database)),
            rules: ArcSwap::from_pointee(rules),
            committed: AtomicU64::new(0),
        };
        engine.mark_commit();
        Ok(engine)
    }

    /// The database as it is now. Whoever holds it keeps it open, so it is not to be kept.
    pub(super) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Reads from a snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Database, &Judge<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, LedgerError> {
        let state = self.state();
        let database = state.as_ref().as_ref().map_err(LedgerError::clone)?;
        guarded(|| read(database, &self.judge())).map_err(|error| {
            tracing::error!(error = %error, "the store cannot be read");
            self.fail(&state, &error)
        })
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> Arc<[Revocation]> {
        let now = self.clock.now();
        loop {
            match self.rules.load().all_at(now) {
                Some(rules) => return rules,
                None => self.rules.rcu(|rules| rules.pruned(now)),
            };
        }
    }

    /// Reads the rules anew, after one was written.
    pub(super) fn reload_rules(&self, database: &Database) -> Result<(), redb::Error> {
        self.rules.store(Arc::new(load_rules(database, &self.judge(), self.clock.now())?));
        Ok(())
    }

    /// Opens the database anew, after it has failed and its last reader has closed it.
    pub(super) fn reopen(&self) -> Arc<State> {
        let state = (self.opener)()
            .map_err(|error| unavailable(&error))
            .and_then(|database| self.reload_rules(&database).map(|()| database).map_err(|error| unavailable(&error)));
        if state.is_ok() {
            tracing::info!("the store is open again");
        }
        let state = Arc::new(state);
        self.state.store(Arc::clone(&state));
        state
    }

    /// Lets go of the database that was `used`, unless another has taken its place by now.
    pub(super) fn fail(&self, used: &Arc<State>, cause: &redb::Error) -> LedgerError {
        let error = unavailable(cause);
        self.state.compare_and_swap(used, Arc::new(Err(error.clone())));
        error
    }

    /// Notes that a commit has succeeded.
    pub(super) fn mark_commit(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.committed.store(now, Ordering::Relaxed);
    }

    /// Time since the last commit that succeeded.
    pub(super) fn since_commit(&self) -> Duration {
        self.clock.monotonic().saturating_sub(Duration::from_millis(self.committed.load(Ordering::Relaxed)))
    }

    fn judge(&self) -> Judge<'_> {
        Judge { seal: &*self.seal, alerts: &*self.alerts }
    }
}

/// Runs `work` on the engine. Its pages were sound when it was opened; should one rot under it, it may panic, which is a failure of
/// the store like any other.
pub(super) fn guarded<T, E: From<StorageError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StorageError::Corrupted("the engine stumbled over a damaged page".to_owned()).into()))
}

fn load_rules(database: &Database, judge: &Judge<'_>, now: UnixTime) -> Result<Rules, redb::Error> {
    guarded(|| read::rules(database, judge)).map(|rules| Rules::new(rules, now))
}

fn unavailable(cause: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(cause.to_string().into())
}
