//! Google service accounts: one issuer for everybody. The subject is the numeric unique id.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{DEFAULTS, IssuerDefaults, IssuerForm, MemberPath, Platform, ShortRule, plain, shared};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { shared: true, ..DEFAULTS },
    owner: Some(&OWNER),
    lent_claims: &["azp", "email", "hd"],
    ..plain("google", "Google", ISSUERS, include_str!("samples/google.json"))
};

/// ID tokens have one or the other (Google, "Verify the Google ID token on your server side").
const ISSUERS: &[IssuerForm] = &[shared("https://accounts.google.com"), shared("accounts.google.com")];

/// `azp` does not name the owner: in a person's token it is the client, and anybody may sign in
/// there.
const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Whole],
    exact_subject: false,
    shapes: &[],
    claims: &[
        ("email", OwnerText::Whole),
        ("hd", OwnerText::Whole),
        ("/google/compute_engine/project_id", OwnerText::Whole),
        ("/google/compute_engine/project_number", OwnerText::Whole),
    ],
    ids: &[],
    beside: &[],
    runs_in: &[],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "write the service account's numeric unique id as `subject`",
};

/// Only tokens of the metadata server with `format=full` have the last three.
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
