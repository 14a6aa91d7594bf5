//! The identity that a refused token came nearest to.

use sts_audit::FailedCondition;
use sts_policy::Decision;

use crate::redact::redacted;

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
