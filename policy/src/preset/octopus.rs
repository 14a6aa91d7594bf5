//! Octopus Deploy as an issuer.

use super::platform::{MemberPath, Platform, SELF_HOSTED, ShortRule, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    ..plain("octopus", "Octopus Deploy", SELF_HOSTED, include_str!("samples/octopus.json"))
};

/// The values are slugs.
const SHORT_RULE: ShortRule = ShortRule {
    key: "octopus",
    members: &[
        ("space", MemberPath::Path("https://octopus.com/claims/space")),
        ("project", MemberPath::Path("https://octopus.com/claims/project")),
        ("environment", MemberPath::Path("https://octopus.com/claims/environment")),
    ],
    open_prefix: None,
};
