//! Forgejo Actions: GitHub's grammar on hosts of its own.

use super::github;
use super::platform::{Platform, plain, self_hosted};

pub(super) const PLATFORM: Platform = Platform {
    owner: Some(&github::OWNER),
    is_text_claim: github::is_text_claim,
    lent_claims: github::LENT,
    subject_of: github::subject_of,
    adopt_subject: github::adopt_subject,
    ..plain("forgejo", self_hosted, include_str!("samples/forgejo.json"))
};
