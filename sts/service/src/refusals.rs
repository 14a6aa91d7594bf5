//! The last policy refusals with their traces, for the owner who was given a request id.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sts_policy::{Decision, RequestedAccount};
use sts_types::{EntryName, RequestId, Subject, UnixTime};

use crate::decision_record::EndedExchange;

/// The most refusals that are remembered; the oldest goes first.
const CAPACITY: usize = 512;

/// One policy refusal, as `sts explain --denial` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Denial {
    /// The refusal.
    #[serde(flatten)]
    pub refusal: RememberedRefusal,
    /// The whole trace as text for people. Nobody asks for most of them, so it is not written before somebody does.
    pub text: String,
}

/// What is remembered of a policy refusal.
#[derive(Clone, Debug, Serialize)]
pub struct RememberedRefusal {
    /// The request.
    pub request_id: RequestId,
    /// When.
    pub time: UnixTime,
    /// The stable reason.
    pub reason: &'static str,
    /// The issuer entry.
    pub issuer_entry: EntryName,
    /// The token's `sub`.
    pub subject: Subject,
    /// The verdict with its cause, one line.
    pub summary: String,
    /// The account that the request names, if it exists.
    #[serde(skip)]
    pub(crate) account: Option<String>,
    /// The whole trace.
    pub decision: Decision,
}

impl RememberedRefusal {
    /// The policy refusal that `exchange` ended in, explained; none if it ended otherwise.
    pub(crate) fn of(exchange: &EndedExchange, is_traced: bool) -> Option<Self> {
        let rules = &exchange.snapshot.rules;
        let refused = exchange.conclusion.refused()?;
        let ((requested, now), claims) = exchange.record.denied.as_ref().zip(exchange.record.claims.as_ref())?;
        let decision = if is_traced {
            rules.explain(claims.facts(*now), requested)
        } else {
            Decision { outcome: rules.decide(claims.facts(*now), requested), trace: Vec::new() }
        };
        Some(Self {
            request_id: exchange.request_id.clone(),
            time: *now,
            reason: refused.reason.name(),
            issuer_entry: claims.entry().clone(),
            subject: claims.subject().clone(),
            summary: if is_traced {
                sts_policy::summary(rules, claims.facts(*now), &exchange.record.names(), &decision)
            } else {
                let reason = refused.reason.name();
                format!("refused: {reason}: the cause was not looked for, since too many requests were refused at once")
            },
            account: match requested.account {
                RequestedAccount::Known(index) => rules.account_name(index).map(ToString::to_string),
                RequestedAccount::Any | RequestedAccount::Nobody => None,
            },
            decision,
        })
    }
}

/// A bounded memory; the lock is held for a push or a scan of pointers, never over I/O.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<VecDeque<RememberedRefusal>>);

impl Refusals {
    pub(crate) fn remember(&self, refusal: RememberedRefusal) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() == CAPACITY {
            refusals.pop_front();
        }
        refusals.push_back(refusal);
    }

    fn recall(&self, request_id: &str) -> Option<RememberedRefusal> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.iter().rev().find(|refusal| refusal.request_id.as_str() == request_id).cloned()
    }
}

impl crate::Service {
    /// The refusal of that request, if it is remembered.
    pub async fn denial(&self, request_id: &str) -> Option<Denial> {
        self.observers.caught_up().await;
        let refusal = self.refusals.recall(request_id)?;
        let text = sts_policy::render(&refusal.decision);
        Some(Denial { refusal, text })
    }
}
