//! The cache: entries by name, lookups, refreshes.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use sts_types::{Algorithm, EntryName, Kid};
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

use crate::control::{Admission, Cause, LookupDigest};
use crate::draft::{Draft, shared_static_keys};
use crate::entry::{Entry, FetchHandle};
use crate::entry_ref::LogKey;
use crate::family::{Family, Member};
use crate::fetch::FetchContext;
use crate::history_log::HistoryLog;
use crate::monotonic_time::MonotonicTime;
use crate::slot::{Slot, SlotLookup};
use crate::validate::{self, EntryError};
use crate::{
    Candidates, DocumentKind, EntryKeys, EntryRef, EntrySpec, EntryStatus, EntryView, Environment, FamilySpec,
    FamilyStatus, FetchError, FetchErrorKind, HistoryError, KeyHistory, RefreshReport, Specs, last_good,
};

/// Interval of the check for due refreshes.
const TICK: Duration = Duration::from_secs(1);
/// Age at which an unused copy on disk is deleted.
const COPY_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Age below which a set may have replaced the one that a token was just verified against.
const JUST_NOW: Duration = Duration::from_secs(5);
/// Smallest `retry_after`, in case the pause ends while the answer is made.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Verification keys of issuer entries. Cloning is cheap: clones share all state.
#[derive(Clone)]
pub struct JwksCache {
    inner: Arc<Inner>,
}

struct Inner {
    context: Arc<FetchContext>,
    log: Arc<HistoryLog>,
    slots: HashMap<EntryName, Slot>,
    /// Entry names in the order of their specs.
    order: Vec<EntryName>,
    /// In the order of their specs. A linear search is enough: there are few.
    families: Vec<Arc<Family>>,
    /// Key of the digests of (kid, algorithm). It is random, so an attacker cannot choose
    /// collisions.
    hasher: RandomState,
}

/// Answer of the current sets.
#[derive(Clone, Debug)]
pub enum CacheAnswer {
    /// The keys to try.
    Hit(Candidates),
    /// The current set has no answer. [`JwksCache::find`] asks the issuer.
    Miss,
}

/// Why a lookup found no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The issuer was asked. It has no such key, or has it for another algorithm.
    #[error("the issuer has no such key")]
    Unknown,
    /// The issuer could not be asked: the last fetch failed, or a cool-down is running. The key may
    /// exist.
    #[error("the issuer's keys could not be looked up")]
    Unavailable {
        /// Earliest time at which another attempt may help.
        retry_after: Duration,
    },
}

impl JwksCache {
    /// Builds the cache. Reads key files and last good sets; opens no connection.
    ///
    /// # Errors
    /// One error per entry that cannot be used: a URL that must not be fetched, a key file that
    /// cannot be read or has no usable key, entries of one issuer without keys of their own,
    /// families whose templates overlap.
    pub fn new(specs: impl Into<Specs>, environment: Environment) -> Result<Self, Vec<EntryError>> {
        let log = Arc::new(HistoryLog::new(&environment));
        Self::build(specs.into(), Arc::new(FetchContext::new(environment)), log, None)
    }

    /// Builds the cache for a new configuration. Entries whose spec is unchanged keep their state;
    /// key files are read again.
    ///
    /// # Errors
    /// As for [`Self::new`]. On an error this cache stays as it is.
    pub fn with_entries(&self, specs: impl Into<Specs>) -> Result<Self, Vec<EntryError>> {
        Self::build(specs.into(), Arc::clone(&self.inner.context), Arc::clone(&self.inner.log), Some(&self.inner))
    }

    /// The current set of `entry`, for inspection. `None` if it was never loaded or is past
    /// `max_stale`. Lock-free.
    #[must_use]
    pub fn cached<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Option<Arc<EntryKeys>> {
        let now = self.now();
        self.with_slot(entry.into(), now, |slot| slot.entry.last().filter(|keys| keys.is_usable(now))).flatten()
    }

    /// The keys for a token of `entry` with this kid and algorithm, if the current set has them.
    /// Lock-free, allocates nothing.
    #[must_use]
    pub fn find_cached<'a>(
        &self,
        entry: impl Into<EntryRef<'a>>,
        kid: Option<&Kid>,
        algorithm: Algorithm,
    ) -> CacheAnswer {
        let now = self.now();
        match self.with_slot(entry.into(), now, |slot| slot.look_up(now, kid, algorithm)) {
            Some(SlotLookup::Keys(candidates)) => CacheAnswer::Hit(candidates),
            _ => CacheAnswer::Miss,
        }
    }

    /// The keys for a token of `entry` with this kid and algorithm. Asks the issuer when the
    /// current set does not have them. All callers share one fetch, and there is one fetch per
    /// cool-down.
    ///
    /// Where several entries share an issuer, call [`Self::find_cached`] on each of them first: one
    /// entry's kid is unknown to the others, and `find` would fetch for nothing.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn find<'a>(
        &self,
        entry: impl Into<EntryRef<'a>>,
        kid: Option<&Kid>,
        algorithm: Algorithm,
    ) -> Result<Candidates, LookupError> {
        let slot = &*self.slot(entry.into()).await?;
        match slot.look_up(self.now(), kid, algorithm) {
            SlotLookup::Keys(candidates) => return Ok(candidates),
            SlotLookup::Shared => return Err(LookupError::Unknown),
            SlotLookup::NoSuchKey | SlotLookup::NoKeys => {}
        }
        let landing = match self.look_up(slot, kid, algorithm) {
            KeyLookup::Answered(answer) => return answer,
            KeyLookup::Waiting(fetch) => fetch,
        };
        let outcome = landing.outcome(&slot.entry).await;
        match (slot.look_up(self.now(), kid, algorithm), outcome) {
            (SlotLookup::Keys(candidates), _) => Ok(candidates),
            (_, Ok(_)) => Err(LookupError::Unknown),
            (_, Err(_)) => {
                let retry_after = slot.entry.control().retry_after(self.now());
                Err(unavailable(retry_after))
            }
        }
    }

    /// Reports that the current keys did not verify a token of `entry`. Where the issuer reuses
    /// kids across rotations ([`kid_reuse`](crate::EntrySpec::kid_reuse)), this fetches its keys,
    /// at most once per cool-down, and returns them if they changed.
    pub async fn signature_failed<'a>(
        &self,
        entry: impl Into<EntryRef<'a>>,
        kid: Option<&Kid>,
        algorithm: Algorithm,
    ) -> Option<Candidates> {
        let slot = &*self.slot(entry.into()).await.ok()?;
        if !slot.entry.spec.kid_reuse || slot.entry.is_inline() {
            return None;
        }
        let now = self.now();
        let at_hand = || match slot.look_up(self.now(), kid, algorithm) {
            SlotLookup::Keys(candidates) => Some(candidates),
            SlotLookup::Shared | SlotLookup::NoSuchKey | SlotLookup::NoKeys => None,
        };
        let (before, landing) = {
            // Read the keys under the lock, so that they are those from before the fetch.
            let mut control = slot.entry.control();
            let before = at_hand();
            match control.join(None).map(FetchHandle::of) {
                Some(landing) => (before, landing),
                None if control.admit_unknown(self.question(kid, algorithm), now) != Admission::Go => {
                    // A report for another token may have replaced the set since this token's
                    // lookup.
                    let is_new =
                        slot.entry.with_usable(now, |keys| keys.is_younger_than(JUST_NOW, now)).unwrap_or(false);
                    return before.filter(|_| is_new);
                }
                None => {
                    let (landing, _) =
                        slot.entry.join_or_start(&self.inner.context, &mut control, Cause::UnknownKid, None);
                    (before, landing)
                }
            }
        };
        landing.outcome(&slot.entry).await.ok()?;
        at_hand().filter(|now| before.is_none_or(|before| !now.are_among(&before)))
    }

    /// Reports that a key of `entry` verified a token. This proves a family member. Until then
    /// anyone could have made up its name, and it competes with other unproven members for a few
    /// places. Cheap; has no effect on other entries.
    pub fn verified<'a>(&self, entry: impl Into<EntryRef<'a>>) {
        let EntryRef { name, issuer } = entry.into();
        if self.inner.slots.contains_key(name) {
            return;
        }
        if let Some((family, issuer)) = self.family(name).zip(issuer) {
            family.prove(issuer, self.now());
        }
    }

    /// Fetches the keys of `entry` now, even during a cool-down, and replaces the set. Keys that
    /// the issuer withdrew are gone when this returns. If the fetch fails, the current keys stay.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn refresh<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Result<RefreshReport, FetchError> {
        let entry = entry.into();
        let slot = &*self.slot(entry).await.map_err(|error| {
            let fault = match error {
                LookupError::Unknown => FetchErrorKind::UnknownEntry,
                LookupError::Unavailable { .. } => FetchErrorKind::NoRoom,
            };
            FetchError::new(DocumentKind::Entry, entry.name.as_str(), fault)
        })?;
        loop {
            let (landing, started_here) = {
                let mut control = slot.entry.control();
                slot.entry.join_or_start(&self.inner.context, &mut control, Cause::Operator, None)
            };
            let outcome = landing.outcome(&slot.entry).await;
            // A fetch that started before this call may have read the old keys.
            if started_here {
                return outcome;
            }
        }
    }

    /// Starts every due refresh and waits for it, writes the histories, and forgets idle family
    /// members. [`Self::run`] does this on its own; call this only to keep your own schedule.
    pub async fn refresh_due(&self) {
        for (entry, landing) in self.start_due() {
            // The entry's status holds the outcome.
            let _ = landing.outcome(&entry).await;
        }
        for entry in self.new_proofs() {
            entry.keep_current(&self.inner.context).await;
        }
        let now = self.now();
        for entry in self.entries().into_iter().filter(|entry| entry.is_proven()) {
            let recorder = Arc::clone(&entry.recorder);
            // A failed write is logged and retried.
            let _ = spawn_blocking(move || recorder.write(now)).await;
        }
        self.tidy();
    }

    /// The key sets that `entry` had, as far back as its log under `state_dir` reaches. Without a
    /// `state_dir` there is no log. An entry that was removed from the configuration still has its
    /// log.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn history<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Result<KeyHistory, HistoryError> {
        let EntryRef { name, issuer } = entry.into();
        let (now, log) = (self.now(), Arc::clone(&self.inner.log));
        let slot =
            self.inner.slots.get(name).filter(|slot| issuer.is_none_or(|issuer| *issuer == slot.entry.spec.issuer));
        let (entry, key) = match (slot, issuer) {
            (None, Some(issuer)) => {
                let member = self.family(name).and_then(|family| family.peek(issuer));
                (member.map(|member| Arc::clone(&member.slot.entry)), LogKey::member(name.clone(), issuer.clone()))
            }
            (slot, _) => (slot.map(|slot| Arc::clone(&slot.entry)), LogKey::entry(name.clone())),
        };
        let recorder = entry.as_ref().map(|entry| Arc::clone(&entry.recorder));
        let is_configured = recorder.is_some();
        let read = spawn_blocking(move || recorder.map_or_else(|| log.read(&key), |recorder| recorder.read())).await;
        let logged = read.map_err(|stopped| HistoryError::Unreadable(std::io::Error::other(stopped)))?;
        let logged = logged.map_err(HistoryError::Unreadable)?;
        if !is_configured && logged.is_empty() {
            return Err(HistoryError::UnknownEntry);
        }
        Ok(KeyHistory {
            name: name.clone(),
            events: logged.events,
            lapsed_at: entry.and_then(|entry| entry.lapsed_at(now)),
            unreadable: logged.unreadable,
        })
    }

    /// Keeps the entries fresh until `shutdown` resolves: refreshes sets before they expire and
    /// re-reads changed key files. Each refresh has its own task, so a slow issuer does not delay
    /// the others.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        self.sweep_copies();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                _ = tick.tick() => {
                    drop(self.start_due());
                    self.keep_new_proofs();
                    self.write_histories();
                    self.tidy();
                }
            }
        }
    }

    /// The state of every entry, in the order of their specs.
    #[must_use]
    pub fn status(&self) -> Vec<EntryStatus> {
        let (now, wall_time) = (self.now(), self.inner.context.environment.clock.now());
        self.inner
            .order
            .iter()
            .filter_map(|name| self.inner.slots.get(name))
            .map(|slot| slot.status(now, wall_time))
            .collect()
    }

    /// The state of the keys of `entry`, to explain a refusal: keys, time and source of the fetch,
    /// last failure, recent sets. `None` if there is no such entry, or the family has no such
    /// member now. Reads no disk, fetches nothing, and does not count as a use of a member.
    #[must_use]
    pub fn view<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Option<EntryView> {
        let EntryRef { name, issuer } = entry.into();
        let (now, wall_time) = (self.now(), self.inner.context.environment.clock.now());
        match self.inner.slots.get(name) {
            Some(slot) => {
                issuer.is_none_or(|issuer| *issuer == slot.entry.spec.issuer).then(|| slot.view(now, wall_time))
            }
            None => self.family(name)?.peek(issuer?).map(|member| member.slot.view(now, wall_time)),
        }
    }

    /// The state of every family, in the order of their specs.
    #[must_use]
    pub fn families(&self) -> Vec<FamilyStatus> {
        let (now, wall_time) = (self.now(), self.inner.context.environment.clock.now());
        self.inner.families.iter().map(|family| family.status(now, wall_time)).collect()
    }

    fn build(
        specs: Specs,
        context: Arc<FetchContext>,
        log: Arc<HistoryLog>,
        previous: Option<&Inner>,
    ) -> Result<Self, Vec<EntryError>> {
        let mut errors = validate::check(&specs);
        let mut drafts = Vec::with_capacity(specs.entries.len());
        for spec in specs.entries {
            let kept = previous.and_then(|inner| inner.slots.get(&spec.name)).filter(|slot| slot.entry.spec == spec);
            match Draft::new(spec, kept.map(|slot| Arc::clone(&slot.entry)), &context, &log) {
                Ok(draft) => drafts.push(draft),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(shared_static_keys(&drafts));
        if !errors.is_empty() {
            return Err(errors);
        }
        let entries: Vec<Arc<Entry>> = drafts.into_iter().map(Draft::settle).collect();
        let order = entries.iter().map(|entry| entry.spec.name.clone()).collect();
        let groups = validate::shared(&entries, |entry| &entry.spec.issuer);
        let slots = entries
            .iter()
            .map(|entry| {
                let group = groups.get(&entry.spec.issuer).map_or(&[][..], Vec::as_slice);
                let siblings =
                    group.iter().filter(|other| !Arc::ptr_eq(other, entry)).map(|other| Arc::clone(other)).collect();
                (entry.spec.name.clone(), Slot { entry: Arc::clone(entry), siblings })
            })
            .collect();
        let running = previous.map_or(&[][..], |inner| &inner.families);
        let family = |spec: FamilySpec| match running.iter().find(|family| family.spec.is_same_family(&spec)) {
            Some(kept) => {
                kept.name_members(spec.named);
                Arc::clone(kept)
            }
            None => Arc::new(Family::new(spec)),
        };
        let families = specs.families.into_iter().map(family).collect();
        let hasher = previous.map_or_else(RandomState::new, |inner| inner.hasher.clone());
        Ok(Self { inner: Arc::new(Inner { context, log, slots, order, families, hasher }) })
    }

    fn family(&self, name: &EntryName) -> Option<&Arc<Family>> {
        self.inner.families.iter().find(|family| family.spec.name == *name)
    }

    /// Calls `read` with the slot of `entry`, if there is one. Lock-free.
    fn with_slot<T>(&self, entry: EntryRef<'_>, now: MonotonicTime, read: impl FnOnce(&Slot) -> T) -> Option<T> {
        match self.inner.slots.get(entry.name) {
            Some(slot) => entry.issuer.is_none_or(|issuer| *issuer == slot.entry.spec.issuer).then(|| read(slot)),
            None => self.family(entry.name)?.with_member(entry.issuer?, now, read),
        }
    }

    /// The slot of `entry`. Creates a family member that does not exist yet.
    pub(crate) fn context(&self) -> &FetchContext {
        &self.inner.context
    }

    /// The spec of an entry with one issuer.
    pub(crate) fn spec(&self, entry: &EntryName) -> Option<&EntrySpec> {
        self.inner.slots.get(entry).map(|slot| &slot.entry.spec)
    }

    /// The spec of `entry`, also of a family member that does not exist yet.
    pub(crate) fn spec_of(&self, entry: EntryRef<'_>) -> Option<EntrySpec> {
        match (self.spec(entry.name), entry.issuer) {
            (Some(spec), issuer) => issuer.is_none_or(|issuer| *issuer == spec.issuer).then(|| spec.clone()),
            (None, Some(issuer)) => {
                let family = self.family(entry.name).filter(|family| family.spec.template.covers(issuer.as_str()))?;
                Some(family.spec.member(issuer.clone()))
            }
            (None, None) => None,
        }
    }

    async fn slot(&self, entry: EntryRef<'_>) -> Result<SlotRef<'_>, LookupError> {
        if let Some(slot) = self.inner.slots.get(entry.name) {
            let is_its_issuer = entry.issuer.is_none_or(|issuer| *issuer == slot.entry.spec.issuer);
            return is_its_issuer.then_some(SlotRef::Entry(slot)).ok_or(LookupError::Unknown);
        }
        let (family, issuer) = self.family(entry.name).zip(entry.issuer).ok_or(LookupError::Unknown)?;
        let member = family.member(issuer, &self.inner.context, &self.inner.log, self.now()).await;
        member.map(SlotRef::Member).map_err(|wait| wait.map_or(LookupError::Unknown, unavailable))
    }

    /// Every entry, including family members.
    fn entries(&self) -> Vec<Arc<Entry>> {
        let members = self.inner.families.iter().flat_map(|family| family.members());
        let members = members.map(|member| Arc::clone(&member.slot.entry));
        self.inner.slots.values().map(|slot| Arc::clone(&slot.entry)).chain(members).collect()
    }

    /// Members proven since the last call.
    fn new_proofs(&self) -> Vec<Arc<Entry>> {
        self.inner.families.iter().flat_map(|family| family.new_proofs()).collect()
    }

    /// Writes copies of the keys of newly proven members.
    fn keep_new_proofs(&self) {
        for entry in self.new_proofs() {
            let context = Arc::clone(&self.inner.context);
            tokio::spawn(async move { entry.keep_current(&context).await });
        }
    }

    fn tidy(&self) {
        let now = self.now();
        self.inner.families.iter().for_each(|family| family.tidy(now));
    }

    /// Decides under the entry's lock whether to ask the issuer.
    fn look_up(&self, slot: &Slot, kid: Option<&Kid>, algorithm: Algorithm) -> KeyLookup {
        let now = self.now();
        let question = self.question(kid, algorithm);
        let mut control = slot.entry.control();
        // Look up again under the lock: a fetch may have finished since the first lookup.
        let cause = match slot.look_up(now, kid, algorithm) {
            SlotLookup::Keys(candidates) => return KeyLookup::Answered(Ok(candidates)),
            SlotLookup::Shared => return KeyLookup::Answered(Err(LookupError::Unknown)),
            SlotLookup::NoSuchKey if slot.entry.is_inline() => return KeyLookup::Answered(Err(LookupError::Unknown)),
            SlotLookup::NoSuchKey => Cause::UnknownKid,
            SlotLookup::NoKeys => Cause::Load,
        };
        if let Some(outcome_receiver) = control.join(Some(question)) {
            return KeyLookup::Waiting(FetchHandle::of(outcome_receiver));
        }
        let admission =
            if cause == Cause::Load { control.admit_load(now) } else { control.admit_unknown(question, now) };
        match admission {
            Admission::Go => {
                KeyLookup::Waiting(slot.entry.join_or_start(&self.inner.context, &mut control, cause, Some(question)).0)
            }
            Admission::Negative => KeyLookup::Answered(Err(LookupError::Unknown)),
            Admission::NotYet(time) => KeyLookup::Answered(Err(unavailable(time))),
        }
    }

    fn start_due(&self) -> Vec<(Arc<Entry>, FetchHandle)> {
        let now = self.now();
        let members = self.inner.families.iter().flat_map(|family| family.refreshed(now));
        let members = members.map(|member| Arc::clone(&member.slot.entry));
        let entries = self.inner.slots.values().map(|slot| Arc::clone(&slot.entry)).inspect(|entry| entry.announce());
        let due = entries.filter(|entry| !entry.is_inline()).chain(members);
        due.filter_map(|entry| {
            let mut control = entry.control();
            if !control.is_due(now) {
                return None;
            }
            let (landing, _) = entry.join_or_start(&self.inner.context, &mut control, Cause::Background, None);
            drop(control);
            Some((entry, landing))
        })
        .collect()
    }

    /// Deletes old copies on disk.
    fn sweep_copies(&self) {
        let Some(dir) = self.inner.context.environment.state_dir.clone() else { return };
        let longest = self.entries().iter().map(|entry| entry.spec.max_stale).max().unwrap_or_default();
        let (now, idle) = (self.inner.context.environment.clock.now(), longest.max(COPY_KEPT));
        spawn_blocking(move || match last_good::sweep(&dir, now, idle) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("old copies of issuer keys were not removed: {error}");
            }
            _ => {}
        });
    }

    /// Writes the pending history of each entry, each in its own task.
    fn write_histories(&self) {
        let now = self.now();
        for entry in self.entries().into_iter().filter(|entry| entry.is_proven() && entry.recorder.is_due(now)) {
            let recorder = Arc::clone(&entry.recorder);
            spawn_blocking(move || recorder.write(now));
        }
    }

    fn question(&self, kid: Option<&Kid>, algorithm: Algorithm) -> LookupDigest {
        LookupDigest(self.inner.hasher.hash_one((kid, algorithm)))
    }

    fn now(&self) -> MonotonicTime {
        MonotonicTime::now(&*self.inner.context.environment.clock)
    }
}

/// A borrowed entry or a shared family member.
enum SlotRef<'a> {
    Entry(&'a Slot),
    Member(Arc<Member>),
}

impl Deref for SlotRef<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Entry(slot) => slot,
            Self::Member(member) => &member.slot,
        }
    }
}

/// Result of [`JwksCache::look_up`]: an answer, or a fetch to wait for.
enum KeyLookup {
    Answered(Result<Candidates, LookupError>),
    Waiting(FetchHandle),
}

fn unavailable(time: Duration) -> LookupError {
    LookupError::Unavailable { retry_after: time.max(LEAST_RETRY_AFTER) }
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache").field("entries", &self.inner.order).finish_non_exhaustive()
    }
}
