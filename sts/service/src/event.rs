//! The decision event of an exchange, and the seam to the audit trail.

use std::time::Duration;

use sts_audit::{
    Act, Actor, ActorKind, DecisionEvent, DecisionTag, EVENT_VERSION, EarlierExchange, Level, Outcome, PhaseMicros,
    ProofKind,
};
use sts_types::Proof;

use crate::Reason;
use crate::decision_record::{Conclusion, DecisionRecord, EndedExchange};
use crate::grant::GrantType;
use crate::phase::{Phase, PhaseTimes};
use crate::redact::redacted;
use crate::refusals::RememberedRefusal;

/// Times of an exchange that metrics know and its event does not, or not in this form.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeTimes {
    /// Time spent in each phase.
    pub phases: PhaseTimes,
    /// How long the answer was then held back.
    pub held: Duration,
}

/// The event of an exchange. `refusal` is given if the exchange was refused.
pub(crate) fn decision_event(exchange: EndedExchange, refusal: Option<&RememberedRefusal>) -> DecisionEvent {
    let EndedExchange { snapshot, request_id, source, ended_millis, phases, record, conclusion } = exchange;
    let claims = record.claims.as_ref();
    let minted = record.minted.as_ref();
    let asked = record.asked.as_ref();
    let names = asked.map(|asked| asked.names().map(String::as_str).collect::<Vec<_>>().join(" "));
    let names = names.filter(|names| !names.is_empty()).map(|names| redacted(&names));
    let outcome = outcome_of(&conclusion);
    DecisionEvent {
        level: if outcome == Outcome::Unavailable { Level::Warn } else { Level::Info },
        event: DecisionTag::Decision,
        version: EVENT_VERSION,
        time: sts_types::rfc3339_millis(ended_millis).unwrap_or_default(),
        request_id: request_id.to_string(),
        actor_kind: ActorKind::Caller,
        outcome,
        reason: conclusion.reason(),
        detail: conclusion.detail().map(str::to_owned),
        grant: record.grant.map(GrantType::name),
        proof: minted.map(|minted| proof_kind(&minted.proof)),
        actor: minted.and_then(|minted| minted.actor.as_ref()).map(|actor| actor.account.to_string()),
        issuer_entry: (record.progress.entry().map(ToString::to_string))
            .or_else(|| refusal.and_then(|refusal| refusal.issuer_entry.clone())),
        subject: subject(&record),
        account: record.account.or_else(|| refusal.and_then(|refusal| refusal.account.clone())),
        identity: minted.and_then(|minted| minted.proof.federated()).map(|proof| proof.identity.to_string()),
        api_key: minted.and_then(|minted| minted.proof.api_key()).map(|key| key.id.to_string()),
        nearest_identity: refusal.and_then(|refusal| refusal.nearest_identity.clone()),
        failing_condition: refusal.and_then(|refusal| refusal.failing_condition.clone()),
        cause: refusal.map(|refusal| refusal.diagnosis.cause.clone()).map(|cause| redacted(&cause)),
        presented: refusal.and_then(|refusal| refusal.presented.clone()),
        presented_sha256: record.token.as_ref().and_then(|token| digest(token)),
        earlier_use: record.earlier_use.as_ref().map(|earlier| EarlierExchange {
            time: sts_types::rfc3339_millis(earlier.at_millis).unwrap_or_default(),
            request_id: earlier.request_id.to_string(),
        }),
        audience: minted.map(|minted| minted.audience.to_string()).or(names),
        scope: minted.map(|minted| minted.scope.to_string()).or_else(|| asked?.scope.as_deref().map(redacted)),
        jti: minted.map(|minted| minted.jti.to_string()),
        kid: minted.map(|minted| minted.kid.to_string()),
        generation: snapshot.generation.clone(),
        source,
        duration_us: micros(phases.total()),
        phases_us: phase_micros(&phases),
        claims: claims.filter(|_| snapshot.log_claims).map(|claims| claims.claims().to_map()),
    }
}

fn proof_kind(proof: &Proof) -> ProofKind {
    match proof {
        Proof::Federated(_) => ProofKind::Federated,
        Proof::ApiKey(_) => ProofKind::ApiKey,
        Proof::Own(_) => ProofKind::Own,
    }
}

/// The digest of a presented token. What has not the form of one may be a secret in the wrong place.
fn digest(token: &str) -> Option<String> {
    let is_token = token.bytes().filter(|byte| *byte == b'.').count() == 2;
    is_token.then(|| sts_jose::sha256(token.as_bytes()).to_hex())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn phase_micros(times: &PhaseTimes) -> PhaseMicros {
    let of = |phase| times.of(phase).map(micros);
    PhaseMicros {
        receive: of(Phase::Receive),
        parse: of(Phase::Parse),
        keys: of(Phase::Keys),
        verify: of(Phase::Verify),
        decide: of(Phase::Decide),
        mint: of(Phase::Mint),
        record: of(Phase::Record),
    }
}

/// `sub` of the presented token, once verified. That of a token of ours is an account's id.
pub(crate) fn subject(record: &DecisionRecord) -> Option<String> {
    let of_claims = record.claims.as_ref().map(|claims| redacted(claims.subject().as_str()));
    of_claims.or_else(|| record.parent.as_ref().map(|parent| parent.account.to_string()))
}

/// The outcome of an exchange that ended so.
fn outcome_of(conclusion: &Conclusion) -> Outcome {
    match conclusion {
        Conclusion::Granted => Outcome::Granted,
        Conclusion::Refused(refused) => outcome_of_refusal(refused.reason),
        Conclusion::Unread(_) => Outcome::Refused,
        Conclusion::Abandoned => Outcome::Abandoned,
    }
}

/// The outcome of a refusal for `reason`.
#[must_use]
pub const fn outcome_of_refusal(reason: Reason) -> Outcome {
    match reason {
        Reason::IssuerUnavailable
        | Reason::StoreUnavailable
        | Reason::SignerUnavailable
        | Reason::AuditUnavailable
        | Reason::ServerError => Outcome::Unavailable,
        _ => Outcome::Refused,
    }
}

/// The audit trail, as this crate sees it.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one decision on the observers' thread. While it blocks, no other one is delivered.
    fn decision(&self, event: &DecisionEvent, times: &ExchangeTimes);

    /// Says that the next decision may take a while, so that the previous ones must not wait for it.
    fn end_batch(&self) {}

    /// Takes another event. Must not block.
    fn record(&self, actor: &Actor, act: Act);

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
