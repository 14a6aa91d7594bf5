//! The sample files of the documentation load as printed.

#![expect(clippy::unwrap_used, clippy::panic, reason = "set-up that fails is a test that fails")]

use std::fs;
use std::path::Path;

use jwks_cache::KeySource;
use sts::compile::{Loaded, Purpose, SourceDocuments, load, run_policy_tests};
use sts_config::{LogFormat, LogLevel, json_schema};
use sts_policy::{Preset, ScalarSpec};
use sts_store::spec::StoreSpec;
use sts_types::{Algorithm, IpNetwork, UnixTime};

const KEY_SET: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;

/// The samples with the files that they name.
fn samples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new("tests/samples");
    fs::create_dir(folder.path().join("accounts")).unwrap();
    for name in ["sts.yaml", "accounts/octo.yaml"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    for (name, content) in [
        ("tls.crt", "certificate"),
        ("tls.key", "key"),
        ("staging.jwks.json", KEY_SET),
        ("deploy.secret", "correct horse battery staple\r\n"),
    ] {
        write_secret(&folder.path().join(name), content);
    }
    folder
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn loaded(folder: &Path) -> Loaded {
    load(&folder.join("sts.yaml"), &|_| None, Purpose::Serve)
        .unwrap_or_else(|findings| panic!("{}", findings.render(false)))
}

#[test]
fn the_samples_load_as_printed() {
    let folder = samples();
    let Loaded { compiled, written: SourceDocuments { policy, .. }, warnings, .. } = loaded(folder.path());
    let settings = &compiled.settings;
    assert_eq!(warnings.render(false), "");
    let at = |name: &str| folder.path().join(name);

    assert_eq!(settings.issuer.as_str(), "https://sts.example.com");
    assert_eq!(settings.listen, "0.0.0.0:8080".parse().unwrap());
    let tls = settings.tls.as_ref().unwrap();
    assert_eq!((&tls.cert_file, &tls.key_file), (&at("tls.crt"), &at("tls.key")));
    assert_eq!(settings.admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert_eq!(settings.data_dir, Path::new("/var/lib/sts"));
    assert_eq!(settings.store, StoreSpec::Embedded);
    assert_eq!(settings.keyring.algorithms, [Algorithm::ES256, Algorithm::RS256]);
    assert_eq!(settings.keyring.rotate_every, Some(30 * 86_400));
    assert_eq!(policy.tokens.ttl.value.as_secs(), 900);
    assert_eq!(policy.tokens.max_ttl.value.as_secs(), 3600);

    let [github, staging] = policy.issuers.as_slice() else { panic!("two entries") };
    assert_eq!((github.preset, github.shared), (Some(Preset::GithubActions), true));
    assert_eq!((staging.preset, staging.shared), (Some(Preset::Kubernetes), false));
    assert_eq!(compiled.keys.entries[0].source, KeySource::Discovery);
    assert_eq!(compiled.keys.entries[1].source, KeySource::File(at("staging.jwks.json")));
    assert_eq!(
        compiled.keys.entries.iter().map(|e| &e.name).collect::<Vec<_>>(),
        compiled.trust.iter().map(|t| &t.entry).collect::<Vec<_>>()
    );
    let trust = &compiled.trust[0];
    assert_eq!(
        (trust.leeway, trust.max_token_lifetime, trust.max_token_age, trust.require_iat),
        (60, 86_400, None, true)
    );

    let [account] = policy.accounts.as_slice() else { panic!("one account") };
    assert_eq!(account.id.as_ref().unwrap().value.as_str(), "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11");
    let [production, main] = account.identities.as_slice() else { panic!("two identities") };
    let rule = production.short_rule.as_ref().unwrap();
    assert_eq!(rule.key.value, "github");
    assert_eq!(
        rule.members.iter().map(|(key, _)| key.value.as_str()).collect::<Vec<_>>(),
        ["repository", "repository_id", "environment"]
    );
    let sts_policy::ConditionSpec::Scalar(id) = &rule.members[1].1 else { panic!("a scalar") };
    assert_eq!(id.value, ScalarSpec::Number(1_296_269.into()));
    assert_eq!(main.subject.as_ref().unwrap().value, "repo:octo-org/octo-repo:ref:refs/heads/main");
    let sts_policy::ConditionSpec::Scalar(owner) = &main.claims[0].1 else { panic!("a scalar") };
    assert_eq!(owner.value, ScalarSpec::Text("65".to_owned()));
    assert_eq!(main.ttl.unwrap().value.as_secs(), 600);

    let secret = compiled.api_secrets.values().next().unwrap();
    assert_eq!(secret.expose(), "correct horse battery staple");
    assert_eq!(compiled.files.len(), 6, "{:?}", compiled.files);
}

#[test]
fn the_samples_policy_tests_pass_and_a_wrong_one_fails_at_its_place() {
    let folder = samples();
    let now = UnixTime::from_secs(1_790_000_000);
    let findings = run_policy_tests(&loaded(folder.path()), now);
    assert_eq!(findings.exit_code(), 0, "{}", findings.render(false));

    let path = folder.path().join("accounts/octo.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text.replace("event_name: pull_request", "environment: production, event_name: push");
    assert_ne!(text, wrong);
    fs::write(&path, &wrong).unwrap();
    let findings = run_policy_tests(&loaded(folder.path()), now);
    assert_eq!(findings.exit_code(), 1, "{}", findings.render(false));
    let place = findings.iter().find_map(|finding| finding.place.as_ref()?.file().cloned()).unwrap();
    assert_eq!(place.file, path);
    assert!(
        wrong
            .lines()
            .skip(usize::try_from(place.line).unwrap() - 1)
            .any(|line| line.contains("expect") || line.contains("name"))
    );
}

#[test]
fn what_is_not_written_has_its_documented_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    fs::write(&path, "issuer: http://localhost:8080\nlisten: ${LISTEN}\nbehind_tls_proxy: [10.0.0.0/8]\n").unwrap();
    let Loaded { compiled, written: SourceDocuments { policy, .. }, .. } =
        load(&path, &|name| (name == "LISTEN").then(|| "0.0.0.0:80".to_owned()), Purpose::Serve)
            .unwrap_or_else(|f| panic!("{}", f.render(false)));
    let settings = &compiled.settings;
    assert_eq!(settings.listen, "0.0.0.0:80".parse().unwrap());
    assert_eq!(settings.behind_tls_proxy, [IpNetwork::parse("10.0.0.0/8").unwrap()]);
    assert_eq!(
        (settings.limits.failures_per_second, settings.limits.failure_burst, settings.limits.connections),
        (50, 500, 10_000)
    );
    assert_eq!(
        (settings.log.format, settings.log.level, settings.log.claims),
        (LogFormat::Text, LogLevel::Info, false)
    );
    assert!(!settings.cap_to_subject && !policy.tokens.require_account);
    let ignored: Vec<_> = policy.tokens.ignore_scopes.iter().map(sts_types::Scope::as_str).collect();
    assert_eq!(
        ignored,
        ["https://www.googleapis.com/auth/cloud-platform", "openid", "profile", "email", "offline_access"]
    );
    assert_eq!((settings.limits.keep_alive.as_secs(), settings.drain.as_secs()), (75, 10));
    assert_eq!(settings.keyring.algorithms, [Algorithm::ES256, Algorithm::RS256]);
}

#[test]
fn f9_a_proxy_that_is_everybody_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    fs::write(&path, "issuer: https://sts.example.com\nlisten: 0.0.0.0:80\nbehind_tls_proxy: [\"::/0\"]\n").unwrap();
    let Loaded { warnings, .. } = load(&path, &|_| None, Purpose::Serve).unwrap();
    let text = warnings.render(false);
    assert!(text.starts_with("warning: `::/0` is wider than a subnet"), "{text}");
    assert!(text.ends_with("\n1 warning\n"), "{text}");
    assert!(!warnings.is_fatal());
}

#[test]
fn an_apis_scope_that_every_request_ignores_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    let warned = |more: &str| {
        let api = "apis:\n  a:\n    audience: https://a.example\n    scopes: [email, read]\n";
        fs::write(&path, format!("issuer: http://localhost:8080\n{more}{api}")).unwrap();
        load(&path, &|_| None, Purpose::Serve).unwrap().warnings.render(false)
    };
    let text = warned("");
    assert!(
        text.contains("the scope `email` is in `tokens.ignore_scopes`") && text.ends_with("\n1 warning\n"),
        "{text}"
    );
    assert_eq!(warned("tokens: { ignore_scopes: [openid] }\n"), "");
}

#[test]
fn a_path_from_a_variable_is_no_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    fs::write(&path, "issuer: https://sts.example.com\naccounts: ${ACCOUNTS}\n").unwrap();
    let at = |pattern: &'static str| {
        load(&path, &|_| Some(pattern.to_owned()), Purpose::Serve).map(|loaded| loaded.compiled.files.len())
    };
    let text = at("*.yml").unwrap_err().render(false);
    assert!(text.contains("*.yml` cannot be read: no such file or directory"), "{text}");
    fs::write(folder.path().join("*.yml"), "teams:\n").unwrap();
    fs::write(folder.path().join("a.yml"), "team:\n").unwrap();
    assert_eq!(at("*.yml").unwrap(), 2);
}

#[test]
fn a_variable_is_plain_text_and_never_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    let text = r#"
issuer: https://sts.example.com
issuers:
  internal: { issuer: https://issuer.example.com }
apis:
  deploy: { audience: https://deploy.example.com }
service_accounts:
  octo-deploy:
    grants: { deploy: [] }
    identities:
      - { issuer: internal, subject: "${SUBJECT}", claims: { env: ["${SUBJECT}", "a*"] } }
"#;
    fs::write(&path, text).unwrap();
    let read = |value: &str| {
        let value = value.to_owned();
        let Loaded { compiled, written: SourceDocuments { policy, .. }, .. } =
            load(&path, &|_| Some(value.clone()), Purpose::Serve).unwrap_or_else(|f| panic!("{}", f.render(false)));
        let identity = policy.accounts[0].identities[0].clone();
        let sts_policy::ConditionSpec::AnyOf(values) = &identity.claims[0].1 else { panic!("a list") };
        (identity.subject.unwrap().value, values[0].value.clone(), values[1].value.clone(), compiled.generation)
    };
    let (subject, env, written, generation) = read(r"a*:?\ 12");
    assert_eq!(subject, r"a\*:\?\\ 12");
    assert_eq!(env, ScalarSpec::Text(r"a\*:\?\\ 12".to_owned()));
    assert_eq!(written, ScalarSpec::Text("a*".to_owned()));
    // Never YAML: a number, a mapping and a comment stay texts.
    for value in ["12", "{a: b}", "x # y", "true"] {
        assert_eq!(read(value).0, value);
    }
    assert_ne!(read("x").3, generation);
}

#[test]
fn c147_a_missing_or_binary_configuration_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    let findings = load(&path, &|_| None, Purpose::Serve).unwrap_err();
    let text = findings.render(false);
    assert!(
        text.starts_with("error: `") && text.contains("sts.yaml` cannot be read: no such file or directory"),
        "{text}"
    );
    assert_eq!(findings.exit_code(), 2);
    for (bytes, what) in [
        (b"issuer: \xff".as_slice(), "is not UTF-8 text"),
        (b"\xff\xfei\0s\0", "is not UTF-8 text"),
        (b"issuer: https://sts\0.example.com", "control character"),
        (b"issuer: \"https://sts.exa", "is not closed"),
    ] {
        fs::write(&path, bytes).unwrap();
        let text = load(&path, &|_| None, Purpose::Serve).unwrap_err().render(false);
        assert!(text.contains(what) && text.contains("sts.yaml"), "{text}");
    }
}

#[test]
fn c149_a_byte_order_mark_and_crlf_change_nothing_in_a_configuration() {
    let folder = samples();
    let path = folder.path().join("sts.yaml");
    let text = fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    let settings = loaded(folder.path()).compiled.settings;
    assert_eq!(settings.issuer.as_str(), "https://sts.example.com");
    let wrong = text.replace("data_dir", "data_dri");
    fs::write(&path, format!("\u{feff}{wrong}")).unwrap();
    let findings = load(&path, &|_| None, Purpose::Serve).unwrap_err();
    let place = findings.iter().next().unwrap().place.as_ref().unwrap().file().cloned().unwrap();
    assert_eq!((place.line, place.column), (6, 1), "{}", findings.render(false));
}

#[test]
fn c147_an_alias_bomb_and_deep_nesting_end_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..40 {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    fs::write(&path, bomb).unwrap();
    let text = load(&path, &|_| None, Purpose::Serve).unwrap_err().render(false);
    assert!(text.contains("aliases (`*`) are not supported"), "{text}");
    for deep in [
        format!("a: {}{}", "[".repeat(200), "]".repeat(200)),
        (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
    ] {
        fs::write(&path, deep).unwrap();
        assert!(load(&path, &|_| None, Purpose::Serve).unwrap_err().render(false).contains("nested more than 64 deep"));
    }
}

#[test]
fn the_json_form_has_every_finding_with_its_place() {
    let findings = load(Path::new("tests/golden/duplicate_keys.yaml"), &|_| None, Purpose::Serve).unwrap_err();
    let json = findings.to_json();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!(
        json[0],
        serde_json::json!({
            "rule": "duplicate-key",
            "severity": "error",
            "file": "tests/golden/duplicate_keys.yaml",
            "line": 2,
            "column": 34,
            "length": 3,
            "message": "duplicate key `ttl`",
            "help": "keep one; the first is at line 2, column 11",
        })
    );
}

#[test]
fn the_schema_accepts_the_samples_and_refuses_what_the_loader_refuses() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let main = serde_json::json!({
        "issuer": "https://sts.example.com",
        "listen": "0.0.0.0:8080",
        "tls": { "cert_file": "tls.crt", "key_file": "tls.key" },
        "admin": { "listen": "127.0.0.1:9090" },
        "data_dir": "/var/lib/sts",
        "store": "embedded",
        "signing": { "algorithms": ["ES256", "RS256"], "rotate_every": "30d" },
        "tokens": { "ttl": "15m", "max_ttl": "1h" },
        "issuers": {
            "github": { "issuer": "https://token.actions.githubusercontent.com" },
            "staging": { "issuer": "https://kubernetes.default.svc.cluster.local", "preset": "kubernetes", "jwks_file": "staging.jwks.json" },
        },
        "apis": {
            "deploy": {
                "audience": "https://deploy.example.com",
                "scopes": ["deployments:create", "releases:read"],
                "introspection_secret_file": "deploy.secret",
            },
        },
        "accounts": "accounts/*.yaml",
    });
    let accounts = serde_json::json!({
        "teams": { "deployers": { "display_name": "Deployers", "grants": { "deploy": ["deployments:create", "releases:read"] } } },
        "service_accounts": {
            "octo-deploy": {
                "id": "7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11",
                "display_name": "Octo deployer",
                "teams": ["deployers"],
                "identities": [
                    {
                        "name": "production",
                        "issuer": "github",
                        "github": { "repository": "octo-org/octo-repo", "repository_id": 1_296_269, "environment": "production" },
                    },
                    {
                        "name": "main branch",
                        "issuer": "github",
                        "subject": "repo:octo-org/octo-repo:ref:refs/heads/main",
                        "claims": { "repository_owner_id": "65" },
                        "scopes": ["deployments:create"],
                        "ttl": "10m",
                    },
                ],
            },
        },
        "tests": [{
            "name": "a pull request gets nothing",
            "token": { "preset": "github-actions", "repository": "octo-org/octo-repo", "event_name": "pull_request" },
            "account": "octo-deploy",
            "expect": "deny",
        }],
    });
    for sample in [&main, &accounts] {
        assert!(
            validator.is_valid(sample),
            "{:?}",
            validator.iter_errors(sample).map(|e| e.to_string()).collect::<Vec<_>>()
        );
    }
    for (pointer, key, value) in [
        ("", "isuer", serde_json::json!("x")),
        ("/tokens", "ttl", serde_json::json!(15)),
        ("/issuers/github", "ca_file", serde_json::json!(["x"])),
        ("/issuers/github", "issuer_template", serde_json::json!("https://{x}.example.com")),
        ("/issuers/github", "variables", serde_json::json!({ "x": [] })),
        ("/admin", "tls", serde_json::json!({})),
        ("/apis/deploy", "audience", serde_json::json!(7)),
        ("/issuers", "UPPER", serde_json::json!({ "issuer": "https://issuer.example.com" })),
    ] {
        let mut wrong = main.clone();
        wrong.pointer_mut(pointer).unwrap()[key] = value;
        assert!(!validator.is_valid(&wrong), "{pointer}/{key}");
    }
}

#[test]
fn the_committed_schema_is_the_tables() {
    let schema = format!("{:#}\n", json_schema());
    let golden = Path::new("tests/golden/schema.json");
    #[expect(clippy::disallowed_methods, reason = "a switch of the test run itself")]
    if std::env::var("STS_BLESS").is_ok() {
        fs::write(golden, &schema).unwrap();
    }
    assert!(fs::read_to_string(golden).unwrap() == schema, "run with STS_BLESS=1 if the schema is right");
}

#[test]
fn a_short_introspection_secret_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sts.yaml");
    let config = "issuer: http://localhost:8080\napis:\n  deploy:\n    audience: https://deploy.example.com\n    introspection_secret_file: s\n";
    fs::write(&path, config).unwrap();
    for (secret, warned) in [("fifteen letters", true), ("sixteen letters!", false)] {
        write_secret(&folder.path().join("s"), secret);
        let loaded = load(&path, &|_| None, Purpose::Serve).unwrap_or_else(|f| panic!("{}", f.render(false)));
        let shown = loaded.warnings.render(false);
        assert_eq!(shown.contains("can be guessed"), warned, "{shown}");
        assert!(!shown.contains("letters"));
    }
}
