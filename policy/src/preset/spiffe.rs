//! SPIFFE JWT-SVIDs: `iat` is optional, the key is any of the common ones.

use super::IssuerDefaults;
use super::platform::{ALL_ALGORITHMS, DEFAULTS, Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { algorithms: ALL_ALGORITHMS, require_iat: false, types: &["JOSE"], ..DEFAULTS },
    ..plain("spiffe", self_hosted, include_str!("samples/spiffe.json"))
};
