//! Which managed objects there are, as of the last verified mark: a code of each, and not the
//! objects themselves. What is here and not in Redis was altered or deleted there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::error::RedisStoreError;
use super::mark::{ObjectsMark, SealedMark};
use sts_store::ObjectKey;

/// How many changes of objects to remember. Who missed more reads all objects.
const REMEMBERED: usize = 4096;

/// What is known of a stored object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectRow {
    /// The code of its stored value in the sum.
    pub(super) code: [u8; 32],
    pub(super) revision: u64,
}

/// The objects at one mark.
#[derive(Clone)]
struct KnownObjects {
    epoch: String,
    mark: ObjectsMark,
    rows: BTreeMap<ObjectKey, ObjectRow>,
    /// Each changed object with the sequence at which the change was known, oldest first.
    history: VecDeque<(u64, ObjectKey)>,
    /// No change after this sequence is missing from `history`.
    history_from: u64,
}

/// The rows of some objects, and the mark under which they are in force.
pub(super) struct RowsAt {
    pub(super) mark: ObjectsMark,
    /// `None` for an object that is gone.
    pub(super) rows: BTreeMap<ObjectKey, Option<ObjectRow>>,
}

pub(super) struct ObjectRegistry {
    known: RwLock<Option<KnownObjects>>,
    suspicion: ArcSwapOption<RedisStoreError>,
    /// Held by the one task that reads for all. The value is the monotonic time before which a Redis
    /// that failed its check is not read again.
    pub(super) loading: tokio::sync::Mutex<Duration>,
}

impl KnownObjects {
    fn note(&mut self, keys: Vec<ObjectKey>) {
        if keys.len() > REMEMBERED {
            self.history.clear();
            self.history_from = self.mark.sequence;
            return;
        }
        let sequence = self.mark.sequence;
        self.history.extend(keys.into_iter().map(|key| (sequence, key)));
        while self.history.len() > REMEMBERED
            && let Some((sequence, _)) = self.history.pop_front()
        {
            self.history_from = sequence;
        }
    }

    /// Whether `row` can be what follows. A value of a commit that is known can only be the known
    /// one: otherwise it was put back, or Redis lost a commit and another process went on from there.
    fn admits(&self, key: &ObjectKey, row: &ObjectRow) -> bool {
        row.revision > self.mark.sequence || self.rows.get(key) == Some(row)
    }
}

impl ObjectRegistry {
    pub(super) fn new() -> Self {
        Self {
            known: RwLock::default(),
            suspicion: ArcSwapOption::empty(),
            loading: tokio::sync::Mutex::new(Duration::ZERO),
        }
    }

    /// Forgets everything, because an operator has accepted another state.
    pub(super) fn forget(&self) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.suspicion.store(None);
    }

    /// The error of the failed check, if there is one.
    pub(super) fn suspicion(&self) -> Option<RedisStoreError> {
        self.suspicion.load().as_ref().map(|error| RedisStoreError::clone(error))
    }

    /// Whether a check has failed since the objects were last verified.
    pub(super) fn is_suspected(&self) -> bool {
        self.suspicion.load().is_some()
    }

    /// Distrusts Redis until all objects were verified again. Returns whether this is new.
    pub(super) fn suspect(&self, why: RedisStoreError) -> bool {
        self.suspicion.swap(Some(Arc::new(why))).is_none()
    }

    /// Whether the objects of `mark` were verified, and no check has failed since.
    pub(super) fn is_at(&self, mark: &SealedMark) -> bool {
        !self.is_suspected()
            && self.read().as_ref().is_some_and(|known| known.epoch == mark.epoch && known.mark == mark.objects)
    }

    /// The objects' part of the mark that was verified last, if that mark was of `epoch`.
    pub(super) fn position(&self, epoch: &str) -> Option<ObjectsMark> {
        self.read().as_ref().filter(|known| known.epoch == epoch).map(|known| known.mark.clone())
    }

    /// The known rows of `keys`.
    pub(super) fn rows<'a>(&self, keys: impl IntoIterator<Item = &'a ObjectKey>) -> Vec<Option<ObjectRow>> {
        let known = self.read();
        let row = |key| known.as_ref().and_then(|known| known.rows.get(key).copied());
        keys.into_iter().map(row).collect()
    }

    /// Up to `count` rows, from the one at `from` on, and their mark.
    pub(super) fn sample(&self, from: usize, count: usize) -> RowsAt {
        let known = self.read();
        let Some(known) = &*known else { return RowsAt { mark: ObjectsMark::default(), rows: BTreeMap::new() } };
        let from = if known.rows.len() > count { from % known.rows.len() } else { 0 };
        let rows = known.rows.iter().skip(from).take(count).map(|(key, row)| (key.clone(), Some(*row))).collect();
        RowsAt { mark: known.mark.clone(), rows }
    }

    /// The objects that changed after `sequence`. `None` if that is not known.
    pub(super) fn changed_since(&self, sequence: u64) -> Option<RowsAt> {
        let known = self.read();
        let known = known.as_ref()?;
        if sequence < known.history_from || sequence > known.mark.sequence {
            return None;
        }
        let changed = known.history.iter().rev().take_while(|(at, _)| *at > sequence);
        let rows = changed.map(|(_, key)| (key.clone(), known.rows.get(key).copied())).collect();
        Some(RowsAt { mark: known.mark.clone(), rows })
    }

    /// Advances from the mark `from` to `to` by `changes`. Does nothing and returns `false` if
    /// another mark is known, or the sums differ.
    pub(super) fn advance(
        &self,
        from: &ObjectsMark,
        to: &SealedMark,
        changes: &BTreeMap<ObjectKey, Option<ObjectRow>>,
    ) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = known.as_mut().filter(|known| known.epoch == to.epoch && known.mark == *from) else {
            return false;
        };
        let mut sum = known.mark.clone();
        for (key, row) in changes {
            if let Some(before) = known.rows.get(key) {
                sum.remove(before.code);
            }
            if let Some(row) = row {
                if !known.admits(key, row) {
                    return false;
                }
                sum.add(row.code);
            }
        }
        if !sum.adds_up_to(&to.objects) {
            return false;
        }
        for (key, row) in changes {
            match row {
                Some(row) => drop(known.rows.insert(key.clone(), *row)),
                None => drop(known.rows.remove(key)),
            }
        }
        known.mark = to.objects.clone();
        known.note(changes.keys().cloned().collect());
        true
    }

    /// Replaces everything by what was read under `mark`, if the sum is right and nothing known was
    /// replaced by something older.
    pub(super) fn replace(&self, mark: &SealedMark, rows: BTreeMap<ObjectKey, ObjectRow>) -> bool {
        let mut sum = ObjectsMark::default();
        rows.values().for_each(|row| sum.add(row.code));
        if !sum.adds_up_to(&mark.objects) {
            return false;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.as_ref().filter(|known| known.epoch == mark.epoch);
        let mut fresh = KnownObjects {
            epoch: mark.epoch.clone(),
            mark: mark.objects.clone(),
            rows,
            history: VecDeque::new(),
            history_from: mark.objects.sequence,
        };
        if let Some(before) = before {
            if fresh.mark.sequence < before.mark.sequence
                || !fresh.rows.iter().all(|(key, row)| before.admits(key, row))
            {
                return false;
            }
            let keys: BTreeSet<&ObjectKey> = before.rows.keys().chain(fresh.rows.keys()).collect();
            let changed = keys.into_iter().filter(|key| before.rows.get(key) != fresh.rows.get(key)).cloned().collect();
            fresh.history.clone_from(&before.history);
            fresh.history_from = before.history_from;
            fresh.note(changed);
        }
        *known = Some(fresh);
        self.suspicion.store(None);
        true
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<KnownObjects>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_store::ObjectKind;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: ObjectKind::Teams, name: name.to_owned() }
    }

    fn row(code: u8, revision: u64) -> ObjectRow {
        ObjectRow { code: [code; 32], revision }
    }

    fn rows(rows: &[(&str, ObjectRow)]) -> BTreeMap<ObjectKey, ObjectRow> {
        rows.iter().map(|(name, row)| (key(name), *row)).collect()
    }

    fn mark(epoch: &str, sequence: u64, rows: &BTreeMap<ObjectKey, ObjectRow>) -> SealedMark {
        let mut objects = ObjectsMark { sequence, ..ObjectsMark::default() };
        rows.values().for_each(|row| objects.add(row.code));
        SealedMark { epoch: epoch.to_owned(), sequence, objects, ..SealedMark::default() }
    }

    #[test]
    fn what_does_not_add_up_is_not_taken() {
        let registry = ObjectRegistry::new();
        let first = rows(&[("a", row(1, 1))]);
        assert!(!registry.replace(&mark("e", 1, &rows(&[("a", row(2, 1))])), first.clone()));
        assert!(!registry.replace(&mark("e", 1, &BTreeMap::new()), first.clone()));
        assert!(registry.replace(&mark("e", 1, &first), first.clone()));
        let next = mark("e", 2, &rows(&[("a", row(3, 2))]));
        let at = registry.position("e").unwrap();
        for wrong in [vec![], vec![(key("a"), None)], vec![(key("b"), Some(row(3, 2)))]] {
            assert!(!registry.advance(&at, &next, &wrong.into_iter().collect()));
        }
        let right = [(key("a"), Some(row(3, 2)))].into_iter().collect();
        assert!(!registry.advance(&ObjectsMark::default(), &next, &right), "from another mark");
        assert!(registry.advance(&at, &next, &right));
        assert!(registry.is_at(&next) && !registry.is_at(&mark("e", 1, &first)));
        assert_eq!((registry.position("other"), registry.rows([&key("a")])), (None, vec![Some(row(3, 2))]));
    }

    #[test]
    fn nothing_that_is_known_is_replaced_by_something_older() {
        let known = rows(&[("a", row(1, 1)), ("b", row(2, 3))]);
        let takes = |epoch: &str, fresh: &[(&str, ObjectRow)]| {
            let registry = ObjectRegistry::new();
            assert!(registry.replace(&mark("e", 3, &known), known.clone()));
            let fresh = rows(fresh);
            registry.replace(&mark(epoch, 4, &fresh), fresh.clone())
        };
        let (a, b) = (("a", row(1, 1)), ("b", row(2, 3)));
        assert!(takes("e", &[a, ("b", row(9, 4))]), "it was changed");
        assert!(takes("e", &[a]), "it was deleted");
        assert!(takes("e", &[a, b, ("c", row(9, 4))]), "another one was made");
        assert!(!takes("e", &[a, ("b", row(7, 2))]), "an older revision");
        assert!(!takes("e", &[a, ("b", row(7, 3))]), "another value of the same commit");
        assert!(!takes("e", &[a, b, ("c", row(9, 3))]), "nobody knows of it");
        assert!(takes("other", &[a, ("b", row(7, 2))]), "another epoch was accepted");
    }

    #[test]
    fn changes_are_known_whole_or_not_at_all() {
        let registry = ObjectRegistry::new();
        let names = |registry: &ObjectRegistry, sequence| {
            registry
                .changed_since(sequence)
                .map(|changed| changed.rows.into_keys().map(|key| key.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&registry, 0), None);
        let mut known = rows(&[("a", row(1, 5))]);
        assert!(registry.replace(&mark("e", 5, &known), known.clone()));
        assert_eq!((names(&registry, 4), names(&registry, 5), names(&registry, 6)), (None, Some(vec![]), None));
        // By the log, and by a fresh read that finds the same.
        known.insert(key("b"), row(2, 6));
        let next = mark("e", 6, &known);
        let at = registry.position("e").unwrap();
        assert!(registry.advance(&at, &next, &[(key("b"), Some(row(2, 6)))].into_iter().collect()));
        known.remove(&key("a"));
        assert!(registry.replace(&mark("e", 7, &known), known.clone()));
        assert_eq!(names(&registry, 5).unwrap(), ["a", "b"]);
        assert_eq!(names(&registry, 6).unwrap(), ["a"]);
        // More than it remembers.
        let many = (0..REMEMBERED).map(|n| (key(&format!("m{n:05}")), row(3, 8)));
        known.extend(many);
        assert!(registry.replace(&mark("e", 8, &known), known.clone()));
        assert_eq!((names(&registry, 5), names(&registry, 6)), (None, None));
        assert_eq!(names(&registry, 7).map(|names| names.len()), Some(REMEMBERED));
        known.insert(key("z"), row(4, 9));
        assert!(registry.replace(&mark("e", 9, &known), known.clone()));
        assert_eq!((names(&registry, 7), names(&registry, 8)), (None, Some(vec!["z".to_owned()])));
        known.insert(key("y"), row(4, 10));
        assert!(registry.replace(&mark("f", 10, &known), known.clone()));
        assert_eq!((names(&registry, 9), names(&registry, 10)), (None, Some(vec![])), "another epoch");
    }
}
