//! Vercel: one issuer per team, or one for everybody in global mode.

use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = Platform {
    owner: Some(&OWNER),
    lent_claims: &["owner", "owner_id", "project", "project_id"],
    ..plain("vercel", known, include_str!("samples/vercel.json"))
};

/// `https://oidc.vercel.com/TEAM`, and the bare host.
fn known(url: &str) -> Option<Tenancy> {
    match url.strip_prefix("https://oidc.vercel.com")? {
        "" => Some(Tenancy::Shared),
        path => path.strip_prefix('/').filter(|team| is_segment(team)).map(|_| Tenancy::Sole),
    }
}

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "owner:", ends: &[':'] }],
    shapes: &["owner:?*:project:?*:environment:?*"],
    claims: &[("owner_id", OwnerText::Whole), ("owner", OwnerText::Whole), ("project_id", OwnerText::Whole)],
    ids: &["owner_id", "project_id"],
    subject_has_id: never,
    advice: "begin `subject` with `owner:TEAM:`, or add the claim `owner_id`",
};
