//! How to make each platform send the claims that a rule expects.

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

    /// Explains an audience that the platform sends by default.
    pub(crate) fn own_audience(self, audience: &str) -> Option<&'static str> {
        match self {
            Self::Azure if sts_types::is_uuid(audience) => {
                Some("a v2.0 token has the id of the application it is for as its `aud`, whatever URI was asked for")
            }
            Self::Circleci if sts_types::is_uuid(audience) => {
                Some("that is the organisation's id, which CircleCI sends unless another audience is asked for")
            }
            _ => None,
        }
    }

    /// Like [`Self::form_of`], for the audience. Both values are JSON text, as a trace has them.
    pub(super) fn form_of_audience(self, wanted: &str, actual: &str) -> Option<&'static str> {
        let is_id = |text: &str| sts_types::is_uuid(text.trim_matches('"'));
        let is_uri = wanted.starts_with("\"api://");
        (self == Self::Azure
            && is_uri
            && is_id(actual)
            && crate::preset::shared_audience(actual.trim_matches('"')).is_none())
        .then_some("the id of the application that tokens are requested for")
    }

    /// The form in which the platform sends a claim, if `wanted` has another one. No token can then
    /// match, so the rule must change.
    pub(super) fn form_of(self, claim: &str, wanted: &str) -> Option<&'static str> {
        let form = FORMS.iter().find(|form| form.presets.contains(&self) && form.claims.contains(&claim))?;
        (!(form.fits)(wanted)).then_some(form.text)
    }

    /// How to make a job send the claim with the value `example` instead of `actual`.
    pub(super) fn how_to_send(self, claim: &str, example: &str, actual: Option<&str>) -> Option<String> {
        match self {
            Self::GithubActions | Self::Forgejo => github(claim, example, actual),
            Self::Gitlab => match claim {
                "environment" => Some(format!("write `environment: {example}` on the job")),
                "ref" => Some(format!("run the pipeline on {}", place_of_ref(example))),
                "ref_protected" => Some("protect the branch or tag".to_owned()),
                _ => None,
            },
            Self::Buildkite if claim == "step_key" => Some(format!("write `key: {example}` on the step")),
            Self::Google if claim == "email" => Some(
                "ask the metadata server's `identity` URL with `&format=full`, or gcloud with `--include-email`"
                    .to_owned(),
            ),
            Self::Kubernetes if claim == "subject" || claim == "sub" => {
                let (namespace, name) = example.strip_prefix("system:serviceaccount:")?.split_once(':')?;
                Some(format!("run the pod in namespace `{namespace}` with `serviceAccountName: {name}`"))
            }
            _ => None,
        }
    }
}

/// The form of some of a platform's claims.
struct Form {
    presets: &'static [Preset],
    claims: &'static [&'static str],
    fits: fn(&str) -> bool,
    /// What to write, after "write ... as".
    text: &'static str,
}

const GITHUB: &[Preset] = &[Preset::GithubActions, Preset::Forgejo];

const FORMS: [Form; 19] = [
    Form {
        presets: GITHUB,
        claims: &["workflow"],
        fits: |text| text.starts_with('.') || !(text.ends_with(".yml") || text.ends_with(".yaml")),
        text: "the workflow's `name` (its file stands in `workflow_ref`)",
    },
    Form {
        presets: &[Preset::Auth0],
        claims: &["subject", "sub"],
        fits: |text| text.contains(['@', '|']),
        text: "`CLIENT-ID@clients` for a machine",
    },
    Form {
        presets: &[Preset::Fly],
        claims: &["subject", "sub"],
        fits: |text| text.split(':').count() == 3,
        text: "`ORG:APP:MACHINE`, such as `ORG:APP:*`",
    },
    Form {
        presets: &[Preset::Buildkite],
        claims: &["pipeline_slug", "organization_slug"],
        fits: |text| !text.contains(|c: char| c.is_uppercase() || c.is_whitespace()),
        text: "the slug, as the URL of its page has it",
    },
    Form {
        presets: GITHUB,
        claims: &["ref"],
        fits: |text| text.starts_with("refs/"),
        text: "a whole ref, such as `refs/heads/main`",
    },
    Form {
        presets: GITHUB,
        claims: &["repository_id", "repository_owner_id", "actor_id", "enterprise_id"],
        fits: is_number,
        text: "the number that the platform's API answers as `id`",
    },
    Form {
        presets: GITHUB,
        claims: &["repository"],
        fits: |text| text.split('/').count() == 2 && !text.contains(':') && !text.ends_with(".git"),
        text: "`OWNER/REPOSITORY`",
    },
    Form {
        presets: GITHUB,
        claims: &["job_workflow_ref", "workflow_ref"],
        fits: |text| text.contains("/workflows/") && text.contains('@') && !text.starts_with(['.', '/']),
        text: "`OWNER/REPOSITORY/.github/workflows/FILE@REF`",
    },
    Form {
        presets: GITHUB,
        claims: &["subject", "sub"],
        fits: |text| (text.contains(":ref:refs/") || !text.contains(":refs/")) && has_whole_ref(text),
        text: "`repo:OWNER/REPOSITORY:ref:refs/heads/BRANCH`, or `...:environment:NAME` for a job with an environment",
    },
    Form {
        presets: &[Preset::Gitlab],
        claims: &["ref"],
        fits: |text| !text.starts_with("refs/"),
        text: "the name alone, such as `main` (`ref_path` has it with `refs/heads/`)",
    },
    Form {
        presets: &[Preset::Gitlab],
        claims: &["project_id", "namespace_id", "user_id", "pipeline_id", "job_id"],
        fits: is_number,
        text: "the number that the project's or group's page shows",
    },
    Form {
        presets: &[Preset::Gitlab],
        claims: &["project_path"],
        fits: |text| text.contains('/') && !text.contains(':') && !text.ends_with(".git"),
        text: "`GROUP/PROJECT`, with every group above it",
    },
    Form {
        presets: &[Preset::Gitlab],
        claims: &["subject", "sub"],
        fits: |text| text.starts_with("project_path:"),
        text: "`project_path:GROUP/PROJECT:ref_type:branch:ref:NAME`",
    },
    Form {
        presets: &[Preset::Kubernetes],
        claims: &["subject", "sub"],
        fits: |text| text.starts_with("system:serviceaccount:") && text.split(':').count() == 4,
        text: "`system:serviceaccount:NAMESPACE:NAME`",
    },
    Form {
        presets: &[Preset::Google],
        claims: &["subject", "sub"],
        fits: is_number,
        text: "the service account's number (`uniqueId`); its address is the claim `email`",
    },
    Form {
        presets: &[Preset::Azure],
        claims: &["oid", "tid", "azp", "appid"],
        fits: |text| sts_types::is_uuid(&text.to_ascii_lowercase()),
        text: "the object's or application's id, a UUID",
    },
    Form {
        presets: &[Preset::TerraformCloud],
        claims: &["subject", "sub"],
        fits: |text| text.starts_with("organization:"),
        text: "`organization:ORG:project:PROJECT:workspace:WORKSPACE:run_phase:PHASE`",
    },
    Form {
        presets: &[Preset::Spiffe],
        claims: &["subject", "sub"],
        fits: |text| text.starts_with("spiffe://"),
        text: "a whole SPIFFE ID, such as `spiffe://TRUST-DOMAIN/PATH`",
    },
    Form {
        presets: &[Preset::Aws],
        claims: &["subject", "sub"],
        fits: |text| text.starts_with("arn:") && !text.contains(":assumed-role/"),
        text: "the role's own ARN, `arn:aws:iam::ACCOUNT:role/NAME`, not that of a session",
    },
];

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a whole ref (`refs/...`) or a wildcard follows `:ref:` in a subject.
fn has_whole_ref(subject: &str) -> bool {
    subject.split_once(":ref:").is_none_or(|(_, rest)| rest.starts_with("refs/") || rest.starts_with(['*', '?']))
}

fn github(claim: &str, example: &str, actual: Option<&str>) -> Option<String> {
    match claim {
        "environment" => Some(format!("write `environment: {example}` on the job")),
        "ref" => Some(format!("run the workflow on {}", place_of_ref(example))),
        "event_name" => Some(format!("start the workflow by `{example}`")),
        "subject" | "sub" => {
            let parts =
                |text: &'_ str| text.strip_prefix("repo:")?.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()));
            let (place, context) = parts(example)?;
            // No job setting changes the repository, or the spelling of its name.
            let is_same_place = actual.and_then(parts).is_none_or(|(other, sent)| other == place && sent != context);
            match context.split_once(':').filter(|_| is_same_place) {
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
