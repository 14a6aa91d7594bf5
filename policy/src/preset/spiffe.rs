//! SPIFFE JWT-SVIDs: `iat` is optional, and any common algorithm may sign.

use super::platform::{ALL_ALGORITHMS, DEFAULTS, IssuerDefaults, MemberPath, Platform, SELF_HOSTED, ShortRule, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { algorithms: ALL_ALGORITHMS, require_iat: false, types: &["JOSE"], ..DEFAULTS },
    ..plain("spiffe", "SPIFFE", SELF_HOSTED, include_str!("samples/spiffe.json"))
};

/// The subject is `spiffe://TRUST-DOMAIN/PATH`.
const SHORT_RULE: ShortRule =
    ShortRule { key: "spiffe", members: &[("id", MemberPath::Path("sub"))], open_prefix: None };
