//! Who gets in by an identity: `/admin/v1/admissions`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::names::names;

names! {
    /// Where a tried token comes from.
    pub enum TriedKind {
        /// A token as the platform sends it.
        Sample = "sample",
        /// A token that somebody else could get from the platform.
        Attack = "attack",
        /// A token that this server saw in the last 24 hours.
        Recent = "recent",
        /// The token of a policy test.
        Test = "test",
    }
}

/// The body of `POST /admin/v1/admissions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdmissionRequest {
    /// The account.
    pub account: String,
    /// An identity of the account, or a draft of one. One of the same name is replaced.
    #[schema(value_type = Object)]
    pub identity: Map<String, Value>,
}

/// The answer of `POST /admin/v1/admissions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Admissions {
    /// The tokens that were tried.
    pub items: Vec<AdmissionAnswer>,
}

/// A token that was tried on the identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdmissionAnswer {
    /// Where it comes from.
    pub kind: TriedKind,
    /// What it is: `a pull request`, the name of a policy test, the id of a request.
    pub name: String,
    /// Its `sub`.
    pub subject: String,
    /// Whether the identity accepts it.
    pub admitted: bool,
    /// Each condition of the identity.
    pub conditions: Vec<TriedCondition>,
}

/// A condition, and what the token has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriedCondition {
    /// `issuer`, `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants.
    pub expected: String,
    /// What the token has; absent when the claim is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actual: Option<String>,
    /// Whether the condition holds.
    pub holds: bool,
    /// How the value differs from an accepted one, if that is easy to overlook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hint: Option<String>,
}
