//! HCP Terraform, and self-hosted Terraform Enterprise.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, shared};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    owner: Some(&OWNER),
    lent_claims: &[
        "terraform_organization_id",
        "terraform_organization_name",
        "terraform_project_id",
        "terraform_project_name",
        "terraform_workspace_id",
        "terraform_workspace_name",
        "terraform_full_workspace",
    ],
    ..plain("terraform-cloud", "HCP Terraform", ISSUERS, include_str!("samples/terraform.json"))
};

const ISSUERS: &[IssuerForm] = &[shared("https://app.terraform.io"), shared("https://app.eu.terraform.io")];

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "organization:", ends: &[':'] }],
    exact_subject: false,
    shapes: &["organization:?*:project:?*:workspace:?*:run_phase:?*"],
    claims: &[
        ("terraform_organization_id", OwnerText::Whole),
        ("terraform_organization_name", OwnerText::Whole),
        ("terraform_project_id", OwnerText::Whole),
        ("terraform_workspace_id", OwnerText::Whole),
        ("terraform_full_workspace", OwnerText::Between { prefix: "organization:", ends: &[':'] }),
    ],
    ids: &["terraform_organization_id", "terraform_project_id", "terraform_workspace_id"],
    beside: &["terraform_project_id", "terraform_workspace_id"],
    runs_in: &[],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "begin `subject` with `organization:NAME:`, or add the claim `terraform_organization_id`",
};

/// `run_phase` is `plan` or `apply`. Anybody who may propose a change can start a plan.
const SHORT_RULE: ShortRule = ShortRule {
    key: "terraform",
    members: &[
        ("organization", MemberPath::Path("terraform_organization_name")),
        ("organization_id", MemberPath::Path("terraform_organization_id")),
        ("project", MemberPath::Path("terraform_project_name")),
        ("project_id", MemberPath::Path("terraform_project_id")),
        ("workspace", MemberPath::Path("terraform_workspace_name")),
        ("workspace_id", MemberPath::Path("terraform_workspace_id")),
        ("full_workspace", MemberPath::Path("terraform_full_workspace")),
        ("run_phase", MemberPath::Path("terraform_run_phase")),
    ],
    open_prefix: None,
};
