//! Recent requests with a verified ID token, kept in memory so that a dry run can tell which of them
//! a change would decide otherwise.

use std::hash::BuildHasher;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sts_policy::{Facts, RequestedNames};
use sts_token::ObservedClaims;
use sts_types::{RequestId, UnixTime};

use crate::decision_record::{Conclusion, EndedExchange, NamesInRequest};

/// The most requests to keep. Each holds the claims of one token.
const MAX_DECISIONS: u64 = 1024;
/// How long a request counts as recent, in seconds: as long as a refusal is remembered.
const RECENT: i64 = 24 * 60 * 60;

/// The latest request of each subject for each account and target. Nothing of it is stored or shown
/// but the request id, the issuer entry and the subject.
pub struct RecentDecisions {
    held: Cache<u64, Arc<RecentDecision>>,
    hasher: std::hash::RandomState,
}

impl std::fmt::Debug for RecentDecisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecentDecisions").field("held", &self.held.entry_count()).finish_non_exhaustive()
    }
}

impl Default for RecentDecisions {
    fn default() -> Self {
        let held = Cache::builder().max_capacity(MAX_DECISIONS).eviction_policy(EvictionPolicy::lru()).build();
        Self { held, hasher: std::hash::RandomState::new() }
    }
}

/// A request that was granted or refused.
pub(crate) struct RecentDecision {
    request_id: RequestId,
    ended_millis: u64,
    claims: ObservedClaims,
    asked: NamesInRequest,
}

impl RecentDecisions {
    /// Keeps the request of `exchange`, if a key of its issuer verified the token.
    pub(crate) fn observe(&self, exchange: &EndedExchange) {
        let record = &exchange.record;
        let (Some(claims), Some(asked)) = (&record.claims, &record.asked) else { return };
        if !matches!(exchange.conclusion, Conclusion::Granted | Conclusion::Refused(_)) {
            return;
        }
        // The claims of a workload differ from run to run, so they are no part of the key.
        let key = self.hasher.hash_one((
            claims.entry(),
            claims.subject().as_str(),
            &asked.audience,
            &asked.resource,
            &asked.scope,
        ));
        let decision = RecentDecision {
            request_id: exchange.request_id.clone(),
            ended_millis: exchange.ended_millis,
            claims: claims.clone(),
            asked: asked.clone(),
        };
        self.held.insert(key, Arc::new(decision));
    }

    /// The requests of the last 24 hours, newest first.
    pub(crate) fn since_yesterday(&self, now: UnixTime) -> Vec<Arc<RecentDecision>> {
        let oldest = u64::try_from(now.as_secs().saturating_sub(RECENT)).unwrap_or(0).saturating_mul(1000);
        let held = self.held.iter().map(|(_, decision)| decision);
        let mut recent: Vec<_> = held.filter(|decision| decision.ended_millis >= oldest).collect();
        recent.sort_by(|a, b| (b.ended_millis, b.request_id.as_str()).cmp(&(a.ended_millis, a.request_id.as_str())));
        recent
    }
}

impl RecentDecision {
    pub(crate) fn facts(&self, now: UnixTime) -> Facts<'_> {
        self.claims.facts(now)
    }

    pub(crate) fn names(&self) -> RequestedNames<'_> {
        self.asked.request_names()
    }

    /// The request in words, for the person who makes the change.
    pub(crate) fn label(&self) -> String {
        let subject = crate::redact::redacted(self.claims.subject().as_str());
        format!("request {} of {} subject {subject}", self.request_id.as_str(), self.claims.entry())
    }
}
