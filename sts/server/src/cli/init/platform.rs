//! What `sts init` asks for each platform, and what becomes of the answers.

use sts_policy::Preset;

/// A platform, and the rule that it is safe to begin with.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) preset: Preset,
    pub(super) questions: &'static [Question],
    /// Its issuer, with answers in braces.
    pub(super) issuer: IssuerUrl,
    /// More members of the issuer entry: name and value, with answers in braces.
    pub(super) entry: &'static [(&'static str, &'static str)],
    /// The audience that its tokens have, if a workload cannot choose it: a text with answers in braces.
    pub(super) audience: Option<&'static str>,
    /// Conditions that no answer changes.
    pub(super) fixed: &'static [Fixed],
    /// What else a token has that comes from the answers: the claim and its value.
    pub(super) token: &'static [(&'static str, &'static str)],
    /// Tokens that must get nothing.
    pub(super) attacks: &'static [Attack],
}

#[derive(Debug)]
pub(super) enum IssuerUrl {
    /// Everybody's, or that of a tenant. An instance of one's own has another.
    Known(&'static str),
    /// Somebody runs it. An example.
    Asked(&'static str),
}

#[derive(Debug)]
pub(super) struct Question {
    /// The name of the answer.
    pub(super) name: &'static str,
    /// What it is, and where to look it up.
    pub(super) text: &'static str,
    pub(super) example: &'static str,
    pub(super) presence: Presence,
    pub(super) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    /// Without an answer, this one.
    Default(&'static str),
    /// Without an answer, no condition.
    Optional,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The member of the platform's short rule that has the question's name.
    Member,
    /// The condition on this claim.
    Claim(&'static str),
    /// The subject: a text with answers in braces.
    Subject(&'static str),
    /// Only into texts that name it.
    Text,
}

/// A condition that no answer changes.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The member of the short rule, or the claim where the platform has none.
    pub(super) name: &'static str,
    /// Its value in YAML, with answers in braces.
    pub(super) yaml: &'static str,
    /// What a good token has, as JSON, with answers in braces.
    pub(super) good: &'static str,
    /// What must not get in, as JSON.
    pub(super) bad: &'static str,
    /// What that is.
    pub(super) what: &'static str,
}

#[derive(Debug)]
pub(super) struct Attack {
    pub(super) claim: &'static str,
    /// As JSON.
    pub(super) value: &'static str,
    pub(super) what: &'static str,
}

const fn ask(name: &'static str, text: &'static str, example: &'static str) -> Question {
    Question { name, text, example, presence: Presence::Required, target: Target::Member }
}

const fn optional(question: Question) -> Question {
    Question { presence: Presence::Optional, ..question }
}

const fn or(question: Question, default: &'static str) -> Question {
    Question { presence: Presence::Default(default), ..question }
}

const fn to(question: Question, target: Target) -> Question {
    Question { target, ..question }
}

const fn platform(preset: Preset, issuer: IssuerUrl, questions: &'static [Question]) -> Platform {
    Platform { preset, questions, issuer, entry: &[], audience: None, fixed: &[], token: &[], attacks: &[] }
}

const EVENTS: &[Attack] = &[
    Attack { claim: "event_name", value: "\"pull_request\"", what: "a pull request" },
    Attack {
        claim: "event_name",
        value: "\"pull_request_target\"",
        what: "code of a stranger, run for a pull request",
    },
    Attack { claim: "event_name", value: "\"issue_comment\"", what: "anybody's comment" },
];

/// All but Vercel, whose tokens have an audience that Vercel accepts itself: the check of such an
/// identity warns.
pub(super) const PLATFORMS: &[Platform] = &[
    Platform {
        attacks: EVENTS,
        ..platform(
            Preset::GithubActions,
            IssuerUrl::Known("https://token.actions.githubusercontent.com"),
            &[
                ask("repository", "Repository, as OWNER/NAME", "octo-org/octo-repo"),
                ask(
                    "repository_id",
                    "Its id (`gh api repos/OWNER/NAME --jq .id` prints it), since a name may get to somebody else",
                    "1296269",
                ),
                optional(ask("environment", "Environment of the job", "production")),
                or(ask("ref", "Branch or tag, as a ref", "refs/heads/main"), "refs/heads/main"),
            ],
        )
    },
    Platform {
        fixed: &[
            Fixed {
                name: "ref_type",
                yaml: "branch",
                good: "\"branch\"",
                bad: "\"tag\"",
                what: "a tag of the branch's name",
            },
            Fixed {
                name: "ref_protected",
                yaml: "true",
                good: "\"true\"",
                bad: "\"false\"",
                what: "a branch that is not protected",
            },
            Fixed {
                name: "job_project_id",
                yaml: "{ any_of: [\"{project_id}\"], or_absent: true }",
                good: "\"{project_id}\"",
                bad: "\"another\"",
                what: "a job of another project",
            },
        ],
        ..platform(
            Preset::Gitlab,
            IssuerUrl::Known("https://gitlab.com"),
            &[
                ask("project_id", "The project's id (it is on the project's page)", "20"),
                or(ask("ref", "Protected branch", "main"), "main"),
            ],
        )
    },
    Platform {
        token: &[("sub", "system:serviceaccount:{namespace}:{service_account}")],
        ..platform(
            Preset::Kubernetes,
            IssuerUrl::Asked("https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"),
            &[
                ask("namespace", "Namespace", "octo-ns"),
                ask("service_account", "Service account of the pod", "octo-sa"),
                optional(ask(
                    "uid",
                    "The service account's UID, so that one made anew gets nothing",
                    "e6a8680e-d103-4cce-80ea-03acbbeacf7d",
                )),
            ],
        )
    },
    Platform {
        audience: Some("{token_audience}"),
        ..platform(
            Preset::Azure,
            IssuerUrl::Known("https://login.microsoftonline.com/{tenant}/v2.0"),
            &[
                ask("tenant", "The tenant's id", "33333333-4444-4555-8666-777777777777"),
                ask(
                    "object_id",
                    "Object id of the managed identity or service principal",
                    "66666666-7777-4888-8999-000000000000",
                ),
                to(
                    ask(
                        "token_audience",
                        "Application id of the app registration that tokens are for",
                        "88888888-9999-4000-8111-222222222222",
                    ),
                    Target::Text,
                ),
            ],
        )
    },
    platform(
        Preset::Aws,
        IssuerUrl::Asked("https://0c70c0ff-ee00-4000-8000-00000000c0de.tokens.sts.global.api.aws"),
        &[
            ask("account", "The account's id", "123456789012"),
            ask("principal", "The role's ARN", "arn:aws:iam::123456789012:role/octo-deployer"),
        ],
    ),
    platform(
        Preset::Google,
        IssuerUrl::Known("https://accounts.google.com"),
        &[to(
            ask(
                "unique_id",
                "Unique id of the service account (`gcloud iam service-accounts describe EMAIL --format='value(uniqueId)'`)",
                "100000000000000000001",
            ),
            Target::Subject("{unique_id}"),
        )],
    ),
    Platform {
        fixed: &[Fixed {
            name: "ssh_rerun",
            yaml: "false",
            good: "false",
            bad: "true",
            what: "a job that somebody is logged in to",
        }],
        ..platform(
            Preset::Circleci,
            IssuerUrl::Known("https://oidc.circleci.com/org/{org_id}"),
            &[
                ask("org_id", "The organisation's id", "c9035eb6-6eb2-4c85-8a81-d9ed6a1d1d1e"),
                ask("project_id", "The project's id", "3a2f5b1c-7d4e-4f6a-9b8c-0d1e2f3a4b5c"),
                ask("vcs_origin", "Where the code is from, so that forks get nothing", "github.com/octo-org/octo-repo"),
                or(ask("vcs_ref", "Branch, as a ref", "refs/heads/main"), "refs/heads/main"),
            ],
        )
    },
    Platform {
        fixed: &[Fixed {
            name: "build_source",
            yaml: "webhook",
            good: "\"webhook\"",
            bad: "\"ui\"",
            what: "a build that somebody started by hand",
        }],
        ..platform(
            Preset::Buildkite,
            IssuerUrl::Known("https://agent.buildkite.com"),
            &[
                ask("organization_id", "The organisation's UUID", "0184990a-477b-4fa8-9968-496074483cec"),
                ask("pipeline_slug", "The pipeline's slug", "octo-pipeline"),
                or(ask("build_branch", "Branch", "main"), "main"),
            ],
        )
    },
    Platform {
        ..platform(
            Preset::Bitbucket,
            IssuerUrl::Known(
                "https://api.bitbucket.org/2.0/workspaces/{workspace_slug}/pipelines-config/identity/oidc",
            ),
            &[
                to(ask("workspace_slug", "The workspace's name in URLs", "octo-workspace"), Target::Text),
                ask("workspace", "The workspace's UUID, in braces", "{37f7aa0f-722b-4737-a1ba-74f42f300734}"),
                ask("repository", "The repository's UUID, in braces", "{1d397906-81bf-459e-9a8d-eae79c0bc5f3}"),
                optional(ask(
                    "environment",
                    "UUID of the deployment environment, in braces",
                    "{6f2c9a10-0b5e-4b7a-8a53-0f1d2c3b4a59}",
                )),
                or(ask("branch", "Branch", "main"), "main"),
            ],
        )
    },
    Platform {
        audience: Some("api://AzureADTokenExchange"),
        ..platform(
            Preset::AzureDevops,
            IssuerUrl::Known("https://vstoken.dev.azure.com/{organization_id}"),
            &[
                ask("organization_id", "The organisation's id", "11111111-2222-4333-8444-555555555555"),
                ask("project_id", "The project's id", "22222222-3333-4444-8555-666666666666"),
                ask("pipeline_id", "The pipeline's id (`definitionId` in its URL)", "7"),
                ask(
                    "repository_uri",
                    "The repository's URL, so that forks get nothing",
                    "https://github.com/octo-org/octo-repo",
                ),
                or(ask("ref", "Branch, as a ref", "refs/heads/main"), "refs/heads/main"),
            ],
        )
    },
    Platform {
        fixed: &[Fixed {
            name: "run_phase",
            yaml: "apply",
            good: "\"apply\"",
            bad: "\"plan\"",
            what: "a plan, which runs what anybody proposes",
        }],
        ..platform(
            Preset::TerraformCloud,
            IssuerUrl::Known("https://app.terraform.io"),
            &[
                ask("organization_id", "The organisation's id", "org-OctoCjYNpBB6NEH9"),
                ask("workspace_id", "The workspace's id", "ws-OctosE3Ktt5Rg2Xm"),
            ],
        )
    },
    Platform {
        entry: &[("trust_domain", "{trust_domain}")],
        ..platform(
            Preset::Spiffe,
            IssuerUrl::Asked("https://oidc-discovery.octo.example"),
            &[
                to(ask("trust_domain", "Trust domain", "octo.example"), Target::Text),
                ask("id", "SPIFFE ID of the workload", "spiffe://octo.example/ns/octo-ns/sa/octo-sa"),
            ],
        )
    },
    Platform {
        entry: &[("kid_reuse", "true")],
        ..platform(
            Preset::Jenkins,
            IssuerUrl::Asked("https://jenkins.octo.example/oidc"),
            &[ask("job", "The job's URL, with its slash", "https://jenkins.octo.example/job/octo-job/")],
        )
    },
    platform(
        Preset::Octopus,
        IssuerUrl::Asked("https://octo.octopus.example"),
        &[
            ask("space", "The space's slug", "default"),
            ask("project", "The project's slug", "octo-project"),
            ask("environment", "The environment's slug", "production"),
        ],
    ),
    Platform {
        fixed: &[Fixed {
            name: "ref_protected",
            yaml: "\"true\"",
            good: "\"true\"",
            bad: "\"false\"",
            what: "a branch that is not protected",
        }],
        attacks: EVENTS,
        ..platform(
            Preset::Forgejo,
            IssuerUrl::Asked("https://forge.octo.example/api/actions"),
            &[
                to(ask("repository", "Repository, as OWNER/NAME", "octo-org/octo-repo"), Target::Claim("repository")),
                or(
                    to(ask("ref", "Protected branch, as a ref", "refs/heads/main"), Target::Claim("ref")),
                    "refs/heads/main",
                ),
            ],
        )
    },
    platform(
        Preset::Fly,
        IssuerUrl::Known("https://oidc.fly.io/{organization}"),
        &[
            to(ask("organization", "The organisation's slug", "octo-org"), Target::Text),
            to(ask("org_id", "The organisation's id", "11111111"), Target::Claim("org_id")),
            to(ask("app_name", "The app", "octo-app"), Target::Claim("app_name")),
        ],
    ),
    Platform {
        audience: Some("{account}.app.spacelift.io"),
        fixed: &[
            Fixed {
                name: "callerType",
                yaml: "stack",
                good: "\"stack\"",
                bad: "\"module\"",
                what: "a module of the stack's name",
            },
            Fixed {
                name: "runType",
                yaml: "TRACKED",
                good: "\"TRACKED\"",
                bad: "\"PROPOSED\"",
                what: "a proposed run",
            },
            Fixed { name: "scope", yaml: "write", good: "\"write\"", bad: "\"read\"", what: "a run that only reads" },
        ],
        ..platform(
            Preset::Spacelift,
            IssuerUrl::Known("https://{account}.app.spacelift.io"),
            &[
                to(ask("account", "The account's name in its URL", "octo-org"), Target::Text),
                to(ask("stack", "The stack's slug", "octo-stack"), Target::Claim("callerId")),
            ],
        )
    },
    platform(
        Preset::Harness,
        IssuerUrl::Known("https://app.harness.io/ng/api/oidc/account/{account_id}"),
        &[
            to(ask("account_id", "The account's id", "OctoAccountId0000000001"), Target::Claim("account_id")),
            to(ask("organization_id", "The organisation's id", "octo_org"), Target::Claim("organization_id")),
            to(ask("project_id", "The project's id", "octo_project"), Target::Claim("project_id")),
            to(ask("pipeline_id", "The pipeline's id", "octo_pipeline"), Target::Claim("pipeline_id")),
        ],
    ),
    platform(
        Preset::Keycloak,
        IssuerUrl::Asked("https://sso.octo.example/realms/octo"),
        &[to(ask("client", "The client's id", "octo-job"), Target::Claim("azp"))],
    ),
    platform(
        Preset::Auth0,
        IssuerUrl::Asked("https://octo.auth0.example/"),
        &[to(ask("client", "The client's id", "OctoClientId0000000000000000001"), Target::Subject("{client}@clients"))],
    ),
    Platform {
        audience: Some("{token_audience}"),
        ..platform(
            Preset::Okta,
            IssuerUrl::Asked("https://octo.okta.example/oauth2/default"),
            &[
                to(ask("client", "The client's id", "0oaOcto3d4E5f6G7h8i9"), Target::Claim("cid")),
                to(ask("token_audience", "Audience of the authorization server", "api://octo-sts"), Target::Text),
            ],
        )
    },
];

impl Platform {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        PLATFORMS.iter().find(|platform| platform.preset.name() == name)
    }

    /// The claim that a member of its short rule is a condition on, or the claim itself.
    pub(super) fn claim_of(&self, name: &'static str, target: Target) -> Option<&'static str> {
        match target {
            Target::Member => {
                self.preset.short_rule_members().find(|(member, _)| *member == name).map(|(_, claim)| claim)
            }
            Target::Claim(claim) => Some(claim),
            Target::Subject(_) => Some("sub"),
            Target::Text => None,
        }
    }
}
