//! Bitbucket Pipelines: one issuer per workspace.

use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, sole};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    ..plain("bitbucket", "Bitbucket", ISSUERS, include_str!("samples/bitbucket.json"))
};

/// One issuer per workspace.
const ISSUERS: &[IssuerForm] =
    &[sole("https://api.bitbucket.org/2.0/workspaces/{workspace}/pipelines-config/identity/oidc")];

/// The values are UUIDs in braces. The subject differs for every step, so rules need claims.
const SHORT_RULE: ShortRule = ShortRule {
    key: "bitbucket",
    members: &[
        ("workspace", MemberPath::Path("workspaceUuid")),
        ("repository", MemberPath::Path("repositoryUuid")),
        ("environment", MemberPath::Path("deploymentEnvironmentUuid")),
        ("pipeline", MemberPath::Path("pipelineUuid")),
        ("branch", MemberPath::Path("branchName")),
    ],
    open_prefix: None,
};
