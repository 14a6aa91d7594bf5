//! AWS outbound federation: one issuer per account, RSA or P-384 as the caller picks.

use super::IssuerDefaults;
use super::platform::{DEFAULTS, MemberPath, Platform, ShortRule, Tenancy, plain};
use sts_types::Algorithm::{ES256, ES384, EdDSA, RS256};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { algorithms: &[RS256, ES256, EdDSA, ES384], ..DEFAULTS },
    ..plain("aws", known, include_str!("samples/aws.json"))
};

/// `https://UUID.tokens.sts.global.api.aws`
fn known(url: &str) -> Option<Tenancy> {
    let account = url.strip_prefix("https://")?.strip_suffix(".tokens.sts.global.api.aws")?;
    sts_types::is_uuid(account).then_some(Tenancy::Sole)
}

/// Tags of the request are left out: the caller writes them.
const SHORT_RULE: ShortRule = ShortRule {
    key: "aws",
    members: &[
        ("account", MemberPath::Path("/https:~1~1sts.amazonaws.com~1/aws_account")),
        ("org_id", MemberPath::Path("/https:~1~1sts.amazonaws.com~1/org_id")),
        ("principal", MemberPath::Path("sub")),
        ("source_region", MemberPath::Path("/https:~1~1sts.amazonaws.com~1/source_region")),
    ],
    open_prefix: None,
};
