//! SPIFFE JWT-SVIDs: `iat` is optional, the key is any of the common ones.

use super::IssuerDefaults;
use super::platform::{ALL_ALGORITHMS, DEFAULTS, MemberPath, Platform, SELF_HOSTED, ShortRule, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { algorithms: ALL_ALGORITHMS, require_iat: false, types: &["JOSE"], ..DEFAULTS },
    ..plain("spiffe", "SPIFFE", SELF_HOSTED, include_str!("samples/spiffe.json"))
};

/// `spiffe://TRUST-DOMAIN/PATH`.
const SHORT_RULE: ShortRule =
    ShortRule { key: "spiffe", members: &[("id", MemberPath::Path("sub"))], open_prefix: None };
