//! What comes to be known of one exchange on its way, and the decision event that it ends in.

use sts_policy::Decision;
use sts_token::VerifiedClaims;
use sts_types::{Clock, TokenRecord};

use crate::Snapshot;
use crate::event::{DecisionEvent, EVENT_VERSION, FailedCondition, Outcome};
use crate::phase::PhaseTimes;
use crate::reason::Refused;
use crate::request::{ExchangeRequest, RequestContext};

/// The longest text of a caller that an event repeats, in bytes.
const MAX_EVENT_TEXT: usize = 256;

/// What is known so far; what is not, the event leaves out.
#[derive(Default)]
pub(crate) struct Known {
    /// The issuer entry.
    pub(crate) entry: Option<String>,
    /// The account: named by the request and existing, or granted.
    pub(crate) account: Option<String>,
    audience: Option<String>,
    scope: Option<String>,
    subject: Option<String>,
    claims: Option<serde_json::Value>,
    nearest: Option<String>,
    failed: Option<FailedCondition>,
    identity: Option<String>,
    jti: Option<String>,
}

impl Known {
    /// What was asked for.
    pub(crate) fn asked(&mut self, request: &ExchangeRequest<'_>) {
        let named: Vec<&str> = request.audience.iter().chain(&request.resource).map(String::as_str).collect();
        self.audience = (!named.is_empty()).then(|| bounded(&named.join(" ")));
        self.scope = request.scope.map(bounded);
    }

    /// Whose token it is; its claims too, where they are logged.
    pub(crate) fn verified(&mut self, verified: &VerifiedClaims, log_claims: bool) {
        self.entry = Some(verified.entry().to_string());
        self.subject = Some(bounded(verified.subject().as_str()));
        self.claims = log_claims.then(|| serde_json::Value::Object(verified.claims().to_map()));
    }

    /// Which identity came nearest, and what it failed on.
    pub(crate) fn refused_by(&mut self, decision: &Decision) {
        let Some(nearest) = decision.trace.first() else { return };
        self.nearest = Some(format!("{}/{}", nearest.account, nearest.identity));
        self.failed = nearest.conditions.iter().find(|condition| !condition.holds).map(|condition| FailedCondition {
            on: bounded(&condition.on),
            expected: bounded(&condition.expected),
            actual: condition.actual.as_deref().map(bounded),
        });
    }

    /// What was minted, and is recorded.
    pub(crate) fn recorded(&mut self, record: &TokenRecord) {
        self.identity = Some(record.identity.to_string());
        self.audience = Some(record.audience.to_string());
        self.scope = Some(record.scope.to_string());
        self.jti = Some(record.jti.to_string());
    }

    /// The event of an exchange that came to `refused`, or was granted.
    pub(crate) fn into_event(
        self,
        snapshot: &Snapshot,
        context: &RequestContext,
        clock: &dyn Clock,
        phases: PhaseTimes,
        refused: Option<&Refused>,
    ) -> DecisionEvent {
        let reason = refused.map(|refused| refused.reason);
        DecisionEvent {
            event: "decision",
            version: EVENT_VERSION,
            time: rfc3339_millis(clock.now_millis()),
            request_id: context.request_id.to_string(),
            outcome: Outcome::of(reason),
            reason,
            detail: refused.and_then(|refused| refused.detail.as_deref()).map(str::to_owned),
            issuer_entry: self.entry,
            subject: self.subject,
            account: self.account,
            identity: self.identity,
            nearest_identity: self.nearest,
            failing_condition: self.failed,
            audience: self.audience,
            scope: self.scope,
            jti: self.jti,
            generation: snapshot.generation.clone(),
            source: context.source,
            duration_us: u64::try_from(phases.total().as_micros()).unwrap_or(u64::MAX),
            claims: self.claims,
            phases,
        }
    }
}

/// At most [`MAX_EVENT_TEXT`] bytes of `text`.
fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_EVENT_TEXT);
    match text.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => format!("{start}..."),
        _ => text.to_owned(),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn rfc3339_millis(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        .unwrap_or_default()
}
