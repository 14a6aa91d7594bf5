//! Misconfigurations that other projects' users have reported, most of them with an answer that took days.

use serde_json::{Value, json};

use crate::support::{Case, assert_all, case};

const GITHUB: &str = "github-actions";
const MAIN: &str = "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\" }";
const CI: &str = "{ issuer: ci, subject: \"svc:octo\" }";
const POD: &str = "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo-sa\" }";
const SA: &str = "{ issuer: google, claims: { email: octo-sa@octo-project.iam.gserviceaccount.com } }";

fn of(identity: &'static str, preset: &'static str, claims: Value, wants: &'static [&'static str]) -> Case {
    case(identity, preset, claims, wants)
}

#[test]
fn fld06_what_others_ran_into_is_told_with_cause_and_fix() {
    assert_all(vec![
        // A regular expression where a pattern is read (octo-sts/app#1286).
        of(
            "{ issuer: github, subject: \"repo:octo-org/.*\", claims: { repository_owner_id: \"65\" } }",
            GITHUB,
            json!({}),
            &["written as a regular expression", "write `subject: \"repo:octo-org/**\"`"],
        ),
        // Branches as alternatives of an expression (DataDog/dd-trace-dotnet#8356).
        of(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/(main|hotfix/.+)\" }",
            GITHUB,
            json!({}),
            &["written as a regular expression", "write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\"`"],
        ),
        // All tags as an expression (odigos-io/odigos#4482).
        of(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/tags/.*\" }",
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:ref:refs/tags/v0.0.14", "ref": "refs/tags/v0.0.14" }),
            &["written as a regular expression", "write `subject: \"repo:octo-org/octo-repo:ref:refs/tags/**\"`"],
        ),
        // One star for a whole ref (octo-sts/action#30).
        of(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/*\" }",
            GITHUB,
            json!({}),
            &["`*` stops at `:` and `/`", "write `subject: \"repo:octo-org/octo-repo:ref:refs/**\"`"],
        ),
        // Letter case of an environment (Azure/login#517).
        of(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:environment:production\" }",
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:environment:Production", "environment": "Production" }),
            &[
                "only by the letter case",
                "write `subject: \"repo:octo-org/octo-repo:environment:Production\"`",
                "write `environment: production` on the job",
            ],
        ),
        // A subject with ids for a repository that sends none (Azure/login#619).
        of(
            "{ issuer: github, subject: \"repo:octo-org@65/octo-repo@74:ref:refs/heads/main\" }",
            GITHUB,
            json!({}),
            &["only by the ids that the subject carries", "present a token whose `sub` is"],
        ),
        // One star for all of an organisation (aws-actions/configure-aws-credentials#1137).
        of(
            "{ issuer: github, subject: \"repo:octo-org/*\" }",
            GITHUB,
            json!({}),
            &["`*` stops at `:` and `/`", "write `subject: \"repo:octo-org/**\"`"],
        ),
        // A pull request in place of a push (aws-actions/configure-aws-credentials#690).
        of(
            MAIN,
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:pull_request", "event_name": "pull_request", "ref": "refs/pull/7/merge" }),
            &["`event_name` is \"pull_request\", which strangers can cause", "start the workflow by another event"],
        ),
        // A workflow without its repository (google-github-actions/auth#115).
        of(
            "{ issuer: github, github: { repository_id: 74, job_workflow_ref: \".github/workflows/deploy.yml@refs/heads/main\" } }",
            GITHUB,
            json!({}),
            &[
                "the token's has `octo-org/octo-repo/` before it",
                "write `job_workflow_ref: \"octo-org/octo-repo/.github",
            ],
        ),
        // A variable that was not expanded (google-github-actions/auth#211).
        of(
            MAIN,
            GITHUB,
            json!({ "aud": "${ secrets.STS_AUDIENCE }" }),
            &[
                "the name of a variable that was not replaced",
                "request the token with the audience \"https://sts.example.com\"",
            ],
        ),
        // The pod's own token in place of a projected one.
        of(
            POD,
            "kubernetes",
            json!({ "aud": ["https://kubernetes.default.svc.cluster.local"] }),
            &["the audience of the Kubernetes API server", "`serviceAccountToken`"],
        ),
        // A token for the API server.
        of(
            POD,
            "kubernetes",
            json!({ "aud": ["api", "https://kubernetes.default.svc"] }),
            &["the audience of the Kubernetes API server", "`serviceAccountToken`"],
        ),
        // A pod without `serviceAccountName`.
        of(
            POD,
            "kubernetes",
            json!({ "sub": "system:serviceaccount:octo-ns:default" }),
            &["continues with `default`", "`serviceAccountName: octo-sa`"],
        ),
        // CircleCI's default audience.
        of(
            "{ issuer: circleci, circleci: { project_id: 3a2f5b1c-7d4e-4f6a-9b8c-0d1e2f3a4b5c } }",
            "circleci",
            json!({ "aud": "c9035eb6-6eb2-4c85-8a81-d9ed6a1d1d1e" }),
            &["the organisation's id", "circleci run oidc get"],
        ),
        // The audience of another provider.
        of(
            "{ issuer: terraform, subject: \"organization:octo-org:project:Default Project:workspace:octo-workspace:run_phase:apply\" }",
            "terraform-cloud",
            json!({ "aud": "aws.workload.identity" }),
            &["HCP Terraform's AWS provider", "TFC_WORKLOAD_IDENTITY_AUDIENCE"],
        ),
        // Entra v2.0 sends the id of the application, not its URI.
        of(
            "{ issuer: entra, claims: { oid: \"66666666-7777-4888-8999-000000000000\" } }",
            "azure",
            json!({ "aud": "88888888-9999-4000-8111-222222222222" }),
            &["the id of the application it is for", "change `audience` to the id of the application"],
        ),
        // A token for Microsoft Graph.
        of(
            "{ issuer: entra, claims: { oid: \"66666666-7777-4888-8999-000000000000\" } }",
            "azure",
            json!({ "aud": "00000003-0000-0000-c000-000000000000" }),
            &["the audience of Microsoft Graph", "present a token whose `aud` is \"api://sts\""],
        ),
        // The gcloud command line's own audience.
        of(
            SA,
            "google",
            json!({ "aud": "32555940559.apps.googleusercontent.com" }),
            &["the gcloud command line", "request the token with the audience"],
        ),
        // The metadata server leaves `email` out unless asked.
        of(SA, "google", json!({ "email": null, "email_verified": null }), &["`email` is absent", "`&format=full`"]),
        // A workflow's file in place of its name.
        of(
            "{ issuer: github, github: { repository_id: 74 }, claims: { workflow: deploy.yml } }",
            GITHUB,
            json!({}),
            &[
                "`workflow` is \"deploy\"",
                "change `workflow` to the workflow's `name` (its file stands in `workflow_ref`)",
            ],
        ),
        // The repository of a reusable workflow in place of the caller.
        of(
            "{ issuer: github, github: { repository: octo-org/workflows, repository_owner_id: 65 } }",
            GITHUB,
            json!({ "job_workflow_ref": "octo-org/workflows/.github/workflows/deploy.yml@refs/heads/main" }),
            &["the repository of the reusable workflow", "present a token whose `repository`"],
        ),
        // A project that moved into a subgroup.
        of(
            "{ issuer: gitlab, gitlab: { project_path: octo-group/octo-project, namespace_id: 72 } }",
            "gitlab",
            json!({ "project_path": "octo-group/sub/octo-project" }),
            &[
                "`project_path` is \"octo-group/sub/octo-project\"",
                "continues with `sub/octo-project`",
                "present a token whose",
            ],
        ),
        // A GitLab job without an environment.
        of(
            "{ issuer: gitlab, gitlab: { project_id: 20, environment: production } }",
            "gitlab",
            json!({ "environment": null }),
            &["`environment` is absent, expected \"production\"", "write `environment: production` on the job"],
        ),
        // A GitLab of somebody's own.
        of(
            "{ issuer: gitlab, gitlab: { project_id: 20 } }",
            "gitlab",
            json!({ "iss": "https://gitlab.octo.example" }),
            &["`iss` is \"https://gitlab.octo.example\"", "issuer entry `gitlab`"],
        ),
        // A path with dots in place of a pointer.
        Case {
            issuers: "kc: { issuer: \"https://sso.octo.example/realms/octo\", preset: keycloak, jwks_url: \"https://sso.octo.example/k\" }",
            ..of(
                "{ issuer: kc, claims: { azp: octo-job, realm_access.roles: deployer } }",
                "keycloak",
                json!({ "iat": 1_790_000_000, "realm_access": { "roles": ["deployer"] } }),
                &["the value as `/realm_access/roles`", "write `/realm_access/roles` in place of `realm_access.roles`"],
            )
        },
        // Keycloak's default audience.
        Case {
            issuers: "kc: { issuer: \"https://sso.octo.example/realms/octo\", preset: keycloak, jwks_url: \"https://sso.octo.example/k\" }",
            ..of(
                "{ issuer: kc, claims: { azp: octo-job } }",
                "keycloak",
                json!({ "aud": "account" }),
                &["Keycloak's account console", "request the token with the audience"],
            )
        },
        // Keycloak without an audience mapper.
        Case {
            issuers: "kc: { issuer: \"https://sso.octo.example/realms/octo\", preset: keycloak, jwks_url: \"https://sso.octo.example/k\" }",
            ..of(
                "{ issuer: kc, claims: { azp: octo-job } }",
                "keycloak",
                json!({ "aud": null }),
                &[
                    "`aud` is missing, expected \"https://sts.example.com\" for issuer entry `kc`",
                    "request the token with the audience",
                ],
            )
        },
        // A client id without the ending that Auth0 gives it.
        Case {
            issuers: "a0: { issuer: \"https://octo.auth0.example/\", preset: auth0, jwks_url: \"https://octo.auth0.example/k\" }",
            ..of(
                "{ issuer: a0, subject: OctoClientId0000000000000000001 }",
                "auth0",
                json!({}),
                &["continues with `@clients`", "change `subject` to `CLIENT-ID@clients`"],
            )
        },
        // An issuer without its slash.
        Case {
            issuers: "a0: { issuer: \"https://octo.auth0.example\", preset: auth0, jwks_url: \"https://octo.auth0.example/k\" }",
            ..of(
                "{ issuer: a0, subject: \"OctoClientId0000000000000000001@clients\" }",
                "auth0",
                json!({}),
                &["a trailing `/`", "write `issuer: https://octo.auth0.example/` on issuer entry `a0`"],
            )
        },
        // Okta's organisation in place of its authorization server.
        Case {
            issuers: "okta: { issuer: \"https://octo.okta.example\", preset: okta, jwks_url: \"https://octo.okta.example/k\" }",
            ..of(
                "{ issuer: okta, subject: 0oaOcto3d4E5f6G7h8i9 }",
                "okta",
                json!({}),
                &["`/oauth2/default` follows at its end", "present a token whose `iss`"],
            )
        },
        // An app without its machine.
        Case {
            issuers: "fly: { issuer: \"https://oidc.fly.io/octo-org\" }",
            ..of(
                "{ issuer: fly, subject: \"octo-org:octo-app\" }",
                "fly",
                json!({}),
                &["continues with `:octo-machine`", "change `subject` to `ORG:APP:MACHINE`"],
            )
        },
        // A preview in place of production.
        Case {
            issuers: "vercel: { issuer: \"https://oidc.vercel.com/octo-team\" }",
            ..of(
                "{ issuer: vercel, subject: \"owner:octo-team:project:octo-site:environment:production\" }",
                "vercel",
                json!({ "sub": "owner:octo-team:project:octo-site:environment:preview", "environment": "preview" }),
                &["environment:preview", "present a token whose `sub` is"],
            )
        },
        // The platform's issuer in place of the team's.
        Case {
            issuers: "vercel: { issuer: \"https://oidc.vercel.com/octo-team\" }",
            ..of(
                "{ issuer: vercel, subject: \"owner:octo-team:project:octo-site:environment:production\" }",
                "vercel",
                json!({ "iss": "https://oidc.vercel.com" }),
                &["`/octo-team` is missing at its end", "present a token whose `iss`"],
            )
        },
        // A UUID without its braces.
        Case {
            issuers: "bb: { issuer: \"https://api.bitbucket.org/2.0/workspaces/octo-workspace/pipelines-config/identity/oidc\" }",
            ..of(
                "{ issuer: bb, claims: { repositoryUuid: 1d397906-81bf-459e-9a8d-eae79c0bc5f3 } }",
                "bitbucket",
                json!({}),
                &["only by braces", "write `repositoryUuid: \"{1d397906-81bf-459e-9a8d-eae79c0bc5f3}\"`"],
            )
        },
        // Bitbucket's default audience.
        Case {
            issuers: "bb: { issuer: \"https://api.bitbucket.org/2.0/workspaces/octo-workspace/pipelines-config/identity/oidc\" }",
            ..of(
                "{ issuer: bb, claims: { repositoryUuid: \"{1d397906-81bf-459e-9a8d-eae79c0bc5f3}\" } }",
                "bitbucket",
                json!({ "aud": "ari:cloud:bitbucket::workspace/37f7aa0f-722b-4737-a1ba-74f42f300734" }),
                &["the audience of Bitbucket", "`oidc: { audiences: [...] }`"],
            )
        },
        // A session's ARN in place of the role's.
        Case {
            issuers: "aws: { issuer: \"https://0c70c0ff-ee00-4000-8000-00000000c0de.tokens.sts.global.api.aws\" }",
            ..of(
                "{ issuer: aws, subject: \"arn:aws:sts::123456789012:assumed-role/octo-deployer/session\" }",
                "aws",
                json!({}),
                &["assumed-role", "change `subject` to the role's own ARN"],
            )
        },
        // A user id that is a number.
        of(
            CI,
            "",
            json!({ "sub": 4711 }),
            &["`sub` is 4711 (a number), expected a text", "have the issuer send `sub` as a text"],
        ),
        // Names joined by a comma.
        Case {
            audience: &["octo-deploy,deploy"],
            ..of(
                CI,
                "",
                json!({}),
                &["more than one name in one value", "send `audience` once for each name: `octo-deploy`, `deploy`"],
            )
        },
        // Names joined by a blank.
        Case {
            audience: &["octo-deploy deploy"],
            ..of(CI, "", json!({}), &["more than one name in one value", "send `audience` once for each name"])
        },
        // A URL below an API's audience.
        Case {
            audience: &["octo-deploy", "https://deploy.example.com/v1/projects"],
            ..of(CI, "", json!({}), &["it continues with `/v1/projects`", "ask for `https://deploy.example.com`"])
        },
        // The built-in API, which nobody granted.
        Case {
            audience: &["octo-deploy", "https://sts.example.com"],
            ..of(CI, "", json!({}), &["API `sts` is not granted", "ask for the API `deploy`"])
        },
        // The platform's issuer as the audience.
        of(
            MAIN,
            GITHUB,
            json!({ "aud": "https://token.actions.githubusercontent.com" }),
            &["the token's own issuer", "request the token with the audience"],
        ),
        // The token endpoint as the audience.
        of(
            MAIN,
            GITHUB,
            json!({ "aud": "https://sts.example.com/token" }),
            &["it continues with \"/token\"", "request the token with the audience"],
        ),
        // Two audiences in one text.
        of(
            MAIN,
            GITHUB,
            json!({ "aud": "https://sts.example.com,sts.amazonaws.com" }),
            &["several audiences in one text", "request the token with the audience"],
        ),
        // A default branch that was renamed.
        of(
            "{ issuer: github, github: { repository_id: 74, ref: refs/heads/master } }",
            GITHUB,
            json!({}),
            &["refs/heads/master", "run the workflow on the branch `master`"],
        ),
        // A repository that was made anew under its old name.
        of(
            "{ issuer: github, github: { repository: octo-org/octo-repo, repository_id: 73 } }",
            GITHUB,
            json!({}),
            &["`repository_id` is \"74\", expected \"73\"", "present a token whose"],
        ),
        // An environment with a slash.
        of(
            "{ issuer: github, github: { repository_id: 74, environment: \"prod-*\" } }",
            GITHUB,
            json!({ "environment": "prod/eu" }),
            &["`environment` is \"prod/eu\", expected \"prod-*\"", "present a token whose"],
        ),
        // A tag of another kind.
        of(
            "{ issuer: github, github: { repository_id: 74, ref: \"refs/tags/v*\" } }",
            GITHUB,
            json!({ "ref": "refs/tags/release-1", "ref_type": "tag", "sub": "repo:octo-org/octo-repo:ref:refs/tags/release-1" }),
            &["`ref` is \"refs/tags/release-1\", expected \"refs/tags/v*\"", "present a token whose"],
        ),
        // A step without a key.
        of(
            "{ issuer: buildkite, claims: { organization_slug: octo-org, pipeline_slug: octo-pipeline, step_key: deploy } }",
            "buildkite",
            json!({}),
            &["is null, which counts as absent", "write `key: deploy` on the step"],
        ),
        // A pipeline's name in place of its slug.
        of(
            "{ issuer: buildkite, claims: { organization_id: 0184990a-477b-4fa8-9968-496074483cec, pipeline_slug: \"Octo Pipeline\" } }",
            "buildkite",
            json!({}),
            &["letter case and blanks", "change `pipeline_slug` to the slug"],
        ),
        // A SPIFFE ID with a slash at its end.
        of(
            "{ issuer: spire, subject: \"spiffe://octo.example/ns/octo-ns/sa/octo-sa/\" }",
            "spiffe",
            json!({}),
            &["a trailing `/`", "write `subject: \"spiffe://octo.example/ns/octo-ns/sa/octo-sa\"`"],
        ),
        // A pod's name without what the ReplicaSet adds.
        of(
            "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo-sa\", claims: { \"/kubernetes.io/pod/name\": octo-pod } }",
            "kubernetes",
            json!({ "kubernetes.io": { "namespace": "octo-ns", "pod": { "name": "octo-pod-7d4b9c-x2x4z" } } }),
            &["continues with `-7d4b9c-x2x4z`", "present a token whose"],
        ),
        // Somebody who is not on the list.
        of(
            "{ issuer: github, github: { repository_id: 74 }, claims: { actor: { any_of: [alice, bob] } } }",
            GITHUB,
            json!({ "actor": "carol" }),
            &["expected any of \"alice\", \"bob\"", "write \"carol\" into the list of `actor`"],
        ),
        // An account as an address.
        Case {
            audience: &["octo-deploy@octo.example"],
            ..of(CI, "", json!({}), &["no such account `octo-deploy@octo.example`", "name `octo-deploy`"])
        },
        // A scope with its API's audience before it.
        Case {
            scope: "https://deploy.example.com/read",
            ..of(CI, "", json!({}), &["a scope has no audience before it: it is `read`", "ask for `read`"])
        },
        // Entra's `.default`.
        Case {
            scope: "https://deploy.example.com/.default",
            ..of(CI, "", json!({}), &["a request without `scope`", "ask for `read write`"])
        },
    ]);
}
