//! Suggests the preset or the member of a short rule that an unknown word probably means.

use sts_types::nearest;

use super::platform::ShortRule;
use super::platforms::Preset;

/// Other words for platforms.
const PLATFORMS: [(&str, Preset); 46] = [
    ("github", Preset::GithubActions),
    ("gh", Preset::GithubActions),
    ("gha", Preset::GithubActions),
    ("ghes", Preset::GithubActions),
    ("github_enterprise", Preset::GithubActions),
    ("gitlab_ci", Preset::Gitlab),
    ("gl", Preset::Gitlab),
    ("k8s", Preset::Kubernetes),
    ("kube", Preset::Kubernetes),
    ("eks", Preset::Kubernetes),
    ("gke", Preset::Kubernetes),
    ("aks", Preset::Kubernetes),
    ("irsa", Preset::Kubernetes),
    ("openshift", Preset::Kubernetes),
    ("k3s", Preset::Kubernetes),
    ("entra", Preset::Azure),
    ("entra_id", Preset::Azure),
    ("azuread", Preset::Azure),
    ("azure_ad", Preset::Azure),
    ("aad", Preset::Azure),
    ("microsoft", Preset::Azure),
    ("ado", Preset::AzureDevops),
    ("azure_pipelines", Preset::AzureDevops),
    ("vsts", Preset::AzureDevops),
    ("amazon", Preset::Aws),
    ("aws_sts", Preset::Aws),
    ("gcp", Preset::Google),
    ("google_cloud", Preset::Google),
    ("spire", Preset::Spiffe),
    ("svid", Preset::Spiffe),
    ("istio", Preset::Spiffe),
    ("circle", Preset::Circleci),
    ("circle_ci", Preset::Circleci),
    ("bitbucket_pipelines", Preset::Bitbucket),
    ("bb", Preset::Bitbucket),
    ("terraform", Preset::TerraformCloud),
    ("tfc", Preset::TerraformCloud),
    ("tfe", Preset::TerraformCloud),
    ("hcp_terraform", Preset::TerraformCloud),
    ("terraform_enterprise", Preset::TerraformCloud),
    ("octopus_deploy", Preset::Octopus),
    ("fly_io", Preset::Fly),
    ("flyio", Preset::Fly),
    ("gitea", Preset::Forgejo),
    ("gogs", Preset::Forgejo),
    ("codeberg", Preset::Forgejo),
];

/// Other words for members, by the key of the short rule.
const MEMBERS: &[(&str, &[(&str, &str)])] = &[
    (
        "github",
        &[
            ("owner", "repository_owner"),
            ("org", "repository_owner"),
            ("organization", "repository_owner"),
            ("organisation", "repository_owner"),
            ("org_id", "repository_owner_id"),
            ("organization_id", "repository_owner_id"),
            ("repo_name", "repository"),
            ("repository_name", "repository"),
            ("full_name", "repository"),
            ("branch", "ref"),
            ("tag", "ref"),
            ("event", "event_name"),
            ("workflow_file", "workflow_ref"),
            ("visibility", "repository_visibility"),
            ("commit", "sha"),
            ("user", "actor"),
        ],
    ),
    (
        "gitlab",
        &[
            ("project", "project_path"),
            ("repo", "project_path"),
            ("repository", "project_path"),
            ("repository_id", "project_id"),
            ("group", "namespace_path"),
            ("namespace", "namespace_path"),
            ("group_id", "namespace_id"),
            ("branch", "ref"),
            ("tag", "ref"),
            ("protected", "ref_protected"),
            ("source", "pipeline_source"),
            ("user", "user_login"),
        ],
    ),
    (
        "kubernetes",
        &[
            ("ns", "namespace"),
            ("sa", "service_account"),
            ("name", "service_account"),
            ("sa_uid", "service_account_uid"),
        ],
    ),
    (
        "azure",
        &[("tenant_id", "tenant"), ("tid", "tenant"), ("oid", "object_id"), ("azp", "client_id"), ("appid", "app_id")],
    ),
    (
        "azure_devops",
        &[
            ("org", "organization_id"),
            ("organization", "organization_id"),
            ("org_id", "organization_id"),
            ("branch", "ref"),
        ],
    ),
    (
        "aws",
        &[
            ("account_id", "account"),
            ("aws_account", "account"),
            ("role", "principal"),
            ("role_arn", "principal"),
            ("arn", "principal"),
            ("region", "source_region"),
        ],
    ),
    (
        "google",
        &[
            ("sub", "unique_id"),
            ("id", "unique_id"),
            ("service_account", "email"),
            ("hd", "hosted_domain"),
            ("project", "project_id"),
        ],
    ),
    ("spiffe", &[("spiffe_id", "id"), ("sub", "id"), ("path", "id"), ("workload", "id")]),
    ("jenkins", &[("job_url", "job"), ("sub", "job"), ("project", "job")]),
    (
        "circleci",
        &[
            ("organization_id", "org_id"),
            ("org", "org_id"),
            ("branch", "vcs_ref"),
            ("ref", "vcs_ref"),
            ("repo", "vcs_origin"),
        ],
    ),
    (
        "bitbucket",
        &[
            ("repo", "repository"),
            ("ref", "branch"),
            ("repository_uuid", "repository"),
            ("workspace_uuid", "workspace"),
        ],
    ),
    (
        "buildkite",
        &[
            ("org", "organization_slug"),
            ("organization", "organization_slug"),
            ("org_id", "organization_id"),
            ("pipeline", "pipeline_slug"),
            ("branch", "build_branch"),
        ],
    ),
    ("terraform", &[("org", "organization"), ("org_id", "organization_id"), ("phase", "run_phase")]),
    ("octopus", &[("env", "environment")]),
];

impl Preset {
    /// The preset that `word` probably means.
    #[must_use]
    pub fn suggested_for(word: &str) -> Option<Self> {
        let folded = fold(word);
        let by_name = || Self::ALL.into_iter().find(|preset| fold(preset.name()) == folded);
        let by_word = || PLATFORMS.iter().find(|(other_word, _)| *other_word == folded).map(|(_, preset)| *preset);
        let by_likeness = || {
            let words =
                Self::ALL.iter().map(|preset| preset.name()).chain(PLATFORMS.iter().map(|(other_word, _)| *other_word));
            let near = nearest(&folded, words.filter(|word| word.len() > 3))?;
            Self::from_name(near)
                .or_else(|| PLATFORMS.iter().find(|(other_word, _)| *other_word == near).map(|(_, preset)| *preset))
        };
        by_name().or_else(by_word).or_else(by_likeness)
    }
}

impl ShortRule {
    /// The member that `word` probably means.
    pub(crate) fn suggested_for(&self, word: &str) -> Option<&'static str> {
        let folded = fold(word);
        let names = || self.members.iter().map(|(name, _)| *name);
        let by_word = || {
            let (_, words) = MEMBERS.iter().find(|(key, _)| *key == self.key)?;
            words.iter().find(|(other_word, _)| *other_word == folded).map(|(_, member)| *member)
        };
        let exact = names().find(|name| *name == folded);
        exact.or_else(by_word).or_else(|| nearest(&folded, names())).or_else(|| by_parts(&folded, names()))
    }
}

/// The shortest of `names` whose parts begin with the parts of `word`, in order: `repo_id` finds
/// `repository_id`.
fn by_parts(word: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let has_all = |name: &&str| {
        let mut parts = name.split('_');
        word.split('_').all(|part_of_word| !part_of_word.is_empty() && parts.any(|part| part.starts_with(part_of_word)))
    };
    names.filter(has_all).min_by_key(|name| (name.split('_').count(), name.len()))
}

/// Converts any spelling to lower case with underscores.
fn fold(word: &str) -> String {
    let mut folded = String::with_capacity(word.len() + 4);
    let mut before: Option<char> = None;
    for c in word.trim().chars() {
        if c.is_uppercase() && before.is_some_and(char::is_lowercase) {
            folded.push('_');
        }
        before = Some(c);
        match c {
            '-' | ' ' | '.' => folded.push('_'),
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fld48_another_word_for_a_platform_is_understood() {
        for (word, preset) in [
            ("spire", "spiffe"),
            ("spife", "spiffe"),
            ("github", "github-actions"),
            ("GitHub", "github-actions"),
            ("github_actions", "github-actions"),
            ("githubactions", "github-actions"),
            ("gihtub", "github-actions"),
            ("jenkin", "jenkins"),
            ("k8s", "kubernetes"),
            ("kubernetis", "kubernetes"),
            ("entra", "azure"),
            ("azuredevops", "azure-devops"),
            ("terraform", "terraform-cloud"),
            ("gitea", "forgejo"),
            ("circle-ci", "circleci"),
            ("fly.io", "fly"),
        ] {
            assert_eq!(Preset::suggested_for(word).map(Preset::name), Some(preset), "{word}");
        }
        for word in ["nothing-like-it", "", "x", "none"] {
            assert_eq!(Preset::suggested_for(word), None, "{word}");
        }
    }

    #[test]
    fn fld48_another_word_for_a_member_is_understood() {
        for (key, word, member) in [
            ("github", "repo_id", Some("repository_id")),
            ("github", "repo", Some("repository")),
            ("github", "repositry", Some("repository")),
            ("github", "repositoryId", Some("repository_id")),
            ("github", "repository-owner", Some("repository_owner")),
            ("github", "owner_id", Some("repository_owner_id")),
            ("github", "org", Some("repository_owner")),
            ("github", "branch", Some("ref")),
            ("github", "env", Some("environment")),
            ("github", "colour", None),
            ("gitlab", "repo_id", None),
            ("gitlab", "proj_id", Some("project_id")),
            ("gitlab", "group", Some("namespace_path")),
            ("kubernetes", "ns", Some("namespace")),
            ("kubernetes", "serviceAccount", Some("service_account")),
            ("azure", "tenantId", Some("tenant")),
            ("aws", "role_arn", Some("principal")),
            ("spiffe", "spiffe_id", Some("id")),
            ("terraform", "workspaceId", Some("workspace_id")),
        ] {
            let rule = Preset::ALL.into_iter().filter_map(Preset::short_rule).find(|rule| rule.key == key).unwrap();
            assert_eq!(rule.suggested_for(word), member, "{key} {word}");
        }
    }

    #[test]
    fn every_word_for_a_member_leads_to_one() {
        for (key, words) in MEMBERS {
            let rule = Preset::ALL.into_iter().filter_map(Preset::short_rule).find(|rule| rule.key == *key).unwrap();
            for (word, member) in *words {
                assert!(rule.members.iter().any(|(name, _)| name == member), "{key} {member}");
                assert!(!rule.members.iter().any(|(name, _)| name == word), "{key} {word} is a member itself");
            }
        }
    }
}
