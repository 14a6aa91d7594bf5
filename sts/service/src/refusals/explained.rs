//! From the facts of an exchange to what is remembered of its refusal.

use std::net::IpAddr;

use serde_json::json;
use sts_policy::{Decision, Diagnosis, RequestedAccount};
use sts_store::{RefusalShare, StoredRefusal};
use sts_types::{EntryName, Issuer, UnixTime};

use super::RememberedRefusal;
use crate::Reason;
use crate::decision_record::EndedExchange;
use crate::diagnosis::{RefusedRequest, diagnose};
use crate::event::nearest_miss;
use crate::presented::PresentedToken;
use crate::redact::{redacted, without_secrets};

/// The longest trace that is remembered, in bytes of its JSON.
const MAX_TRACE: usize = 8 * 1024;
/// The longest texts that are remembered, in bytes.
const MAX_LINE: usize = 2048;
/// So many shares of the space one account of one issuer entry has. Each caller's network takes one of them.
const LANES: u64 = 16;

/// The cause when there was no time to look for it.
const NOT_LOOKED_FOR: &str = "the cause was not looked for, since too many requests were refused at once";

/// How far a refused request came, as far as its share of the space is concerned.
#[derive(Clone, Copy)]
enum RefusalStage {
    /// It names no issuer of ours.
    Stranger = 0,
    /// It names an issuer of ours, and nobody has verified that.
    Named = 1,
    /// A key of the issuer verified its token.
    Verified = 2,
}

impl RememberedRefusal {
    /// The refusal that `exchange` ended in, with its share of the space; `None` if it was not refused. The trace and the diagnosis
    /// are left out if `is_brief`.
    pub(crate) fn of(exchange: &EndedExchange, is_brief: bool) -> Option<(Self, RefusalShare)> {
        let refused = exchange.conclusion.refused()?;
        let record = &exchange.record;
        let rules = &exchange.snapshot.rules;
        let claims = record.claims.as_ref();
        let presented = record.token.as_ref().and_then(|token| PresentedToken::of(token, claims));
        let (standing, entry) = standing(exchange, presented.as_ref());
        let decision = record
            .denied
            .as_ref()
            .zip(claims)
            .filter(|_| !is_brief)
            .map(|((requested, now), claims)| bounded_trace(rules.explain(claims.facts(*now), requested)));
        let (nearest_identity, failing_condition) = nearest_miss(decision.as_ref());
        let account = record.account.clone().or_else(|| match record.denied.as_ref()?.0.account {
            RequestedAccount::Known(index) => rules.account_name(index).map(ToString::to_string),
            RequestedAccount::Any | RequestedAccount::Nobody => None,
        });
        let diagnosis = if is_brief {
            Diagnosis::new(refused.reason.name(), NOT_LOOKED_FOR)
        } else {
            diagnosis(exchange, entry.as_ref())
        };
        let share = share(standing, entry.as_ref(), account.as_deref(), exchange.source);
        let asked = record.asked.as_ref();
        let refusal = Self {
            request_id: exchange.request_id.clone(),
            time: seconds(exchange.ended_millis),
            summary: bounded(&diagnosis.line()),
            diagnosis,
            told: refused.text().to_owned(),
            issuer_entry: entry.map(|entry| entry.to_string()),
            subject: claims.map(|claims| redacted(claims.subject().as_str())),
            account,
            nearest_identity,
            failing_condition,
            presented,
            asked: asked.map(|asked| asked.names().map(|name| redacted(name)).collect()).unwrap_or_default(),
            scope: asked.and_then(|asked| asked.scope.as_deref()).map(redacted),
            source: exchange.source,
            generation: exchange.snapshot.generation.clone(),
            text: decision.as_ref().map(sts_policy::render).unwrap_or_default(),
            decision: decision.map(|decision| json!(decision)),
        };
        Some((refusal, share))
    }

    /// As it is kept; `None` for one that is not kept: what the limit turned away would only push out the others.
    pub(crate) fn to_stored(&self, time_millis: u64, share: RefusalShare) -> Option<StoredRefusal> {
        if self.diagnosis.reason == Reason::RateLimited.name() {
            return None;
        }
        let payload = serde_json::to_value(self).ok()?;
        Some(StoredRefusal { request_id: self.request_id.clone(), time_millis, share, payload })
    }
}

/// How far the request came, and the issuer entry that it names if that is certain.
fn standing(exchange: &EndedExchange, presented: Option<&PresentedToken>) -> (RefusalStage, Option<EntryName>) {
    let record = &exchange.record;
    if let Some(claims) = &record.claims {
        return (RefusalStage::Verified, Some(claims.entry().clone()));
    }
    let issuer = presented.and_then(|token| Issuer::new(token.iss.as_deref()?).ok());
    let named = issuer.as_ref().map_or(&[][..], |issuer| exchange.snapshot.trust.entries(issuer));
    let entry = record.entry.clone().or_else(|| match named {
        [only] => Some(only.entry.clone()),
        _ => None,
    });
    let is_named = entry.is_some() || !named.is_empty();
    (if is_named { RefusalStage::Named } else { RefusalStage::Stranger }, entry)
}

fn diagnosis(exchange: &EndedExchange, entry: Option<&EntryName>) -> Diagnosis {
    let record = &exchange.record;
    let Some(refused) = exchange.conclusion.refused() else { return Diagnosis::default() };
    let asked = record.asked.clone().unwrap_or_default();
    let diagnosis = diagnose(
        &exchange.snapshot,
        &RefusedRequest {
            refused,
            token: record.token.as_ref().map(|token| token.as_str()),
            entry,
            claims: record.claims.as_ref().map(sts_token::ObservedClaims::claims),
            asked: asked.as_asked(),
            now: record.denied.as_ref().map_or_else(|| seconds(exchange.ended_millis), |(_, now)| *now),
            earlier_use: record.earlier_use.as_ref(),
        },
    );
    // Whatever a caller wrote where: what is remembered is read by more people than the request was.
    Diagnosis {
        reason: diagnosis.reason,
        cause: without_secrets(diagnosis.cause),
        claim: diagnosis.claim.map(without_secrets),
        actual: diagnosis.actual.map(without_secrets),
        expected: diagnosis.expected,
        fix: diagnosis.fix.map(without_secrets),
    }
}

/// Its share of the space. Nothing that a stranger can choose freely is part of it, but for the lane: one noisy network fills a
/// lane, and leaves the others.
fn share(
    standing: RefusalStage,
    entry: Option<&EntryName>,
    account: Option<&str>,
    source: Option<IpAddr>,
) -> RefusalShare {
    let lane = lane(source).to_be_bytes();
    let entry = entry.map_or("", EntryName::as_str);
    let kind = [standing as u8];
    let digest = sts_jose::digest_of_parts(&[&kind, entry.as_bytes(), account.unwrap_or("").as_bytes(), &lane]);
    let number = digest.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    RefusalShare { is_small: matches!(standing, RefusalStage::Stranger), number }
}

/// By the network of the caller: /24 for IPv4, /64 for IPv6.
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

/// Without the identities that do not fit, the farthest first.
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
