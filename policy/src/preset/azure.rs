//! Microsoft Entra: one issuer per tenant, in two versions of the protocol.

use super::platform::{DEFAULTS, IssuerDefaults, IssuerForm, MemberPath, Platform, ShortRule, plain, shared, sole};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    // A managed identity's token lives 24 hours, backdated by five minutes.
    defaults: IssuerDefaults { max_token_lifetime: 90_000, ..DEFAULTS },
    ..plain("azure", "Microsoft Entra", ISSUERS, include_str!("samples/azure.json"))
};

/// One issuer per tenant and version of the protocol, in each of the clouds. `common` and its like
/// are no issuers. Two tenants are open to everybody: that of personal accounts, and the one that
/// signs for Sentinel's connectors (AWS IAM User Guide, "Identity-provider controls for shared OIDC
/// providers").
const ISSUERS: &[IssuerForm] = &[
    shared("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
    shared("https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/"),
    shared("https://sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/"),
    sole("https://login.microsoftonline.com/{tenant_uuid}/v2.0"),
    sole("https://sts.windows.net/{tenant_uuid}/"),
    sole("https://login.microsoftonline.us/{tenant_uuid}/v2.0"),
    sole("https://login.partner.microsoftonline.cn/{tenant_uuid}/v2.0"),
    sole("https://sts.chinacloudapi.cn/{tenant_uuid}/"),
    sole("https://login.microsoftonline.us/{tenant_uuid}/"),
    sole("https://login.chinacloudapi.cn/{tenant_uuid}/v2.0"),
    sole("https://login.microsoftonline.de/{tenant_uuid}/v2.0"),
    sole("https://sts.microsoftonline.de/{tenant_uuid}/"),
];

/// Tokens of version 2 have `azp`; those of version 1 have `appid` and `xms_mirid`.
const SHORT_RULE: ShortRule = ShortRule {
    key: "azure",
    members: &[
        ("tenant", MemberPath::Path("tid")),
        ("object_id", MemberPath::Path("oid")),
        ("client_id", MemberPath::Path("azp")),
        ("app_id", MemberPath::Path("appid")),
        ("managed_identity", MemberPath::Path("xms_mirid")),
    ],
    open_prefix: None,
};
