//! The OpenID Connect provider plugin of Jenkins.

use super::platform::{MemberPath, Platform, SELF_HOSTED, ShortRule, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    ..plain("jenkins", "Jenkins", SELF_HOSTED, include_str!("samples/jenkins.json"))
};

/// The subject is the URL of the job, with its last slash, unless a template changes it.
const SHORT_RULE: ShortRule =
    ShortRule { key: "jenkins", members: &[("job", MemberPath::Path("sub"))], open_prefix: None };
