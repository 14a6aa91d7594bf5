//! The teams of a service account that groups give: `/admin/v1/service-accounts/{name}/group-teams`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `GET /admin/v1/service-accounts/{name}/group-teams`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupTeams {
    /// The teams that groups of its directory give it now.
    pub directory: Vec<DirectoryTeam>,
    /// The teams that a token gives it, if it names the group.
    pub token: Vec<TokenTeam>,
    /// Why its directory gives it nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fault: Option<String>,
}

/// A team that a group of a directory gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DirectoryTeam {
    /// The team.
    pub team: String,
    /// The directory.
    pub directory: String,
    /// The group, as it is written.
    pub group: String,
    /// How old the membership is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub age_seconds: Option<u64>,
}

/// A team that a token gives which names a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenTeam {
    /// The team.
    pub team: String,
    /// The issuer entry of the token.
    pub issuer: String,
    /// The claim, as it is written.
    pub claim: String,
    /// The group.
    pub value: String,
}
