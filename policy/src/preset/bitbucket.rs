//! Bitbucket Pipelines: one issuer per workspace.

use super::platform::{MemberPath, Platform, ShortRule, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform =
    Platform { short_rule: Some(&SHORT_RULE), ..plain("bitbucket", known, include_str!("samples/bitbucket.json")) };

/// `https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc`
fn known(url: &str) -> Option<Tenancy> {
    let rest = url.strip_prefix("https://api.bitbucket.org/2.0/workspaces/")?;
    let workspace = rest.strip_suffix("/pipelines-config/identity/oidc")?;
    is_segment(workspace).then_some(Tenancy::Sole)
}

/// UUIDs stand in braces. The subject changes with every step, so that rules go by claims.
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
