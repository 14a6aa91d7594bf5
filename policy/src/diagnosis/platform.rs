//! How each platform's jobs are made to send what a rule wants.

use crate::Preset;

impl Preset {
    /// Where a caller sets the audience of the platform's tokens.
    pub(super) fn audience_setting(self) -> Option<&'static str> {
        Some(match self {
            Self::GithubActions | Self::Forgejo => {
                "the `audience` of `core.getIDToken(...)`, or `&audience=` of the request URL"
            }
            Self::Gitlab => "`aud` under the job's `id_tokens`",
            Self::Kubernetes => "`audience` of the projected volume's `serviceAccountToken`",
            Self::Google => "`?audience=` of the metadata server's `identity` URL",
            Self::Azure => "`resource` or `scope` of the token request",
            Self::Aws => "`Audience` of `GetWebIdentityToken`",
            Self::Spiffe => "`-audience` of `spire-agent api fetch jwt`",
            Self::Bitbucket => "`oidc: { audiences: [...] }` of the step",
            Self::Buildkite => "`--audience` of `buildkite-agent oidc request-token`",
            Self::TerraformCloud => "`TFC_WORKLOAD_IDENTITY_AUDIENCE` of the workspace",
            Self::Circleci => "`circleci run oidc get --claims '{\"aud\": ...}'`",
            Self::Fly => "`aud` of the request to `/v1/tokens/oidc`",
            Self::Octopus => "the audience of the OIDC account",
            Self::Jenkins => "the audience of the OIDC credential",
            Self::AzureDevops
            | Self::Keycloak
            | Self::Auth0
            | Self::Okta
            | Self::Vercel
            | Self::Spacelift
            | Self::Harness => {
                return None;
            }
        })
    }

    /// What makes a job send `example` as that claim.
    pub(super) fn how_to_send(self, claim: &str, example: &str) -> Option<String> {
        match self {
            Self::GithubActions | Self::Forgejo => github(claim, example),
            Self::Gitlab => match claim {
                "environment" => Some(format!("write `environment: {example}` on the job")),
                "ref" => Some(format!("run the pipeline on {}", place_of_ref(example))),
                "ref_protected" => Some("protect the branch or tag".to_owned()),
                _ => None,
            },
            Self::Kubernetes if claim == "subject" || claim == "sub" => {
                let (namespace, name) = example.strip_prefix("system:serviceaccount:")?.split_once(':')?;
                Some(format!("run the pod in namespace `{namespace}` with `serviceAccountName: {name}`"))
            }
            _ => None,
        }
    }
}

fn github(claim: &str, example: &str) -> Option<String> {
    match claim {
        "environment" => Some(format!("write `environment: {example}` on the job")),
        "ref" => Some(format!("run the workflow on {}", place_of_ref(example))),
        "event_name" => Some(format!("start the workflow by `{example}`")),
        "subject" | "sub" => {
            let (_, context) = example.strip_prefix("repo:")?.split_once(':')?;
            match context.split_once(':') {
                Some(("environment", name)) => Some(format!("write `environment: {name}` on the job")),
                Some(("ref", name)) => {
                    Some(format!("run the workflow on {}, in a job without `environment`", place_of_ref(name)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn place_of_ref(name: &str) -> String {
    match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/tags/")) {
        (Some(branch), _) => format!("the branch `{branch}`"),
        (_, Some(tag)) => format!("the tag `{tag}`"),
        _ => format!("`{name}`"),
    }
}
