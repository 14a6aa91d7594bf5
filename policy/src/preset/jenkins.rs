//! The OpenID Connect provider plugin of Jenkins.

use super::platform::{Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = plain("jenkins", self_hosted, include_str!("samples/jenkins.json"));
