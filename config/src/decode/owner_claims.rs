//! `owner_claims:`, the claims of a shared issuer's tokens that name the tenant.

use sts_claims::ClaimPath;
use sts_types::{CheckCode, Located};

use super::reader::Reader;
use crate::yaml::Node;

/// Claims that every issuer sends, or that describe how somebody signed in (RFC 7519, RFC 8693,
/// OpenID Connect).
const PROTOCOL: [&str; 38] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "azp",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "at_hash",
    "c_hash",
    "s_hash",
    "sid",
    "scope",
    "scp",
    "scopes",
    "typ",
    "type",
    "token_use",
    "token_type",
    "alg",
    "kid",
    "ver",
    "cnf",
    "act",
    "may_act",
    "events",
    "toe",
    "txn",
    "idp",
    "rh",
    "uti",
    "aio",
    "email_verified",
    "updated_at",
];

/// Claims about one run or one person. Every tenant can choose them when it starts a run.
const OF_THE_CALLER: [&str; 66] = [
    "environment",
    "environment_name",
    "env",
    "deployment_environment",
    "deployment_tier",
    "tier",
    "stage",
    "ref",
    "ref_name",
    "ref_type",
    "ref_path",
    "ref_protected",
    "branch",
    "branch_name",
    "build_branch",
    "git_branch",
    "git_ref",
    "git_tag",
    "tag",
    "head_ref",
    "base_ref",
    "vcs_ref",
    "scm_ref",
    "actor",
    "actor_id",
    "triggering_actor",
    "triggered_by",
    "user",
    "username",
    "user_name",
    "user_login",
    "user_email",
    "login",
    "preferred_username",
    "nickname",
    "given_name",
    "family_name",
    "event",
    "event_name",
    "trigger",
    "trigger_type",
    "pipeline_source",
    "workflow",
    "workflow_name",
    "job",
    "job_name",
    "step",
    "step_key",
    "task",
    "task_name",
    "run_id",
    "run_number",
    "run_attempt",
    "build_number",
    "commit",
    "sha",
    "commit_sha",
    "runner_environment",
    "runner",
    "ip",
    "region",
    "zone",
    "hostname",
    "purpose",
    "session_name",
    "audience",
];

/// Names that each tenant chooses, so that two tenants can have the same one.
const NAMES: [&str; 30] = [
    "name",
    "display_name",
    "title",
    "description",
    "project",
    "project_name",
    "repo",
    "repo_name",
    "repository_name",
    "pipeline",
    "pipeline_name",
    "workspace_name",
    "team",
    "team_name",
    "group",
    "groups",
    "role",
    "roles",
    "permissions",
    "namespace",
    "service",
    "service_account",
    "application",
    "app",
    "email",
    "client_id",
    "labels",
    "tags",
    "attributes",
    "metadata",
];

/// Reads the names or JSON pointers of claims that name the owner.
pub(super) fn owner_claims(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<String>>> {
    let claims = reader.one_or_more(node, owner_claim)?;
    (!claims.is_empty()).then_some(claims)
}

fn owner_claim(reader: &mut Reader<'_>, item: &Node) -> Option<Located<String>> {
    let text = reader.text(item)?;
    let path = match ClaimPath::parse(&text.value) {
        Ok(path) if path.claim().trim().is_empty() || text.value.ends_with('/') => {
            let help = "write the name of a claim, such as `org_id`";
            reader.error(
                CheckCode::InvalidClaimName,
                text.span,
                format!("{} is not the name of a claim", text.shown()),
                help,
            );
            return None;
        }
        Ok(path) => path,
        Err(error) => {
            let message = format!("{} is not the name of a claim", text.shown());
            reader.error(CheckCode::InvalidClaimName, text.span, message, error.to_string());
            return None;
        }
    };
    let word = folded(&text.value);
    if PROTOCOL.contains(&path.claim()) || PROTOCOL.contains(&word.as_str()) {
        let help = "name a claim that the issuer sets for each tenant, such as `org_id`; an exact `subject` fixes the owner by itself";
        let message = format!("the claim {} cannot tell tenants apart: every tenant's tokens have it", text.shown());
        reader.error(CheckCode::InvalidOwnerClaim, text.span, message, help);
        return None;
    }
    // Only the operator knows what the issuer puts into these, so they are no error.
    let why = if OF_THE_CALLER.contains(&word.as_str()) {
        Some("in any tenant, the person who starts a run usually chooses such a claim")
    } else if NAMES.contains(&word.as_str()) {
        Some("each tenant chooses such names, and two can choose the same")
    } else {
        None
    };
    if let Some(why) = why {
        let message = format!("the claim {} may not tell tenants apart: {why}", text.shown());
        let help = "name the claim that the issuer sets to the tenant's id, such as `org_id`";
        reader.warning(CheckCode::DoubtfulOwnerClaim, text.span, message, help);
    }
    Some(reader.located(text.value, text.span))
}

/// Normalises the last part of a claim name or pointer: `https://ci.example/claims/Environment`
/// becomes `environment`.
fn folded(text: &str) -> String {
    let last = text.rsplit(['/', ':']).next().unwrap_or(text);
    let mut folded = String::with_capacity(last.len() + 4);
    let mut before = '_';
    for c in last.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            folded.push('_');
        }
        before = c;
        match c {
            '-' | '.' | ' ' => folded.push('_'),
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded
}
