//! The revocation rules in memory: a mint and an introspection read them without touching the file.

use std::sync::Arc;

use sts_types::UnixTime;

use crate::record::Revocation;

/// The rules in force at some moment, oldest first.
pub(crate) struct Rules {
    in_force: Arc<[Revocation]>,
    /// The last moment at which all of them are in force.
    until: UnixTime,
}

impl Rules {
    /// Those of `rules` that are in force at `now`.
    pub(crate) fn new(rules: impl IntoIterator<Item = Revocation>, now: UnixTime) -> Self {
        let in_force: Arc<[Revocation]> = rules.into_iter().filter(|rule| rule.until >= now).collect();
        let until = in_force.iter().map(|rule| rule.until).min().unwrap_or(UnixTime::from_secs(i64::MAX));
        Self { in_force, until }
    }

    /// The rules, when all of them are still in force at `now`.
    pub(crate) fn all_at(&self, now: UnixTime) -> Option<Arc<[Revocation]>> {
        (now <= self.until).then(|| Arc::clone(&self.in_force))
    }

    /// The rules without those whose time has passed at `now`.
    pub(crate) fn pruned(&self, now: UnixTime) -> Self {
        Self::new(self.in_force.iter().cloned(), now)
    }
}
