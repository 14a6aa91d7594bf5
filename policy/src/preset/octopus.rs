//! Octopus Deploy as an issuer.

use super::platform::{Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = plain("octopus", self_hosted, include_str!("samples/octopus.json"));
