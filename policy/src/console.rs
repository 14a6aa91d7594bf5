//! Who may sign in to the web console: conditions on the claims of a person's ID token.

use std::sync::Arc;

use sts_claims::ClaimSet;

use crate::ConditionTrace;
use crate::condition::Condition;
use crate::identity::trace_condition;
use crate::ruleset::RuleSet;

/// What a person may do in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleRight {
    /// See everything.
    Read,
    /// Change everything.
    Admin,
}

impl ConsoleRight {
    /// The key of its conditions in the configuration.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// Whether a person may sign in to the console.
#[derive(Clone, Debug)]
pub enum ConsoleDecision {
    /// The person has that right.
    Admitted(ConsoleRight),
    /// The claims meet neither the conditions for `admin` nor those for `read`.
    Refused(Vec<ConsoleRefusal>),
}

/// Why a person does not have a right.
#[derive(Clone, Debug)]
pub struct ConsoleRefusal {
    /// The right.
    pub right: ConsoleRight,
    /// Its conditions, at least one of which does not hold.
    pub conditions: Vec<ConditionTrace>,
}

/// The compiled conditions. `None` for a right that nobody gets by signing in.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsoleRules {
    pub(crate) admin: Option<ConsoleConditions>,
    pub(crate) read: Option<ConsoleConditions>,
}

/// The conditions for one right, all of which must hold.
pub(crate) type ConsoleConditions = Arc<[Arc<Condition>]>;

impl ConsoleRules {
    /// The conditions for each right, the greatest right first.
    pub(crate) fn rights(&self) -> impl Iterator<Item = (ConsoleRight, &ConsoleConditions)> {
        let admin = self.admin.iter().map(|conditions| (ConsoleRight::Admin, conditions));
        admin.chain(self.read.iter().map(|conditions| (ConsoleRight::Read, conditions)))
    }
}

impl RuleSet {
    /// Whether a person with these claims may sign in to the console. Nobody may without `console`.
    #[must_use]
    pub fn decide_console(&self, claims: &ClaimSet) -> ConsoleDecision {
        let mut refused = Vec::new();
        for (right, conditions) in self.console.rights() {
            // An empty list would let everybody in. The compiler refuses it, too.
            if !conditions.is_empty() && conditions.iter().all(|condition| condition.holds(claims)) {
                return ConsoleDecision::Admitted(right);
            }
            let conditions = conditions.iter().map(|condition| trace_condition(condition, claims)).collect();
            refused.push(ConsoleRefusal { right, conditions });
        }
        ConsoleDecision::Refused(refused)
    }
}
