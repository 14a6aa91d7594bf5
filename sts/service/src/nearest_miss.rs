//! The identity that a refused token came nearest to.

use serde::{Deserialize, Serialize};
use sts_policy::Decision;

use crate::redact::redacted;

/// A condition that a token did not meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailedCondition {
    /// `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants.
    pub expected: String,
    /// What the token has. Absent if the claim is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

/// The nearest identity, as `account/identity`, and its first condition that failed.
pub(crate) fn nearest_miss(decision: Option<&Decision>) -> (Option<String>, Option<FailedCondition>) {
    let Some(nearest) = decision.and_then(|decision| decision.trace.first()) else { return (None, None) };
    let failed = nearest.conditions.iter().find(|condition| !condition.holds).map(|condition| FailedCondition {
        on: redacted(&condition.on),
        expected: redacted(&condition.expected),
        actual: condition.actual.as_deref().map(redacted),
    });
    (Some(format!("{}/{}", nearest.account, nearest.identity)), failed)
}
