//! Buildkite: one issuer for everybody.

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{DEFAULTS, IssuerDefaults, IssuerForm, MemberPath, Platform, ShortRule, plain, shared};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    defaults: IssuerDefaults { shared: true, ..DEFAULTS },
    owner: Some(&OWNER),
    lent_claims: &["organization_id", "organization_slug", "pipeline_id", "pipeline_slug"],
    ..plain("buildkite", "Buildkite", ISSUERS, include_str!("samples/buildkite.json"))
};

const ISSUERS: &[IssuerForm] = &[shared("https://agent.buildkite.com")];

const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "organization:", ends: &[':'] }],
    exact_subject: false,
    shapes: &["organization:?*:pipeline:?*:ref:?**:commit:?*:step:**"],
    claims: &[
        ("organization_id", OwnerText::Whole),
        ("organization_slug", OwnerText::Whole),
        ("pipeline_id", OwnerText::Whole),
    ],
    ids: &["organization_id", "pipeline_id"],
    beside: &["pipeline_id"],
    runs_in: &[],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "begin `subject` with `organization:SLUG:`, or add the claim `organization_id`",
};

/// A branch does not tell who wrote the code: forks have branches, too.
const SHORT_RULE: ShortRule = ShortRule {
    key: "buildkite",
    members: &[
        ("organization_id", MemberPath::Same),
        ("organization_slug", MemberPath::Same),
        ("pipeline_id", MemberPath::Same),
        ("pipeline_slug", MemberPath::Same),
        ("build_branch", MemberPath::Same),
        ("build_tag", MemberPath::Same),
        ("build_source", MemberPath::Same),
        ("step_key", MemberPath::Same),
        ("runner_environment", MemberPath::Same),
    ],
    open_prefix: None,
};
