//! What is known of one directory, beside its accounts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sts_types::{DirectoryName, UnixTime};

use crate::dialect::Identity;
use crate::failure::{DirectoryError, FailureCause};
use crate::group_ref::GroupRef;
use crate::lookup::FoundGroup;
use crate::membership::{GroupState, MembershipState};

/// The least time between the beginnings of two refreshes of a directory.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// What is known of a directory.
#[derive(Default)]
pub(crate) struct KnownDirectory {
    /// What its memberships are of: those of another base or kind are others.
    pub(crate) scope: Arc<str>,
    pub(crate) groups: HashMap<GroupRef, KnownGroup>,
    pub(crate) last_success: Option<UnixTime>,
    pub(crate) failures: BTreeMap<FailureCause, u64>,
    pub(crate) searches: u64,
    pub(crate) last_failure: Option<DirectoryError>,
    /// The server that answered last.
    pub(crate) server: usize,
    /// When a person asked to accept the groups that the next refresh finds. A refresh that fails leaves it
    /// to the next one. Of the monotonic clock.
    pub(crate) confirmed_at: Option<Duration>,
    pub(crate) schedule: Schedule,
}

/// What is known of a configured group.
#[derive(Clone)]
pub(crate) struct KnownGroup {
    /// The group that had this name first.
    pub(crate) identity: Option<Identity>,
    pub(crate) state: GroupState,
}

/// When a directory is asked. Times are of the monotonic clock.
#[derive(Default)]
pub(crate) struct Schedule {
    pub(crate) next_at: Duration,
    pub(crate) started_at: Option<Duration>,
    pub(crate) is_running: bool,
}

impl KnownDirectory {
    /// Logs a failure, unless it is the last one again.
    pub(crate) fn fail(&mut self, name: &DirectoryName, failure: &DirectoryError) {
        if self.last_failure.as_ref().map(|last| last.cause) != Some(failure.cause) {
            tracing::warn!(directory = %name, cause = failure.cause.name(), error = %failure, "a directory cannot be asked; what it said before counts until `max_age`");
        }
        self.last_failure = Some(failure.clone());
    }

    /// Compares the groups that have the configured names with those that had them first.
    pub(crate) fn note_groups(&mut self, name: &DirectoryName, found: HashMap<GroupRef, FoundGroup>, confirms: bool) {
        for (group, found) in found {
            let first = self.groups.get(&group).and_then(|known| known.identity.clone());
            let (identity, state) = match found {
                FoundGroup::Identity(identity) => match first {
                    Some(first) if first != identity && !confirms => (Some(first), GroupState::Replaced),
                    _ => (Some(identity), GroupState::Found),
                },
                FoundGroup::NotFound => (first, GroupState::NotFound),
                FoundGroup::NoIdentity => (first, GroupState::NoIdentity),
            };
            let before = self.groups.insert(group.clone(), KnownGroup { identity, state }).map(|known| known.state);
            if before != Some(state) && state != GroupState::Found {
                tracing::warn!(directory = %name, %group, state = ?state, "a configured group of a directory gives nothing");
            }
        }
    }

    /// The state without groups that give nothing. They must not count later, either: who is in them
    /// now need not be in the group that is confirmed.
    pub(crate) fn without_refused(&self, state: MembershipState) -> MembershipState {
        let counts = |group: &GroupRef| self.groups.get(group).is_some_and(|known| known.state == GroupState::Found);
        match state {
            MembershipState::Member(groups) => MembershipState::Member(groups.into_iter().filter(counts).collect()),
            other => other,
        }
    }
}

impl Schedule {
    /// Makes the next refresh begin as soon as it may.
    pub(crate) fn hurry(&mut self, now: Duration) {
        let earliest = self.started_at.map_or(now, |started_at| started_at + MIN_INTERVAL);
        self.next_at = self.next_at.min(earliest.max(now));
    }
}
