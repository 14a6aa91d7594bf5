//! GitLab CI/CD: gitlab.com for everybody, and self-hosted instances.

use serde_json::{Map, Value};

use super::owner::{OwnerGrammar, OwnerText, never, no_id};
use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, shared};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    owner: Some(&OWNER),
    is_text_claim,
    lent_claims: &[
        "project_path",
        "project_id",
        "namespace_path",
        "namespace_id",
        "job_project_path",
        "job_project_id",
        "job_namespace_path",
        "job_namespace_id",
    ],
    subject_of,
    adopt_subject,
    ..plain("gitlab", "GitLab", ISSUERS, include_str!("samples/gitlab.json"))
};

const ISSUERS: &[IssuerForm] = &[shared("https://gitlab.com")];

const SHORT_RULE: ShortRule = ShortRule {
    key: "gitlab",
    members: &[
        ("project_path", MemberPath::Same),
        ("project_id", MemberPath::Same),
        ("namespace_path", MemberPath::Same),
        ("namespace_id", MemberPath::Same),
        ("job_project_path", MemberPath::Same),
        ("job_project_id", MemberPath::Same),
        ("job_namespace_path", MemberPath::Same),
        ("job_namespace_id", MemberPath::Same),
        ("project_visibility", MemberPath::Same),
        ("ref", MemberPath::Same),
        ("ref_type", MemberPath::Same),
        ("ref_path", MemberPath::Same),
        ("ref_protected", MemberPath::Same),
        ("environment", MemberPath::Same),
        ("environment_protected", MemberPath::Same),
        ("environment_action", MemberPath::Same),
        ("deployment_tier", MemberPath::Same),
        ("pipeline_source", MemberPath::Same),
        ("pipeline_id", MemberPath::Same),
        ("job_id", MemberPath::Same),
        ("job_source", MemberPath::Same),
        ("user_id", MemberPath::Same),
        ("user_login", MemberPath::Same),
        ("user_email", MemberPath::Same),
        ("user_access_level", MemberPath::Same),
        ("groups_direct", MemberPath::Same),
        ("runner_environment", MemberPath::Same),
        ("sha", MemberPath::Same),
        ("ci_config_ref_uri", MemberPath::Same),
        ("ci_config_sha", MemberPath::Same),
    ],
    open_prefix: None,
};

/// `ci_config_ref_uri` does not name the owner: any project may use another's configuration. In the
/// pipeline of a merge request from a fork, the `project_*` claims name the fork, and `job_project_*`
/// the project that runs the pipeline. A rule on the latter alone accepts the code of every fork.
const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[OwnerText::Between { prefix: "project_path:", ends: &['/'] }],
    exact_subject: false,
    shapes: &["project_path:?*/?**:ref_type:?*:ref:?**"],
    claims: &[
        ("project_id", OwnerText::Whole),
        ("namespace_id", OwnerText::Whole),
        ("project_path", OwnerText::Between { prefix: "", ends: &['/'] }),
        ("namespace_path", OwnerText::Between { prefix: "", ends: &['/'] }),
    ],
    ids: &["project_id", "namespace_id"],
    beside: &["project_id"],
    runs_in: &[("job_project_id", "project_id"), ("job_namespace_id", "namespace_id")],
    subject_has_id: never,
    subject_owner_id: no_id,
    advice: "begin `subject` with `project_path:GROUP/`, or add `namespace_id` or `project_id`",
};

/// Ids are strings. `runner_id`, times and lists of groups are not.
fn is_text_claim(claim: &str) -> bool {
    SHORT_RULE.members.iter().any(|(member, _)| *member == claim && claim != "groups_direct")
        || matches!(claim, "sub" | "jti")
}

/// `project_path:G/P:ref_type:T:ref:R`
fn subject_of(claims: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    Some(format!("project_path:{}:ref_type:{}:ref:{}", text("project_path")?, text("ref_type")?, text("ref")?))
}

fn adopt_subject(subject: &str, claims: &mut Map<String, Value>) {
    let Some((path, _)) = subject.strip_prefix("project_path:").and_then(|rest| rest.split_once(':')) else { return };
    claims.insert("project_path".to_owned(), path.into());
    if let Some((namespace, _)) = path.rsplit_once('/') {
        claims.insert("namespace_path".to_owned(), namespace.into());
    }
}
