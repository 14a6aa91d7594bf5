//! The last policy refusals with their traces, for the owner who was given a request id.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sts_policy::Decision;
use sts_types::{EntryName, RequestId, Subject, UnixTime};

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
    /// The whole trace.
    pub decision: Decision,
}

/// A bounded memory; the lock is held for a push or a scan of pointers, never over I/O.
#[derive(Default)]
pub(crate) struct Denials(Mutex<VecDeque<RememberedRefusal>>);

impl Denials {
    pub(crate) fn remember(&self, refusal: RememberedRefusal) {
        let mut denials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.len() == CAPACITY {
            denials.pop_front();
        }
        denials.push_back(refusal);
    }

    fn recall(&self, request_id: &str) -> Option<RememberedRefusal> {
        let denials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        denials.iter().rev().find(|refusal| refusal.request_id.as_str() == request_id).cloned()
    }
}

impl crate::Service {
    /// The refusal of that request, if it is remembered.
    #[must_use]
    pub fn denial(&self, request_id: &str) -> Option<Denial> {
        let refusal = self.denials.recall(request_id)?;
        let text = sts_policy::render(&refusal.decision);
        Some(Denial { refusal, text })
    }
}
