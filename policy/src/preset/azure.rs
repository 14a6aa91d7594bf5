//! Microsoft Entra: one issuer per tenant, in two versions of the protocol.

use super::IssuerDefaults;
use super::platform::{DEFAULTS, MemberPath, Platform, ShortRule, Tenancy, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    // A managed identity's token lives 24 hours, backdated by five minutes.
    defaults: IssuerDefaults { max_token_lifetime: 90_000, ..DEFAULTS },
    ..plain("azure", known, include_str!("samples/azure.json"))
};

/// `https://login.microsoftonline.com/TENANT/v2.0` and `https://sts.windows.net/TENANT/`. `common` and its like are no issuers.
fn known(url: &str) -> Option<Tenancy> {
    let v2 = url.strip_prefix("https://login.microsoftonline.com/").and_then(|rest| rest.strip_suffix("/v2.0"));
    let v1 = || url.strip_prefix("https://sts.windows.net/").and_then(|rest| rest.strip_suffix('/'));
    v2.or_else(v1).filter(|tenant| sts_types::is_uuid(tenant)).map(|_| Tenancy::Sole)
}

/// `azp` is of tokens of version 2, `appid` and `xms_mirid` of version 1.
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
