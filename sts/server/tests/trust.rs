//! Who is let in, judged through the loader: families and tight patterns, shared issuers, hosts that look alike, and issuers
//! of one's own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "set-up that fails is a test that fails"
)]

use std::fs;

use serde_json::{Map, Value, json};
use sts::compile::{Purpose, load};
use sts_claims::ClaimSet;
use sts_policy::{Facts, NoDirectory, Outcome, Preset, RequestedNames, RuleSet};
use sts_types::{EntryName, UnixTime};

/// What the loader says of one issuer entry `e` and one identity `i` of it: the exit code, and every finding.
struct Judged {
    code: u8,
    text: String,
    rules: Option<std::sync::Arc<RuleSet>>,
}

fn judge(entry: &Value, identity: &Value) -> Judged {
    judge_all(&json!({ "e": entry }), std::slice::from_ref(identity))
}

fn judge_all(entries: &Value, identities: &[Value]) -> Judged {
    let identities: Vec<Value> = identities
        .iter()
        .enumerate()
        .map(|(at, identity)| {
            let mut own = identity.clone();
            own["name"] = json!(format!("i{at}"));
            if own.get("issuer").is_none() {
                own["issuer"] = json!("e");
            }
            own
        })
        .collect();
    let config = json!({
        "issuer": "https://sts.example.com",
        "issuers": entries,
        "apis": { "deploy": { "audience": "https://deploy.example.com", "scopes": ["read"] } },
        "service_accounts": { "octo": { "grants": { "deploy": ["read"] }, "identities": identities } },
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    fs::write(&path, serde_json::to_string_pretty(&config).unwrap()).unwrap();
    match load(&path, &|_| None, Purpose::Serve) {
        Ok(loaded) => Judged { code: 0, text: loaded.warnings.render(false), rules: Some(loaded.compiled.rules) },
        Err(findings) => Judged { code: findings.exit_code(), text: findings.render(false), rules: None },
    }
}

impl Judged {
    fn errors(&self) -> usize {
        self.text.lines().filter(|line| line.starts_with("error")).count()
    }

    /// Whether the entry `e` grants a token with the claims.
    fn grants(&self, claims: Map<String, Value>) -> bool {
        let rules = self.rules.as_ref().unwrap_or_else(|| panic!("{}", self.text));
        let facts = Facts {
            entry: &EntryName::new("e").unwrap(),
            claims: &ClaimSet::from(claims),
            now: UnixTime::from_secs(1_790_000_000),
            memberships: &NoDirectory,
        };
        matches!(rules.decide(facts, &rules.resolve(&RequestedNames::default()).unwrap()), Outcome::Granted(_))
    }
}

const UUID: &str = "33333333-4444-4555-8666-777777777777";
const CLUSTER: &str = "0123456789ABCDEF0123456789ABCDEF";

/// A family of a platform: its template, variables with tight and loose patterns, values for them, and an identity that
/// fixes the owner in all but the member.
struct Family {
    template: &'static str,
    /// Variable, patterns from tight to loose, and a value that all of them fit.
    variables: &'static [(&'static str, &'static [&'static str], &'static str)],
    preset: Preset,
    identity: fn() -> Value,
}

const HEX: &[&str] = &["0123456789ABCDEF[0-9A-F]{16}", "[0-9A-F]{32}", ".*"];
const IDS: &[&str] = &["33333333-4444-4555-8666-[0-9a-f]{12}", "[0-9a-f-]{36}", ".*"];
const NAMES: &[&str] = &["acme-[a-z]+", "acme-corp", "[a-z-]+", ".*"];
const REGIONS: &[&str] = &["[a-z]{2}-[a-z]+-[0-9]", "eu-[a-z]+-1", "eu-west-1", "[a-z0-9-]+", ".*"];

fn pod() -> Value {
    json!({ "subject": "system:serviceaccount:prod:deployer" })
}

fn job() -> Value {
    json!({ "github": { "repository_owner_id": 65, "ref": "refs/heads/main" } })
}

fn exact() -> Value {
    json!({ "subject": "the-one-workload" })
}

fn families() -> Vec<Family> {
    let eks = &[("region", REGIONS, "eu-west-1"), ("cluster", HEX, CLUSTER)];
    vec![
        Family {
            template: "https://token.actions.githubusercontent.com/{enterprise}",
            variables: &[("enterprise", NAMES, "acme-corp")],
            preset: Preset::GithubActions,
            identity: job,
        },
        Family {
            template: "https://token.actions.{sub_domain}.ghe.com",
            variables: &[("sub_domain", NAMES, "acme-corp")],
            preset: Preset::GithubActions,
            identity: job,
        },
        Family {
            template: "https://token.actions.acme-{rest}.ghe.com",
            variables: &[("rest", &["[a-z]{4}", "corp", ".*"], "corp")],
            preset: Preset::GithubActions,
            identity: job,
        },
        Family {
            template: "https://token.actions.{a}.ghe.com/{b}",
            variables: &[("a", NAMES, "acme-corp"), ("b", NAMES, "acme-corp")],
            preset: Preset::GithubActions,
            identity: job,
        },
        Family {
            template: "https://oidc.eks.{region}.amazonaws.com/id/{cluster}",
            variables: eks,
            preset: Preset::Kubernetes,
            identity: pod,
        },
        Family {
            template: "https://oidc.eks.eu-{rest}.amazonaws.com/id/0123{cluster}",
            variables: &[
                ("rest", &["west-[0-9]", "west-1", ".*"], "west-1"),
                ("cluster", &["[0-9A-F]{28}", ".*"], "456789ABCDEF0123456789ABCDEF"),
            ],
            preset: Preset::Kubernetes,
            identity: pod,
        },
        Family {
            template: "https://oidc.eks.{region}.amazonaws.com.cn/id/{cluster}",
            variables: &[("region", &["cn-[a-z]+-[0-9]", ".*"], "cn-north-1"), ("cluster", HEX, CLUSTER)],
            preset: Preset::Kubernetes,
            identity: pod,
        },
        Family {
            template: "https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{cluster}",
            variables: &[
                ("project", NAMES, "acme-corp"),
                ("location", &["europe-[a-z]+[0-9]", "europe-west1", ".*"], "europe-west1"),
                ("cluster", NAMES, "acme-corp"),
            ],
            preset: Preset::Kubernetes,
            identity: pod,
        },
        Family {
            template: "https://{region}.oic.prod-aks.azure.com/{tenant}/{cluster}/",
            variables: &[
                ("region", &["west[a-z]+", "westeurope", ".*"], "westeurope"),
                ("tenant", IDS, UUID),
                ("cluster", IDS, UUID),
            ],
            preset: Preset::Kubernetes,
            identity: pod,
        },
        Family {
            template: "https://oidc.fly.io/{org}",
            variables: &[("org", NAMES, "acme-corp")],
            preset: Preset::Fly,
            identity: exact,
        },
        Family {
            template: "https://{account}.app.spacelift.io",
            variables: &[("account", NAMES, "acme-corp")],
            preset: Preset::Spacelift,
            identity: exact,
        },
        Family {
            template: "https://oidc.vercel.com/{team}",
            variables: &[("team", NAMES, "acme-corp")],
            preset: Preset::Vercel,
            identity: || json!({ "subject": "owner:acme-corp:project:p:environment:production" }),
        },
        Family {
            template: "https://api.bitbucket.org/2.0/workspaces/{workspace}/pipelines-config/identity/oidc",
            variables: &[("workspace", NAMES, "acme-corp")],
            preset: Preset::Bitbucket,
            identity: || json!({ "bitbucket": { "repository": "{1}" } }),
        },
        Family {
            template: "https://oidc.circleci.com/org/{org}",
            variables: &[("org", IDS, UUID)],
            preset: Preset::Circleci,
            identity: || json!({ "circleci": { "project_id": UUID } }),
        },
        Family {
            template: "https://login.microsoftonline.com/{tenant}/v2.0",
            variables: &[("tenant", IDS, UUID)],
            preset: Preset::Azure,
            identity: || json!({ "azure": { "object_id": UUID } }),
        },
        Family {
            template: "https://sts.windows.net/{tenant}/",
            variables: &[("tenant", IDS, UUID)],
            preset: Preset::Azure,
            identity: || json!({ "azure": { "object_id": UUID } }),
        },
        Family {
            template: "https://vstoken.dev.azure.com/{org}",
            variables: &[("org", IDS, UUID)],
            preset: Preset::AzureDevops,
            identity: exact,
        },
        Family {
            template: "https://{account}.tokens.sts.global.api.aws",
            variables: &[("account", IDS, UUID)],
            preset: Preset::Aws,
            identity: || json!({ "aws": { "principal": "arn:aws:iam::1:role/x" } }),
        },
        Family {
            template: "https://app.harness.io/ng/api/oidc/account/{account}",
            variables: &[("account", NAMES, "acme-corp")],
            preset: Preset::Harness,
            identity: exact,
        },
    ]
}

impl Family {
    /// The entry with the pattern of that place for each variable, as far as each has so many.
    fn entry(&self, place: usize) -> Value {
        let rules: Map<String, Value> = self
            .variables
            .iter()
            .map(|(name, patterns, _)| ((*name).to_owned(), json!(patterns[place.min(patterns.len() - 1)])))
            .collect();
        json!({ "issuer_template": self.template, "variables": rules })
    }

    fn places(&self) -> usize {
        self.variables.iter().map(|(_, patterns, _)| patterns.len()).max().unwrap()
    }

    /// The identity, with conditions on the variables of that many.
    fn fixing(&self, count: usize) -> Value {
        let mut identity = (self.identity)();
        for (name, _, value) in self.variables.iter().take(count) {
            identity["claims"][*name] = json!(value);
        }
        identity
    }
}

#[test]
fn f1_an_open_variable_of_a_known_platform_is_shared_however_tight_its_pattern() {
    for family in families() {
        let all = family.variables.len();
        for place in 0..family.places() {
            let entry = family.entry(place);
            for fixed in 0..all {
                let judged = judge(&entry, &family.fixing(fixed));
                assert_eq!(judged.code, 1, "{entry} with {fixed} fixed: {}", judged.text);
                assert!(judged.text.contains("error[unsafe]"), "{}", judged.text);
            }
            let judged = judge(&entry, &family.fixing(all));
            assert_eq!(judged.code, 0, "{entry}: {}", judged.text);
            // Its preset is known by the fixed text: another is refused, the same is idle.
            let mut other = entry.clone();
            other["preset"] = json!("jenkins");
            assert_eq!(judge(&other, &exact()).code, 2, "{other}");
            other["preset"] = json!(family.preset.name());
            assert_eq!(judge(&other, &family.fixing(all)).code, 0, "{other}");
            other["preset"] = json!("none");
            assert_eq!(judge(&other, &exact()).code, 1, "{other}");
        }
        let listed: Map<String, Value> =
            family.variables.iter().map(|(name, _, value)| ((*name).to_owned(), json!([value]))).collect();
        let entry = json!({ "issuer_template": family.template, "variables": listed });
        let judged = judge(&entry, &family.fixing(0));
        assert_eq!(judged.code, 0, "{entry}: {}", judged.text);
    }
}

#[test]
fn f1_a_family_of_githubs_refuses_strangers_events_however_tight_its_pattern() {
    for family in families().into_iter().filter(|family| family.preset == Preset::GithubActions) {
        for place in 0..family.places() {
            let judged = judge(&family.entry(place), &family.fixing(family.variables.len()));
            let token = |event: &str| {
                let filled = family.variables.iter().fold(family.template.to_owned(), |text, (name, _, value)| {
                    text.replace(&format!("{{{name}}}"), value)
                });
                let mut claims = Preset::GithubActions.sample();
                claims.insert("iss".to_owned(), json!(filled));
                claims.insert("aud".to_owned(), json!("https://sts.example.com"));
                claims.insert("repository_owner_id".to_owned(), json!("65"));
                claims.insert("ref".to_owned(), json!("refs/heads/main"));
                claims.insert("event_name".to_owned(), json!(event));
                claims
            };
            assert!(judged.grants(token("push")), "{}", family.template);
            for event in ["pull_request_target", "issues", "workflow_run", "fork"] {
                assert!(!judged.grants(token(event)), "{} {event}", family.template);
            }
        }
    }
}

#[test]
fn f1_a_member_that_many_share_wants_the_owner_however_the_template_reaches_it() {
    for variables in [json!({ "x": ["token"] }), json!({ "x": ["token", "other"] })] {
        let entry = json!({ "issuer_template": "https://{x}.actions.githubusercontent.com", "variables": variables });
        assert_eq!(judge(&entry, &json!({ "github": { "environment": "production" } })).code, 1, "{entry}");
        assert_eq!(judge(&entry, &json!({ "github": { "repository_id": 74 } })).code, 0, "{entry}");
    }
    let open =
        json!({ "issuer_template": "https://{x}.actions.githubusercontent.com", "variables": { "x": "t[a-z]+" } });
    assert_eq!(judge(&open, &json!({ "claims": { "x": "token" }, "github": { "environment": "production" } })).code, 1);
    assert_eq!(judge(&open, &json!({ "github": { "repository_id": 74 } })).code, 1);
    assert_eq!(judge(&open, &json!({ "claims": { "x": "token" }, "github": { "repository_id": 74 } })).code, 0);
}

#[test]
fn f1_fld4_a_known_platforms_host_that_no_preset_recognises_is_an_error() {
    for entry in [
        json!({ "issuer_template": "https://gitlab.com/{group}", "variables": { "group": "[a-z]+" } }),
        json!({ "issuer_template": "https://gitlab.com/{group}", "variables": { "group": ["acme"] } }),
        json!({ "issuer_template": "https://oidc.eks.{region}.amazonaws.com/ids/{cluster}", "variables": { "region": ["eu-west-1"], "cluster": "[0-9A-F]{32}" } }),
        json!({ "issuer_template": "https://token.actions.githubusercontent.com/{a}/{b}", "variables": { "a": ["a"], "b": ["b"] } }),
        json!({ "issuer_template": "https://login.microsoftonline.com/{tenant}/v2.0", "variables": { "tenant": ["common"] } }),
        json!({ "issuer_template": "https://login.microsoftonline.com/{tenant}", "variables": { "tenant": ".*" } }),
        json!({ "issuer": "https://gitlab.com/acme" }),
        json!({ "issuer": "https://gitlab.com:443" }),
        json!({ "issuer": "https://GITLAB.com" }),
        json!({ "issuer": "https://gitlab.com/acme", "preset": "gitlab" }),
        json!({ "issuer": "https://gitlab.com/acme", "preset": "none" }),
        json!({ "issuer": "https://gitlab.com/acme", "jwks_url": "https://gitlab.com/oauth/discovery/keys" }),
        json!({ "issuer": "accounts.google.com:443", "jwks_url": "https://www.googleapis.com/oauth2/v3/certs" }),
        json!({ "issuer": "https://oidc.codefresh.io/acme" }),
        json!({ "issuer": format!("https://login.microsoftonline.com/{UUID}") }),
        json!({ "issuer": "https://github.com/acme" }),
    ] {
        let judged = judge(&entry, &json!({ "subject": "repo:acme/app:ref:refs/heads/main" }));
        assert_eq!((judged.code, judged.errors()), (2, 1), "{entry}: {}", judged.text);
        assert!(judged.text.contains("= help: write `https://"), "{entry}: {}", judged.text);
    }
}

#[test]
fn fld4_the_url_of_a_discovery_document_is_an_error_that_names_the_issuer() {
    for (entry, issuer) in [
        (json!({ "issuer": "https://gitlab.com/.well-known/openid-configuration" }), "https://gitlab.com"),
        (json!({ "issuer": "https://idp.example/.well-known/openid-configuration" }), "https://idp.example"),
        (json!({ "issuer": "https://idp.example/a/.well-known/openid-configuration/" }), "https://idp.example/a"),
        (json!({ "issuer": "https://idp.example/.well-known/oauth-authorization-server/a" }), "https://idp.example/a"),
        (
            json!({ "issuer": "https://ghes.example/_services/token/.well-known/openid-configuration", "preset": "github-actions" }),
            "https://ghes.example/_services/token",
        ),
        (
            json!({ "issuer": "https://idp.example/.well-known/openid-configuration", "jwks_url": "https://idp.example/keys" }),
            "https://idp.example",
        ),
        (
            json!({ "issuer_template": "https://oidc.fly.io/{org}/.well-known/openid-configuration", "variables": { "org": "[a-z]+" } }),
            "https://oidc.fly.io/{org}",
        ),
    ] {
        let judged = judge(&entry, &json!({ "subject": "repo:acme/app:ref:refs/heads/main" }));
        assert_eq!((judged.code, judged.errors()), (2, 1), "{entry}: {}", judged.text);
        assert!(judged.text.contains(&format!("= help: write `{issuer}`")), "{entry}: {}", judged.text);
    }
}

#[test]
fn f1_an_entry_of_no_preset_with_a_platforms_grammar_must_say_one() {
    let ghes = "https://ghes.example/_services/token";
    for (subject, preset) in [
        ("repo:acme/app:ref:refs/heads/main", "github-actions"),
        ("repo:acme/app:environment:production", "github-actions"),
        ("repo:acme/**", "github-actions"),
        ("project_path:acme/app:ref_type:branch:ref:main", "gitlab"),
        ("project_path:acme/**", "gitlab"),
    ] {
        let identity = json!({ "subject": subject });
        for issuer in [ghes, "https://idp.example", "https://kubernetes.default.svc"] {
            let judged = judge(&json!({ "issuer": issuer }), &identity);
            assert_eq!((judged.code, judged.errors()), (2, 1), "{subject}: {}", judged.text);
            assert!(judged.text.contains(&format!("write `preset: {preset}`")), "{}", judged.text);
            assert_eq!(judge(&json!({ "issuer": issuer, "preset": preset }), &identity).code, 0, "{subject}");
            assert_eq!(judge(&json!({ "issuer": issuer, "preset": "none" }), &identity).code, 0, "{subject}");
        }
    }
    // On a known shared issuer `preset: none` wants a reason in each identity.
    for issuer in ["https://token.actions.githubusercontent.com", "https://gitlab.com", "https://oidc.codefresh.io"] {
        let entry = json!({ "issuer": issuer, "preset": "none" });
        assert_eq!(judge(&entry, &json!({ "subject": "the-one-workload" })).code, 1, "{issuer}");
        assert_eq!(
            judge(&entry, &json!({ "subject": "the-one-workload", "allow_broad": "a test" })).code,
            0,
            "{issuer}"
        );
    }
}

#[test]
fn fld2_publicly_known_shared_issuers_are_shared_without_being_told() {
    for (issuer, owned) in [
        ("https://token.actions.githubusercontent.com", json!({ "github": { "repository_id": 74 } })),
        ("https://vstoken.actions.githubusercontent.com", json!({ "github": { "repository_id": 74 } })),
        ("https://gitlab.com", json!({ "gitlab": { "project_id": 1 } })),
        ("https://codeberg.org/api/actions", json!({ "subject": "repo:acme/app:ref:refs/heads/main" })),
        ("https://codeberg.org", json!({ "subject": "repo:acme/app:ref:refs/heads/main" })),
        ("https://accounts.google.com", json!({ "subject": "112233445566778899001" })),
        ("https://agent.buildkite.com", json!({ "buildkite": { "organization_id": UUID } })),
        ("https://app.terraform.io", json!({ "subject": "organization:acme:project:p:workspace:w:run_phase:apply" })),
        ("https://oidc.circleci.com", json!({ "circleci": { "org_id": UUID } })),
        ("https://oidc.vercel.com", json!({ "claims": { "owner_id": "team_1" } })),
        ("https://oidc.codefresh.io", json!({ "claims": { "account_id": "1" } })),
        ("https://oidc.codefresh.io", json!({ "subject": "account:1:pipeline:*" })),
        ("https://api.pulumi.com/oidc", json!({ "subject": "pulumi:deploy:org:acme:project:p:stack:s:**" })),
        ("https://api.pulumi.com/oidc/v2", json!({ "subject": "pulumi:environments:org:acme:env:e" })),
        ("https://scalr.io", json!({ "subject": "account:acme:environment:*:workspace:w" })),
        ("https://identity.depot.dev", json!({ "claims": { "org_id": "o1" } })),
        ("https://identity.depot.dev", json!({ "subject": "spiffe://identity.depot.dev/org/o1/**" })),
        ("https://oidc.modal.com", json!({ "subject": "modal:workspace_id:ac-1:**" })),
        ("https://login.app.env0.com/", json!({ "subject": "auth0|1" })),
        ("https://federation.namespaceapis.com", json!({ "claims": { "tenant_id": "t1" } })),
        ("https://issuer.enforce.dev", json!({ "subject": "4cf15780a13a9b65/c030401183" })),
        ("https://cognito-identity.amazonaws.com", json!({ "subject": "eu-west-1:1" })),
        ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc", json!({ "subject": "1" })),
        ("https://securetoken.google.com/acme-project", json!({ "subject": "1" })),
        ("https://api.cursor.com", json!({ "subject": "1" })),
        ("https://api2.cursor.sh/cloud-agent/identity", json!({ "subject": "1" })),
        ("https://app.devin.ai", json!({ "subject": "1" })),
        ("https://app.warp.dev", json!({ "subject": "1" })),
        ("https://studio.datachain.ai/api", json!({ "subject": "credentials:acme/x" })),
        ("https://proidc.upbound.io", json!({ "subject": "mcp:acme/cp:provider:p" })),
        ("https://tokens.cloud.shisho.dev", json!({ "subject": "job:acme:1" })),
        ("https://cloud.rwx.com/mint", json!({ "subject": "mint:o1:vault" })),
        ("https://oidc.deno.com", json!({ "claims": { "org_id": "o1" } })),
        ("https://api.gitpod.io/idp", json!({ "subject": "1" })),
        ("https://appleid.apple.com", json!({ "subject": "1" })),
        ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", json!({ "subject": "1" })),
        ("https://oidc-configuration.audit-log.githubusercontent.com", json!({ "subject": "https://github.com/acme" })),
    ] {
        let entry = json!({ "issuer": issuer });
        let judged = judge(&entry, &owned);
        assert_eq!(judged.code, 0, "{issuer} {owned}: {}", judged.text);
        for anybodys in [
            json!({ "subject": "**" }),
            json!({ "subject": "*" }),
            json!({ "claims": { "environment": "production" } }),
            json!({ "claims": { "tier": "gold" } }),
            json!({ "claims": { "aud": "https://sts.example.com" } }),
        ] {
            let judged = judge(&entry, &anybodys);
            assert_eq!(judged.code, 1, "{issuer} {anybodys}: {}", judged.text);
        }
        let mut not_shared = entry.clone();
        not_shared["shared"] = json!(false);
        let mut other = entry.clone();
        other["preset"] = json!("octopus");
        assert_eq!(judge(&other, &owned).code, 2, "{issuer} is not of another platform");
        assert_eq!(judge(&not_shared, &owned).code, 2, "{issuer}");
    }
}

#[test]
fn fld2_an_identity_without_subject_or_owner_on_any_other_public_issuer_asks_for_shared() {
    let loose = json!({ "claims": { "environment": "production" } });
    let asks = |entry: Value, identity: &Value| {
        let judged = judge(&entry, identity);
        assert_eq!(judged.code, 0, "{entry}: {}", judged.text);
        judged.text.contains("write `shared: true`")
    };
    for issuer in ["https://idp.acme.example", "https://ci.acme.io/oidc", "https://oidc.newplatform.dev"] {
        assert!(asks(json!({ "issuer": issuer }), &loose), "{issuer}");
        assert!(asks(json!({ "issuer": issuer, "preset": "none" }), &loose), "{issuer}");
        assert!(asks(json!({ "issuer": issuer }), &json!({ "subject": "**", "claims": { "environment": "p" } })));
        assert!(!asks(json!({ "issuer": issuer, "shared": false }), &loose), "{issuer}");
        assert!(!asks(json!({ "issuer": issuer }), &json!({ "subject": "job:*" })), "{issuer}");
        assert!(!asks(json!({ "issuer": issuer, "allow_private_network": true }), &loose), "{issuer}");
        assert!(!asks(json!({ "issuer": issuer, "preset": "keycloak" }), &loose), "{issuer}");
        // A public forge is somebody's own, or everybody's: only its operator knows.
        let main = json!({ "gitlab": { "ref": "main" } });
        assert!(asks(json!({ "issuer": issuer, "preset": "gitlab" }), &main), "{issuer}");
        assert!(!asks(json!({ "issuer": issuer, "preset": "gitlab" }), &json!({ "gitlab": { "project_id": 1 } })));
    }
    for issuer in
        ["https://idp.corp", "https://kubernetes.default.svc.cluster.local", "https://idp", "https://idp.lan:8443"]
    {
        assert!(!asks(json!({ "issuer": issuer }), &loose), "{issuer}");
    }
}

#[test]
fn fld3_a_host_that_looks_like_a_platforms_is_an_error_and_no_hint_leads_to_it() {
    for (issuer, real) in [
        ("https://token.action.githubusercontent.com", "https://token.actions.githubusercontent.com"),
        ("https://token.actions.githubusercontent.co", "https://token.actions.githubusercontent.com"),
        ("https://token.actions.githubusercontent.com.evil.example", "https://token.actions.githubusercontent.com"),
        ("https://gitlab.cm", "https://gitlab.com"),
        ("https://gitIab.com", "https://gitlab.com"),
        ("https://acounts.google.com", "https://accounts.google.com"),
        ("https://agent.buildkite.co", "https://agent.buildkite.com"),
        ("https://app.terrafrom.io", "https://app.terraform.io"),
        ("https://oidc.circlecl.com", "https://oidc.circleci.com"),
        ("https://oidc.codefrseh.io", "https://oidc.codefresh.io"),
        (
            "https://oidc.eks.eu-west-1.amazonaw.com/id/0123456789ABCDEF0123456789ABCDEF",
            "https://oidc.eks.REGION.amazonaws.com/id/CLUSTER",
        ),
        (
            "https://login.microsoft-online.com/33333333-4444-4555-8666-777777777777/v2.0",
            "https://login.microsoftonline.com/",
        ),
    ] {
        for more in [
            json!({}),
            json!({ "preset": "github-actions" }),
            json!({ "preset": "spire" }),
            json!({ "shared": true }),
            json!({ "jwks_url": "https://keys.example/jwks" }),
        ] {
            let mut entry = more.clone();
            entry["issuer"] = json!(issuer);
            let wanted = |identity: Value| {
                let judged = judge(&entry, &identity);
                assert_eq!((judged.code, judged.errors()), (2, 1), "{entry}: {}", judged.text);
                assert!(
                    judged.text.contains(real) && judged.text.contains("looks like a host of"),
                    "{entry}: {}",
                    judged.text
                );
                assert!(!judged.text.contains("preset"), "{entry}: {}", judged.text);
            };
            wanted(json!({ "subject": "repo:acme/app:ref:refs/heads/main" }));
            wanted(json!({ "github": { "repository_id": 1 } }));
            wanted(json!({ "claims": { "environment": "p" } }));
        }
    }
    for tenant in ["common", "organizations", "consumers", "{tenantid}"] {
        let entry = json!({ "issuer": format!("https://login.microsoftonline.com/{tenant}/v2.0"), "jwks_url": "https://login.microsoftonline.com/common/discovery/v2.0/keys" });
        let judged = judge(&entry, &json!({ "azure": { "object_id": UUID } }));
        assert_eq!((judged.code, judged.errors()), (2, 1), "{tenant}: {}", judged.text);
        assert!(judged.text.contains(&format!("`{tenant}` is not a tenant of Microsoft Entra")), "{}", judged.text);
    }
    let family = json!({ "issuer_template": "https://oidc.eks.{region}.amazonawss.com/id/{cluster}", "variables": { "region": ["eu-west-1"], "cluster": "[0-9A-F]{32}" } });
    assert!(judge(&family, &pod()).text.contains("looks like a host of Kubernetes"));
}

#[test]
fn fld7_owner_claims_say_what_fixes_the_owner() {
    let entry = json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": ["org_id", "/tenant/id"] });
    for (identity, code) in [
        (json!({ "claims": { "environment": "prod" } }), 1),
        (json!({ "claims": { "org_id": "o-*" } }), 1),
        (json!({ "subject": "job:*", "claims": { "environment": "prod" } }), 1),
        (json!({ "claims": { "org_id": "o-1" } }), 0),
        (json!({ "claims": { "/tenant/id": ["t-1", "t-2"] } }), 0),
        (json!({ "subject": "job:deploy" }), 0),
        (json!({ "subject": "job:*", "claims": { "org_id": "o-1" } }), 0),
    ] {
        let judged = judge(&entry, &identity);
        assert_eq!(judged.code, code, "{identity}: {}", judged.text);
    }
    let bare = json!({ "issuer": "https://many.acme.io", "shared": true });
    assert_eq!(judge(&bare, &json!({ "claims": { "org_id": "o-1" } })).code, 1);
    assert_eq!(judge(&bare, &json!({ "subject": "job:deploy" })).code, 0);
    let one = json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": "org_id" });
    assert_eq!(judge(&one, &json!({ "claims": { "org_id": "o-1" } })).code, 0);
    for (entry, wanted) in [
        (json!({ "issuer": "https://many.acme.io", "owner_claims": ["org_id"] }), "add `shared: true`"),
        (
            json!({ "issuer": "https://many.acme.io", "shared": false, "owner_claims": ["org_id"] }),
            "add `shared: true`",
        ),
        (json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": [] }), "write at least one"),
        (
            json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": ["sub"] }),
            "`sub` cannot tell tenants apart",
        ),
        (
            json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": ["/aud"] }),
            "cannot tell tenants apart",
        ),
        (
            json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": ["/a~"] }),
            "is not the name of a claim",
        ),
        (json!({ "issuer": "https://gitlab.com", "owner_claims": ["environment"] }), "remove `owner_claims`"),
    ] {
        let judged = judge(&entry, &json!({ "subject": "project_path:a/b:ref_type:branch:ref:main" }));
        assert_eq!(judged.code, 2, "{entry}: {}", judged.text);
        assert!(judged.text.contains(wanted), "{entry}: {}", judged.text);
    }
}

#[test]
fn fld30_an_issuer_with_keys_of_its_own_is_any_text() {
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a" }] });
    for issuer in [
        "api",
        "kubernetes/serviceaccount",
        "sa@project.iam.example",
        "http://keycloak.corp:8080/realms/x",
        "https://idp.acme.io/x?tenant=1#y",
        "urn:acme:idp",
        "Ein Ausweis",
    ] {
        for keys in [json!({ "jwks": jwks }), json!({ "jwks_url": "https://keys.acme.io/jwks" })] {
            let mut entry = keys;
            entry["issuer"] = json!(issuer);
            let judged = judge(&entry, &json!({ "subject": "svc" }));
            assert_eq!(judged.code, 0, "{entry}: {}", judged.text);
        }
        let judged = judge(&json!({ "issuer": issuer }), &json!({ "subject": "svc" }));
        assert_eq!(judged.code, 2, "{issuer} is not fetched: {}", judged.text);
    }
    for wrong in ["", "a\nb", "https://user:hunter2@idp.acme.io"] {
        let judged = judge(&json!({ "issuer": wrong, "jwks": jwks }), &json!({ "subject": "svc" }));
        assert_eq!(judged.code, 2, "{wrong}");
        assert!(!judged.text.contains("hunter2"), "{}", judged.text);
    }
}

#[test]
fn fld31_a_trust_domain_is_of_spiffe_entries_and_told_apart_by_keys() {
    let key = |x: &str| json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a" }] });
    let one = key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let other = key("hv6kQ0m1sVhDNlnOUhGYuD5G8lCBLDKhWAfbW5ENPkU");
    let entry = |issuer: &str, domain: &str, keys: &Value| json!({ "issuer": issuer, "preset": "spiffe", "trust_domain": domain, "jwks": keys });
    let check = |entries: Value| judge_all(&entries, &[json!({ "subject": "spiffe://example.org/deployer" })]);
    assert_eq!(check(json!({ "e": entry("https://a.acme.io", "example.org", &one) })).code, 0);
    assert_eq!(
        check(json!({ "e": { "issuer": "https://a.acme.io", "preset": "spiffe", "trust_domain": "example.org" } }))
            .code,
        0
    );
    // Two with one domain have keys of their own.
    let two = |first: &str, second: &str, keys: &Value| {
        check(json!({ "e": entry(first, "example.org", &one), "f": entry(second, "example.org", keys) }))
    };
    let judged = two("https://a.acme.io", "https://b.acme.io", &one);
    assert!(judged.code == 2 && judged.text.contains("the same keys"), "{}", judged.text);
    let discovery = json!({ "issuer": "https://b.acme.io", "preset": "spiffe", "trust_domain": "example.org" });
    let judged = check(json!({ "e": entry("https://a.acme.io", "example.org", &one), "f": discovery }));
    assert!(judged.code == 2 && judged.text.contains("has no keys of its own"), "{}", judged.text);
    let apart = |judged: Judged| assert!(!judged.text.contains("trust domain"), "{}", judged.text);
    apart(two("https://a.acme.io", "https://b.acme.io", &other));
    apart(check(
        json!({ "e": entry("https://a.acme.io", "example.org", &one), "f": entry("https://b.acme.io", "example.com", &one) }),
    ));
    for (domain, wanted) in [
        ("spiffe://example.org", "write `example.org`"),
        ("spiffe://example.org/x", "write `example.org`"),
        ("Example.org", "write `example.org`"),
        ("", "write the name alone"),
        ("example.org:8080", "write the name alone"),
        ("user@example.org", "write the name alone"),
        ("*.example.org", "write the name alone"),
    ] {
        let judged = check(json!({ "e": entry("https://a.acme.io", domain, &one) }));
        assert!(judged.code == 2 && judged.text.contains(wanted), "{domain}: {}", judged.text);
    }
    let no_preset = json!({ "issuer": "https://a.acme.io", "trust_domain": "example.org", "jwks": one });
    assert!(check(json!({ "e": no_preset })).text.contains("add `preset: spiffe`"));
    let family = json!({ "issuer_template": "https://{x}.acme.io", "variables": { "x": ["a"] }, "preset": "spiffe", "trust_domain": "example.org" });
    assert!(check(json!({ "e": family })).text.contains("cannot be used with `issuer_template`"));
}

#[test]
fn fld48_a_misspelt_word_is_one_error_with_the_name_that_fits() {
    let github = json!({ "issuer": "https://token.actions.githubusercontent.com" });
    let gitlab = json!({ "issuer": "https://gitlab.com" });
    let both = json!({ "e": gitlab, "github": github });
    for (entries, identity, wanted) in [
        (json!({ "e": github }), json!({ "github": { "repo_id": 1 } }), "write `repository_id`"),
        (json!({ "e": github }), json!({ "github": { "repo": "a/b", "repository_id": 1 } }), "write `repository`"),
        (json!({ "e": github }), json!({ "github": { "branch": "main", "repository_id": 1 } }), "write `ref`"),
        (
            both.clone(),
            json!({ "github": { "repository": "a/b" } }),
            "write `gitlab:`, with members such as `project_path`",
        ),
        (both.clone(), json!({ "github": { "repo_id": 1 } }), "or name the issuer entry `github`"),
        (both.clone(), json!({ "gitlub": { "project_id": 1 } }), "did you mean `gitlab`?"),
        (both.clone(), json!({ "issuer": "github", "gitlub": { "repository_id": 1 } }), "did you mean `github`?"),
        (both.clone(), json!({ "issuer": "unheard-of", "gitlub": {} }), "did you mean `github` or `gitlab`?"),
        (both, json!({ "issuer": ["github"], "git_hub": { "repository_id": 1 } }), "did you mean `github`?"),
        (
            json!({ "e": { "issuer": "https://spire.acme.io", "preset": "spire" } }),
            json!({ "spiffe": { "id": "spiffe://a/b" } }),
            "did you mean `spiffe`?",
        ),
        (
            json!({ "e": { "issuer": "https://ghes.acme.io/_services/token", "preset": "github" } }),
            json!({ "github": { "repository_id": 1 } }),
            "did you mean `github-actions`?",
        ),
        (
            json!({ "e": { "issuer": "https://idp.acme.io", "preset": "nothing-like-it" } }),
            json!({ "subject": "repo:a/b:ref:refs/heads/main" }),
            "the presets are",
        ),
        (
            json!({ "e": { "issuer": "https://k8s.acme.io", "preset": "kubernetes" } }),
            json!({ "k8s": { "namespace": "prod" } }),
            "did you mean `kubernetes`?",
        ),
    ] {
        let judged = judge_all(&entries, std::slice::from_ref(&identity));
        assert_eq!((judged.code, judged.errors()), (2, 1), "{identity}: {}", judged.text);
        assert!(judged.text.contains(wanted), "{identity}: {}", judged.text);
    }
}
