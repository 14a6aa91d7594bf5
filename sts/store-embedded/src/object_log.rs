//! The latest commits of managed objects, in memory. This process is the only writer of the file,
//! so it can tell what changed without reading the file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sts_store::{ObjectChange, ObjectChanges};

/// The most changes that are kept.
const MOST_CHANGES: usize = 1024;
/// The most octets of stored objects that are kept.
const MOST_OCTETS: usize = 4 << 20;

/// One commit.
#[derive(Debug)]
pub(super) struct ObjectCommit {
    /// Its sequence.
    pub(super) sequence: u64,
    /// In the order in which they were made.
    pub(super) changes: Vec<ObjectChange>,
    /// The size of the objects as stored.
    pub(super) octets: usize,
}

/// The latest commits.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectLog {
    /// All commits after this sequence are kept.
    after: u64,
    /// The sequence of the last commit.
    sequence: u64,
    commits: VecDeque<Arc<ObjectCommit>>,
    changes: usize,
    octets: usize,
}

impl ObjectLog {
    /// A log that begins at `sequence`.
    pub(super) fn beginning_at(sequence: u64) -> Self {
        Self { after: sequence, sequence, ..Self::default() }
    }

    /// The sequence of the last commit.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The last change of each object after `sequence`. `None` if not all of them are kept.
    pub(super) fn since(&self, sequence: u64) -> Option<ObjectChanges> {
        if sequence < self.after || sequence > self.sequence {
            return None;
        }
        let mut changes = BTreeMap::new();
        for commit in self.commits.iter().filter(|commit| commit.sequence > sequence) {
            changes.extend(commit.changes.iter().map(|change| (change.key(), change)));
        }
        Some(ObjectChanges { sequence: self.sequence, changes: changes.into_values().cloned().collect() })
    }

    /// This log with one more commit, and without the oldest ones if it grows too long.
    pub(super) fn with(&self, commit: &Arc<ObjectCommit>) -> Self {
        let mut log = self.clone();
        log.sequence = commit.sequence;
        log.changes = log.changes.saturating_add(commit.changes.len());
        log.octets = log.octets.saturating_add(commit.octets);
        log.commits.push_back(Arc::clone(commit));
        while log.changes > MOST_CHANGES || log.octets > MOST_OCTETS {
            let Some(oldest) = log.commits.pop_front() else { break };
            log.after = oldest.sequence;
            log.changes = log.changes.saturating_sub(oldest.changes.len());
            log.octets = log.octets.saturating_sub(oldest.octets);
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::ObjectKind;
    use sts_store::contract::object_key;

    fn commit(sequence: u64, names: &[&str], octets: usize) -> Arc<ObjectCommit> {
        let changes =
            names.iter().map(|name| ObjectChange::Delete(object_key(ObjectKind::Teams, name))).collect::<Vec<_>>();
        Arc::new(ObjectCommit { sequence, changes, octets })
    }

    fn told(log: &ObjectLog, sequence: u64) -> Option<(u64, usize)> {
        log.since(sequence).map(|told| (told.sequence, told.changes.len()))
    }

    #[test]
    fn it_tells_what_it_keeps_and_nothing_before_it_began() {
        let log = ObjectLog::beginning_at(7).with(&commit(8, &["a", "b"], 1)).with(&commit(9, &["b", "a", "b"], 1));
        assert_eq!(
            [6, 7, 8, 9, 10].map(|from| told(&log, from)),
            [None, Some((9, 2)), Some((9, 2)), Some((9, 0)), None]
        );
    }

    #[test]
    fn the_oldest_commits_go_when_it_grows_too_long_in_changes_or_octets() {
        let mut log = ObjectLog::default();
        for sequence in 1..=2000 {
            log = log.with(&commit(sequence, &["a"], 0));
        }
        assert_eq!((log.commits.len(), log.after), (MOST_CHANGES, 2000 - 1024));
        for sequence in 2001..=2003 {
            log = log.with(&commit(sequence, &["a"], MOST_OCTETS / 2));
        }
        assert_eq!((log.after, told(&log, 2000), told(&log, 2001)), (2001, None, Some((2003, 1))));
        log = log.with(&commit(2004, &["a"], MOST_OCTETS + 1));
        assert_eq!((log.changes, log.octets, told(&log, 2003), told(&log, 2004)), (0, 0, None, Some((2004, 0))));
    }
}
