//! The decision event: one for every exchange, whatever its outcome.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sts_types::Proof;

use crate::Reason;
use crate::decision_record::{Conclusion, DecisionRecord, EndedExchange};
use crate::grant::GrantType;
use crate::nearest_miss::FailedCondition;
use crate::phase::PhaseTimes;
use crate::presented::PresentedToken;
use crate::redact::redacted;
use crate::refusals::RememberedRefusal;

/// The version of the event's format. It changes if a field changes its meaning or goes.
pub const EVENT_VERSION: u32 = 2;

/// The outcome of one exchange. It never contains a token.
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
    /// The outcome.
    pub outcome: Outcome,
    /// The stable reason. Absent if granted or abandoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Which rule of that reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The grant, if the request names one that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<&'static str>,
    /// What the caller proved: `federated`, `api_key`, or `own` for a token of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<&'static str>,
    /// The id of the account that acts, if the minted token has an actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The issuer entry, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// The subject token's `sub`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The account: the granted one, or the existing one that the request names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The identity that granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The nearest identity, `account/identity`, if policy refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_identity: Option<String>,
    /// Its first condition that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_condition: Option<FailedCondition>,
    /// Why it was refused, for the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What a refused token claims about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presented: Option<PresentedToken>,
    /// The exchange that used up a one-use token, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_use: Option<EarlierExchange>,
    /// The minted `aud`. If refused, the requested values of `audience` and `resource`, joined by
    /// spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The minted `scope`. If refused, the requested one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The minted `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The generation of the snapshot.
    pub generation: String,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// From arrival to decision, in microseconds.
    pub duration_us: u64,
    /// The token's claims with `log.claims: true`, once verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// Time spent in each phase. For metrics; not written.
    #[serde(skip)]
    pub phases: PhaseTimes,
    /// How long the answer was then held back. For metrics; not written.
    #[serde(skip)]
    pub held: Duration,
}

impl DecisionEvent {
    /// The event of an exchange. `refusal` is given if the exchange was refused.
    pub(crate) fn of(exchange: EndedExchange, refusal: Option<&RememberedRefusal>) -> Self {
        let EndedExchange { snapshot, request_id, source, ended_millis, phases, record, conclusion } = exchange;
        let claims = record.claims.as_ref();
        let minted = record.minted.as_ref();
        let asked = record.asked.as_ref();
        let names = asked.map(|asked| asked.names().map(String::as_str).collect::<Vec<_>>().join(" "));
        let names = names.filter(|names| !names.is_empty()).map(|names| redacted(&names));
        Self {
            event: "decision",
            version: EVENT_VERSION,
            time: sts_types::rfc3339_millis(ended_millis).unwrap_or_default(),
            request_id: request_id.to_string(),
            outcome: Outcome::of(&conclusion),
            reason: conclusion.reason(),
            detail: conclusion.detail().map(str::to_owned),
            grant: record.grant.map(GrantType::name),
            proof: minted.map(|minted| match &minted.proof {
                Proof::Federated(_) => "federated",
                Proof::ApiKey(_) => "api_key",
                Proof::Own(_) => "own",
            }),
            actor: minted.and_then(|minted| minted.actor.as_ref()).map(|actor| actor.account.to_string()),
            issuer_entry: (record.progress.entry().map(ToString::to_string))
                .or_else(|| refusal.and_then(|refusal| refusal.issuer_entry.clone())),
            subject: subject(&record),
            account: record.account.or_else(|| refusal.and_then(|refusal| refusal.account.clone())),
            identity: minted.and_then(|minted| minted.proof.federated()).map(|proof| proof.identity.to_string()),
            nearest_identity: refusal.and_then(|refusal| refusal.nearest_identity.clone()),
            failing_condition: refusal.and_then(|refusal| refusal.failing_condition.clone()),
            cause: refusal.map(|refusal| refusal.diagnosis.cause.clone()).map(|cause| redacted(&cause)),
            presented: refusal.and_then(|refusal| refusal.presented.clone()),
            earlier_use: record.earlier_use.as_ref().map(|earlier| EarlierExchange {
                time: sts_types::rfc3339_millis(earlier.at_millis).unwrap_or_default(),
                request_id: earlier.request_id.to_string(),
            }),
            audience: minted.map(|minted| minted.audience.to_string()).or(names),
            scope: minted.map(|minted| minted.scope.to_string()).or_else(|| asked?.scope.as_deref().map(redacted)),
            jti: minted.map(|minted| minted.jti.to_string()),
            generation: snapshot.generation.clone(),
            source,
            duration_us: u64::try_from(phases.total().as_micros()).unwrap_or(u64::MAX),
            claims: claims.filter(|_| snapshot.log_claims).map(|claims| Value::Object(claims.claims().to_map())),
            phases,
            held: record.held,
        }
    }
}

/// `sub` of the presented token, once verified. That of a token of ours is an account's id.
pub(crate) fn subject(record: &DecisionRecord) -> Option<String> {
    let of_claims = record.claims.as_ref().map(|claims| redacted(claims.subject().as_str()));
    of_claims.or_else(|| record.parent.as_ref().map(|parent| parent.account.to_string()))
}

/// The outcome of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A token was minted.
    Granted,
    /// The request, its token or the rules do not allow it.
    Refused,
    /// The exchange could not be decided.
    Unavailable,
    /// The caller hung up before there was an answer.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Granted, Self::Refused, Self::Unavailable, Self::Abandoned];

    pub(crate) fn of(conclusion: &Conclusion) -> Self {
        match conclusion {
            Conclusion::Granted => Self::Granted,
            Conclusion::Refused(refused) => Self::of_refusal(refused.reason),
            Conclusion::Unread(_) => Self::Refused,
            Conclusion::Abandoned => Self::Abandoned,
        }
    }

    /// The outcome of a refusal for `reason`.
    #[must_use]
    pub const fn of_refusal(reason: Reason) -> Self {
        match reason {
            Reason::IssuerUnavailable
            | Reason::StoreUnavailable
            | Reason::SignerUnavailable
            | Reason::AuditUnavailable
            | Reason::ServerError => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// The name in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The exchange that used up a one-use token.
#[derive(Clone, Debug, Serialize)]
pub struct EarlierExchange {
    /// RFC 3339 in UTC.
    pub time: String,
    /// Its request.
    pub request_id: String,
}

/// Receives decision events.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event on the observers' thread. While it blocks, no other event is delivered.
    fn decision(&self, event: &DecisionEvent);

    /// Whether an exchange is refused if its event could not be delivered.
    fn is_required(&self) -> bool {
        false
    }

    /// Whether `waiting` pending events and one more could be delivered. False if no sink could
    /// take them and one must.
    fn is_available(&self, _waiting: usize) -> bool {
        true
    }
}
