//! `sts init`: what it writes loads without a warning, grants the workload's token and refuses the attacks on its rule.

use std::io::Write as _;
use std::process::Stdio;

use sts_testkit::{Finished, Site};

use crate::support::STS;

const COMMON: [&str; 6] = [
    "--url",
    "https://sts.example.com",
    "--audience",
    "https://deploy.example.com",
    "--scope",
    "deployments:create releases:read",
];

/// Each platform with answers that differ from those of its typical token.
const PLATFORMS: &[&[&str]] = &[
    &["github-actions", "repository=acme/shop", "repository_id=5", "environment=staging"],
    &["github-actions", "repository=acme/shop", "repository_id=5", "ref=refs/heads/release"],
    &[
        "github-actions",
        "repository=acme/shop",
        "repository_id=5",
        "--issuer",
        "https://ghes.acme.example/_services/token",
    ],
    &["gitlab", "project_id=77", "ref=trunk"],
    &["gitlab", "project_id=77", "--issuer", "https://gitlab.acme.example"],
    &[
        "kubernetes",
        "namespace=shop",
        "service_account=deployer",
        "--issuer",
        "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF",
    ],
    &[
        "kubernetes",
        "namespace=shop",
        "service_account=deployer",
        "uid=11111111-2222-4333-8444-555555555555",
        "--issuer",
        "https://k8s.acme.example",
    ],
    &[
        "azure",
        "tenant=11111111-4444-4555-8666-777777777777",
        "object_id=22222222-7777-4888-8999-000000000000",
        "token_audience=33333333-9999-4000-8111-222222222222",
    ],
    &[
        "aws",
        "account=000456789012",
        "principal=arn:aws:iam::000456789012:role/shop",
        "--issuer",
        "https://1c70c0ff-ee00-4000-8000-00000000c0de.tokens.sts.global.api.aws",
    ],
    &["google", "unique_id=100000000000000000009"],
    &[
        "circleci",
        "org_id=11111111-6eb2-4c85-8a81-d9ed6a1d1d1e",
        "project_id=22222222-7d4e-4f6a-9b8c-0d1e2f3a4b5c",
        "vcs_origin=github.com/acme/shop",
    ],
    &["buildkite", "organization_id=11111111-477b-4fa8-9968-496074483cec", "pipeline_slug=shop"],
    &[
        "bitbucket",
        "workspace_slug=acme",
        "workspace={11111111-722b-4737-a1ba-74f42f300734}",
        "repository={22222222-81bf-459e-9a8d-eae79c0bc5f3}",
        "environment={33333333-0b5e-4b7a-8a53-0f1d2c3b4a59}",
    ],
    &[
        "azure-devops",
        "organization_id=99999999-2222-4333-8444-555555555555",
        "project_id=88888888-3333-4444-8555-666666666666",
        "pipeline_id=9",
        "repository_uri=https://github.com/acme/shop",
    ],
    &["terraform-cloud", "organization_id=org-acme", "workspace_id=ws-shop"],
    &[
        "spiffe",
        "trust_domain=acme.example",
        "id=spiffe://acme.example/ns/shop/sa/deployer",
        "--issuer",
        "https://oidc.acme.example",
    ],
    &["jenkins", "job=https://jenkins.acme.example/job/shop/", "--issuer", "https://jenkins.acme.example/oidc"],
    &["octopus", "space=shops", "project=shop", "environment=live", "--issuer", "https://acme.octopus.example"],
    &["forgejo", "repository=acme/shop", "--issuer", "https://forge.acme.example/api/actions"],
    &["fly", "organization=acme", "org_id=22", "app_name=shop"],
    &["spacelift", "account=acme", "stack=shop"],
    &["harness", "account_id=Acme1", "organization_id=acme", "project_id=shop", "pipeline_id=deploy"],
    &["keycloak", "client=shop", "--issuer", "https://sso.acme.example/realms/acme"],
    &["auth0", "client=ShopClient", "--issuer", "https://acme.auth0.example/"],
    &["okta", "client=0oaShop", "token_audience=api://sts", "--issuer", "https://acme.okta.example/oauth2/default"],
];

fn init(site: &Site, arguments: &[&str]) -> Finished {
    STS.run_in(site.root(), &[&["init"], arguments, &COMMON].concat(), &[])
}

fn read(site: &Site, path: &str) -> String {
    std::fs::read_to_string(site.path(path)).unwrap()
}

#[test]
fn each_platforms_files_load_without_a_warning_and_each_condition_keeps_an_attack_out() {
    for arguments in PLATFORMS {
        let site = Site::new();
        let written = init(&site, arguments).ended(0);
        assert!(written.stdout.contains("policy tests passed"), "{arguments:?}: {}", written.stdout);
        let check = || STS.run_in(site.root(), &["check", "--strict"], &[]);
        assert!(check().ended(0).stderr.is_empty(), "{arguments:?}");
        let accounts = read(&site, "accounts/deployer.yaml");
        assert!(accounts.matches("expect: deny").count() >= 2, "{accounts}");
        let conditions: Vec<&str> = accounts.lines().take_while(|line| !line.starts_with('#')).collect();
        let conditions = conditions.into_iter().filter(|line| line.starts_with("          "));
        for condition in conditions {
            site.write("accounts/deployer.yaml", accounts.replacen(&format!("{condition}\n"), "", 1));
            assert_ne!(check().code, Some(0), "{arguments:?} without `{condition}`");
        }
    }
}

#[test]
fn what_is_missing_is_asked_for_and_an_empty_line_takes_the_default() {
    let site = Site::new();
    let mut child = STS
        .command(site.root())
        .args(["init", "--audience", "https://deploy.example.com"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = ["nowhere", "github-actions", "acme/*", "acme/shop", "5", "", "", "sts.example.com"];
    let more = ["https://sts.example.com", "deployments:create", "shop-deployer", ""];
    let lines = answers.iter().chain(&more).fold(String::new(), |lines, line| lines + line + "\n");
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    let asked = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{asked}");
    assert!(asked.contains("GitHub Actions") && asked.contains("no such platform"), "{asked}");
    assert!(asked.contains("one value") && asked.contains("begins with https://"), "{asked}");
    assert!(!asked.contains("(--audience)"), "what is given is not asked for: {asked}");
    let accounts = read(&site, "accounts/shop-deployer.yaml");
    assert!(accounts.contains("ref: \"refs/heads/main\"") && !accounts.contains("environment"), "{accounts}");
    let workflow = read(&site, "workload/github-workflow.yml");
    assert!(workflow.contains("branches: [\"main\"]") && workflow.contains("audience=shop-deployer"), "{workflow}");
}

#[test]
fn without_an_answer_everything_that_is_missing_is_told_and_nothing_is_written() {
    let site = Site::new();
    let missing = STS.run_in(site.root(), &["init", "gitlab", "--scope", "x"], &[]).ended(2);
    for name in ["project_id=20", "--url=", "--audience="] {
        assert!(missing.stderr.contains(name), "{}", missing.stderr);
    }
    assert!(!missing.stderr.contains("--scope="), "{}", missing.stderr);
    for (arguments, told) in [
        (&["vercel"][..], "by hand"),
        (&["gitlab", "project_id=*"], "one value"),
        (&["gitlab", "project_id=7", "--account", "../x"], "a service account's name"),
        (&["gitlab", "project_id=7", "projekt=1"], "`projekt`"),
        (&["gitlab", "project_id"], "NAME=VALUE"),
        (&["gitlab", "project_id=7", "--issuer", "http://gitlab.example"], "https://"),
    ] {
        let refused = init(&site, arguments).ended(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    // Everybody may have an account at this issuer, so that it needs another rule.
    let refused = init(&site, &["keycloak", "client=shop", "--issuer", "https://oidc.codefresh.io"]).ended(1);
    assert!(refused.stderr.contains("nothing was written"), "{}", refused.stderr);
    assert_eq!(std::fs::read_dir(site.root()).unwrap().count(), 0);
}

#[test]
fn files_that_cannot_all_be_written_are_not_left_by_halves() {
    let site = Site::new();
    // No folder can be made where a file is.
    site.write("workload", "mine");
    let failed = init(&site, &["gitlab", "project_id=7"]).ended(1);
    assert!(failed.stderr.contains("gitlab-ci.yml") && failed.stderr.contains("no file was left"), "{}", failed.stderr);
    assert!(!site.path("sts.yaml").exists() && !site.path("accounts/deployer.yaml").exists());
    assert_eq!(read(&site, "workload"), "mine");
}

#[test]
fn a_file_that_is_there_is_never_replaced() {
    let site = Site::new();
    site.write("accounts/deployer.yaml", "mine");
    let refused = init(&site, &["gitlab", "project_id=7"]).ended(2);
    assert!(refused.stderr.contains("exists already"), "{}", refused.stderr);
    assert!(!site.path("sts.yaml").exists());
    init(&site, &["gitlab", "project_id=7", "--dir", "new"]).ended(0);
    assert_eq!(read(&site, "accounts/deployer.yaml"), "mine");
    init(&site, &["gitlab", "project_id=7", "--dir", "new"]).ended(2);
}
