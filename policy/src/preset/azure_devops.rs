//! Azure DevOps pipelines: one issuer per organisation.

use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, shared, sole};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    ..plain("azure-devops", "Azure DevOps", ISSUERS, include_str!("samples/azure_devops.json"))
};

/// One issuer per organisation.
const ISSUERS: &[IssuerForm] =
    &[sole("https://vstoken.dev.azure.com/{organisation_uuid}"), shared("https://vstoken.dev.azure.com")];

/// For pipeline tokens. Those of service connections have a subject only.
const SHORT_RULE: ShortRule = ShortRule {
    key: "azure_devops",
    members: &[
        ("organization_id", MemberPath::Path("org_id")),
        ("project_id", MemberPath::Path("prj_id")),
        ("pipeline_id", MemberPath::Path("def_id")),
        ("repository_id", MemberPath::Path("rpo_id")),
        ("repository_uri", MemberPath::Path("rpo_uri")),
        ("ref", MemberPath::Path("rpo_ref")),
    ],
    open_prefix: None,
};
