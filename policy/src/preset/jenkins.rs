//! The OpenID Connect provider plugin of Jenkins.

use super::platform::{MemberPath, Platform, ShortRule, plain, self_hosted};

pub(super) const PLATFORM: Platform =
    Platform { short_rule: Some(&SHORT_RULE), ..plain("jenkins", self_hosted, include_str!("samples/jenkins.json")) };

/// The subject is the URL of the job, with its slash, unless a template makes it another.
const SHORT_RULE: ShortRule =
    ShortRule { key: "jenkins", members: &[("job", MemberPath::Path("sub"))], open_prefix: None };
