//! Finds identities written for a platform whose issuer entry does not name that platform. Without
//! the preset, the checks for the platform would silently not apply.

use std::collections::HashSet;
use sts_types::CheckCode;

use super::broad::Rule;
use crate::condition::Test;
use crate::finding::{Findings, quoted};
use crate::pattern::{Pattern, shortest};
use crate::{IssuerSpec, Preset, PresetSource};

/// Reports each entry that must name its platform, once, and adds it to `reported`.
pub(super) fn check<'a>(
    rule: &Rule<'_>,
    issuers: &[&'a IssuerSpec],
    reported: &mut HashSet<&'a str>,
    findings: &mut Findings,
) {
    for issuer in issuers.iter().filter(|issuer| issuer.known.is_none()) {
        if reported.contains(issuer.name.value.as_str()) {
            continue;
        }
        let found = match issuer.preset_source {
            PresetSource::Unsaid => platform_of(rule).or_else(|| of_url(issuer.issuer.value.as_str())),
            PresetSource::Written => other_platform(rule, issuer.preset),
            PresetSource::Url | PresetSource::WrittenNone | PresetSource::Faulty => None,
        };
        let Some((preset, evidence)) = found else { continue };
        reported.insert(issuer.name.value.as_str());
        let entry = quoted(issuer.name.value.as_str());
        let says = match issuer.preset {
            None => format!("nothing says that {entry} is one"),
            Some(written) => format!("{entry} is said to be {}", written.title()),
        };
        let message = format!(
            "{} has {evidence} of {}, and {says}: the platform's rules would not apply",
            rule.title,
            preset.title(),
        );
        let like = if preset == Preset::GithubActions { " (`preset: forgejo` for Forgejo and Gitea)" } else { "" };
        let help = format!(
            "write `preset: {}` on the issuer entry if it is your own instance{like}, or `preset: none` if it is another platform",
            preset.name()
        );
        findings.error(CheckCode::PresetRequired, issuer.name.origin, message, help);
    }
}

/// The platform whose self-hosted instances have issuers of this form.
fn of_url(issuer: &str) -> Option<(Preset, String)> {
    // GitHub Enterprise Server; Forgejo and Gitea.
    let forms = [("/_services/token", Preset::GithubActions), ("/api/actions", Preset::Forgejo)];
    let (ending, preset) = forms.into_iter().find(|(ending, _)| issuer.ends_with(ending))?;
    Some((preset, format!("an issuer that ends as those ({})", quoted(ending))))
}

/// The platform whose subject grammar the rule uses, if the entry's preset names a different one.
fn other_platform(rule: &Rule<'_>, written: Option<Preset>) -> Option<(Preset, String)> {
    let (preset, evidence) = by_subject(rule)?;
    let is_same =
        written.is_some_and(|written| written == preset || (written.is_github_grammar() && preset.is_github_grammar()));
    (!is_same && rule.spec.short_rule.is_none()).then_some((preset, evidence))
}

fn by_subject(rule: &Rule<'_>) -> Option<(Preset, String)> {
    let written = || {
        rule.subjects().find_map(|pattern| {
            let preset = Preset::of_subject(pattern)?;
            Some((preset, format!("the subject {}", quoted(pattern.as_str()))))
        })
    };
    let expression = || {
        let on_subject = rule.conditions.iter().filter(|condition| condition.claim_name() == "sub");
        on_subject.flat_map(|condition| &condition.tests).find_map(|test| {
            let Test::Regex(expression) = test else { return None };
            let preset = Preset::of_expression(&expression.text)?;
            Some((preset, format!("the subject {}", quoted(&expression.text))))
        })
    };
    written().or_else(expression)
}

/// The platform that an identity is written for, with the evidence.
fn platform_of(rule: &Rule<'_>) -> Option<(Preset, String)> {
    let by_claim = || {
        rule.conditions.iter().find_map(|condition| {
            let claim = condition.claim_name();
            let preset = Preset::of_claim(claim)?;
            Some((preset, format!("the claim {}", quoted(claim))))
        })
    };
    // A short rule names the platform itself, and has a check of its own.
    if rule.spec.short_rule.is_some() {
        return None;
    }
    by_subject(rule).or_else(by_claim).or_else(|| by_claims_together(rule))
}

/// Recognises GitHub by several claims together. Many platforms send `repository`, but together
/// with one of these claims, and without a subject of another grammar, it is GitHub's.
fn by_claims_together(rule: &Rule<'_>) -> Option<(Preset, String)> {
    let has = |name: &str| rule.conditions.iter().any(|condition| condition.claim_name() == name);
    let beside = ["ref", "environment", "workflow", "actor", "ref_type"].into_iter().find(|name| has(name))?;
    let is_theirs = has("repository") && rule.subject.is_none() && !has("sub");
    is_theirs.then(|| (Preset::GithubActions, format!("the claims `repository` and `{beside}`")))
}

impl Preset {
    /// The platform whose grammar the subject follows, among those with checks of their own.
    fn of_subject(pattern: &Pattern) -> Option<Self> {
        let (text, head) = (pattern.as_str(), pattern.literal_head());
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| head.starts_with(prefix));
        let has = |parts: &[&str]| parts.iter().all(|part| text.contains(part));
        let is_repository = || {
            // A pattern that matches no such subject is of another grammar: the `*` of
            // `repo:acme/*` stops before the second `:`.
            let shape = Pattern::parse("repo:?*/?*:?**").ok();
            begins(&["repo:"]) && shape.is_some_and(|shape| shortest([pattern, &shape], []).text().is_some())
        };
        if is_repository()
            || begins(&["repository:", "repository_owner:", "repository_owner_id:", "repository_id:"])
            || has(&[":ref:refs/"]) && !has(&[":ref_type:"])
            || pattern.literal_ending().ends_with(":pull_request")
        {
            return Some(Self::GithubActions);
        }
        if begins(&["project_path:"]) || has(&[":ref_type:", ":ref:"]) {
            return Some(Self::Gitlab);
        }
        [
            (Self::TerraformCloud, &["organization:", ":workspace:"][..]),
            (Self::Buildkite, &["organization:", ":pipeline:"]),
            (Self::Circleci, &["org/", "/project/", "/user/"]),
            (Self::Vercel, &["owner:", ":project:", ":environment:"]),
        ]
        .into_iter()
        .find(|(_, parts)| parts.first().is_some_and(|first| head.starts_with(first)) && has(parts))
        .map(|(preset, _)| preset)
    }

    /// The platform whose grammar the beginning of a regular expression on `sub` follows.
    fn of_expression(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['^', '(', '?', ':']).replace('\\', "");
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        if begins(&["repo:", "repository:", "repository_owner:", "repository_owner_id:", "repository_id:"])
            || text.contains(":ref:refs/")
        {
            return Some(Self::GithubActions);
        }
        begins(&["project_path:"]).then_some(Self::Gitlab)
    }

    /// The only platform that sends a claim of this name.
    fn of_claim(name: &str) -> Option<Self> {
        match name {
            "repository_owner"
            | "repository_owner_id"
            | "repository_id"
            | "repository_visibility"
            | "actor_id"
            | "event_name"
            | "runner_environment"
            | "environment_node_id"
            | "job_workflow_ref"
            | "job_workflow_sha"
            | "workflow_ref"
            | "workflow_sha"
            | "head_ref"
            | "base_ref" => Some(Self::GithubActions),
            "project_path" | "namespace_path" | "ci_config_ref_uri" | "job_project_path" => Some(Self::Gitlab),
            "terraform_organization_id" | "terraform_organization_name" | "terraform_workspace_id" => {
                Some(Self::TerraformCloud)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::*;
    use crate::{IdentitySpec, Preset, PresetSource, Spec};
    use serde_json::json;

    const OWN: &str = "https://ci.example";

    fn with(identity: IdentitySpec) -> Spec {
        let mut spec = spec(vec![account("octo", vec![of("e", identity)])]);
        spec.issuers = vec![issuer("e", OWN)];
        spec
    }

    #[test]
    fn f1_a_platforms_grammar_on_an_entry_that_names_no_platform_is_refused() {
        for (identity, preset) in [
            (subject("i", "repo:octo/app:ref:refs/heads/main"), "github-actions"),
            (subject("i", "repo:octo/**"), "github-actions"),
            (subject("i", "repo:octo/app:pull_request"), "github-actions"),
            (subject("i", "*:ref:refs/heads/main"), "github-actions"),
            (subject("i", "re?o:octo/app:pull_request"), "github-actions"),
            (subject("i", "repository_owner_id:65:**"), "github-actions"),
            (claims(identity("i"), json!({ "sub": ["x", "repo:octo/app:ref:refs/heads/main"] })), "github-actions"),
            (claims(identity("i"), json!({ "repository_owner_id": "65", "ref": "refs/heads/main" })), "github-actions"),
            (claims(identity("i"), json!({ "/job_workflow_ref": "octo/**" })), "github-actions"),
            (subject("i", "project_path:group/app:ref_type:branch:ref:main"), "gitlab"),
            (subject("i", "project_path:**"), "gitlab"),
            (claims(identity("i"), json!({ "project_path": "group/app" })), "gitlab"),
            (claims(identity("i"), json!({ "namespace_path": "group" })), "gitlab"),
            (claims(identity("i"), json!({ "terraform_workspace_id": "ws-1" })), "terraform-cloud"),
            (claims(identity("i"), json!({ "/terraform_organization_id": "org-1" })), "terraform-cloud"),
            (subject("i", "organization:acme:project:p:workspace:w:run_phase:apply"), "terraform-cloud"),
            (subject("i", "organization:acme:pipeline:p:**"), "buildkite"),
            (subject("i", "org/1/project/2/user/3"), "circleci"),
            (subject("i", "owner:acme:project:p:environment:production"), "vercel"),
        ] {
            let report = findings(&with(identity.clone())).join("\n");
            let errors = report.lines().filter(|line| line.starts_with("Error")).count();
            assert!(report.contains(&format!("`preset: {preset}`")) && errors == 1, "{identity:?}: {report}");
            assert!(report.contains("`preset: none`"), "{report}");
            let mut none = with(identity.clone());
            none.issuers[0].preset_source = PresetSource::WrittenNone;
            assert!(!findings(&none).join("").contains("Error"), "{identity:?}");
        }
        for other in [
            subject("i", "svc:deployer"),
            subject("i", "reports:daily"),
            subject("i", "repo:octo/*"),
            subject("i", "organization:acme"),
            subject("i", "system:serviceaccount:prod:deployer"),
            subject("i", "spiffe://acme.example/deployer"),
            claims(subject("i", "job"), json!({ "repository": "octo/app", "ref": "main", "environment": "prod" })),
            claims(identity("i"), json!({ "repository": "octo/app" })),
            claims(identity("i"), json!({ "sub": { "regex": "svc:.*" } })),
        ] {
            assert!(!findings(&with(other.clone())).join("").contains("Error"), "{other:?}");
        }
    }

    #[test]
    fn f1_the_url_of_an_instance_and_claims_without_a_subject_show_the_platform_too() {
        for identity in [
            claims(identity("i"), json!({ "repository": "octo/app", "ref": "refs/heads/main" })),
            claims(identity("i"), json!({ "repository_id": "7", "environment": "prod" })),
            claims(identity("i"), json!({ "event_name": "push" })),
            claims(identity("i"), json!({ "sub": { "regex": "repo:octo/app:.*" } })),
            claims(identity("i"), json!({ "sub": { "regex": "^(repo:octo/app:.*)$" } })),
        ] {
            let report = findings(&with(identity.clone())).join("\n");
            assert!(report.contains("`preset: github-actions`"), "{identity:?}: {report}");
        }
        for (url, preset) in [
            ("https://ghes.example/_services/token", "github-actions"),
            ("https://forge.example/api/actions", "forgejo"),
        ] {
            let mut spec = with(subject("i", "svc:deployer"));
            spec.issuers = vec![issuer("e", url)];
            let report = findings(&spec).join("\n");
            assert!(report.contains(&format!("`preset: {preset}`")), "{url}: {report}");
        }
    }

    #[test]
    fn f1_a_preset_that_the_subjects_contradict_is_refused() {
        for (written, is_refused) in [
            (Preset::Jenkins, true),
            (Preset::Gitlab, true),
            (Preset::Kubernetes, true),
            (Preset::GithubActions, false),
            (Preset::Forgejo, false),
        ] {
            let mut spec = with(subject("i", "repo:octo/app:ref:refs/heads/main"));
            spec.issuers[0].preset = Some(written);
            spec.issuers[0].preset_source = PresetSource::Written;
            assert_eq!(findings(&spec).join("").contains("is said to be"), is_refused, "{written:?}");
        }
    }

    #[test]
    fn f1_one_entry_is_told_once() {
        let mut spec = with(subject("i", "repo:octo/app:ref:refs/heads/main"));
        spec.accounts[0].identities.push(of("e", subject("j", "repo:octo/app:ref:refs/heads/dev")));
        let errors = findings(&spec).iter().filter(|finding| finding.starts_with("Error")).count();
        assert_eq!(errors, 1);
    }
}
