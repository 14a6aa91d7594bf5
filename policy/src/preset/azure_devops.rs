//! Azure DevOps pipelines: one issuer per organisation.

use super::platform::{MemberPath, Platform, ShortRule, Tenancy, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    ..plain("azure-devops", known, include_str!("samples/azure_devops.json"))
};

/// `https://vstoken.dev.azure.com/ORGANISATION`
fn known(url: &str) -> Option<Tenancy> {
    url.strip_prefix("https://vstoken.dev.azure.com/").filter(|org| sts_types::is_uuid(org)).map(|_| Tenancy::Sole)
}

/// Of pipeline tokens; those of service connections have a subject only.
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
