//! Keycloak client credentials: audiences come from mappers, often several.

use super::IssuerDefaults;
use super::platform::{ALL_ALGORITHMS, DEFAULTS, Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { algorithms: ALL_ALGORITHMS, sole_audience: false, ..DEFAULTS },
    ..plain("keycloak", self_hosted, include_str!("samples/keycloak.json"))
};
