//! A family of issuers under one entry. Each member has its own keys, fetched when its first token
//! arrives.
//!
//! The sender of a token chooses which member it names, so the effect of an unverified token must
//! be bounded:
//!
//! - A member is *proven* once one of its keys verified a token. Only a verified token counts as a
//!   use of it. Proven members have most of the places, and only another proven member can evict
//!   one.
//! - Members that *the rules name* have separate places.
//! - A member with a copy on disk was proven before a restart. Such *restored* members have
//!   separate places until a token proves them again, so a restart causes no outage.
//! - All other members share a few places and a rate limit, evict only each other, and leave
//!   nothing on disk. The rate limit bounds the requests that a flood of made-up members sends to
//!   their platform.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sts_types::{Issuer, UnixTime};

use crate::admissions::Admissions;
use crate::entry::Entry;
use crate::entry_ref::LogKey;
use crate::fetch::FetchContext;
use crate::history_log::{HistoryLog, Recorder};
use crate::monotonic_time::MonotonicTime;
use crate::slot::Slot;
use crate::{EntrySpec, FamilySpec, FamilyStatus, FetchCounts, last_good};

/// Limit of proven members.
const MOST_PROVEN: usize = 1000;
/// Limit of restored members, those that only a copy on disk vouches for.
const MOST_RESTORED: usize = 256;
/// Limit of members that nothing vouches for.
const MOST_UNPROVEN: usize = 64;
/// A member without a token for this long is forgotten. Its last good set stays on disk.
const IDLE: Duration = Duration::from_secs(3600);
/// Time after a verified token in which a proven member cannot be evicted.
const IN_USE: Duration = Duration::from_secs(60);

type Members = HashMap<Issuer, Arc<Member>>;

pub(crate) struct Family {
    pub(crate) spec: FamilySpec,
    members: ArcSwap<Members>,
    /// Members that the rules name.
    named: ArcSwap<HashSet<Issuer>>,
    /// Held while the map is replaced, never over I/O.
    changing: Mutex<Changing>,
    /// How many members found no room.
    turned_away: AtomicU64,
}

#[derive(Default)]
struct Changing {
    admissions: Admissions,
    /// Counts of the fetches for forgotten members.
    forgotten: FetchCounts,
    /// Members proven since the last pass, whose keys are not on disk yet.
    new_proofs: Vec<Arc<Entry>>,
}

/// One issuer of a family.
pub(crate) struct Member {
    pub(crate) slot: Slot,
    /// Time of the last use: for a proven member the last verified token, before that any token.
    used_at: AtomicU64,
    /// Whether it has a copy on disk, which only a proven member gets.
    is_restored: bool,
}

/// What vouches for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberProof {
    Named,
    Proven,
    Restored,
    Unproven,
}

impl Family {
    pub(crate) fn new(spec: FamilySpec) -> Self {
        let named = ArcSwap::from_pointee(spec.named.iter().cloned().collect());
        Self { spec, members: ArcSwap::default(), named, changing: Mutex::default(), turned_away: AtomicU64::new(0) }
    }

    pub(crate) fn name_members(&self, named: Vec<Issuer>) {
        self.named.store(Arc::new(named.into_iter().collect()));
    }

    /// Calls `read` with the member of that issuer, if there is one. Lock-free.
    pub(crate) fn with_member<T>(
        &self,
        issuer: &Issuer,
        now: MonotonicTime,
        read: impl FnOnce(&Slot) -> T,
    ) -> Option<T> {
        self.members.load().get(issuer).map(|member| {
            member.touch_if_unproven(now);
            read(&member.slot)
        })
    }

    /// The member of that issuer, if there is one. Does not count as a use.
    pub(crate) fn peek(&self, issuer: &Issuer) -> Option<Arc<Member>> {
        self.members.load().get(issuer).cloned()
    }

    /// The member of that issuer, created if there is none yet. Fetches nothing.
    ///
    /// # Errors
    /// `None` if the issuer does not match the family's template; else the time until there may be
    /// room for another member.
    pub(crate) async fn member(
        &self,
        issuer: &Issuer,
        context: &Arc<FetchContext>,
        log: &Arc<HistoryLog>,
        now: MonotonicTime,
    ) -> Result<Arc<Member>, Option<Duration>> {
        if let Some(member) = self.members.load().get(issuer) {
            member.touch_if_unproven(now);
            return Ok(Arc::clone(member));
        }
        if !self.spec.template.covers(issuer.as_str()) {
            return Err(None);
        }
        let spec = self.spec.member(issuer.clone());
        let made = if context.copies.has(&spec) {
            restore(spec, context, log, now).await
        } else {
            let recorder = Recorder::empty(Arc::clone(log), LogKey::member(spec.name.clone(), issuer.clone()));
            let entry = Entry::new(spec, None, recorder, context.environment.clock.now(), false);
            Arc::new(Member::new(entry, false, now))
        };
        self.admit(issuer, made, now).map_err(|wait| {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            Some(wait)
        })
    }

    /// Records that a key of that member verified a token. Takes a lock only the first time.
    pub(crate) fn prove(&self, issuer: &Issuer, now: MonotonicTime) {
        let Some(member) = self.peek(issuer) else { return };
        member.touch(now);
        if member.is_proven() {
            return;
        }
        let mut changing = self.changing();
        let members = self.members.load();
        // Evicted since the lookup. The next token creates it again.
        if members.get(issuer).is_none_or(|current| !Arc::ptr_eq(current, &member)) || member.is_proven() {
            return;
        }
        let evicted = match self.standing(issuer, &member) {
            MemberProof::Named => None,
            // Without room it keeps its standing, and its keys still serve.
            _ => match self.room(&members, MemberProof::Proven, now) {
                Ok(evicted) => evicted,
                Err(_) => return,
            },
        };
        member.slot.entry.prove();
        changing.new_proofs.push(Arc::clone(&member.slot.entry));
        if let Some(evicted) = evicted {
            self.replace(&mut changing, &members, Some(&evicted), None);
        }
    }

    /// Members proven since the last call.
    pub(crate) fn new_proofs(&self) -> Vec<Arc<Entry>> {
        std::mem::take(&mut self.changing().new_proofs)
    }

    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        self.members.load().values().cloned().collect()
    }

    /// Members worth a background refresh: they have had keys, are proven or named by the rules,
    /// and are in use.
    pub(crate) fn refreshed(&self, now: MonotonicTime) -> Vec<Arc<Member>> {
        let members = self.members.load();
        let is_due = |(issuer, member): &(&Issuer, &Arc<Member>)| {
            let vouched = matches!(self.standing(issuer, member), MemberProof::Proven | MemberProof::Named);
            vouched && member.slot.entry.last().is_some() && !member.is_idle(now)
        };
        members.iter().filter(is_due).map(|(_, member)| Arc::clone(member)).collect()
    }

    /// Forgets idle members.
    pub(crate) fn tidy(&self, now: MonotonicTime) {
        let is_kept = |member: &Member| !(member.is_idle(now) && member.slot.entry.is_settled(now));
        if self.members.load().values().all(|member| is_kept(member)) {
            return;
        }
        let mut changing = self.changing();
        let (kept, forgotten): (Members, Members) =
            self.members.load().iter().map(cloned).partition(|(_, member)| is_kept(member));
        forgotten.values().for_each(|member| changing.forgotten.add(&member.slot.entry.control().counts));
        self.members.store(Arc::new(kept));
    }

    /// The status at `now`. `wall_time` is the same moment on the wall clock.
    pub(crate) fn status(&self, now: MonotonicTime, wall_time: UnixTime) -> FamilyStatus {
        let mut members: Vec<_> =
            self.members.load().values().map(|member| member.slot.status(now, wall_time)).collect();
        members.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        let mut fetches = self.changing().forgotten.clone();
        members.iter().for_each(|member| fetches.add(&member.fetches));
        FamilyStatus {
            name: self.spec.name.clone(),
            issuer_template: self.spec.template.as_str().to_owned(),
            members,
            fetches,
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }

    fn admit(&self, issuer: &Issuer, made: Arc<Member>, now: MonotonicTime) -> Result<Arc<Member>, Duration> {
        let mut changing = self.changing();
        let members = self.members.load();
        // Another task may have added the member since the lookup.
        if let Some(member) = members.get(issuer) {
            return Ok(Arc::clone(member));
        }
        let standing = self.standing(issuer, &made);
        if standing == MemberProof::Unproven {
            changing.admissions.check(now)?;
        }
        let evicted = self.room(&members, standing, now)?;
        if standing == MemberProof::Unproven {
            // Taken only now: a member that finds no room must not use up an admission.
            changing.admissions.take(now);
        }
        self.replace(&mut changing, &members, evicted.as_ref(), Some((issuer, &made)));
        Ok(made)
    }

    fn standing(&self, issuer: &Issuer, member: &Member) -> MemberProof {
        if self.named.load().contains(issuer) {
            MemberProof::Named
        } else if member.is_proven() {
            MemberProof::Proven
        } else if member.is_restored {
            MemberProof::Restored
        } else {
            MemberProof::Unproven
        }
    }

    /// Makes room for a member of that standing. Returns the member to evict, if all places are
    /// taken.
    ///
    /// # Errors
    /// Time until there may be room.
    fn room(&self, members: &Members, standing: MemberProof, now: MonotonicTime) -> Result<Option<Issuer>, Duration> {
        let limit = match standing {
            // The configuration limits their number.
            MemberProof::Named => return Ok(None),
            MemberProof::Proven => MOST_PROVEN,
            MemberProof::Restored => MOST_RESTORED,
            MemberProof::Unproven => MOST_UNPROVEN,
        };
        let peers = || members.iter().filter(|(issuer, member)| self.standing(issuer, member) == standing);
        if peers().count() < limit {
            return Ok(None);
        }
        let is_evictable = |member: &Member| match standing {
            MemberProof::Proven => member.unused_for(now) >= IN_USE,
            // If a member in its pause were evicted, the next token would fetch its keys at once.
            _ => member.slot.entry.is_settled(now),
        };
        let evictable = peers().filter(|(_, member)| is_evictable(member));
        let oldest = evictable.min_by_key(|(_, member)| member.used_at.load(Ordering::Relaxed));
        let wait = if standing == MemberProof::Proven { IN_USE } else { self.spec.refresh_cooldown };
        oldest.map(|(issuer, _)| Some(issuer.clone())).ok_or(wait)
    }

    /// Evicts one member and adds another.
    fn replace(
        &self,
        changing: &mut Changing,
        members: &Members,
        evicted: Option<&Issuer>,
        added: Option<(&Issuer, &Arc<Member>)>,
    ) {
        if let Some(member) = evicted.and_then(|issuer| members.get(issuer)) {
            changing.forgotten.add(&member.slot.entry.control().counts);
        }
        let kept = members.iter().filter(|(issuer, _)| Some(*issuer) != evicted);
        self.members.store(Arc::new(kept.chain(added).map(cloned).collect()));
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builds a member from its copy and its history on disk.
async fn restore(
    spec: EntrySpec,
    context: &Arc<FetchContext>,
    log: &Arc<HistoryLog>,
    now: MonotonicTime,
) -> Arc<Member> {
    let (world_there, log_there, spec_there) = (Arc::clone(context), Arc::clone(log), spec.clone());
    let key = LogKey::member(spec.name.clone(), spec.issuer.clone());
    let key_there = key.clone();
    let read = tokio::task::spawn_blocking(move || {
        let environment = &world_there.environment;
        let dir = environment.state_dir.as_ref();
        let kept = dir.and_then(|dir| last_good::load(dir, &spec_there, &*environment.clock));
        (kept, Recorder::new(log_there, key_there))
    });
    // A read that panics counts as no copy.
    let (kept, recorder) = read.await.unwrap_or_else(|_| (None, Recorder::empty(Arc::clone(log), key)));
    let entry = Entry::new(spec, kept, recorder, context.environment.clock.now(), false);
    Arc::new(Member::new(entry, true, now))
}

impl Member {
    fn new(entry: Entry, is_restored: bool, now: MonotonicTime) -> Self {
        let slot = Slot { entry: Arc::new(entry), siblings: Vec::new() };
        Self { slot, used_at: AtomicU64::new(now.as_millis()), is_restored }
    }

    /// Records a use by an unverified token. A proven member ignores it.
    fn touch_if_unproven(&self, now: MonotonicTime) {
        if !self.is_proven() {
            self.touch(now);
        }
    }

    fn touch(&self, now: MonotonicTime) {
        self.used_at.store(now.as_millis(), Ordering::Relaxed);
    }

    fn unused_for(&self, now: MonotonicTime) -> Duration {
        Duration::from_millis(now.as_millis().saturating_sub(self.used_at.load(Ordering::Relaxed)))
    }

    fn is_idle(&self, now: MonotonicTime) -> bool {
        self.unused_for(now) >= IDLE
    }

    fn is_proven(&self) -> bool {
        self.slot.entry.is_proven()
    }
}

fn cloned((issuer, member): (&Issuer, &Arc<Member>)) -> (Issuer, Arc<Member>) {
    (issuer.clone(), Arc::clone(member))
}
