//! Turns the facts of a refused exchange into the remembered refusal.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use sts_audit::PresentedToken;
use sts_policy::{Decision, Diagnosis, RequestedAccount};
use sts_store::{RefusalPayload, RefusalShare, StoredRefusal};
use sts_token::ObservedClaims;
use sts_types::{EntryName, Issuer, UnixTime};

use super::RememberedRefusal;
use crate::decision_record::{Conclusion, DecisionRecord, EndedExchange};
use crate::diagnosis::{RefusedRequest, diagnose, diagnose_unread};
use crate::event::subject;
use crate::nearest_miss::nearest_miss;
use crate::presented::presented_token;
use crate::redact::{redacted, without_secrets};

/// The longest trace to remember, in octets of its JSON.
const MAX_TRACE: usize = 8 * 1024;
/// The longest text to remember, in octets.
const MAX_LINE: usize = 2048;
/// How many shares of the space one account of one issuer entry has. Each caller's network uses one
/// of them.
const LANES: u64 = 16;

/// The cause if there was no time to look for it.
const NOT_LOOKED_FOR: &str = "the cause was not looked for, since too many requests were refused at once";

/// How far a refused request got. This decides its share of the space.
#[derive(Clone, Copy)]
enum RefusalStage {
    /// It names no configured issuer.
    Stranger = 0,
    /// It names a configured issuer, unverified.
    Named = 1,
    /// A key of the issuer verified its token.
    Verified = 2,
}

impl RememberedRefusal {
    /// The refusal of `exchange` and its share of the space. It has no share if it is not remembered.
    /// `None` if the exchange was not refused. If `is_brief`, the trace and the diagnosis are left out.
    pub(crate) fn of(exchange: &EndedExchange, is_brief: bool) -> Option<(Self, Option<RefusalShare>)> {
        let (told, is_kept) = match &exchange.conclusion {
            Conclusion::Refused(refused) => (refused.text(), true),
            Conclusion::Unread(refusal) => (refusal.text(), refusal.is_remembered),
            Conclusion::Granted | Conclusion::Abandoned => return None,
        };
        let record = &exchange.record;
        let rules = &exchange.snapshot.rules;
        let claims = record.claims.as_ref();
        let at_fault = claims_at_fault(record);
        let presented = record.token.as_ref().and_then(|token| presented_token(token, at_fault));
        let (stage, entry) = stage_and_entry(exchange, presented.as_ref());
        let decision = record.denied.as_ref().zip(claims).filter(|_| !is_brief).map(|((requested, now), claims)| {
            let facts = claims.facts(&*exchange.snapshot.memberships, *now);
            bounded_trace(rules.explain(facts, requested))
        });
        let (nearest_identity, failing_condition) = nearest_miss(decision.as_ref());
        let account = record.account.clone().or_else(|| match record.denied.as_ref()?.0.account {
            RequestedAccount::Known(index) => rules.account_name(index).map(ToString::to_string),
            RequestedAccount::Any | RequestedAccount::Nobody => None,
        });
        let diagnosis = if is_brief {
            Diagnosis::new(exchange.conclusion.reason().unwrap_or_default(), NOT_LOOKED_FOR)
        } else {
            diagnosis(exchange, entry.as_ref())
        };
        let share = share(stage, entry.as_ref(), account.as_deref(), exchange.source);
        let asked = record.asked.as_ref();
        let refusal = Self {
            request_id: exchange.request_id.clone(),
            time: seconds(exchange.ended_millis),
            summary: bounded(&diagnosis.line()),
            diagnosis,
            told: told.to_owned(),
            issuer_entry: entry.map(|entry| entry.to_string()),
            subject: subject(record),
            account,
            nearest_identity,
            failing_condition,
            presented,
            origin: if is_brief { Map::new() } else { origin(exchange) },
            asked: asked.map(|asked| asked.names().map(|name| redacted(name)).collect()).unwrap_or_default(),
            scope: asked.and_then(|asked| asked.scope.as_deref()).map(redacted),
            source: exchange.source,
            generation: exchange.snapshot.generation.clone(),
            text: decision.as_ref().map(sts_policy::render).unwrap_or_default(),
            decision: decision.map(|decision| json!(decision)),
        };
        Some((refusal, is_kept.then_some(share)))
    }

    /// The stored form.
    pub(crate) fn to_stored(&self, time_millis: u64, share: RefusalShare) -> Option<StoredRefusal> {
        let payload = RefusalPayload::of(self).ok()?;
        Some(StoredRefusal { request_id: self.request_id.clone(), time_millis, share, payload })
    }
}

/// How far the request got, and its issuer entry if that is certain.
fn stage_and_entry(exchange: &EndedExchange, presented: Option<&PresentedToken>) -> (RefusalStage, Option<EntryName>) {
    let record = &exchange.record;
    if let Some(claims) = &record.claims {
        return (RefusalStage::Verified, Some(claims.entry().clone()));
    }
    if record.parent.is_some() || record.proof_refusal.is_some() {
        return (RefusalStage::Verified, record.progress.entry().cloned());
    }
    let issuer = presented.and_then(|token| Issuer::new(token.iss.as_deref()?).ok());
    let named = issuer.as_ref().map_or(&[][..], |issuer| exchange.snapshot.trust.entries(issuer));
    let entry = record.progress.entry().cloned().or_else(|| match named {
        [only] => Some(only.entry.clone()),
        _ => None,
    });
    let is_ours = issuer.as_ref() == Some(&exchange.snapshot.issuer);
    let is_named = entry.is_some() || !named.is_empty() || is_ours;
    (if is_named { RefusalStage::Named } else { RefusalStage::Stranger }, entry)
}

/// The verified claims of the token that a refusal is about.
fn claims_at_fault(record: &DecisionRecord) -> Option<&ObservedClaims> {
    record.claims.as_ref().filter(|_| !record.is_at_actor)
}

/// The claims that tell where the token comes from, without those that look like a secret.
fn origin(exchange: &EndedExchange) -> Map<String, Value> {
    let Some(claims) = claims_at_fault(&exchange.record) else { return Map::new() };
    let facts = claims.facts(&*exchange.snapshot.memberships, seconds(exchange.ended_millis));
    let mut origin = exchange.snapshot.rules.origin_claims(facts);
    origin.retain(|_, value| value.as_str().is_none_or(|text| without_secrets(text.to_owned()) == text));
    origin
}

fn diagnosis(exchange: &EndedExchange, entry: Option<&EntryName>) -> Diagnosis {
    let record = &exchange.record;
    let refused = match &exchange.conclusion {
        Conclusion::Refused(refused) => refused,
        Conclusion::Unread(refusal) => return diagnose_unread(refusal),
        Conclusion::Granted | Conclusion::Abandoned => return Diagnosis::default(),
    };
    if let Some(cause) = &record.proof_refusal {
        let found = cause.diagnosis(&exchange.snapshot);
        return Diagnosis { reason: refused.reason.name().into(), ..found };
    }
    let asked = record.asked.clone().unwrap_or_default();
    let diagnosis = diagnose(
        &exchange.snapshot,
        &RefusedRequest {
            refused,
            token: record.token.as_ref().map(|token| token.as_str()),
            entry,
            claims: claims_at_fault(record).map(ObservedClaims::claims),
            asked: asked.request_names(),
            now: record.denied.as_ref().map_or_else(|| seconds(exchange.ended_millis), |(_, now)| *now),
            earlier_use: record.earlier_use.as_ref(),
        },
    );
    // A caller may have put a secret anywhere. More people read a remembered refusal than saw the
    // request.
    Diagnosis {
        reason: diagnosis.reason,
        cause: without_secrets(diagnosis.cause),
        claim: diagnosis.claim.map(without_secrets),
        actual: diagnosis.actual.map(without_secrets),
        expected: diagnosis.expected,
        fix: diagnosis.fix.map(without_secrets),
    }
}

/// The share of the space. A stranger can freely choose nothing in it but the lane. One noisy
/// network fills one lane and leaves the others free.
fn share(
    stage: RefusalStage,
    entry: Option<&EntryName>,
    account: Option<&str>,
    source: Option<IpAddr>,
) -> RefusalShare {
    let lane = lane(source).to_be_bytes();
    let entry = entry.map_or("", EntryName::as_str);
    let kind = [stage as u8];
    let digest = sts_jose::digest_of_parts(&[&kind, entry.as_bytes(), account.unwrap_or("").as_bytes(), &lane]);
    let number = digest.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    RefusalShare { is_small: matches!(stage, RefusalStage::Stranger), number }
}

/// The lane of the caller's network: /24 for IPv4, /64 for IPv6.
fn lane(source: Option<IpAddr>) -> u64 {
    let network = match source {
        None => [0; 8],
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0, 0]
        }
        Some(IpAddr::V6(address)) => address.octets().first_chunk().copied().unwrap_or_default(),
    };
    let digest = sts_jose::sha256(&network);
    digest.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) % LANES
}

/// Drops identities from the trace until it fits, the farthest first.
fn bounded_trace(mut decision: Decision) -> Decision {
    while decision.trace.len() > 1 && serde_json::to_vec(&decision).is_ok_and(|written| written.len() > MAX_TRACE) {
        let fewer = decision.trace.len() / 2;
        decision.trace.truncate(fewer);
    }
    decision
}

fn bounded(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_LINE)).unwrap_or_default().to_owned()
}

fn seconds(millis: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(millis / 1000).unwrap_or(i64::MAX))
}
