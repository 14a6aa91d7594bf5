//! An entry and the other entries of its issuer: lookups in current sets, and status.

use std::sync::Arc;

use sts_jose::VerifyingKey;
use sts_types::{Algorithm, Kid, UnixTime};

use crate::entry::Entry;
use crate::monotonic_time::MonotonicTime;
use crate::{Candidates, EntryKeys, EntryState, EntryStatus, EntryView, KeyStatus, SkippedKeyStatus};

/// An entry and its siblings.
pub(crate) struct Slot {
    pub(crate) entry: Arc<Entry>,
    /// The other entries of the same issuer.
    pub(crate) siblings: Vec<Arc<Entry>>,
}

/// Result of a lookup in an entry's current set.
pub(crate) enum SlotLookup {
    /// Keys to try.
    Keys(Candidates),
    /// Keys match, but another entry of the issuer has each of them too.
    Shared,
    /// There is a set, but no key in it matches.
    NoSuchKey,
    /// There is no usable set.
    NoKeys,
}

impl Slot {
    /// The keys for a token with this kid and algorithm, without those that siblings have too.
    pub(crate) fn look_up(&self, now: MonotonicTime, kid: Option<&Kid>, algorithm: Algorithm) -> SlotLookup {
        let found = self.entry.with_usable(now, |keys| keys.set().candidates(kid, algorithm).cloned());
        let candidates = match found {
            None => return SlotLookup::NoKeys,
            Some(None) => return SlotLookup::NoSuchKey,
            Some(Some(candidates)) => candidates,
        };
        if self.siblings.is_empty() || candidates.iter().all(|key| self.sharers(key).next().is_none()) {
            return SlotLookup::Keys(candidates);
        }
        let unshared = candidates.iter().filter(|key| self.sharers(key).next().is_none()).cloned();
        Candidates::of(unshared).map_or(SlotLookup::Shared, SlotLookup::Keys)
    }

    /// The siblings that have `key` too. An expired set counts: its key still says nothing about
    /// which entry signed.
    fn sharers(&self, key: &VerifyingKey) -> impl Iterator<Item = &Arc<Entry>> {
        self.siblings.iter().filter(|entry| entry.holds(key.thumbprint()))
    }

    /// The status at `now`. `wall_time` is the same moment on the wall clock.
    pub(crate) fn status(&self, now: MonotonicTime, wall_time: UnixTime) -> EntryStatus {
        let spec = &self.entry.spec;
        let last = self.entry.last();
        let (last_fetch, last_error, fetches, due_in) = {
            let control = self.entry.control();
            (control.last_fetch, control.last_error.clone(), control.counts.clone(), control.due_in(now))
        };
        let set = last.as_ref().map(|keys| keys.set());
        let state = state(last.as_deref(), now);
        let ready = matches!(state, EntryState::Fresh | EntryState::Stale);
        let keys: Vec<KeyStatus> = set.iter().flat_map(|set| &set.keys).map(|key| self.key_status(key)).collect();
        let due_in = i64::try_from(due_in.as_secs()).unwrap_or(i64::MAX);
        EntryStatus {
            name: spec.name.clone(),
            issuer: spec.issuer.clone(),
            source: (&spec.source).into(),
            ready,
            state,
            usable: if ready { keys.iter().filter(|key| key.shared_with.is_empty()).count() } else { 0 },
            set_hash: set.map(|set| set.keys_digest.to_hex()),
            keys,
            skipped: set
                .iter()
                .flat_map(|set| &set.skipped)
                .map(|skipped| SkippedKeyStatus {
                    index: skipped.index,
                    kid: skipped.kid.clone(),
                    reason: skipped.why.kind(),
                    message: skipped.why.to_string(),
                    alarming: skipped.why.alarming(),
                })
                .collect(),
            fetched_at: last.as_ref().map(|keys| keys.fetched_at()),
            age: last.as_ref().map(|keys| u64::try_from(wall_time.since(keys.fetched_at())).unwrap_or(0)),
            fresh_until: last.as_ref().and_then(|keys| keys.fresh_until()),
            stale_until: last.as_ref().and_then(|keys| keys.stale_until()),
            next_refresh_at: (!self.entry.is_inline()).then(|| wall_time.plus(due_in)),
            last_fetch,
            last_error,
            fetches,
            kids_reused: self.entry.recorder.kids_reused(),
        }
    }

    /// The view at `now`. `wall_time` is the same moment on the wall clock.
    pub(crate) fn view(&self, now: MonotonicTime, wall_time: UnixTime) -> EntryView {
        let status = self.status(now, wall_time);
        let (seen_from, mark) = {
            let control = self.entry.control();
            (control.seen_from.clone(), control.file_mark)
        };
        EntryView {
            status,
            seen_from: seen_from.unwrap_or_else(|| (&self.entry.spec.source).into()),
            file_modified_at: mark.and_then(|mark| mark.modified_at()),
            recent: self.entry.recorder.recent(),
        }
    }

    fn key_status(&self, key: &VerifyingKey) -> KeyStatus {
        KeyStatus {
            kid: key.kid().cloned(),
            algorithm: key.algorithm(),
            thumbprint: key.thumbprint().to_owned(),
            shared_with: self.sharers(key).map(|entry| entry.spec.name.clone()).collect(),
        }
    }
}

fn state(keys: Option<&EntryKeys>, now: MonotonicTime) -> EntryState {
    match keys {
        None => EntryState::Absent,
        Some(keys) if keys.is_fresh(now) => EntryState::Fresh,
        Some(keys) if keys.is_usable(now) => EntryState::Stale,
        Some(_) => EntryState::Expired,
    }
}
