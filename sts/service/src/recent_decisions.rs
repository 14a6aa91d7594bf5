//! Recent requests with a verified ID token, kept in memory so that a dry run can tell which of them
//! a change would decide otherwise.

use std::hash::BuildHasher;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use sts_policy::{Facts, Memberships, RequestedNames};
use sts_token::ObservedClaims;
use sts_types::{RequestId, UnixTime};

use crate::decision_record::{Conclusion, EndedExchange, NamesInRequest};

/// The most granted requests to keep, and the most refused ones. Each holds the claims of one token.
const MAX_DECISIONS: u64 = 512;
/// How long a request counts as recent, in seconds: as long as a refusal is remembered.
const RECENT: i64 = 24 * 60 * 60;

/// The latest request of each subject for each account and target. Nothing of it is stored or shown
/// but the request id, the issuer entry and the subject.
pub struct RecentDecisions {
    granted: Cache<u64, Arc<RecentDecision>>,
    /// Apart, because strangers at a shared issuer can send any number of these.
    refused: Cache<u64, Arc<RecentDecision>>,
    hasher: std::hash::RandomState,
}

impl std::fmt::Debug for RecentDecisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (granted, refused) = (self.granted.entry_count(), self.refused.entry_count());
        f.debug_struct("RecentDecisions").field("granted", &granted).field("refused", &refused).finish_non_exhaustive()
    }
}

impl Default for RecentDecisions {
    fn default() -> Self {
        let cache = || Cache::builder().max_capacity(MAX_DECISIONS).eviction_policy(EvictionPolicy::lru()).build();
        Self { granted: cache(), refused: cache(), hasher: std::hash::RandomState::new() }
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
        let (kept, other) = match exchange.conclusion {
            Conclusion::Granted => (&self.granted, &self.refused),
            Conclusion::Refused(_) => (&self.refused, &self.granted),
            Conclusion::Unread(_) | Conclusion::Abandoned => return,
        };
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
        kept.insert(key, Arc::new(decision));
        other.invalidate(&key);
    }

    /// The requests of the last 24 hours, newest first.
    pub(crate) fn since_yesterday(&self, now: UnixTime) -> Vec<Arc<RecentDecision>> {
        let oldest = u64::try_from(now.as_secs().saturating_sub(RECENT)).unwrap_or(0).saturating_mul(1000);
        let held = self.granted.iter().chain(self.refused.iter()).map(|(_, decision)| decision);
        let mut recent: Vec<_> = held.filter(|decision| decision.ended_millis >= oldest).collect();
        recent.sort_by(|a, b| (b.ended_millis, b.request_id.as_str()).cmp(&(a.ended_millis, a.request_id.as_str())));
        recent
    }
}

impl RecentDecision {
    pub(crate) fn facts<'a>(&'a self, memberships: &'a dyn Memberships, now: UnixTime) -> Facts<'a> {
        self.claims.facts(memberships, now)
    }

    pub(crate) fn names(&self) -> RequestedNames<'_> {
        self.asked.request_names()
    }

    /// The request's id.
    pub(crate) fn request(&self) -> String {
        self.request_id.as_str().to_owned()
    }

    /// The subject, without what may be a secret.
    pub(crate) fn shown_subject(&self) -> String {
        crate::redact::redacted(self.claims.subject().as_str()).to_string()
    }

    /// The request in words, for the person who makes the change.
    pub(crate) fn label(&self) -> String {
        let subject = self.shown_subject();
        format!("request {} of {} subject {subject}", self.request_id.as_str(), self.claims.entry())
    }
}
