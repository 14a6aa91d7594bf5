//! GitHub Actions: one issuer for everybody, one per enterprise that enables it, and one per GitHub
//! Enterprise Server.

mod template;

use serde_json::{Map, Value};

use super::owner::{OwnerGrammar, OwnerText};
use super::platform::{IssuerForm, MemberPath, Platform, ShortRule, plain, shared, sole};

pub(super) const PLATFORM: Platform = Platform {
    short_rule: Some(&SHORT_RULE),
    owner: Some(&OWNER),
    is_text_claim,
    lent_claims: LENT,
    subject_of,
    adopt_subject,
    subject_note: template::note,
    ..plain("github-actions", "GitHub Actions", ISSUERS, include_str!("samples/github.json"))
};

/// The public issuer and its predecessor; `.../ENTERPRISE` below it;
/// `https://token.actions.SUBDOMAIN.ghe.com[/SUBDOMAIN]` for data residency.
const ISSUERS: &[IssuerForm] = &[
    shared("https://token.actions.githubusercontent.com"),
    sole("https://token.actions.githubusercontent.com/{enterprise}"),
    sole("https://token.actions.{subdomain}.ghe.com"),
    sole("https://token.actions.{subdomain}.ghe.com/{path}"),
    shared("https://vstoken.actions.githubusercontent.com"),
];

const SHORT_RULE: ShortRule = ShortRule {
    key: "github",
    members: &[
        ("repository", MemberPath::Same),
        ("repository_id", MemberPath::Same),
        ("repository_owner", MemberPath::Same),
        ("repository_owner_id", MemberPath::Same),
        ("repository_visibility", MemberPath::Same),
        ("environment", MemberPath::Same),
        ("environment_node_id", MemberPath::Same),
        ("ref", MemberPath::Same),
        ("ref_type", MemberPath::Same),
        ("ref_protected", MemberPath::Same),
        ("head_ref", MemberPath::Same),
        ("base_ref", MemberPath::Same),
        ("sha", MemberPath::Same),
        ("event_name", MemberPath::Same),
        ("workflow", MemberPath::Same),
        ("workflow_ref", MemberPath::Same),
        ("workflow_sha", MemberPath::Same),
        ("job_workflow_ref", MemberPath::Same),
        ("job_workflow_sha", MemberPath::Same),
        ("actor", MemberPath::Same),
        ("actor_id", MemberPath::Same),
        ("run_id", MemberPath::Same),
        ("run_number", MemberPath::Same),
        ("run_attempt", MemberPath::Same),
        ("check_run_id", MemberPath::Same),
        ("runner_environment", MemberPath::Same),
        ("enterprise", MemberPath::Same),
        ("enterprise_id", MemberPath::Same),
    ],
    open_prefix: Some("repo_property_"),
};

/// Subjects by name, with ids (`repo:o@1/r@2:...`), and of the customised templates that begin with
/// the owner. A name contains none of the end characters. `job_workflow_ref` does not name the
/// owner: it names a reusable workflow, which anybody may call.
pub(super) const OWNER: OwnerGrammar = OwnerGrammar {
    subjects: &[
        OwnerText::Between { prefix: "repo:", ends: &['/', '@'] },
        OwnerText::Between { prefix: "repository:", ends: &['/'] },
        OwnerText::Between { prefix: "repository_owner:", ends: &[':'] },
        OwnerText::Between { prefix: "repository_owner_id:", ends: &[':'] },
        OwnerText::Between { prefix: "repository_id:", ends: &[':'] },
    ],
    exact_subject: false,
    shapes: &["repo:?*/?*:?**"],
    claims: &[
        ("repository_owner_id", OwnerText::Whole),
        ("repository_id", OwnerText::Whole),
        ("repository_owner", OwnerText::Whole),
        ("repository", OwnerText::Between { prefix: "", ends: &['/'] }),
        ("workflow_ref", OwnerText::Between { prefix: "", ends: &['/'] }),
        ("enterprise_id", OwnerText::Whole),
        ("enterprise", OwnerText::Whole),
    ],
    ids: &["repository_id", "repository_owner_id", "enterprise_id"],
    beside: &["repository_id", "enterprise_id", "enterprise"],
    runs_in: &[],
    subject_has_id: has_id,
    subject_owner_id,
    advice: "begin `subject` with `repo:OWNER/`, or add `repository_owner_id` or `repository_id`",
};

/// `repo:O@1/...`, and the templates that begin with an id.
fn has_id(subject: &str) -> bool {
    let owner = subject.strip_prefix("repo:").and_then(|rest| rest.split_once('@'));
    let by_name = owner.is_some_and(|(name, id)| !name.contains('/') && id.starts_with(|c: char| c.is_ascii_digit()));
    by_name || subject.starts_with("repository_id:") || subject.starts_with("repository_owner_id:")
}

/// The owner's id in `repo:O@1/...` and `repository_owner_id:1:...`.
fn subject_owner_id(subject: &str) -> Option<&str> {
    let id = match subject.strip_prefix("repository_owner_id:") {
        Some(rest) => rest.split_once(':')?.0,
        None => subject.strip_prefix("repo:")?.split_once('/')?.0.split_once('@')?.1,
    };
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// Every claim is a string, even ids and `ref_protected`. Only the registered times are numbers.
pub(super) fn is_text_claim(claim: &str) -> bool {
    !matches!(claim, "exp" | "iat" | "nbf")
}

pub(super) const LENT: &[&str] = &[
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "enterprise",
    "enterprise_id",
];

/// `repo:O/R:environment:E`, `repo:O/R:pull_request` or `repo:O/R:ref:REF`.
pub(super) fn subject_of(claims: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let repository = text("repository")?;
    // GitHub escapes `:` in values of the subject.
    Some(match (text("environment"), text("event_name")) {
        (Some(environment), _) => format!("repo:{repository}:environment:{}", environment.replace(':', "%3A")),
        (None, Some("pull_request")) => format!("repo:{repository}:pull_request"),
        (None, _) => format!("repo:{repository}:ref:{}", text("ref")?),
    })
}

/// `repo:O/R:...` and `repo:O@1/R@2:...` name the repository, the owner and their ids.
pub(super) fn adopt_subject(subject: &str, claims: &mut Map<String, Value>) {
    let Some((repository, _)) = subject.strip_prefix("repo:").and_then(|rest| rest.split_once(':')) else { return };
    let Some((owner, name)) = repository.split_once('/') else { return };
    let mut set = |claim: &str, value: &str| claims.insert(claim.to_owned(), Value::from(value));
    let (owner, owner_id) = owner.split_once('@').map_or((owner, None), |(owner, id)| (owner, Some(id)));
    let (name, id) = name.split_once('@').map_or((name, None), |(name, id)| (name, Some(id)));
    set("repository", &format!("{owner}/{name}"));
    set("repository_owner", owner);
    if let Some(owner_id) = owner_id {
        set("repository_owner_id", owner_id);
    }
    if let Some(id) = id {
        set("repository_id", id);
    }
}
