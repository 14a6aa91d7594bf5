//! Google service accounts: one issuer for everybody; the subject is the numeric unique id.

use super::IssuerDefaults;
use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{DEFAULTS, MemberPath, Platform, ShortRule, Tenancy, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
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

/// The last three are of the metadata server, with `format=full`.
const SHORT_RULE: ShortRule = ShortRule {
    key: "google",
    members: &[
        ("unique_id", MemberPath::Path("sub")),
        ("email", MemberPath::Same),
        ("email_verified", MemberPath::Value("email_verified")),
        ("hosted_domain", MemberPath::Path("hd")),
        ("project_id", MemberPath::Path("/google/compute_engine/project_id")),
        ("zone", MemberPath::Path("/google/compute_engine/zone")),
        ("instance_name", MemberPath::Path("/google/compute_engine/instance_name")),
    ],
    open_prefix: None,
};
