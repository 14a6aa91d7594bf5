//! Vercel: one issuer per team, or one for everybody in global mode.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{IssuerForm, Platform, plain, shared, sole};

pub(super) const PLATFORM: Platform = Platform {
    owner: Some(&OWNER),
    lent_claims: &["owner", "owner_id", "project", "project_id"],
    ..plain("vercel", "Vercel", ISSUERS, include_str!("samples/vercel.json"))
};

/// One per team, and the bare host.
const ISSUERS: &[IssuerForm] = &[shared("https://oidc.vercel.com"), sole("https://oidc.vercel.com/{team}")];

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "owner:", ends: &[':'] }],
    exact_subject: false,
    shapes: &["owner:?*:project:?*:environment:?*"],
    claims: &[("owner_id", OwnerText::Whole), ("owner", OwnerText::Whole), ("project_id", OwnerText::Whole)],
    ids: &["owner_id", "project_id"],
    beside: &["project_id"],
    runs_in: &[],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "begin `subject` with `owner:TEAM:`, or add the claim `owner_id`",
};
