//! Buildkite: one issuer for everybody.

use super::IssuerDefaults;
use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{DEFAULTS, Platform, Tenancy, plain};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { shared: true, ..DEFAULTS },
    owner: Some(&OWNER),
    lent_claims: &["organization_id", "organization_slug", "pipeline_id", "pipeline_slug"],
    ..plain("buildkite", known, include_str!("samples/buildkite.json"))
};

/// `https://agent.buildkite.com`
fn known(url: &str) -> Option<Tenancy> {
    (url == "https://agent.buildkite.com").then_some(Tenancy::Shared)
}

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "organization:", ends: &[':'] }],
    shapes: &["organization:?*:pipeline:?*:ref:?**:commit:?*:step:**"],
    claims: &[
        ("organization_id", OwnerText::Whole),
        ("organization_slug", OwnerText::Whole),
        ("pipeline_id", OwnerText::Whole),
    ],
    ids: &["organization_id", "pipeline_id"],
    subject_has_id: never,
    advice: "begin `subject` with `organization:SLUG:`, or add the claim `organization_id`",
};
