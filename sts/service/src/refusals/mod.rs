//! Refused requests, remembered for the owner who was given a request id. The latest are in memory.
//! A day of them is in the store, where every replica finds them.

mod explained;
mod groups;
mod memory;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_audit::{FailedCondition, PresentedToken};
use sts_policy::Diagnosis;
use sts_types::{RequestId, UnixTime};

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
    /// The verified claims that tell where the token comes from: its subject, and those that name its
    /// owner and event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub origin: Map<String, Value>,
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
