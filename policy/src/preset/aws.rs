//! AWS outbound federation: one issuer per account. The caller picks RSA or P-384.

use super::platform::{DEFAULTS, IssuerDefaults, IssuerForm, MemberPath, Platform, ShortRule, plain, sole};
use sts_types::Algorithm::{ES256, ES384, EdDSA, RS256};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { algorithms: &[RS256, ES256, EdDSA, ES384], ..DEFAULTS },
    ..plain("aws", "AWS", ISSUERS, include_str!("samples/aws.json"))
};

/// One issuer per account, in each of the clouds.
const ISSUERS: &[IssuerForm] = &[
    sole("https://{account_uuid}.tokens.sts.global.api.aws"),
    sole("https://{account_uuid}.tokens.sts.global.api.amazonwebservices.com.cn"),
    sole("https://{account_uuid}.tokens.sts.global.api.amazonwebservices.eu"),
];

/// Without the request's tags, because the caller chooses them.
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
