//! Refused requests, remembered for the owner who was given a request id. The latest are in memory.
//! A day of them is in the store, where every replica finds them.

mod explained;
mod groups;
mod memory;
mod saving;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sts_policy::Diagnosis;
use sts_store::{LedgerError, RefusalStore, StoredRefusal};
use sts_types::{Clock, RequestId, UnixTime};

use crate::event::FailedCondition;
use crate::observers::Observers;
use crate::presented::PresentedToken;

pub use groups::{DenialGroup, GroupBy, group};
pub(crate) use memory::Refusals;

/// What is remembered of a refused request. It contains no token, and only those claims that the
/// rules use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RememberedRefusal {
    /// The request.
    pub request_id: RequestId,
    /// When it was refused.
    pub time: UnixTime,
    /// The verdict with its cause, in one line.
    pub summary: String,
    /// The reason, the cause, and the change that would help.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    /// The text that the caller got.
    pub told: String,
    /// The issuer entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_entry: Option<String>,
    /// The token's `sub`, once verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The account that the request names, if it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The nearest identity, `account/identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_identity: Option<String>,
    /// Its first condition that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_condition: Option<FailedCondition>,
    /// What the token claims about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<PresentedToken>,
    /// The requested values of `audience` and `resource`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// The requested `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The caller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The generation of the rules.
    pub generation: String,
    /// The decision with its trace, if the rules were evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Value>,
    /// The whole trace as text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The refusals that are remembered.
pub(crate) struct RefusalLog {
    pub(crate) observers: Arc<Observers>,
    pub(crate) memory: Arc<Refusals>,
    /// Where refusals are remembered for all replicas.
    pub(crate) store: Option<Arc<dyn RefusalStore>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl RefusalLog {
    /// How many refusals were forgotten before the store had them.
    pub(crate) fn dropped(&self) -> u64 {
        self.memory.dropped()
    }

    /// The refusal of that request, from memory or from the store.
    ///
    /// # Errors
    /// If it is not in memory and the store does not answer.
    pub(crate) async fn denial(&self, request_id: &str) -> Result<Option<RememberedRefusal>, LedgerError> {
        self.observers.caught_up().await;
        let Ok(request_id) = RequestId::new(request_id) else { return Ok(None) };
        if let Some(refusal) = self.memory.find(&request_id) {
            return Ok(read(&refusal));
        }
        let Some(store) = &self.store else { return Ok(None) };
        Ok(store.find(request_id).await?.as_ref().and_then(read))
    }

    /// All remembered refusals, newest first.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(crate) async fn denials(&self) -> Result<Vec<RememberedRefusal>, LedgerError> {
        /// More than a store holds.
        const ALL: usize = 10_000;
        self.observers.caught_up().await;
        let mut refusals = match &self.store {
            Some(store) => store.latest(ALL).await?,
            None => Vec::new(),
        };
        let stored: std::collections::HashSet<RequestId> =
            refusals.iter().map(|refusal| refusal.request_id.clone()).collect();
        refusals.extend(self.memory.all().into_iter().filter(|refusal| !stored.contains(&refusal.request_id)));
        refusals.sort_by(|a, b| (b.time_millis, b.request_id.as_str()).cmp(&(a.time_millis, a.request_id.as_str())));
        Ok(refusals.iter().filter_map(read).collect())
    }
}

/// The stored refusal. `None` if another version stored it in another format.
fn read(refusal: &StoredRefusal) -> Option<RememberedRefusal> {
    serde_json::from_value(refusal.payload.clone()).ok()
}
