//! The revocation rules in memory: a mint and an introspection read them without touching the file.

use std::sync::Arc;

use sts_types::UnixTime;

use crate::record::Revocation;

/// The rules, and those of them that are in force at some moment, oldest first.
pub(crate) struct Rules {
    /// Every rule that is there: a clock that was set forward and goes back finds them again.
    all: Arc<[Revocation]>,
    in_force: Arc<[Revocation]>,
    /// The moment for which they were chosen.
    from: UnixTime,
    /// The last moment at which all of them are in force.
    until: UnixTime,
}

impl Rules {
    /// These rules, as of `now`.
    pub(crate) fn new(rules: impl IntoIterator<Item = Revocation>, now: UnixTime) -> Self {
        Self::chosen(rules.into_iter().collect(), now)
    }

    /// The rules in force, when they are those of `now`.
    pub(crate) fn all_at(&self, now: UnixTime) -> Option<Arc<[Revocation]>> {
        (self.from <= now && now <= self.until).then(|| Arc::clone(&self.in_force))
    }

    /// The same rules as of another moment.
    pub(crate) fn pruned(&self, now: UnixTime) -> Self {
        Self::chosen(Arc::clone(&self.all), now)
    }

    fn chosen(all: Arc<[Revocation]>, now: UnixTime) -> Self {
        let in_force: Arc<[Revocation]> = all.iter().filter(|rule| rule.until >= now).cloned().collect();
        let until = in_force.iter().map(|rule| rule.until).min().unwrap_or(UnixTime::from_secs(i64::MAX));
        Self { all, in_force, from: now, until }
    }
}
