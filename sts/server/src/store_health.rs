//! How the store is: one truth, which both listeners' readiness and the metrics tell. It is looked at now and then, and what becomes of
//! requests changes it at once, so that nobody who asks has to wait for the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sts_service::Service;
use sts_store::{LedgerError, Warning};
use tokio::sync::Notify;

/// What came of asking the store whether it is ready.
pub(crate) type Readiness = Result<Vec<Warning>, LedgerError>;

/// How old an answer may be before whoever reads it asks for another.
const FRESH: Duration = Duration::from_secs(1);
/// How often it is looked at though nobody asks.
const IDLE: Duration = Duration::from_secs(10);
/// The same while it is not ready.
const UNREADY: Duration = Duration::from_secs(1);
/// The least time between two looks, whoever asks.
const PAUSE: Duration = Duration::from_millis(100);

/// How the store is; not ready before it was looked at.
#[derive(Default)]
pub(crate) struct StoreHealth {
    /// A copy of the outcome, read without the lock.
    is_ready: AtomicBool,
    state: Mutex<State>,
    /// Somebody wants it looked at.
    wanted: Notify,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
}

/// All moments are of the monotonic clock.
#[derive(Default)]
struct State {
    /// None before the first look.
    outcome: Option<Result<(), LedgerError>>,
    warnings: Vec<Warning>,
    /// When the last look began.
    looked: Option<Duration>,
    /// When it was last known to fail.
    failed: Option<Duration>,
    /// What the log says of it.
    told: Option<Result<Vec<&'static str>, ()>>,
}

impl StoreHealth {
    /// Whether it is ready, without a wait. An old answer has it looked at again.
    pub(crate) fn is_ready(&self, now: Duration) -> bool {
        self.read(now);
        self.is_ready.load(Ordering::Acquire)
    }

    /// What was learned last; none before the first look. An old answer has it looked at again.
    pub(crate) fn read(&self, now: Duration) -> Option<Readiness> {
        let state = self.state();
        if state.looked.is_none_or(|looked| now.saturating_sub(looked) >= FRESH) {
            self.wanted.notify_one();
        }
        let warnings = || state.warnings.clone();
        state.outcome.clone().map(|outcome| outcome.map(|()| warnings()))
    }

    /// A request got no answer from the store.
    pub(crate) fn request_failed(&self, now: Duration) {
        let mut state = self.state();
        state.failed = state.failed.max(Some(now));
        if state.outcome.as_ref().is_none_or(Result::is_ok) {
            let text = "it did not answer a request, or refused it; it is looked at again";
            self.put(&mut state, Err(LedgerError::Unavailable(text.into())));
        }
        self.wanted.notify_one();
    }

    /// A token was recorded for a request that came at `arrived`. That nobody can when the store is away, full or in doubt.
    pub(crate) fn token_was_recorded(&self, arrived: Duration) {
        if self.is_ready.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        if state.failed.is_none_or(|failed| failed < arrived) {
            self.put(&mut state, Ok(()));
        }
        self.wanted.notify_one();
    }

    /// Looks at the store, and answers what is true from then on. Whoever comes while somebody looks gets the answer of the next look.
    pub(crate) async fn look(&self, service: &Service) -> Readiness {
        let arrived = service.clock().monotonic();
        let _turn = self.looking.lock().await;
        if let Some(known) = self.known_at(arrived) {
            return known;
        }
        let began = service.clock().monotonic();
        let readiness = service.ready().await;
        self.note(began, service.clock().monotonic(), readiness)
    }

    /// What the last look has shown, when it began after `now`, or shortly before and nothing has failed.
    fn known_at(&self, now: Duration) -> Option<Readiness> {
        let state = self.state();
        let looked = state.looked?;
        let is_known = match state.outcome.as_ref()? {
            Ok(()) => now.saturating_sub(looked) < PAUSE,
            Err(_) => looked > now,
        };
        is_known.then(|| state.outcome.clone().unwrap_or(Ok(())).map(|()| state.warnings.clone()))
    }

    /// Notes what a look has shown that went from `began` to `now`. What failed meanwhile is not mended by it.
    fn note(&self, began: Duration, now: Duration, readiness: Readiness) -> Readiness {
        let mut state = self.state();
        state.looked = Some(began);
        match readiness {
            Ok(warnings) => {
                state.warnings = warnings;
                if state.failed.is_none_or(|failed| failed < began) {
                    self.put(&mut state, Ok(()));
                } else {
                    self.wanted.notify_one();
                }
            }
            Err(error) => {
                state.failed = state.failed.max(Some(now));
                self.put(&mut state, Err(error));
            }
        }
        state.tell();
        state.outcome.clone().unwrap_or(Ok(())).map(|()| state.warnings.clone())
    }

    fn put(&self, state: &mut State, outcome: Result<(), LedgerError>) {
        self.is_ready.store(outcome.is_ok(), Ordering::Release);
        state.outcome = Some(outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells the operator what has changed since he was last told.
    fn tell(&mut self) {
        let told = match &self.outcome {
            Some(Ok(())) => {
                let known: &[&str] = match &self.told {
                    Some(Ok(known)) => known,
                    Some(Err(())) => {
                        tracing::info!("the store is ready again");
                        &[]
                    }
                    None => &[],
                };
                for warning in self.warnings.iter().filter(|warning| !known.contains(&warning.name)) {
                    tracing::warn!(warning = warning.name, "{}", warning.text);
                }
                Ok(self.warnings.iter().map(|warning| warning.name).collect())
            }
            Some(Err(error)) => {
                if self.told != Some(Err(())) {
                    tracing::error!(%error, "the store is not ready");
                }
                Err(())
            }
            None => return,
        };
        self.told = Some(told);
    }
}

/// Looks at the store for as long as the server runs: when somebody wants it, and now and then.
pub(crate) async fn watch_store(health: Arc<StoreHealth>, service: Arc<Service>) {
    loop {
        let is_ready = health.look(&service).await.is_ok();
        tokio::time::sleep(PAUSE).await;
        let _ = tokio::time::timeout(if is_ready { IDLE } else { UNREADY }, health.wanted.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn away() -> Readiness {
        Err(LedgerError::Unavailable("away".into()))
    }

    /// Whether it is ready, having told the same everywhere.
    fn is_ready(health: &StoreHealth) -> bool {
        let read = health.read(at(0)).is_some_and(|readiness| readiness.is_ok());
        assert_eq!(health.is_ready(at(0)), read);
        read
    }

    #[test]
    fn fld21_what_becomes_of_requests_is_told_at_once_and_a_look_from_before_changes_nothing() {
        let health = StoreHealth::default();
        assert!(!is_ready(&health), "nobody has looked");
        health.note(at(1), at(2), Ok(Vec::new())).unwrap();
        assert!(is_ready(&health));
        health.request_failed(at(10));
        assert!(!is_ready(&health));
        health.note(at(9), at(11), Ok(Vec::new())).unwrap_err();
        assert!(!is_ready(&health), "that look began before the failure");
        health.note(at(11), at(12), Ok(Vec::new())).unwrap();
        assert!(is_ready(&health));
        health.note(at(20), at(21), away()).unwrap_err();
        health.token_was_recorded(at(20));
        assert!(!is_ready(&health), "that token may be from before the failure");
        health.token_was_recorded(at(22));
        assert!(is_ready(&health));
        health.note(at(30), at(31), away()).unwrap_err();
        assert!(health.read(at(31)).unwrap().unwrap_err().to_string().contains("away"));
    }

    #[test]
    fn fld21_whoever_reads_an_old_answer_has_another_look_taken() {
        let health = StoreHealth::default();
        let wants = |health: &StoreHealth, now| {
            use std::future::Future as _;
            health.read(now);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(health.wanted.notified()).as_mut().poll(&mut context).is_ready()
        };
        assert!(wants(&health, at(0)), "nobody has looked");
        health.note(at(0), at(1), Ok(Vec::new())).unwrap();
        assert!(!wants(&health, at(999)));
        assert!(wants(&health, at(1000)));
    }
}
