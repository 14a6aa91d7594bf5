//! The writer thread. It collects the waiting requests, carries them out in one transaction, and
//! answers once that is durable.
//!
//! This is a group commit, which shares the cost of an fsync: while one batch is being written, the
//! next one gathers.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use redb::Durability;
use tokio::sync::{mpsc, oneshot};

use super::engine::{DatabaseHandle, State, guarded};
use super::write::{Tables, WriteError};
use sts_store::LedgerError;

/// The most requests that wait. A store that is further behind counts as unavailable.
const QUEUE: usize = 4096;
/// The most requests per transaction. This bounds how long one of them waits for the others.
const BATCH: usize = 256;
/// How long a caller waits for its answer, for a write of a few rows.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a failed database is opened again.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends requests to the writer thread. Dropping it ends the thread after all waiting requests are
/// done.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(engine: Arc<DatabaseHandle>) -> std::io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || run(&engine, requests))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in the next transaction. Returns once it is durable.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.submit_large(Duration::ZERO, work).await
    }

    /// As [`submit`](Self::submit), for work that may take `allowance` longer.
    pub(super) async fn submit_large<T: Send + 'static>(
        &self,
        allowance: Duration,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let unavailable = |why: &str| LedgerError::Unavailable(why.into());
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(|| unavailable("the store is closed"))?;
        queue.try_send(Box::new(Request { work: Some(work), outcome: None, reply })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => unavailable("too many writes wait for the store"),
            mpsc::error::TrySendError::Closed(_) => unavailable("the store's writer has ended"),
        })?;
        match tokio::time::timeout(PATIENCE.saturating_add(allowance), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable("the store's writer has ended")),
            Err(_) => Err(unavailable("the store takes too long to write")),
        }
    }

    /// Whether a request waits that the thread has not taken yet.
    #[cfg(test)]
    pub(super) fn is_waiting(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.capacity() < QUEUE)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer has panicked");
        }
    }
}

/// A request to the writer.
trait Job: Send {
    /// Whether the caller has stopped waiting. It was told "unavailable", so its request must not
    /// spend a claim.
    fn is_abandoned(&self) -> bool;
    /// Carries out the request in the batch's transaction. An error here fails the whole batch.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error>;
    /// Sends the outcome, once the batch is durable or has failed.
    fn answer(self: Box<Self>, batch: Result<(), LedgerError>);
}

struct Request<T, W> {
    work: Option<W>,
    outcome: Option<Result<T, LedgerError>>,
    reply: oneshot::Sender<Result<T, LedgerError>>,
}

impl<T, W> Job for Request<T, W>
where
    T: Send,
    W: FnOnce(&mut Tables<'_>) -> Result<T, WriteError> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        if let Some(work) = self.work.take() {
            self.outcome = Some(match work(tables) {
                Ok(outcome) => Ok(outcome),
                Err(WriteError::Refused(error)) => Err(error),
                Err(WriteError::Engine(error)) => return Err(error),
            });
        }
        Ok(())
    }

    fn answer(self: Box<Self>, batch: Result<(), LedgerError>) {
        let Self { outcome, reply, .. } = *self;
        let undone = || Err(LedgerError::Unavailable("the write was not carried out".into()));
        let answer = batch.and_then(|()| outcome.unwrap_or_else(undone));
        // The caller may be gone. Then nobody needs the answer.
        let _ = reply.send(answer);
    }
}

fn run(engine: &DatabaseHandle, mut requests: mpsc::Receiver<Box<dyn Job>>) {
    let mut next_reopen = Duration::ZERO;
    while let Some(first) = requests.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = requests.try_recv()
        {
            batch.push(next);
        }
        batch.retain(|job| !job.is_abandoned());
        if batch.is_empty() {
            continue;
        }
        let mut state = engine.state();
        if state.is_err() && engine.clock.monotonic() >= next_reopen {
            state = engine.reopen();
            next_reopen = engine.clock.monotonic().saturating_add(PAUSE);
        }
        let outcome = commit(engine, &state, &mut batch);
        // Drop a failed database before the answers go out, so that a caller who tries again finds
        // it closed.
        drop(state);
        for job in batch {
            job.answer(outcome.clone());
        }
    }
}

/// Carries out `batch` in one transaction. `Ok` means that it is durable.
fn commit(engine: &DatabaseHandle, state: &Arc<State>, batch: &mut [Box<dyn Job>]) -> Result<(), LedgerError> {
    let database = state.as_ref().as_ref().map_err(LedgerError::clone)?;
    let written = guarded(|| -> Result<(), redb::Error> {
        engine.check_file()?;
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut tables = Tables::new(&transaction);
        if engine.is_of_former_version() {
            tables.bring_up_to_date()?;
        }
        for job in batch {
            job.apply(&mut tables)?;
        }
        // A store in doubt refused every request but an acceptance. Leave its file as it is.
        if engine.check_integrity().is_err() && !tables.is_accepted() {
            drop(tables);
            transaction.abort()?;
            return Ok(());
        }
        // What this process committed last may not be what an operator has accepted.
        let before = engine.extent().filter(|_| !tables.is_accepted());
        let changed = tables.finish(&*engine.seal, before)?;
        engine.note_attempt(&changed);
        transaction.commit()?;
        // If the file was replaced meanwhile, this commit went into a file that nobody finds again.
        engine.check_file()?;
        engine.note_commit(database, changed)
    });
    written.map_err(|error| {
        tracing::error!(error = %error, "the store cannot be written");
        engine.fail(state, &error)
    })
}
