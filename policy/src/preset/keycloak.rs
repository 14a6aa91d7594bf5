//! Keycloak client credentials. Mappers add the audiences, often several.

use super::platform::{ALL_ALGORITHMS, DEFAULTS, IssuerDefaults, Platform, SELF_HOSTED, plain};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { algorithms: ALL_ALGORITHMS, sole_audience: false, ..DEFAULTS },
    ..plain("keycloak", "Keycloak", SELF_HOSTED, include_str!("samples/keycloak.json"))
};
