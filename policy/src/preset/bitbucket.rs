//! Bitbucket Pipelines: one issuer per workspace.

use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = plain("bitbucket", known, include_str!("samples/bitbucket.json"));

/// `https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc`
fn known(url: &str) -> Option<Tenancy> {
    let rest = url.strip_prefix("https://api.bitbucket.org/2.0/workspaces/")?;
    let workspace = rest.strip_suffix("/pipelines-config/identity/oidc")?;
    is_segment(workspace).then_some(Tenancy::Sole)
}
