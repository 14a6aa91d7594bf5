//! Google service accounts: one issuer for everybody; the subject is the numeric unique id.

use super::IssuerDefaults;
use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{DEFAULTS, Platform, Tenancy, plain};

pub(super) const PLATFORM: Platform = Platform {
    defaults: IssuerDefaults { shared: true, ..DEFAULTS },
    owner: Some(&OWNER),
    lent_claims: &["azp", "email", "hd"],
    ..plain("google", known, include_str!("samples/google.json"))
};

/// `https://accounts.google.com`
fn known(url: &str) -> Option<Tenancy> {
    (url == "https://accounts.google.com").then_some(Tenancy::Shared)
}

/// `azp` is no owner: of a person's token it is the client that anybody may sign in to.
const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Whole],
    shapes: &[],
    claims: &[
        ("email", OwnerText::Whole),
        ("hd", OwnerText::Whole),
        ("/google/compute_engine/project_id", OwnerText::Whole),
        ("/google/compute_engine/project_number", OwnerText::Whole),
    ],
    ids: &[],
    subject_has_id: never,
    advice: "write the service account's numeric unique id as `subject`",
};
