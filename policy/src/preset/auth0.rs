//! Auth0 client credentials: one issuer per tenant, a list of audiences with the user-info endpoint.

use super::IssuerDefaults;
use super::platform::{DEFAULTS, Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { sole_audience: false, ..DEFAULTS },
    ..plain("auth0", self_hosted, include_str!("samples/auth0.json"))
};
