//! The state of the store, shared by the readiness of both listeners and by the metrics. A
//! background task probes the store, and the outcome of each request updates the state at once.
//! Readers therefore never wait for the store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sts_service::Service;
use sts_store::{LedgerError, Warning};
use tokio::sync::Notify;

/// The result of a store probe.
pub(crate) type Readiness = Result<Vec<Warning>, LedgerError>;

/// Reading a result that is older than this requests a new probe.
const FRESH: Duration = Duration::from_secs(1);
/// Interval of the store probe when nobody requests one.
const IDLE: Duration = Duration::from_secs(10);
/// The same interval while the store is not ready.
const UNREADY: Duration = Duration::from_secs(1);
/// The shortest time between two probes.
const PAUSE: Duration = Duration::from_millis(100);

/// The state of the store. It is not ready before the first probe.
#[derive(Default)]
pub(crate) struct StoreHealth {
    /// A copy of the outcome, for reading without the lock.
    is_ready: AtomicBool,
    state: Mutex<State>,
    /// Signalled when somebody requests a probe.
    requested: Notify,
    /// Only one probe runs at a time.
    probing: tokio::sync::Mutex<()>,
    /// Whether the store has several shards. One that is away fails requests while the others go on.
    is_sharded: bool,
}

/// All times are of the monotonic clock.
#[derive(Default)]
struct State {
    /// `None` before the first probe.
    outcome: Option<Result<(), LedgerError>>,
    warnings: Vec<Warning>,
    /// When the last probe began.
    probed: Option<Duration>,
    /// The time of the last failure.
    failed: Option<Duration>,
    /// What the log says about the store so far.
    logged: Option<Result<Vec<&'static str>, ()>>,
}

impl StoreHealth {
    /// The health of a store of several shards, or of one.
    pub(crate) fn new(is_sharded: bool) -> Self {
        Self { is_sharded, ..Self::default() }
    }

    /// Whether the store is ready, without waiting. If the result is old, requests a new probe.
    pub(crate) fn is_ready(&self, now: Duration) -> bool {
        self.read(now);
        self.is_ready.load(Ordering::Acquire)
    }

    /// The last result, or `None` before the first probe. If the result is old, requests a new
    /// probe.
    pub(crate) fn read(&self, now: Duration) -> Option<Readiness> {
        let state = self.state();
        if state.probed.is_none_or(|probed| now.saturating_sub(probed) >= FRESH) {
            self.requested.notify_one();
        }
        let warnings = || state.warnings.clone();
        state.outcome.clone().map(|outcome| outcome.map(|()| warnings()))
    }

    /// Records that the store failed a request. With several shards only a probe tells whether there
    /// are others.
    pub(crate) fn request_failed(&self, now: Duration) {
        if self.is_sharded {
            self.requested.notify_one();
            return;
        }
        let mut state = self.state();
        state.failed = state.failed.max(Some(now));
        if state.outcome.as_ref().is_none_or(Result::is_ok) {
            let text = "it did not answer a request, or refused it; it is looked at again";
            self.set(&mut state, Err(LedgerError::Unavailable(text.into())));
        }
        self.requested.notify_one();
    }

    /// Records that the store saved a token for a request that arrived at `arrived`. A store that
    /// is away, full or not trusted cannot do that.
    pub(crate) fn token_was_recorded(&self, arrived: Duration) {
        if self.is_ready.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        if state.failed.is_none_or(|failed| failed < arrived) {
            self.set(&mut state, Ok(()));
        }
        self.requested.notify_one();
    }

    /// Probes the store, and returns a result that is true from now on. A caller that comes during
    /// a probe gets the result of the next one.
    pub(crate) async fn look(&self, service: &Service) -> Readiness {
        let arrived = service.clock().monotonic();
        let _guard = self.probing.lock().await;
        if let Some(recent) = self.recent_result(arrived) {
            return recent;
        }
        let began = service.clock().monotonic();
        let readiness = service.ready().await;
        self.note(began, service.clock().monotonic(), readiness)
    }

    /// The result of the last probe, if it is recent enough: it began after `now`, or shortly
    /// before and succeeded.
    fn recent_result(&self, now: Duration) -> Option<Readiness> {
        let state = self.state();
        let probed = state.probed?;
        let is_known = match state.outcome.as_ref()? {
            Ok(()) => now.saturating_sub(probed) < PAUSE,
            Err(_) => probed > now,
        };
        is_known.then(|| state.outcome.clone().unwrap_or(Ok(())).map(|()| state.warnings.clone()))
    }

    /// Records the result of a probe that ran from `began` to `now`. A success does not cancel a
    /// failure that happened meanwhile.
    fn note(&self, began: Duration, now: Duration, readiness: Readiness) -> Readiness {
        let mut state = self.state();
        state.probed = Some(began);
        match readiness {
            Ok(warnings) => {
                state.warnings = warnings;
                if state.failed.is_none_or(|failed| failed < began) {
                    self.set(&mut state, Ok(()));
                } else {
                    self.requested.notify_one();
                }
            }
            Err(error) => {
                state.failed = state.failed.max(Some(now));
                self.set(&mut state, Err(error));
            }
        }
        state.log_changes();
        state.outcome.clone().unwrap_or(Ok(())).map(|()| state.warnings.clone())
    }

    fn set(&self, state: &mut State, outcome: Result<(), LedgerError>) {
        self.is_ready.store(outcome.is_ok(), Ordering::Release);
        state.outcome = Some(outcome);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Logs what has changed since the last call.
    fn log_changes(&mut self) {
        let logged = match &self.outcome {
            Some(Ok(())) => {
                let known_warnings: &[&str] = match &self.logged {
                    Some(Ok(known_warnings)) => known_warnings,
                    Some(Err(())) => {
                        tracing::info!("the store is ready again");
                        &[]
                    }
                    None => &[],
                };
                for warning in self.warnings.iter().filter(|warning| !known_warnings.contains(&warning.name)) {
                    tracing::warn!(warning = warning.name, "{}", warning.text);
                }
                Ok(self.warnings.iter().map(|warning| warning.name).collect())
            }
            Some(Err(error)) => {
                if self.logged != Some(Err(())) {
                    tracing::error!(%error, "the store is not ready");
                }
                Err(())
            }
            None => return,
        };
        self.logged = Some(logged);
    }
}

/// Probes the store for as long as the server runs: on request, and at intervals.
pub(crate) async fn watch_store(health: Arc<StoreHealth>, service: Arc<Service>) {
    loop {
        let is_ready = health.look(&service).await.is_ok();
        tokio::time::sleep(PAUSE).await;
        let _ = tokio::time::timeout(if is_ready { IDLE } else { UNREADY }, health.requested.notified()).await;
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
    fn a_request_that_one_shard_fails_does_not_make_the_store_unready_before_a_probe_says_so() {
        let health = StoreHealth::new(true);
        health.note(at(1), at(2), Ok(Vec::new())).unwrap();
        health.request_failed(at(10));
        assert!(is_ready(&health));
        health.note(at(11), at(12), Ok(Vec::new())).unwrap();
        assert!(is_ready(&health), "the failure does not outlast the probe");
        health.note(at(20), at(21), away()).unwrap_err();
        assert!(!is_ready(&health), "all shards are away");
    }

    #[test]
    fn fld21_whoever_reads_an_old_answer_has_another_look_taken() {
        let health = StoreHealth::default();
        let wants = |health: &StoreHealth, now| {
            use std::future::Future as _;
            health.read(now);
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            std::pin::pin!(health.requested.notified()).as_mut().poll(&mut context).is_ready()
        };
        assert!(wants(&health, at(0)), "nobody has looked");
        health.note(at(0), at(1), Ok(Vec::new())).unwrap();
        assert!(!wants(&health, at(999)));
        assert!(wants(&health, at(1000)));
    }
}
