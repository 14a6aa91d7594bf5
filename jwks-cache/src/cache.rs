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

use crate::control::{Admission, Cause, Question};
use crate::draft::{Draft, shared_static_keys};
use crate::entry::{Entry, Landing};
use crate::entry_ref::LogKey;
use crate::family::{Family, Member};
use crate::fetch::World;
use crate::history_log::HistoryLog;
use crate::moment::Moment;
use crate::slot::{Found, Slot};
use crate::validate::{self, EntryError};
use crate::{
    Candidates, DocumentKind, EntryKeys, EntryRef, EntryStatus, EntryView, Environment, FamilySpec, FamilyStatus,
    FetchError, FetchFault, HistoryError, KeyHistory, RefreshReport, Specs, last_good,
};

/// How often due refreshes are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long copies on disk are kept that no entry refreshes.
const COPY_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The age up to which a set may be newer than the look-up of a token that is being verified.
const JUST_NOW: Duration = Duration::from_secs(5);
/// What `Unavailable` says at least, in case the pause ends while the answer is made.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Verification keys of issuer entries. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct JwksCache {
    inner: Arc<Inner>,
}

struct Inner {
    world: Arc<World>,
    log: Arc<HistoryLog>,
    slots: HashMap<EntryName, Slot>,
    /// The entries' names in the order of their specs.
    order: Vec<EntryName>,
    /// In the order of their specs: there are few.
    families: Vec<Arc<Family>>,
    /// Digests of what tokens ask for are keyed by this, so that nobody can choose collisions.
    hasher: RandomState,
}

/// What the current sets know.
#[derive(Clone, Debug)]
pub enum CacheAnswer {
    /// The keys to try.
    Hit(Candidates),
    /// No answer without asking the issuer: see [`JwksCache::find`].
    Miss,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The issuer was asked and has no such key, or has it for another algorithm.
    #[error("the issuer has no such key")]
    Unknown,
    /// The issuer could not be asked: its last fetch failed, or a cool-down lasts. Nothing may be concluded about the key.
    #[error("the issuer's keys could not be looked up")]
    Unavailable {
        /// When asking again may help.
        retry_after: Duration,
    },
}

impl JwksCache {
    /// Makes the cache. Reads key files and last good sets; dials nothing.
    ///
    /// # Errors
    /// Every entry that cannot be used as configured: a URL that may not be fetched, a key file that cannot be read or has no
    /// usable key, entries of one issuer without keys of their own, families that an issuer may both be of.
    pub fn new(specs: impl Into<Specs>, environment: Environment) -> Result<Self, Vec<EntryError>> {
        let log = Arc::new(HistoryLog::new(&environment));
        Self::build(specs.into(), Arc::new(World::new(environment)), log, None)
    }

    /// The cache for another configuration: entries whose spec is unchanged keep their state, and key files are read again.
    ///
    /// # Errors
    /// As [`Self::new`]; this cache is as it was then.
    pub fn with_entries(&self, specs: impl Into<Specs>) -> Result<Self, Vec<EntryError>> {
        Self::build(specs.into(), Arc::clone(&self.inner.world), Arc::clone(&self.inner.log), Some(&self.inner))
    }

    /// The current set of `entry`, for looking at; `None` when it was never loaded or is past `max_stale`. Lock-free.
    #[must_use]
    pub fn cached<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Option<Arc<EntryKeys>> {
        let now = self.now();
        self.with_slot(entry.into(), now, |slot| slot.entry.last().filter(|keys| keys.is_usable(now))).flatten()
    }

    /// The keys for a token of `entry` with that header, if the current set has them. Lock-free, allocates nothing.
    #[must_use]
    pub fn find_cached<'a>(
        &self,
        entry: impl Into<EntryRef<'a>>,
        kid: Option<&Kid>,
        algorithm: Algorithm,
    ) -> CacheAnswer {
        let now = self.now();
        match self.with_slot(entry.into(), now, |slot| slot.look_up(now, kid, algorithm)) {
            Some(Found::Keys(candidates)) => CacheAnswer::Hit(candidates),
            _ => CacheAnswer::Miss,
        }
    }

    /// The keys for a token of `entry` with that header. Asks the issuer when the current set does not have them: one fetch
    /// that all callers share, and one per cool-down.
    ///
    /// Where several entries share an issuer, try [`Self::find_cached`] on each of them before this on any: a kid of one is
    /// unknown to the others.
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
            Found::Keys(candidates) => return Ok(candidates),
            Found::Shared => return Err(LookupError::Unknown),
            Found::NoSuchKey | Found::NoKeys => {}
        }
        let landing = match self.ask(slot, kid, algorithm) {
            Asked::Answered(answer) => return answer,
            Asked::Waiting(landing) => landing,
        };
        let outcome = landing.outcome(&slot.entry).await;
        match (slot.look_up(self.now(), kid, algorithm), outcome) {
            (Found::Keys(candidates), _) => Ok(candidates),
            (_, Ok(_)) => Err(LookupError::Unknown),
            (_, Err(_)) => {
                let retry_after = slot.entry.control().retry_after(self.now());
                Err(unavailable(retry_after))
            }
        }
    }

    /// Reports that the keys at hand did not verify a token of `entry` with that header. Where kids are reused over rotations
    /// ([`kid_reuse`](crate::EntrySpec::kid_reuse)), the issuer is asked within the cool-down, and its keys are returned if they are others now.
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
            Found::Keys(candidates) => Some(candidates),
            Found::Shared | Found::NoSuchKey | Found::NoKeys => None,
        };
        let (before, landing) = {
            let mut control = slot.entry.control();
            let before = at_hand();
            match control.join(None).map(Landing::of) {
                Some(landing) => (before, landing),
                None if control.admit_unknown(self.question(kid, algorithm), now) != Admission::Go => {
                    // Another token's report may have replaced the set after this one's keys were looked up.
                    let is_new =
                        slot.entry.with_usable(now, |keys| keys.is_younger_than(JUST_NOW, now)).unwrap_or(false);
                    return before.filter(|_| is_new);
                }
                None => {
                    let (landing, _) =
                        slot.entry.join_or_start(&self.inner.world, &mut control, Cause::UnknownKid, None);
                    (before, landing)
                }
            }
        };
        landing.outcome(&slot.entry).await.ok()?;
        at_hand().filter(|now| before.is_none_or(|before| !now.are_among(&before)))
    }

    /// Reports that a key of `entry` verified a token. It proves a family's member: until then anyone could
    /// have written its name, and it competes with other unproven members for few places. Cheap, and of no
    /// effect for other entries.
    pub fn verified<'a>(&self, entry: impl Into<EntryRef<'a>>) {
        let EntryRef { name, issuer } = entry.into();
        if self.inner.slots.contains_key(name) {
            return;
        }
        if let Some((family, issuer)) = self.family(name).zip(issuer) {
            family.prove(issuer, self.now());
        }
    }

    /// Fetches the keys of `entry` now, whatever cool-down lasts, and replaces the set. Keys that the issuer withdrew are gone
    /// when this returns. When the fetch fails, the keys stay.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn refresh<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Result<RefreshReport, FetchError> {
        let entry = entry.into();
        let slot = &*self.slot(entry).await.map_err(|error| {
            let fault = match error {
                LookupError::Unknown => FetchFault::UnknownEntry,
                LookupError::Unavailable { .. } => FetchFault::NoRoom,
            };
            FetchError::new(DocumentKind::Entry, entry.name.as_str(), fault)
        })?;
        loop {
            let (landing, is_ours) = {
                let mut control = slot.entry.control();
                slot.entry.join_or_start(&self.inner.world, &mut control, Cause::Operator, None)
            };
            let outcome = landing.outcome(&slot.entry).await;
            // A fetch that began before this call may have read what the issuer said before.
            if is_ours {
                return outcome;
            }
        }
    }

    /// Starts every refresh that is due and waits for them, and for the histories to be written; forgets members of families
    /// that nobody asks for. [`Self::run`] does the same on
    /// its own; this is for callers that keep their own schedule.
    pub async fn refresh_due(&self) {
        for (entry, landing) in self.start_due() {
            // What came of it is in the entry's status.
            let _ = landing.outcome(&entry).await;
        }
        for entry in self.new_proofs() {
            entry.keep_current(&self.inner.world).await;
        }
        let now = self.now();
        for entry in self.entries().into_iter().filter(|entry| entry.is_proven()) {
            let recorder = Arc::clone(&entry.recorder);
            // A write that fails is logged and tried again.
            let _ = spawn_blocking(move || recorder.write(now)).await;
        }
        self.tidy();
    }

    /// The key sets that `entry` had, as far back as its log under `state_dir` reaches; without a `state_dir` there is no log.
    /// A name that was taken out of the configuration still has its log.
    ///
    /// # Errors
    /// See [`HistoryError`].
    pub async fn history<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Result<KeyHistory, HistoryError> {
        let EntryRef { name, issuer } = entry.into();
        let (now, log) = (self.now(), Arc::clone(&self.inner.log));
        let slot = self.inner.slots.get(name).filter(|slot| issuer.is_none_or(|own| *own == slot.entry.spec.issuer));
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

    /// Keeps the entries fresh until `shutdown` is there: refreshes sets before they expire, and reads key files that changed.
    /// Each refresh is a task of its own, so a slow issuer delays no other.
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
        let (now, at) = (self.now(), self.inner.world.environment.clock.now());
        self.inner.order.iter().filter_map(|name| self.inner.slots.get(name)).map(|slot| slot.status(now, at)).collect()
    }

    /// What is known of the keys of `entry`, for explaining a refusal: its keys, when and from where they
    /// were fetched, the last failure, the last sets. `None` when there is no such entry, or the family has
    /// no such member now. Reads no disk and fetches nothing, and does not count as a use.
    #[must_use]
    pub fn view<'a>(&self, entry: impl Into<EntryRef<'a>>) -> Option<EntryView> {
        let EntryRef { name, issuer } = entry.into();
        let (now, at) = (self.now(), self.inner.world.environment.clock.now());
        match self.inner.slots.get(name) {
            Some(slot) => issuer.is_none_or(|own| *own == slot.entry.spec.issuer).then(|| slot.view(now, at)),
            None => self.family(name)?.peek(issuer?).map(|member| member.slot.view(now, at)),
        }
    }

    /// The state of every family, in the order of their specs.
    #[must_use]
    pub fn families(&self) -> Vec<FamilyStatus> {
        let (now, at) = (self.now(), self.inner.world.environment.clock.now());
        self.inner.families.iter().map(|family| family.status(now, at)).collect()
    }

    fn build(
        specs: Specs,
        world: Arc<World>,
        log: Arc<HistoryLog>,
        previous: Option<&Inner>,
    ) -> Result<Self, Vec<EntryError>> {
        let mut errors = validate::check(&specs);
        let mut drafts = Vec::with_capacity(specs.entries.len());
        for spec in specs.entries {
            let kept = previous.and_then(|inner| inner.slots.get(&spec.name)).filter(|slot| slot.entry.spec == spec);
            match Draft::new(spec, kept.map(|slot| Arc::clone(&slot.entry)), &world, &log) {
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
        Ok(Self { inner: Arc::new(Inner { world, log, slots, order, families, hasher }) })
    }

    fn family(&self, name: &EntryName) -> Option<&Arc<Family>> {
        self.inner.families.iter().find(|family| family.spec.name == *name)
    }

    /// Calls `read` with what `entry` means, if it is there. Lock-free.
    fn with_slot<T>(&self, entry: EntryRef<'_>, now: Moment, read: impl FnOnce(&Slot) -> T) -> Option<T> {
        match self.inner.slots.get(entry.name) {
            Some(slot) => entry.issuer.is_none_or(|own| *own == slot.entry.spec.issuer).then(|| read(slot)),
            None => self.family(entry.name)?.with_member(entry.issuer?, now, read),
        }
    }

    /// What `entry` means; a family's member is made when it is not there yet.
    async fn slot(&self, entry: EntryRef<'_>) -> Result<SlotRef<'_>, LookupError> {
        if let Some(slot) = self.inner.slots.get(entry.name) {
            let is_its = entry.issuer.is_none_or(|own| *own == slot.entry.spec.issuer);
            return is_its.then_some(SlotRef::Entry(slot)).ok_or(LookupError::Unknown);
        }
        let (family, issuer) = self.family(entry.name).zip(entry.issuer).ok_or(LookupError::Unknown)?;
        let member = family.member(issuer, &self.inner.world, &self.inner.log, self.now()).await;
        member.map(SlotRef::Member).map_err(|wait| wait.map_or(LookupError::Unknown, unavailable))
    }

    /// Every entry, the members of families too.
    fn entries(&self) -> Vec<Arc<Entry>> {
        let members = self.inner.families.iter().flat_map(|family| family.members());
        let members = members.map(|member| Arc::clone(&member.slot.entry));
        self.inner.slots.values().map(|slot| Arc::clone(&slot.entry)).chain(members).collect()
    }

    /// Members that were proven since the last call.
    fn new_proofs(&self) -> Vec<Arc<Entry>> {
        self.inner.families.iter().flat_map(|family| family.new_proofs()).collect()
    }

    /// Has copies kept of what was proven lately.
    fn keep_new_proofs(&self) {
        for entry in self.new_proofs() {
            let world = Arc::clone(&self.inner.world);
            tokio::spawn(async move { entry.keep_current(&world).await });
        }
    }

    fn tidy(&self) {
        let now = self.now();
        self.inner.families.iter().for_each(|family| family.tidy(now));
    }

    /// Decides under the entry's lock whether the issuer is asked.
    fn ask(&self, slot: &Slot, kid: Option<&Kid>, algorithm: Algorithm) -> Asked {
        let now = self.now();
        let question = self.question(kid, algorithm);
        let mut control = slot.entry.control();
        // Again, under the lock: a fetch may have landed since.
        let cause = match slot.look_up(now, kid, algorithm) {
            Found::Keys(candidates) => return Asked::Answered(Ok(candidates)),
            Found::Shared => return Asked::Answered(Err(LookupError::Unknown)),
            Found::NoSuchKey if slot.entry.is_inline() => return Asked::Answered(Err(LookupError::Unknown)),
            Found::NoSuchKey => Cause::UnknownKid,
            Found::NoKeys => Cause::Load,
        };
        if let Some(landed) = control.join(Some(question)) {
            return Asked::Waiting(Landing::of(landed));
        }
        let admission =
            if cause == Cause::Load { control.admit_load(now) } else { control.admit_unknown(question, now) };
        match admission {
            Admission::Go => {
                Asked::Waiting(slot.entry.join_or_start(&self.inner.world, &mut control, cause, Some(question)).0)
            }
            Admission::InVain => Asked::Answered(Err(LookupError::Unknown)),
            Admission::NotYet(time) => Asked::Answered(Err(unavailable(time))),
        }
    }

    fn start_due(&self) -> Vec<(Arc<Entry>, Landing)> {
        let now = self.now();
        let members = self.inner.families.iter().flat_map(|family| family.refreshed(now));
        let members = members.map(|member| Arc::clone(&member.slot.entry));
        let own = self.inner.slots.values().map(|slot| Arc::clone(&slot.entry)).inspect(|entry| entry.announce());
        let due = own.filter(|entry| !entry.is_inline()).chain(members);
        due.filter_map(|entry| {
            let mut control = entry.control();
            if !control.is_due(now) {
                return None;
            }
            let (landing, _) = entry.join_or_start(&self.inner.world, &mut control, Cause::Background, None);
            drop(control);
            Some((entry, landing))
        })
        .collect()
    }

    /// Has copies removed that nobody comes back for.
    fn sweep_copies(&self) {
        let Some(dir) = self.inner.world.environment.state_dir.clone() else { return };
        let longest = self.entries().iter().map(|entry| entry.spec.max_stale).max().unwrap_or_default();
        let (now, idle) = (self.inner.world.environment.clock.now(), longest.max(COPY_KEPT));
        spawn_blocking(move || match last_good::sweep(&dir, now, idle) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("old copies of issuer keys were not removed: {error}");
            }
            _ => {}
        });
    }

    /// Has written what waits for it, each entry's in a task of its own.
    fn write_histories(&self) {
        let now = self.now();
        for entry in self.entries().into_iter().filter(|entry| entry.is_proven() && entry.recorder.is_due(now)) {
            let recorder = Arc::clone(&entry.recorder);
            spawn_blocking(move || recorder.write(now));
        }
    }

    fn question(&self, kid: Option<&Kid>, algorithm: Algorithm) -> Question {
        Question(self.inner.hasher.hash_one((kid, algorithm)))
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.inner.world.environment.clock)
    }
}

/// What a caller means, held for as long as it is needed.
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

enum Asked {
    Answered(Result<Candidates, LookupError>),
    Waiting(Landing),
}

fn unavailable(time: Duration) -> LookupError {
    LookupError::Unavailable { retry_after: time.max(LEAST_RETRY_AFTER) }
}

impl std::fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksCache").field("entries", &self.inner.order).finish_non_exhaustive()
    }
}
