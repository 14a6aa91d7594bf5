//! Okta client credentials: one authorization server per tenant.

use super::platform::{Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = plain("okta", self_hosted, include_str!("samples/okta.json"));
