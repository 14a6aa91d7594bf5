//! A family of issuers under one entry: each member has keys of its own, looked up when its first token comes.
//!
//! Who writes a token chooses which member it is of, so members are bounded, and those that never had keys (nobody may be there)
//! have a bound of their own: a flood of made-up members costs few fetches and pushes out no member that has keys.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sts_types::{Issuer, UnixTime};

use crate::entry::Entry;
use crate::entry_ref::LogKey;
use crate::fetch::World;
use crate::history_log::{HistoryLog, Recorder};
use crate::moment::Moment;
use crate::slot::Slot;
use crate::{FamilySpec, FamilyStatus, FetchCounts, last_good};

/// The most members that have keys, or had some.
const MOST_PROVEN: usize = 1000;
/// The most members that never had any.
const MOST_UNPROVEN: usize = 64;
/// How long a member that nobody asks for is kept fresh. Its last good set stays on disk.
const IDLE: Duration = Duration::from_secs(3600);
/// How long a member in use is safe from being pushed out by another.
const IN_USE: Duration = Duration::from_secs(60);

/// A family's spec and members.
pub(crate) struct Family {
    pub(crate) spec: FamilySpec,
    members: ArcSwap<HashMap<Issuer, Arc<Member>>>,
    /// The fetches for members that are forgotten. Held while the map is replaced, never over I/O.
    forgotten: Mutex<FetchCounts>,
    turned_away: AtomicU64,
}

/// One issuer of a family.
pub(crate) struct Member {
    pub(crate) slot: Slot,
    /// When it was last asked for.
    used_at: AtomicU64,
}

impl Family {
    pub(crate) fn new(spec: FamilySpec) -> Self {
        Self { spec, members: ArcSwap::default(), forgotten: Mutex::default(), turned_away: AtomicU64::new(0) }
    }

    /// Calls `read` with the member of that issuer, if there is one. Lock-free.
    pub(crate) fn with_member<T>(&self, issuer: &Issuer, now: Moment, read: impl FnOnce(&Slot) -> T) -> Option<T> {
        self.members.load().get(issuer).map(|member| {
            member.use_at(now);
            read(&member.slot)
        })
    }

    /// The member of that issuer, if there is one.
    pub(crate) fn peek(&self, issuer: &Issuer) -> Option<Arc<Member>> {
        self.members.load().get(issuer).cloned()
    }

    /// The member of that issuer, made now if there is none yet. Nothing is fetched.
    ///
    /// # Errors
    /// `None` when the issuer is not of the family's form; else how long until there may be room for another member.
    pub(crate) async fn member(
        &self,
        issuer: &Issuer,
        world: &Arc<World>,
        log: &Arc<HistoryLog>,
        now: Moment,
    ) -> Result<Arc<Member>, Option<Duration>> {
        if let Some(member) = self.members.load().get(issuer) {
            member.use_at(now);
            return Ok(Arc::clone(member));
        }
        if !self.spec.template.covers(issuer.as_str()) {
            return Err(None);
        }
        let turned_away = |wait| {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            Some(wait)
        };
        // Before the disk is read for it.
        self.room(&self.members.load(), now).map_err(turned_away)?;
        let made = self.make(issuer, world, log, now).await;
        self.admit(issuer, made, now).map_err(turned_away)
    }

    /// Every member.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        self.members.load().values().cloned().collect()
    }

    /// Members whose background refresh is worth its fetch: those that had keys, and are asked for.
    pub(crate) fn refreshed(&self, now: Moment) -> Vec<Arc<Member>> {
        self.members.load().values().filter(|member| member.is_proven() && !member.is_idle(now)).cloned().collect()
    }

    /// Forgets members that nobody asks for.
    pub(crate) fn tidy(&self, now: Moment) {
        let is_kept = |member: &Arc<Member>| !(member.is_idle(now) && member.slot.entry.is_settled(now));
        if self.members.load().values().all(is_kept) {
            return;
        }
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, gone): (HashMap<_, _>, HashMap<_, _>) =
            self.members.load().iter().map(cloned).partition(|(_, member)| is_kept(member));
        gone.values().for_each(|member| forgotten.add(&member.slot.entry.control().counts));
        self.members.store(Arc::new(kept));
    }

    /// What operators see at `now`, which is the time `at`.
    pub(crate) fn status(&self, now: Moment, at: UnixTime) -> FamilyStatus {
        let mut members: Vec<_> = self.members.load().values().map(|member| member.slot.status(now, at)).collect();
        members.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        let mut fetches = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).clone();
        members.iter().for_each(|member| fetches.add(&member.fetches));
        FamilyStatus {
            name: self.spec.name.clone(),
            issuer_template: self.spec.template.as_str().to_owned(),
            members,
            fetches,
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }

    async fn make(&self, issuer: &Issuer, world: &Arc<World>, log: &Arc<HistoryLog>, now: Moment) -> Arc<Member> {
        let spec = self.spec.member(issuer.clone());
        let (world, log) = (Arc::clone(world), Arc::clone(log));
        let clock = Arc::clone(&world.environment.clock);
        let (spec_there, log_there) = (spec.clone(), Arc::clone(&log));
        let read = tokio::task::spawn_blocking(move || {
            let recorder = Recorder::new(log_there, LogKey::member(spec_there.name.clone(), spec_there.issuer.clone()));
            let dir = world.environment.state_dir.as_ref();
            let kept = dir.and_then(|dir| last_good::load(dir, &spec_there, &*world.environment.clock));
            (kept, recorder)
        });
        // A read that dies is a copy that is not there.
        let (kept, recorder) = read.await.unwrap_or_else(|_| {
            let key = LogKey::member(spec.name.clone(), spec.issuer.clone());
            (None, Recorder::empty(log, key))
        });
        let slot = Slot { entry: Arc::new(Entry::new(spec, kept, recorder, clock.now())), siblings: Vec::new() };
        let member = Member { slot, used_at: AtomicU64::new(0) };
        member.use_at(now);
        Arc::new(member)
    }

    fn admit(&self, issuer: &Issuer, made: Arc<Member>, now: Moment) -> Result<Arc<Member>, Duration> {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members.load();
        if let Some(member) = members.get(issuer) {
            return Ok(Arc::clone(member));
        }
        let pushed_out = self.room(&members, now)?;
        if let Some(member) = pushed_out.as_ref().and_then(|issuer| members.get(issuer)) {
            forgotten.add(&member.slot.entry.control().counts);
        }
        let kept = members.iter().filter(|(own, _)| Some(*own) != pushed_out.as_ref()).map(cloned);
        let new = std::iter::once((issuer.clone(), Arc::clone(&made)));
        self.members.store(Arc::new(kept.chain(new).collect()));
        Ok(made)
    }

    /// The member that a new one pushes out, if there is no room beside all of them.
    ///
    /// # Errors
    /// How long until there may be room.
    fn room(&self, members: &HashMap<Issuer, Arc<Member>>, now: Moment) -> Result<Option<Issuer>, Duration> {
        let (proven, unproven): (Vec<_>, Vec<_>) = members.iter().partition(|(_, member)| member.is_proven());
        let oldest = |of: Vec<(&Issuer, &Arc<Member>)>, may_go: &dyn Fn(&Member) -> bool| {
            let able = of.into_iter().filter(|(_, member)| may_go(member));
            able.min_by_key(|(_, member)| member.used_at.load(Ordering::Relaxed)).map(|(issuer, _)| issuer.clone())
        };
        if unproven.len() >= MOST_UNPROVEN {
            let gone = oldest(unproven, &|member| member.slot.entry.is_settled(now));
            return gone.map(Some).ok_or(self.spec.refresh_cooldown);
        }
        if proven.len() >= MOST_PROVEN {
            let gone = oldest(proven, &|member| member.unused_for(now) >= IN_USE);
            return gone.map(Some).ok_or(IN_USE);
        }
        Ok(None)
    }
}

impl Member {
    fn use_at(&self, now: Moment) {
        self.used_at.store(now.as_millis(), Ordering::Relaxed);
    }

    fn unused_for(&self, now: Moment) -> Duration {
        Duration::from_millis(now.as_millis().saturating_sub(self.used_at.load(Ordering::Relaxed)))
    }

    fn is_idle(&self, now: Moment) -> bool {
        self.unused_for(now) >= IDLE
    }

    /// Whether it ever had keys: somebody is there.
    fn is_proven(&self) -> bool {
        self.slot.entry.last().is_some()
    }
}

fn cloned((issuer, member): (&Issuer, &Arc<Member>)) -> (Issuer, Arc<Member>) {
    (issuer.clone(), Arc::clone(member))
}
