//! Auth0 client credentials: one issuer per tenant. The audience is a list with the user-info
//! endpoint.

use super::platform::{DEFAULTS, IssuerDefaults, Platform, SELF_HOSTED, plain};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { sole_audience: false, ..DEFAULTS },
    ..plain("auth0", "Auth0", SELF_HOSTED, include_str!("samples/auth0.json"))
};
