//! One entry: its current key set and the fetches that replace it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sts_types::UnixTime;
use tokio::sync::watch;

use crate::control::{Admission, Cause, Control, LookupDigest, Outcome};
use crate::entry_keys::{IndexedSet, Validity};
use crate::fetch::{FetchContext, Fetched, fetch, read_file};
use crate::history::{KeySeen, KeySetSeen, SeenFrom};
use crate::history_log::Recorder;
use crate::monotonic_time::MonotonicTime;
use crate::observer::KeyChangeCause;
use crate::static_keys::{FileMark, is_alarming};
use crate::{DocumentKind, EntryKeys, EntrySpec, FetchError, FetchErrorKind, KeySource, RefreshReport, last_good};

/// Poll interval of key files.
const FILE_POLL: Duration = Duration::from_secs(2);
/// How long a fetch waits for the copy to reach the disk. Only a restart needs that copy.
const KEEP_DEADLINE: Duration = Duration::from_secs(1);

/// An entry's spec and state. A reload that leaves the spec unchanged shares it.
pub(crate) struct Entry {
    pub(crate) spec: EntrySpec,
    current: ArcSwapOption<EntryKeys>,
    control: Mutex<Control>,
    pub(crate) recorder: Arc<Recorder>,
    /// When this entry was created. Keys that its name had before do not count.
    created_at: UnixTime,
    /// Whether one of its keys verified a token, or the configuration names it. Otherwise anyone
    /// who can write a token may have made it up, so it leaves nothing on disk.
    is_proven: AtomicBool,
    /// Whether the warning about the proxy was logged.
    is_announced: AtomicBool,
}

impl Entry {
    /// Creates an entry that starts with the set kept on disk, if there is one.
    pub(crate) fn new(
        spec: EntrySpec,
        kept: Option<EntryKeys>,
        recorder: Recorder,
        now: UnixTime,
        is_proven: bool,
    ) -> Self {
        if let Some(keys) = &kept {
            let event = KeySetSeen::new(&spec, keys.set(), SeenFrom::Disk, now);
            if is_proven {
                recorder.announce(&event, &[], KeyChangeCause::Restart);
            }
            recorder.note(event, Vec::new());
        }
        let current = ArcSwapOption::new(kept.map(Arc::new));
        Self {
            spec,
            current,
            control: Mutex::default(),
            recorder: Arc::new(recorder),
            created_at: now,
            is_proven: AtomicBool::new(is_proven),
            is_announced: AtomicBool::new(false),
        }
    }

    /// Warns once, before the first fetch, that the proxy must do the work of the address guard.
    pub(crate) fn announce(&self) {
        let Some(proxy) = &self.spec.proxy else { return };
        if !self.is_announced.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                entry = %self.spec.name,
                %proxy,
                "the address guard cannot see through a proxy, which resolves and dials: it must refuse internal addresses itself",
            );
        }
    }

    /// Whether the configuration or a verified token vouches for it.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    pub(crate) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    /// Keeps a copy of the current set on disk, for an entry that was proven after its fetch.
    pub(crate) async fn keep_current(&self, context: &FetchContext) {
        if let Some(keys) = self.last() {
            self.keep(context, &keys).await;
        }
    }

    /// The last set, even if it is expired.
    pub(crate) fn last(&self) -> Option<Arc<EntryKeys>> {
        self.current.load_full()
    }

    /// When the last usable keys expired, if there are none at `now`.
    pub(crate) fn lapsed_at(&self, now: MonotonicTime) -> Option<UnixTime> {
        lapsed_at(self.current.load().as_deref(), self.created_at, now)
    }

    /// Calls `read` with the set that is usable at `now`. Lock-free.
    pub(crate) fn with_usable<T>(&self, now: MonotonicTime, read: impl FnOnce(&EntryKeys) -> T) -> Option<T> {
        self.current.load().as_ref().filter(|keys| keys.is_usable(now)).map(|keys| read(keys))
    }

    /// Whether the last set, even if expired, contains the key with that thumbprint.
    pub(crate) fn holds(&self, thumbprint: &str) -> bool {
        self.current.load().as_ref().is_some_and(|keys| keys.set().holds(thumbprint))
    }

    /// Locks the control state. Hold it for a few instructions, never over I/O.
    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the keys are part of the configuration, so that there is nothing to fetch.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.spec.source, KeySource::Inline(_))
    }

    /// Whether there is neither a fetch in progress nor a pause after a failure.
    pub(crate) fn is_settled(&self, now: MonotonicTime) -> bool {
        let mut control = self.control();
        control.join(None).is_none() && control.admit_load(now) == Admission::Go
    }

    /// Joins the fetch in progress, or starts one. The flag is true if this call started it.
    pub(crate) fn join_or_start(
        self: &Arc<Self>,
        context: &Arc<FetchContext>,
        control: &mut Control,
        cause: Cause,
        question: Option<LookupDigest>,
    ) -> (FetchHandle, bool) {
        if let Some(outcome_receiver) = control.join(question) {
            return (FetchHandle(outcome_receiver), false);
        }
        let (sender, outcome_receiver) = watch::channel(None);
        control.begin_fetch(question, outcome_receiver.clone());
        let (entry, context) = (Arc::clone(self), Arc::clone(context));
        // Its own task, so that a caller that gives up does not cancel the fetch for others.
        tokio::spawn(async move {
            let outcome = entry.run_fetch(&context, cause).await;
            sender.send_replace(Some(outcome));
        });
        (FetchHandle(outcome_receiver), true)
    }

    /// Installs a set that was read while the configuration was loaded.
    pub(crate) fn put(&self, keys: EntryKeys, mark: Option<FileMark>) {
        let keys = Arc::new(keys);
        let before = self.current.swap(Some(Arc::clone(&keys)));
        let event = KeySetSeen::new(&self.spec, keys.set(), (&self.spec.source).into(), keys.fetched_at());
        self.note(before.as_deref(), event, keys.set(), KeyChangeCause::Configuration);
        let mut control = self.control();
        control.file_mark = mark;
        control.last_error = None;
    }

    /// Fetches or reads the keys, and records the outcome.
    async fn run_fetch(&self, context: &FetchContext, cause: Cause) -> Outcome {
        let fetched = match &self.spec.source {
            KeySource::Inline(_) => Ok(Fetched::Untouched),
            KeySource::File(path) => {
                let previous_mark = if cause == Cause::Background { self.control().file_mark } else { None };
                let (mark, read) = read_file(path, &self.spec, previous_mark).await;
                self.control().file_mark = mark;
                read
            }
            KeySource::Discovery | KeySource::Url(_) => {
                // An operator wants the keys themselves, not a 304.
                let validator = if cause == Cause::Operator { None } else { self.control().validator.clone() };
                fetch(context, &self.spec, validator).await
            }
        };
        match fetched {
            Ok(fetched) => self.install(context, cause, fetched).await,
            Err(error) => Err(self.fail(context, cause, error)),
        }
    }

    /// Installs the fetched set as the current one.
    async fn install(&self, context: &FetchContext, cause: Cause, fetched: Fetched) -> Outcome {
        let clock = &*context.environment.clock;
        let now = MonotonicTime::now(clock);
        let before = self.last();
        let source = self.seen_from(&fetched);
        let (set, fresh, validator) = match (fetched, &before) {
            (Fetched::Set { set, fresh, validator, .. }, _) => (Arc::new(set), Some(fresh), validator),
            (Fetched::NotModified { fresh, .. }, Some(before)) => {
                (Arc::clone(before.set()), Some(fresh), self.control().validator.clone())
            }
            (Fetched::File(set), _) => (Arc::new(set), None, None),
            (Fetched::Untouched, Some(before)) => {
                self.control().record_unchanged(now.plus(FILE_POLL));
                return Ok(report(before.set(), false, None));
            }
            (Fetched::NotModified { .. } | Fetched::Untouched, None) => {
                let fault = FetchErrorKind::Status { status: 304, retry_after: None };
                return Err(self.fail(
                    context,
                    cause,
                    FetchError::new(DocumentKind::KeySet, self.spec.issuer.as_str(), fault),
                ));
            }
        };
        let changed = before.as_ref().is_none_or(|before| before.set().digest != set.digest);
        let life = fresh.map(|fresh| Validity::new(now, fresh, self.spec.max_stale));
        let keys = Arc::new(EntryKeys::new(Arc::clone(&set), clock.now(), life));
        self.current.store(Some(Arc::clone(&keys)));
        let lapsed = lapsed_at(before.as_deref(), self.created_at, now);
        let event =
            KeySetSeen { previous_lapsed_at: lapsed, ..KeySetSeen::new(&self.spec, &set, source, keys.fetched_at()) };
        self.note(before.as_deref(), event, &set, cause.into());
        if self.is_proven() && self.recorder.is_due(now) {
            let recorder = Arc::clone(&self.recorder);
            // In the background: callers wait for keys and do not need the history.
            tokio::task::spawn_blocking(move || recorder.write(now));
        }
        self.log(&set, changed);
        if fresh.is_some() && self.is_proven() {
            self.keep(context, &keys).await;
        }
        let due_at = now.plus(fresh.map_or(FILE_POLL, |fresh| self.refresh_delay(context, fresh)));
        let mut control = self.control();
        control.validator = validator;
        control.record_success(cause, now, clock.now(), due_at, self.spec.refresh_cooldown, changed);
        Ok(report(&set, changed, fresh))
    }

    fn fail(&self, context: &FetchContext, cause: Cause, error: FetchError) -> FetchError {
        let clock = &*context.environment.clock;
        if self.is_proven() {
            tracing::warn!(
                entry = %self.spec.name,
                kind = error.fault.kind(),
                serving = self.with_usable(MonotonicTime::now(clock), |_| ()).is_some(),
                "issuer keys were not refreshed: {error}",
            );
        } else {
            // Not a warning: the sender of a token decides how often this happens.
            tracing::info!(
                entry = %self.spec.name,
                kind = error.fault.kind(),
                "no keys for a family member that no token has proven: {error}",
            );
        }
        self.control().record_failure(
            cause,
            MonotonicTime::now(clock),
            clock.now(),
            self.spec.refresh_cooldown,
            &error,
        );
        error
    }

    /// Notes in the history that `event` happened: `set` replaced `before`.
    fn note(&self, before: Option<&EntryKeys>, event: KeySetSeen, set: &IndexedSet, cause: KeyChangeCause) {
        let former = self.control().seen_from.replace(event.source.clone());
        let source_changed = former.is_some_and(|former| former != event.source);
        let is_lapse = event.previous_lapsed_at.is_some();
        if !is_lapse && !source_changed && before.is_some_and(|before| before.set().digest == set.digest) {
            return;
        }
        let before = before.map(|before| KeySeen::all(before.set())).unwrap_or_default();
        if self.is_proven() {
            self.recorder.announce(&event, &before, cause);
        }
        self.recorder.note(event, before);
    }

    /// The source of a fetched set. A discovery document may name another `jwks_uri` each time.
    fn seen_from(&self, fetched: &Fetched) -> SeenFrom {
        match (fetched, &self.spec.source) {
            (Fetched::Set { place, .. } | Fetched::NotModified { place, .. }, KeySource::Discovery) => {
                SeenFrom::Discovery(Some(place.clone()))
            }
            (_, source) => source.into(),
        }
    }

    fn log(&self, set: &IndexedSet, changed: bool) {
        if !changed {
            return;
        }
        tracing::info!(entry = %self.spec.name, keys = set.keys.len(), skipped = set.skipped.len(), "issuer keys were replaced");
        if is_alarming(&set.skipped) {
            tracing::error!(
                entry = %self.spec.name,
                "the issuer publishes a private or symmetric key, which is not used; its operator must replace it",
            );
        }
    }

    /// Keeps a copy on disk. Callers do not need it, so a slow disk delays them by
    /// [`KEEP_DEADLINE`] at most.
    async fn keep(&self, context: &FetchContext, keys: &EntryKeys) {
        let Some(dir) = context.environment.state_dir.clone() else { return };
        let (spec, set, fetched_at) = (self.spec.clone(), Arc::clone(keys.set()), keys.fetched_at());
        let write = tokio::task::spawn_blocking(move || last_good::keep(&dir, &spec, &set, fetched_at));
        match tokio::time::timeout(KEEP_DEADLINE, write).await {
            Ok(Ok(Ok(()))) => context.copies.note(&self.spec),
            Ok(Ok(Err(error))) => {
                tracing::warn!(entry = %self.spec.name, "the copy of the issuer keys for a restart was not written: {error}");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(entry = %self.spec.name, "the copy of the issuer keys was not written in time: the disk is slow")
            }
        }
    }

    /// Delay until the refresh: 75 to 90 percent of `fresh`, chosen at random, so that replicas do
    /// not all refresh at once.
    fn refresh_delay(&self, context: &FetchContext, fresh: Duration) -> Duration {
        let mut byte = [0];
        context.environment.entropy.fill(&mut byte);
        let [byte] = byte;
        fresh.mul_f64(0.75 + 0.15 * f64::from(byte) / 256.0)
    }
}

fn lapsed_at(last: Option<&EntryKeys>, created_at: UnixTime, now: MonotonicTime) -> Option<UnixTime> {
    match last {
        None => Some(created_at),
        Some(keys) if keys.is_usable(now) => None,
        Some(keys) => keys.stale_until(),
    }
}

fn report(set: &IndexedSet, changed: bool, fresh_for: Option<Duration>) -> RefreshReport {
    RefreshReport { keys: set.keys.len(), skipped: set.skipped.len(), changed, fresh_for }
}

/// A handle to a fetch in progress.
pub(crate) struct FetchHandle(watch::Receiver<Option<Outcome>>);

impl FetchHandle {
    pub(crate) fn of(outcome_receiver: watch::Receiver<Option<Outcome>>) -> Self {
        Self(outcome_receiver)
    }

    /// Waits for the fetch to end.
    pub(crate) async fn outcome(mut self, entry: &Entry) -> Outcome {
        let outcome = self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            Err(FetchError::new(DocumentKind::Entry, entry.spec.name.as_str(), FetchErrorKind::Stopped))
        })
    }
}
