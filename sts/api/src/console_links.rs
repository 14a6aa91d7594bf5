//! Links into the console: `/admin/v1/console-links`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `POST /admin/v1/console-links`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLink {
    /// Path and query of the link, on the admin listener. It works once.
    pub path: String,
    /// The last second in which it works, since the epoch.
    pub expires_at: i64,
}
