//! Okta client credentials: one authorization server per tenant.

use super::platform::{Platform, SELF_HOSTED, plain};

pub(super) const PLATFORM: Platform = plain("okta", "Okta", SELF_HOSTED, include_str!("samples/okta.json"));
