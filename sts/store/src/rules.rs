//! The revocation rules in memory, so that an exchange or an introspection need not read the store
//! for them.

use std::sync::Arc;

use sts_types::{Seal, UnixTime};

use crate::record::{Revocation, RevocationScope, RuleId};

/// No sealed value begins with these octets, so an id is never the seal of a value.
const ID_DOMAIN: [u8; 2] = [0, b'u'];

/// The id of a rule. `None` for the revocation of one token. The order is not part of it, so a rule
/// that is made again keeps its id.
pub fn rule_id(seal: &dyn Seal, revocation: &Revocation) -> Option<RuleId> {
    let RevocationScope::Rule(rule) = &revocation.scope else { return None };
    // Text always encodes.
    let content = serde_json::to_vec(&(rule, revocation.before, revocation.before_millis)).unwrap_or_default();
    Some(RuleId::from_code(seal.seal(&[&ID_DOMAIN, &content])))
}

/// Adds the id to a rule of an earlier version.
pub fn with_id(seal: &dyn Seal, mut rule: Revocation) -> Revocation {
    if rule.id.is_none() {
        rule.id = rule_id(seal, &rule);
    }
    rule
}

/// All rules, and those in force at some moment, oldest first.
#[derive(Debug)]
pub struct Rules {
    /// Every stored rule. If a clock was set forward and goes back, its rules are still here.
    all: Arc<[Revocation]>,
    in_force: Arc<[Revocation]>,
    /// The first moment for which `in_force` is valid.
    from: UnixTime,
    /// The last moment for which `in_force` is valid.
    until: UnixTime,
}

impl Rules {
    /// Selects the rules in force at `now`.
    pub fn new(rules: impl IntoIterator<Item = Revocation>, now: UnixTime) -> Self {
        Self::select(rules.into_iter().collect(), now)
    }

    /// The rules in force at `now`. `None` if they must be selected again.
    pub fn all_at(&self, now: UnixTime) -> Option<Arc<[Revocation]>> {
        (self.from <= now && now <= self.until).then(|| Arc::clone(&self.in_force))
    }

    /// Whether some rule expired before `now`.
    pub fn end_before(&self, now: UnixTime) -> bool {
        self.all.iter().any(|rule| rule.until < now)
    }

    /// The same rules, selected for another moment.
    pub fn pruned(&self, now: UnixTime) -> Self {
        Self::select(Arc::clone(&self.all), now)
    }

    fn select(all: Arc<[Revocation]>, now: UnixTime) -> Self {
        let in_force: Arc<[Revocation]> = all.iter().filter(|rule| rule.until >= now).cloned().collect();
        let until = in_force.iter().map(|rule| rule.until).min().unwrap_or(UnixTime::from_secs(i64::MAX));
        Self { all, in_force, from: now, until }
    }
}
