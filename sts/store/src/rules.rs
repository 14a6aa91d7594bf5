//! The revocation rules in memory: a mint and an introspection read them without touching the file.

use std::sync::Arc;

use sts_types::{Seal, UnixTime};

use crate::record::{Revocation, RevocationScope, RuleId};

/// No sealed value begins with these octets, so that no id is ever the code of a value.
const ID_DOMAIN: [u8; 2] = [0, b'u'];

/// The id of the rule that `revocation` is; `None` when it is of one token. The order is no part of it: a rule that is made again
/// stays the same.
pub fn rule_id(seal: &dyn Seal, revocation: &Revocation) -> Option<RuleId> {
    let RevocationScope::Rule(rule) = &revocation.scope else { return None };
    // What holds only text is always encoded.
    let content = serde_json::to_vec(&(rule, revocation.before, revocation.before_millis)).unwrap_or_default();
    Some(RuleId::from_code(seal.seal(&[&ID_DOMAIN, &content])))
}

/// Names a rule that an earlier version wrote without an id.
pub fn with_id(seal: &dyn Seal, mut rule: Revocation) -> Revocation {
    if rule.id.is_none() {
        rule.id = rule_id(seal, &rule);
    }
    rule
}

/// The rules, and those of them that are in force at some moment, oldest first.
pub struct Rules {
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
    pub fn new(rules: impl IntoIterator<Item = Revocation>, now: UnixTime) -> Self {
        Self::chosen(rules.into_iter().collect(), now)
    }

    /// The rules in force, when they are those of `now`.
    pub fn all_at(&self, now: UnixTime) -> Option<Arc<[Revocation]>> {
        (self.from <= now && now <= self.until).then(|| Arc::clone(&self.in_force))
    }

    /// Whether the time of any of them passed before `now`.
    pub fn end_before(&self, now: UnixTime) -> bool {
        self.all.iter().any(|rule| rule.until < now)
    }

    /// The same rules as of another moment.
    pub fn pruned(&self, now: UnixTime) -> Self {
        Self::chosen(Arc::clone(&self.all), now)
    }

    fn chosen(all: Arc<[Revocation]>, now: UnixTime) -> Self {
        let in_force: Arc<[Revocation]> = all.iter().filter(|rule| rule.until >= now).cloned().collect();
        let until = in_force.iter().map(|rule| rule.until).min().unwrap_or(UnixTime::from_secs(i64::MAX));
        Self { all, in_force, from: now, until }
    }
}
