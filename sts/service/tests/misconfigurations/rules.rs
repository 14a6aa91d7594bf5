//! Rules that do not fit the token, and requests that do not fit the rules.

use serde_json::json;

use crate::support::{Case, assert_all, case};

const GITHUB: &str = "github-actions";

#[test]
fn fld06_conditions_of_github_that_do_not_fit() {
    let main = "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\" }";
    assert_all(vec![
        case(
            "{ issuer: github, subject: \"repo:Octo-Org/octo-repo:ref:refs/heads/main\" }",
            GITHUB,
            json!({}),
            &[
                "`subject` is \"repo:octo-org/octo-repo:ref:refs/heads/main\"",
                "\"repo:Octo-Org/octo-repo:ref:refs/heads/main\"",
                "letter case",
                "write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/main\"`",
            ],
        ),
        case(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:environment:production\" }",
            GITHUB,
            json!({}),
            &[
                "`subject`",
                "after `repo:octo-org/octo-repo:`",
                "`ref:refs/heads/main`",
                "write `environment: production` on the job",
            ],
        ),
        case(
            main,
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:environment:production", "environment": "production" }),
            &["`subject` is", "in a job without `environment`"],
        ),
        case(
            main,
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/master", "ref": "refs/heads/master" }),
            &["refs/heads/master", "refs/heads/main", "run the workflow on the branch `main`"],
        ),
        case(
            main,
            GITHUB,
            json!({ "sub": "repo:octo-org@65/octo-repo@74:ref:refs/heads/main" }),
            &["subjects with ids", "write `subject: \"repo:octo-org@65/octo-repo@74:ref:refs/heads/main\"`"],
        ),
        case(
            main,
            GITHUB,
            json!({ "sub": "repository_owner_id:65:repository_id:74:environment:release" }),
            &["`subject` is \"repository_owner_id:65", "expected \"repo:octo-org"],
        ),
        case(
            main,
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo-renamed:ref:refs/heads/main", "repository": "octo-org/octo-repo-renamed" }),
            &["octo-repo-renamed", "after `repo:octo-org/octo-repo`"],
        ),
        case(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/heads/*\" }",
            GITHUB,
            json!({ "sub": "repo:octo-org/octo-repo:ref:refs/heads/feature/a", "ref": "refs/heads/feature/a" }),
            &["`*` stops at", "`**`", "write `subject: \"repo:octo-org/octo-repo:ref:refs/heads/**\"`"],
        ),
        case(
            "{ issuer: github, subject: \"repo:octo-org/octo-repo:ref:refs/tags/v*\" }",
            GITHUB,
            json!({}),
            &["refs/tags/v*", "refs/heads/main", "present a token whose `sub` matches"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, ref: main } }",
            GITHUB,
            json!({}),
            &["`ref` is \"refs/heads/main\", expected \"main\"", "prefix of a ref", "write `ref: \"refs/heads/main\"`"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, ref: heads/main } }",
            GITHUB,
            json!({}),
            &["`ref`", "prefix of a ref"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, environment: prod } }",
            GITHUB,
            json!({}),
            &["`environment` is absent, expected \"prod\"", "write `environment: prod` on the job"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, environment: prod } }",
            GITHUB,
            json!({ "environment": "Prod" }),
            &["`environment` is \"Prod\"", "letter case", "write `environment: \"Prod\"`"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, environment: prod } }",
            GITHUB,
            json!({ "environment": "prod " }),
            &["blanks or invisible"],
        ),
        case(
            "{ issuer: github, github: { repository_id: octo-repo } }",
            GITHUB,
            json!({}),
            &["`repository_id` is \"74\", expected \"octo-repo\"", "the rule has a name, the token a number"],
        ),
        case(
            "{ issuer: github, github: { repository: octo-repo, repository_owner_id: 65 } }",
            GITHUB,
            json!({}),
            &["`repository` is \"octo-org/octo-repo\", expected \"octo-repo\"", "before it"],
        ),
        case(
            "{ issuer: github, github: { repository: \"https://github.com/octo-org/octo-repo\", repository_owner_id: 65 } }",
            GITHUB,
            json!({}),
            &["`repository`", "expected \"https://github.com/octo-org/octo-repo\"", "before it"],
        ),
        case(
            "{ issuer: github, github: { repository: \"octo-org/octo-repo.git\", repository_owner_id: 65 } }",
            GITHUB,
            json!({}),
            &["`.git`"],
        ),
        case(
            "{ issuer: github, claims: { repository_owner_id: \"65\", workflow_file: deploy.yml } }",
            GITHUB,
            json!({}),
            &["`workflow_file` is absent, expected \"deploy.yml\"", "present a token whose `workflow_file`"],
        ),
        case(
            "{ issuer: github, claims: { repository_owner_id: \"65\", job_workflow: \"octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main\" } }",
            GITHUB,
            json!({ "job_workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main", "workflow_ref": "x" }),
            &["the token has the value as `job_workflow_ref`", "write `job_workflow_ref` in place of `job_workflow`"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, job_workflow_ref: \"octo-org/octo-repo/.github/workflows/release.yaml@refs/heads/main\" } }",
            GITHUB,
            json!({ "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main" }),
            &[
                "`job_workflow_ref`",
                "release.yml@",
                "release.yaml@",
                "after `octo-org/octo-repo/.github/workflows/release.y`",
            ],
        ),
        case(
            main,
            GITHUB,
            json!({ "event_name": "pull_request_target" }),
            &["`event_name` is \"pull_request_target\"", "names `event_name`", "`push`"],
        ),
        case(
            main,
            GITHUB,
            json!({ "event_name": "issue_comment" }),
            &["`event_name` is \"issue_comment\"", "start the workflow by another event"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, repository_visibility: public } }",
            GITHUB,
            json!({ "repository_visibility": "private" }),
            &["`repository_visibility` is \"private\", expected \"public\""],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74 }, claims: { actor: { none_of: [dependabot] } } }",
            GITHUB,
            json!({ "actor": "dependabot" }),
            &["`actor` is \"dependabot\", expected none of \"dependabot\""],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74 }, claims: { actor: { regex: \"octo-[a-z]+\" } } }",
            GITHUB,
            json!({ "actor": "Octo-cat" }),
            &["`actor` is \"Octo-cat\", expected a text that matches the regular expression"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74 }, claims: { environment: { present: false } } }",
            GITHUB,
            json!({ "environment": "x" }),
            &["`environment` is \"x\", expected no such claim", "present a token without `environment`"],
        ),
        case(
            "{ issuer: github, github: { repository_id: 74, environment: production, ref: refs/heads/release } }",
            GITHUB,
            json!({ "environment": "staging" }),
            &[
                "`environment` is \"staging\", expected \"production\"",
                "`ref` is \"refs/heads/main\", expected \"refs/heads/release\"",
                "present a token whose `environment` is \"production\" and whose `ref` is \"refs/heads/release\"",
            ],
        ),
    ]);
}

#[test]
fn fld06_conditions_of_other_platforms_that_do_not_fit() {
    assert_all(vec![
        case(
            "{ issuer: gitlab, gitlab: { project_path: octo-group/octo-project, ref: refs/heads/main } }",
            "gitlab",
            json!({}),
            &["`ref` is \"main\", expected \"refs/heads/main\"", "prefix of a ref"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_path: Octo-Group/octo-project } }",
            "gitlab",
            json!({}),
            &["`project_path`", "letter case"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_path: octo-project, namespace_id: 72 } }",
            "gitlab",
            json!({}),
            &["`project_path` is \"octo-group/octo-project\", expected \"octo-project\"", "before it"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_id: 20, ref_protected: true } }",
            "gitlab",
            json!({ "ref_protected": "false" }),
            &["`ref_protected` is \"false\", expected \"true\"", "protect the branch or tag"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_id: 20, environment: prod } }",
            "gitlab",
            json!({}),
            &["`environment` is \"production\", expected \"prod\""],
        ),
        case(
            "{ issuer: gitlab, subject: \"project_path:octo-group/octo-project:ref_type:branch:ref:develop\" }",
            "gitlab",
            json!({}),
            &["`subject`", "continues with `main`", "`develop`"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_id: 20 }, claims: { runner_id: \"1\" } }",
            "gitlab",
            json!({}),
            &["the rule has a string, the token a number", "write `runner_id: 1`"],
        ),
        case(
            "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo\" }",
            "kubernetes",
            json!({}),
            &[
                "`subject` is \"system:serviceaccount:octo-ns:octo-sa\"",
                "continues with `-sa`",
                "`serviceAccountName: octo`",
            ],
        ),
        case(
            "{ issuer: cluster, subject: \"octo-ns:octo-sa\" }",
            "kubernetes",
            json!({}),
            &["has `system:serviceaccount:` before it"],
        ),
        case(
            "{ issuer: cluster, subject: \"system:serviceaccount:default:octo-sa\" }",
            "kubernetes",
            json!({}),
            &["default:octo-sa", "namespace `default`"],
        ),
        case(
            "{ issuer: cluster, claims: { \"kubernetes.io/namespace\": octo-ns }, subject: \"system:serviceaccount:octo-ns:**\" }",
            "kubernetes",
            json!({}),
            &[
                "`kubernetes.io/namespace` is absent, expected \"octo-ns\"",
                "the token has the value as `/kubernetes.io/namespace`",
                "write `/kubernetes.io/namespace` in place of `kubernetes.io/namespace`",
            ],
        ),
        case(
            "{ issuer: cluster, kubernetes: { namespace: octo_ns, service_account: octo-sa } }",
            "kubernetes",
            json!({}),
            &["octo-ns", "octo_ns", "hyphens and underscores"],
        ),
        case(
            "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo-sa\", audience: \"https://sts.example.com/\" }",
            "kubernetes",
            json!({}),
            &[
                "`audience` is \"https://sts.example.com\", expected \"https://sts.example.com/\"",
                "trailing `/`",
                "`serviceAccountToken`",
            ],
        ),
        case(
            "{ issuer: cluster, subject: \"system:serviceaccount:octo-ns:octo-sa\" }",
            "kubernetes",
            json!({ "aud": ["https://sts.example.com", "https://kubernetes.default.svc"] }),
            &["more than one audience", "`sole_audience: false`", "alone"],
        ),
        case(
            "{ issuer: entra, subject: \"55555555-6666-4777-8888-999999999999\" }",
            "azure",
            json!({}),
            &["`subject` is \"66666666-7777-4888-8999-000000000000\""],
        ),
        case(
            "{ issuer: entra, claims: { oid: \"66666666-7777-4888-8999-000000000000\", roles: Exchange.run } }",
            "azure",
            json!({}),
            &["`roles` is [\"Exchange.Run\"], expected \"Exchange.run\"", "letter case"],
        ),
        case(
            "{ issuer: entra, claims: { appid: \"55555555-6666-4777-8888-999999999999\" } }",
            "azure",
            json!({}),
            &["`appid` is absent", "the token has the value as `azp`"],
        ),
        case(
            "{ issuer: terraform, subject: \"organization:octo-org:project:default project:workspace:octo-workspace:run_phase:apply\" }",
            "terraform-cloud",
            json!({}),
            &["Default Project", "letter case"],
        ),
        case(
            "{ issuer: terraform, subject: \"organization:octo-org:project:Default Project:workspace:octo-workspace:run_phase:plan\" }",
            "terraform-cloud",
            json!({}),
            &["continues with `apply`", "`plan`"],
        ),
        case(
            "{ issuer: circleci, subject: \"org/c9035eb6-6eb2-4c85-8a81-d9ed6a1d1d1e/project/*/user/*\" }",
            "circleci",
            json!({}),
            &["`subject`", "`sub` matches"],
        ),
        case(
            "{ issuer: buildkite, subject: \"organization:octo-org:pipeline:octo-pipeline:ref:refs/heads/main:commit:*:step:build\" }",
            "buildkite",
            json!({}),
            &["`subject`", "step:deploy", "step:build"],
        ),
        case(
            "{ issuer: google, claims: { email: octo-sa@octo-projekt.iam.gserviceaccount.com, email_verified: true } }",
            "google",
            json!({}),
            &["`email`", "octo-projekt", "after `octo-sa@octo-proje`"],
        ),
        case(
            "{ issuer: google, claims: { email: octo-sa@octo-project.iam.gserviceaccount.com, email_verified: \"true\" } }",
            "google",
            json!({}),
            &["`email_verified` is true, expected \"true\"", "types never mix", "write `email_verified: true`"],
        ),
        case(
            "{ issuer: google, subject: \"octo-sa@octo-project.iam.gserviceaccount.com\" }",
            "google",
            json!({}),
            &["the rule has an e-mail address, the token a number"],
        ),
        case(
            "{ issuer: spire, subject: \"octo.example/ns/octo-ns/sa/octo-sa\" }",
            "spiffe",
            json!({}),
            &["`subject` is \"spiffe://octo.example/ns/octo-ns/sa/octo-sa\"", "scheme"],
        ),
        case(
            "{ issuer: spire, subject: \"spiffe://octo.example/octo-sa\" }",
            "spiffe",
            json!({}),
            &["after `spiffe://octo.example/`"],
        ),
        case(
            "{ issuer: gitlab, gitlab: { project_id: 20 } }",
            GITHUB,
            json!({}),
            &["`issuer` is github, expected gitlab", "present a token of issuer entry `gitlab`"],
        ),
        case(
            "{ issuer: ci, subject: \"svc:octo\", enabled: false }",
            "",
            json!({}),
            &["the identity is disabled: `enabled` is false, expected true", "write `enabled: true`"],
        ),
        case(
            "{ issuer: ci, subject: \"svc:octo\", not_before: 2027-01-01T00:00:00Z }",
            "",
            json!({}),
            &["`not_before`", "2027-01-01T00:00:00Z", "2026-09-21T14:14:20Z", "an earlier `not_before`"],
        ),
        case(
            "{ issuer: ci, subject: \"svc:octo\", not_after: 2026-01-01T00:00:00Z }",
            "",
            json!({}),
            &["`not_after`", "2026-01-01T00:00:00Z", "a later `not_after`"],
        ),
        case(
            "{ issuer: ci, claims: { team: { all_of: [a, b] } } }",
            "",
            json!({ "team": ["a"] }),
            &["`team` is [\"a\"], expected all of \"a\", \"b\""],
        ),
        case(
            "{ issuer: ci, claims: { tier: 1 } }",
            "",
            json!({ "tier": "1" }),
            &["the rule has a number, the token a string", "types never mix"],
        ),
    ]);
}

#[test]
fn requests_that_do_not_fit() {
    let ok = "{ issuer: ci, subject: \"svc:octo\" }";
    let of = |audience: &'static [&'static str],
              resource: &'static [&'static str],
              scope: &'static str,
              wants: &'static [&'static str]| {
        Case { audience, resource, scope, ..case(ok, "", json!({}), wants) }
    };
    let two = |audience: &'static [&'static str], wants: &'static [&'static str]| Case {
        audience,
        ..case(ok, "", json!({ "sub": "svc:two" }), wants)
    };
    let account =
        |account: &'static str, wants: &'static [&'static str]| Case { account, ..case(ok, "", json!({}), wants) };
    assert_all(vec![
        of(
            &["octo-deplyo"],
            &[],
            "",
            &["no such account `octo-deplyo`", "nearest name is `octo-deploy`", "name `octo-deploy` in `audience`"],
        ),
        of(&["Octo-Deploy"], &[], "", &["no such account `Octo-Deploy`", "letter case", "name `octo-deploy`"]),
        of(&["octo_deploy"], &[], "", &["hyphens and underscores"]),
        of(&["deployers"], &[], "", &["a team has that name", "name `octo-deploy`"]),
        of(&["octo-deploy", "deply"], &[], "", &["more than one service account", "`octo-deploy`, `deply`"]),
        of(&["octo-deploy", "two"], &[], "", &["request_malformed", "`octo-deploy`, `two`", "name one"]),
        of(&["two"], &[], "", &["account `two`", "name the account `octo-deploy` in `audience`"]),
        of(
            &["octo-deploy", "billing"],
            &[],
            "",
            &["API `billing` is not granted", "only `deploy` is granted", "ask for the API `deploy`"],
        ),
        of(
            &["octo-deploy", "https://deploy.example.com/"],
            &[],
            "",
            &[
                "`https://deploy.example.com/` is no API's audience",
                "trailing `/`",
                "ask for `https://deploy.example.com`",
            ],
        ),
        of(&["octo-deploy", "http://deploy.example.com"], &[], "", &["scheme"]),
        of(
            &["octo-deploy", "https://nowhere.example"],
            &[],
            "",
            &["`https://nowhere.example` is no API's audience", "granted are `deploy`", "ask for `deploy`"],
        ),
        of(&["octo-deploy"], &["deploy"], "", &["`resource` `deploy` is a name", "https://deploy.example.com"]),
        of(&["octo-deploy"], &["https://deploy.example.com#a"], "", &["fragment"]),
        of(&["octo-deploy"], &["/deploy"], "", &["no absolute URI"]),
        of(&["octo-deploy", "deploy", "billing"], &[], "", &["more than one API", "`deploy`, `billing`"]),
        of(
            &["octo-deploy"],
            &[],
            "raed",
            &["`raed` is not", "the nearest is `read`", "granted are `read write`", "ask for `read`"],
        ),
        of(&["octo-deploy"], &[], "Read", &["letter case", "ask for `read`"]),
        of(&["octo-deploy"], &[], "read,write", &["separated by spaces", "ask for `read write`"]),
        of(&["octo-deploy"], &[], "invoices:read", &["it is a scope of API `billing`"]),
        of(&["octo-deploy"], &[], "deploy:read", &["no API declares it", "ask for"]),
        Case {
            scope: "write",
            ..case(
                "{ name: reader, issuer: ci, subject: \"svc:octo\", scopes: [read] }",
                "",
                json!({}),
                &[
                    "`write` is not",
                    "identity `reader` of `octo-deploy` narrows it away",
                    "granted are `read`",
                    "add `write` to the scopes of identity `reader`",
                ],
            )
        },
        two(&["two"], &["no API was asked for", "`deploy`, `billing`", "name one of", "`default_api: "]),
        two(&["deploy"], &["more than one account fits (`two`, `twin`)", "name one of `two`, `twin` in `audience`"]),
        account(
            "enabled: false,",
            &["account `octo-deploy` is disabled", "write `enabled: true` on the account `octo-deploy`"],
        ),
        account(
            "not_before: 2027-01-01T00:00:00Z,",
            &["begins at 2027-01-01T00:00:00Z", "`not_before`", "2026-09-21T14:14:20Z"],
        ),
        account("not_after: 2026-01-01T00:00:00Z,", &["ended at 2026-01-01T00:00:00Z", "`not_after`"]),
    ]);
}
