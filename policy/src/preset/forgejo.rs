//! Forgejo Actions: GitHub's grammar on self-hosted instances.

use super::github;
use super::platform::{IssuerForm, Platform, plain, shared};

pub(super) const PLATFORM: Platform = Platform {
    owner: Some(&github::OWNER),
    is_text_claim: github::is_text_claim,
    lent_claims: github::LENT,
    subject_of: github::subject_of,
    adopt_subject: github::adopt_subject,
    ..plain("forgejo", "Forgejo", ISSUERS, include_str!("samples/forgejo.json"))
};

/// Codeberg, which hosts everybody's repositories. The issuer of an instance is its URL followed by
/// `/api/actions` (Forgejo documentation, "Actions, OpenID Connect"); a census of shared issuers
/// names the bare host.
const ISSUERS: &[IssuerForm] = &[shared("https://codeberg.org/api/actions"), shared("https://codeberg.org")];
