//! CircleCI: one issuer per organisation, or one for everybody with `--root-issuer`.

use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{Platform, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = Platform {
    owner: Some(&OWNER),
    lent_claims: &["oidc.circleci.com/org-id", "oidc.circleci.com/project-id"],
    ..plain("circleci", known, include_str!("samples/circleci.json"))
};

/// `https://oidc.circleci.com/org/ORGANISATION`, and the bare host.
fn known(url: &str) -> Option<Tenancy> {
    match url.strip_prefix("https://oidc.circleci.com")? {
        "" => Some(Tenancy::Shared),
        path => path.strip_prefix("/org/").filter(|org| is_segment(org)).map(|_| Tenancy::Sole),
    }
}

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "org/", ends: &['/'] }],
    shapes: &["org/?*/project/?*/user/?*"],
    claims: &[("oidc.circleci.com/org-id", OwnerText::Whole), ("oidc.circleci.com/project-id", OwnerText::Whole)],
    ids: &[],
    subject_has_id: never,
    advice: "begin `subject` with `org/ORGANISATION-ID/`, or add the claim `oidc.circleci.com/org-id`",
};
