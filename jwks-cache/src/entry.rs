//! One entry: its current set, and the fetches that replace it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sts_types::UnixTime;
use tokio::sync::watch;

use crate::control::{Admission, Cause, Control, Outcome, Question};
use crate::entry_keys::{IndexedSet, Life};
use crate::fetch::{Fetched, World, fetch, read_file};
use crate::history::{KeySeen, KeySetSeen, SeenFrom};
use crate::history_log::Recorder;
use crate::moment::Moment;
use crate::static_keys::{FileMark, is_alarming};
use crate::{DocumentKind, EntryKeys, EntrySpec, FetchError, FetchFault, KeySource, RefreshReport, last_good};

/// How often a key file is looked at.
const FILE_POLL: Duration = Duration::from_secs(2);
/// How long waiters wait for the copy on disk, which only a restart needs.
const KEEP_DEADLINE: Duration = Duration::from_secs(1);

/// An entry's spec and state. Reloads that leave the spec as it was share it.
pub(crate) struct Entry {
    pub(crate) spec: EntrySpec,
    current: ArcSwapOption<EntryKeys>,
    control: Mutex<Control>,
    pub(crate) recorder: Arc<Recorder>,
    /// When it was made: what the entry's name had before is of no use from then on.
    began: UnixTime,
    /// Whether a key of it verified a token, or the configuration names it: else anyone who can write a
    /// token made it up, and it leaves nothing on disk.
    is_proven: AtomicBool,
    /// Whether it was said that a proxy is trusted with what the address guard does.
    is_announced: AtomicBool,
}

impl Entry {
    /// An entry that begins with the set kept on disk, if there is one.
    pub(crate) fn new(
        spec: EntrySpec,
        kept: Option<EntryKeys>,
        recorder: Recorder,
        now: UnixTime,
        is_proven: bool,
    ) -> Self {
        if let Some(keys) = &kept {
            recorder.note(KeySetSeen::new(&spec, keys.set(), SeenFrom::Disk, now), Vec::new());
        }
        let current = ArcSwapOption::new(kept.map(Arc::new));
        Self {
            spec,
            current,
            control: Mutex::default(),
            recorder: Arc::new(recorder),
            began: now,
            is_proven: AtomicBool::new(is_proven),
            is_announced: AtomicBool::new(false),
        }
    }

    /// Says once, before anything is fetched, what of the configuration somebody else must make safe.
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

    /// Whether it is more than a name in a token.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Marks it as proven.
    pub(crate) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    /// Keeps a copy of the current set on disk, for an entry that was proven after its fetch.
    pub(crate) async fn keep_current(&self, world: &World) {
        if let Some(keys) = self.last() {
            self.keep(world, &keys).await;
        }
    }

    /// The last set, usable or past its time.
    pub(crate) fn last(&self) -> Option<Arc<EntryKeys>> {
        self.current.load_full()
    }

    /// Since when there are no keys that may be used, if there are none at `now`.
    pub(crate) fn lapsed_at(&self, now: Moment) -> Option<UnixTime> {
        lapsed_at(self.current.load().as_deref(), self.began, now)
    }

    /// Calls `read` with the set that is usable at `now`, without a lock.
    pub(crate) fn with_usable<T>(&self, now: Moment, read: impl FnOnce(&EntryKeys) -> T) -> Option<T> {
        self.current.load().as_ref().filter(|keys| keys.is_usable(now)).map(|keys| read(keys))
    }

    /// Whether the last set, usable or past its time, has the key of that thumbprint.
    pub(crate) fn holds(&self, thumbprint: &str) -> bool {
        self.current.load().as_ref().is_some_and(|keys| keys.set().holds(thumbprint))
    }

    /// Locks the control state: for a few instructions, never over I/O.
    pub(crate) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the keys stand in the configuration, so that there is nothing to ask.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.spec.source, KeySource::Inline(_))
    }

    /// Whether no fetch is under way, and no pause lasts after one that failed.
    pub(crate) fn is_settled(&self, now: Moment) -> bool {
        let mut control = self.control();
        control.join(None).is_none() && control.admit_load(now) == Admission::Go
    }

    /// Joins the fetch under way, or starts one. The flag says which: true when it was started here.
    pub(crate) fn join_or_start(
        self: &Arc<Self>,
        world: &Arc<World>,
        control: &mut Control,
        cause: Cause,
        question: Option<Question>,
    ) -> (Landing, bool) {
        if let Some(landed) = control.join(question) {
            return (Landing(landed), false);
        }
        let (sender, landed) = watch::channel(None);
        control.depart(question, landed.clone());
        let (entry, world) = (Arc::clone(self), Arc::clone(world));
        // A task of its own: a caller that gives up cancels nobody.
        tokio::spawn(async move {
            let outcome = entry.fly(&world, cause).await;
            sender.send_replace(Some(outcome));
        });
        (Landing(landed), true)
    }

    /// Puts a set in place that was read outside of a fetch, when the configuration was loaded.
    pub(crate) fn put(&self, keys: EntryKeys, mark: Option<FileMark>) {
        let keys = Arc::new(keys);
        let before = self.current.swap(Some(Arc::clone(&keys)));
        self.note(before.as_deref(), keys.set(), (&self.spec.source).into(), keys.fetched_at(), None);
        let mut control = self.control();
        control.file_mark = mark;
        control.last_error = None;
    }

    async fn fly(&self, world: &World, cause: Cause) -> Outcome {
        let fetched = match &self.spec.source {
            KeySource::Inline(_) => Ok(Fetched::Untouched),
            KeySource::File(path) => {
                let known = if cause == Cause::Background { self.control().file_mark } else { None };
                let (mark, read) = read_file(path, &self.spec, known).await;
                self.control().file_mark = mark;
                read
            }
            KeySource::Discovery | KeySource::Url(_) => {
                // An operator gets what the issuer says now, not that it says what it said.
                let validator = if cause == Cause::Operator { None } else { self.control().validator.clone() };
                fetch(world, &self.spec, validator).await
            }
        };
        match fetched {
            Ok(fetched) => self.land(world, cause, fetched).await,
            Err(error) => Err(self.fail(world, cause, error)),
        }
    }

    async fn land(&self, world: &World, cause: Cause, fetched: Fetched) -> Outcome {
        let clock = &*world.environment.clock;
        let now = Moment::now(clock);
        let before = self.last();
        let source = self.seen_from(&fetched);
        let (set, fresh, validator) = match (fetched, &before) {
            (Fetched::Set { set, fresh, validator, .. }, _) => (Arc::new(set), Some(fresh), validator),
            (Fetched::NotModified { fresh, .. }, Some(before)) => {
                (Arc::clone(before.set()), Some(fresh), self.control().validator.clone())
            }
            (Fetched::File(set), _) => (Arc::new(set), None, None),
            (Fetched::Untouched, Some(before)) => {
                self.control().landed_untouched(now.plus(FILE_POLL));
                return Ok(report(before.set(), false, None));
            }
            (Fetched::NotModified { .. } | Fetched::Untouched, None) => {
                let fault = FetchFault::Status { status: 304, retry_after: None };
                return Err(self.fail(
                    world,
                    cause,
                    FetchError::new(DocumentKind::KeySet, self.spec.issuer.as_str(), fault),
                ));
            }
        };
        let changed = before.as_ref().is_none_or(|before| before.set().digest != set.digest);
        let life = fresh.map(|fresh| Life::new(now, fresh, self.spec.max_stale));
        let keys = Arc::new(EntryKeys::new(Arc::clone(&set), clock.now(), life));
        self.current.store(Some(Arc::clone(&keys)));
        let lapsed = lapsed_at(before.as_deref(), self.began, now);
        self.note(before.as_deref(), &set, source, keys.fetched_at(), lapsed);
        if self.is_proven() && self.recorder.is_due(now) {
            let recorder = Arc::clone(&self.recorder);
            // Nobody waits for it: those who wait for keys have no need of their history.
            tokio::task::spawn_blocking(move || recorder.write(now));
        }
        self.log(&set, changed);
        if fresh.is_some() && self.is_proven() {
            self.keep(world, &keys).await;
        }
        let due_at = now.plus(fresh.map_or(FILE_POLL, |fresh| self.early(world, fresh)));
        let mut control = self.control();
        control.validator = validator;
        control.landed_well(cause, now, clock.now(), due_at, self.spec.refresh_cooldown, changed);
        Ok(report(&set, changed, fresh))
    }

    fn fail(&self, world: &World, cause: Cause, error: FetchError) -> FetchError {
        let clock = &*world.environment.clock;
        if self.is_proven() {
            tracing::warn!(
                entry = %self.spec.name,
                kind = error.fault.kind(),
                serving = self.with_usable(Moment::now(clock), |_| ()).is_some(),
                "issuer keys were not refreshed: {error}",
            );
        } else {
            // The sender of a token decides how often this happens.
            tracing::info!(
                entry = %self.spec.name,
                kind = error.fault.kind(),
                "no keys for a member that no token has proven: {error}",
            );
        }
        self.control().landed_badly(cause, Moment::now(clock), clock.now(), self.spec.refresh_cooldown, &error);
        error
    }

    /// Notes for the history that `set` replaced `before`, which was used until `lapsed`, if that has passed.
    fn note(
        &self,
        before: Option<&EntryKeys>,
        set: &IndexedSet,
        source: SeenFrom,
        at: UnixTime,
        lapsed: Option<UnixTime>,
    ) {
        let is_elsewhere = self.control().seen_from.replace(source.clone()).is_some_and(|before| before != source);
        if lapsed.is_none() && !is_elsewhere && before.is_some_and(|before| before.set().digest == set.digest) {
            return;
        }
        let mut event = KeySetSeen::new(&self.spec, set, source, at);
        event.previous_lapsed_at = lapsed;
        self.recorder.note(event, before.map(|before| KeySeen::all(before.set())).unwrap_or_default());
    }

    /// Where that came from: the issuer's document may name another place each time.
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

    /// Keeps a copy on disk. Waiters have no need of it, so a slow disk does not hold them up for long.
    async fn keep(&self, world: &World, keys: &EntryKeys) {
        let Some(dir) = world.environment.state_dir.clone() else { return };
        let (spec, set, fetched_at) = (self.spec.clone(), Arc::clone(keys.set()), keys.fetched_at());
        let entropy = Arc::clone(&world.environment.entropy);
        let write = tokio::task::spawn_blocking(move || last_good::keep(&dir, &spec, &set, fetched_at, &*entropy));
        match tokio::time::timeout(KEEP_DEADLINE, write).await {
            Ok(Ok(Ok(()))) => world.copies.note(&self.spec),
            Ok(Ok(Err(error))) => {
                tracing::warn!(entry = %self.spec.name, "no copy of the issuer keys was kept for a restart: {error}");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(entry = %self.spec.name, "the disk is slow to keep a copy of the issuer keys")
            }
        }
    }

    /// After which part of `fresh` to refresh: 75 to 90 percent, so that replicas do not all ask at once.
    fn early(&self, world: &World, fresh: Duration) -> Duration {
        let mut byte = [0];
        world.environment.entropy.fill(&mut byte);
        let [byte] = byte;
        fresh.mul_f64(0.75 + 0.15 * f64::from(byte) / 256.0)
    }
}

fn lapsed_at(last: Option<&EntryKeys>, began: UnixTime, now: Moment) -> Option<UnixTime> {
    match last {
        None => Some(began),
        Some(keys) if keys.is_usable(now) => None,
        Some(keys) => keys.stale_until(),
    }
}

fn report(set: &IndexedSet, changed: bool, fresh_for: Option<Duration>) -> RefreshReport {
    RefreshReport { keys: set.keys.len(), skipped: set.skipped.len(), changed, fresh_for }
}

/// A fetch that somebody waits for.
pub(crate) struct Landing(watch::Receiver<Option<Outcome>>);

impl Landing {
    pub(crate) fn of(landed: watch::Receiver<Option<Outcome>>) -> Self {
        Self(landed)
    }

    /// Waits until the fetch has landed.
    pub(crate) async fn outcome(mut self, entry: &Entry) -> Outcome {
        let outcome = self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        outcome
            .unwrap_or_else(|| Err(FetchError::new(DocumentKind::Entry, entry.spec.name.as_str(), FetchFault::Stopped)))
    }
}
