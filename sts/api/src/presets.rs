//! What is known about platforms: `/admin/v1/presets`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The answer of `GET /admin/v1/presets`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Presets {
    /// Every preset.
    pub presets: Vec<PresetInfo>,
    /// The issuer entries of no preset.
    pub without: Vec<String>,
}

/// A platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresetInfo {
    /// Its name in the configuration.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// The key of its short rule in an identity.
    #[schema(required)]
    pub key: Option<String>,
    /// The members of that rule.
    pub members: Vec<PresetMember>,
    /// The claims of a typical, fictional token.
    #[schema(value_type = Object)]
    pub sample: Map<String, Value>,
    /// The issuer entries that have this preset.
    pub issuers: Vec<String>,
}

/// A member of a short rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetMember {
    /// Its name.
    pub name: String,
    /// The claim, or the pointer to it, that it is a condition on.
    pub claim: String,
}
