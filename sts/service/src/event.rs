//! The decision event: one for every exchange, whatever became of it (DESIGN section 8).

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::net::IpAddr;

use crate::Reason;
use crate::phase::PhaseTimes;

/// The version of the event's form; it changes when a field changes its meaning or goes.
pub const EVENT_VERSION: u32 = 1;

/// What became of one exchange. It never holds a token.
#[derive(Clone, Debug, Serialize)]
pub struct DecisionEvent {
    /// Always `decision`.
    pub event: &'static str,
    /// [`EVENT_VERSION`].
    pub version: u32,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// The request's id.
    pub request_id: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The stable reason; `granted` has none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "reason_name")]
    pub reason: Option<Reason>,
    /// Which rule of that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The issuer entry, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// The subject token's `sub`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The account: granted, or named by the request and existing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The identity that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The identity that came nearest, `account/identity`, when policy refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_identity: Option<String>,
    /// The first condition of it that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_condition: Option<FailedCondition>,
    /// The minted `aud`; when refused, the values of `audience` and `resource` that were asked for, joined by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The minted `scope`; when refused, the one asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The minted `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The snapshot it ran under.
    pub generation: String,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// From arrival to decision.
    pub duration_us: u64,
    /// The token's claims, with `log.claims: true`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// Where the time went: for measuring, and not written.
    #[serde(skip)]
    pub phases: PhaseTimes,
}

/// What an exchange came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A token was minted.
    Granted,
    /// The request, its token or the rules do not allow it.
    Refused,
    /// Nothing was judged to the end.
    Unavailable,
}

impl Outcome {
    /// What a refusal for `reason` is; granted when there is none.
    #[must_use]
    pub const fn of(reason: Option<Reason>) -> Self {
        match reason {
            None => Self::Granted,
            Some(Reason::IssuerUnavailable | Reason::StoreUnavailable | Reason::ServerError) => Self::Unavailable,
            Some(_) => Self::Refused,
        }
    }

    /// The name in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

fn reason_name<S: Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.map(Reason::name).serialize(serializer)
}

/// A condition that a token did not meet.
#[derive(Clone, Debug, Serialize)]
pub struct FailedCondition {
    /// `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants.
    pub expected: String,
    /// What the token has; absent when the claim is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

/// Where decision events go.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event; must not block on anything slow.
    fn decision(&self, event: &DecisionEvent);
}

/// The JSON Schema of the event in `log.format: json`.
#[must_use]
pub fn event_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sts decision event",
        "description": "One JSON line for every exchange. It never holds a token.",
        "type": "object",
        "additionalProperties": false,
        "required": ["event", "version", "time", "request_id", "outcome", "generation", "duration_us"],
        "properties": {
            "event": { "const": "decision" },
            "version": { "const": EVENT_VERSION },
            "time": { "type": "string", "format": "date-time", "description": "UTC, milliseconds" },
            "request_id": text("the ULID that the caller was given, also in `X-Request-Id`"),
            "outcome": { "enum": ["granted", "refused", "unavailable"] },
            "reason": { "enum": crate::Reason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>(), "description": "absent when granted" },
            "detail": text("which rule of that reason"),
            "issuer_entry": text("the issuer entry, once known"),
            "subject": text("the subject token's `sub`, once verified"),
            "account": text("the account's username"),
            "identity": text("the identity that decided"),
            "nearest_identity": text("`account/identity` that came nearest, when policy refused"),
            "failing_condition": {
                "type": "object",
                "additionalProperties": false,
                "required": ["on", "expected"],
                "properties": {
                    "on": text("`subject`, `audience`, or a claim's name or pointer"),
                    "expected": text("what the rule wants"),
                    "actual": text("what the token has; absent when the claim is"),
                },
            },
            "audience": text("the minted `aud`; when refused, the `audience` and `resource` asked for"),
            "scope": text("the minted `scope`; when refused, the one asked for"),
            "jti": text("the minted `jti`"),
            "generation": text("the snapshot it ran under"),
            "source": text("the caller's address"),
            "duration_us": { "type": "integer", "minimum": 0, "description": "from arrival to decision, in microseconds" },
            "claims": { "type": "object", "description": "the subject token's claims, with `log.claims: true`" },
        },
    })
}
