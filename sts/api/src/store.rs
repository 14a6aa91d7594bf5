//! The store as a whole: `/admin/v1/store`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `POST /admin/v1/store/accept-epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acceptance {
    /// Whether there was anything to accept. If not, the store is the known one and nothing is missing from it.
    pub accepted: bool,
}
