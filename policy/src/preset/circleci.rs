//! CircleCI: one issuer per organisation, or one for everybody with `--root-issuer`.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, shared, sole};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    owner: Some(&OWNER),
    lent_claims: &["oidc.circleci.com/org-id", "oidc.circleci.com/project-id"],
    ..plain("circleci", "CircleCI", ISSUERS, include_str!("samples/circleci.json"))
};

/// One per organisation, and the bare host.
const ISSUERS: &[IssuerForm] =
    &[shared("https://oidc.circleci.com"), sole("https://oidc.circleci.com/org/{organisation}")];

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "org/", ends: &['/'] }],
    exact_subject: false,
    shapes: &["org/?*/project/?*/user/?*"],
    claims: &[("oidc.circleci.com/org-id", OwnerText::Whole), ("oidc.circleci.com/project-id", OwnerText::Whole)],
    ids: &[],
    beside: &["oidc.circleci.com/project-id"],
    runs_in: &[],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "begin `subject` with `org/ORGANISATION-ID/`, or add the claim `oidc.circleci.com/org-id`",
};

/// Builds of a fork have the fork's `vcs-origin`.
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
