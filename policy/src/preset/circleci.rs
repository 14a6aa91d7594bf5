//! CircleCI: one issuer per organisation, or one for everybody with `--root-issuer`.

use super::owner::{OwnerGrammar, OwnerText, never};
use super::platform::{MemberPath, Platform, ShortRule, Tenancy, is_segment, plain};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
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

/// A fork builds with a `vcs-origin` of its own.
const SHORT_RULE: ShortRule = ShortRule {
    key: "circleci",
    members: &[
        ("org_id", MemberPath::Path("oidc.circleci.com/org-id")),
        ("project_id", MemberPath::Path("oidc.circleci.com/project-id")),
        ("context_ids", MemberPath::Path("oidc.circleci.com/context-ids")),
        ("pipeline_definition_id", MemberPath::Path("oidc.circleci.com/pipeline-definition-id")),
        ("vcs_origin", MemberPath::Path("oidc.circleci.com/vcs-origin")),
        ("vcs_ref", MemberPath::Path("oidc.circleci.com/vcs-ref")),
        ("ssh_rerun", MemberPath::Value("oidc.circleci.com/ssh-rerun")),
    ],
    open_prefix: None,
};
