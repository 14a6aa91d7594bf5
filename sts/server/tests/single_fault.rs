//! A configuration with one fault is one finding: nothing that merely follows from it is reported as well. Each case breaks one
//! thing in the sound configuration under `tests/single_fault`.

#![expect(clippy::unwrap_used, reason = "set-up that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sts::compile::{Purpose, load, run_policy_tests};
use sts_config::Diagnostics;
use sts_types::{CheckCode, UnixTime};

const KEY_SET: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;

/// A CA certificate.
const AUTHORITY: &str = include_str!("single_fault/ca.pem");

/// The sound configuration.
fn sound() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [MAIN, ACCOUNTS] {
        fs::copy(Path::new("tests/single_fault").join(name), folder.path().join(name)).unwrap();
    }
    for (name, content) in [
        ("tls.crt", "certificate"),
        ("tls.key", "key"),
        ("ca.pem", AUTHORITY),
        ("staging.jwks.json", KEY_SET),
        ("deploy.secret", "correct horse battery staple\n"),
        ("redis.secret", "correct horse battery staple\n"),
        ("corp.secret", "correct horse battery staple\n"),
        ("pin.secret", "4711\n"),
        ("seal.key", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=\n"),
        ("gitlab.token", "glpat-correct-horse\n"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    folder
}

/// What `sts check` finds in the configuration and its policy tests.
fn findings(folder: &Path) -> Diagnostics {
    match load(&folder.join(MAIN), &|_| None, Purpose::Serve) {
        Ok(loaded) => {
            let mut findings = loaded.warnings.clone();
            findings.extend(run_policy_tests(&loaded, UnixTime::from_secs(1_790_000_000)));
            findings
        }
        Err(findings) => findings,
    }
}

const MAIN: &str = "sts.yaml";
const ACCOUNTS: &str = "accounts.yaml";

/// What is written in place of what, and the one finding of it.
type Fault = (&'static str, &'static str, CheckCode);

const IN_MAIN: &[Fault] = &[
    ("https://gitlab.example.com", "\"https://gitlab.example.com \"", CheckCode::HiddenCharacter),
    (
        "status_list: true",
        "status_list: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        CheckCode::YamlTooLarge,
    ),
    (
        "issuers:\n",
        "issuers:\n  mesh:\n    issuer: https://spire.example.com\n    preset: spiffe\n    trust_domain: spiffe://\n",
        CheckCode::InvalidTrustDomain,
    ),
    ("issuer: https://sts.example.com", "isuer: https://sts.example.com", CheckCode::UnknownKey),
    ("issuer: https://sts.example.com\nlisten", "listen", CheckCode::MissingKey),
    ("issuer: https://sts.example.com", "issuer: sts.example.com", CheckCode::InvalidUrl),
    ("issuer: https://sts.example.com", "issuer: http://sts.example.com", CheckCode::PlainHttp),
    ("issuer: https://sts.example.com", "issuer: https://u:p@sts.example.com", CheckCode::CredentialsInUrl),
    ("issuer: https://sts.example.com", "issuer: https://sts.example.com?x=1", CheckCode::InvalidUrl),
    ("issuer: https://sts.example.com", "issuer: 7", CheckCode::AmbiguousScalar),
    ("issuer: https://sts.example.com", "issuer:", CheckCode::MissingValue),
    ("issuer: https://sts.example.com", "issuer: [https://sts.example.com]", CheckCode::WrongType),
    ("issuer: https://sts.example.com", "issuer: ${NOT_SET}", CheckCode::VariableNotSet),
    ("issuer: https://sts.example.com", "issuer: ${1X}", CheckCode::InvalidVariable),
    ("issuer: https://sts.example.com", "issuer:https://sts.example.com", CheckCode::YamlMissingSpace),
    ("listen: 0.0.0.0:8080", "listen: localhost:8080", CheckCode::InvalidAddress),
    ("listen: 0.0.0.0:8080", "listn: 0.0.0.0:8080", CheckCode::UnknownKey),
    (
        "tls: { cert_file: tls.crt, key_file: tls.key }",
        "tsl: { cert_file: tls.crt, key_file: tls.key }",
        CheckCode::UnknownKey,
    ),
    ("tls: { cert_file: tls.crt, key_file: tls.key }\n", "", CheckCode::ListenerWithoutTls),
    ("tls: { cert_file: tls.crt, key_file: tls.key }", "tls: { cert_file: tls.crt }", CheckCode::MissingKey),
    (
        "tls: { cert_file: tls.crt, key_file: tls.key }",
        "tls: { cert_file:tls.crt, key_file: tls.key }",
        CheckCode::UnknownKey,
    ),
    (
        "tls: { cert_file: tls.crt, key_file: tls.key }",
        "tls: { cert_fil: tls.crt, key_file: tls.key }",
        CheckCode::UnknownKey,
    ),
    ("tls: { cert_file: tls.crt, key_file: tls.key }", "tls: tls.crt", CheckCode::WrongType),
    (
        "tls: { cert_file: tls.crt, key_file: tls.key }",
        "tls: { cert_file: , key_file: tls.key }",
        CheckCode::MissingValue,
    ),
    ("tls: { cert_file: tls.crt, key_file: tls.key }", "behind_tls_proxy: [proxy]", CheckCode::InvalidAddressBlock),
    ("tls: { cert_file: tls.crt, key_file: tls.key }", "behind_tls_proxy: []", CheckCode::EmptyList),
    ("127.0.0.1:9090", "10.0.0.1:9090", CheckCode::ListenerWithoutTls),
    ("0.0.0.0:8080", "127.0.0.1:9090", CheckCode::ListenerConflict),
    ("127.0.0.1:9090", "9090", CheckCode::InvalidAddress),
    ("sts-admin.example.com", "https://sts-admin.example.com", CheckCode::InvalidHostName),
    ("data_dir: data", "data_dir: ''", CheckCode::InvalidPath),
    ("data_dir: data", "data_dri: data", CheckCode::UnknownKey),
    ("rediss://redis", "redis+tls://redis", CheckCode::InvalidStore),
    ("rediss://redis", "rediss://u:p@redis", CheckCode::CredentialsInUrl),
    ("ca_file: ca.pem", "ca_fil: ca.pem", CheckCode::UnknownKey),
    ("rediss://redis", "redis://redis", CheckCode::KeyWithoutEffect),
    ("password_file: redis.secret", "pasword_file: redis.secret", CheckCode::UnknownKey),
    ("password_file: redis.secret, ", "", CheckCode::KeyWithoutEffect),
    ("prefix: \"sts:\"", "prefix: \"{sts}\"", CheckCode::InvalidStore),
    ("timeout: 250ms", "timeout: 5m", CheckCode::InvalidStore),
    ("timeout: 250ms", "timeout: 250ms, timeout: 2s", CheckCode::DuplicateKey),
    ("[ES256, RS256]", "[ES256, HS256]", CheckCode::UnknownValue),
    ("[ES256, RS256]", "ES256", CheckCode::WrongType),
    ("[ES256, RS256]", "[]", CheckCode::EmptyList),
    ("[ES256, RS256]", "[ES256, RS256, ES256]", CheckCode::DuplicateValue),
    ("[ES256, RS256]", "[ES256]", CheckCode::UnknownValue),
    ("algorithms: [ES256, RS256]", "algoritms: [ES256, RS256]", CheckCode::UnknownKey),
    ("rotate_every: 30d", "rotate_every: 30", CheckCode::InvalidDuration),
    ("rotate_every: 30d", "store: redis", CheckCode::MissingKey),
    ("rotate_every: 30d", "store: redis, seal_key_fil: seal.key", CheckCode::UnknownKey),
    ("rotate_every: 30d", "store: rediss, seal_key_file: seal.key", CheckCode::UnknownValue),
    ("rotate_every: 30d", "seal_key_file: seal.key", CheckCode::KeyWithoutEffect),
    ("rotate_every: 30d", "store: redis, seal_key_file: []", CheckCode::EmptyList),
    ("rotate_every: 30d", "store: redis, seal_key_file: missing.key", CheckCode::MissingSecret),
    ("rotate_every: 30d", "store: redis, seal_key_file: [seal.key, redis.secret]", CheckCode::InvalidSecret),
    ("rotate_every: 30d", "pkcs11: { module: ca.pem, token_label: sts }", CheckCode::MissingKey),
    (
        "rotate_every: 30d",
        "pkcs11: { module: missing.so, token_label: sts, pin_file: pin.secret }",
        CheckCode::UnreadableFile,
    ),
    (
        "rotate_every: 30d",
        "pkcs11: { module: ca.pem, token_label: sts, pin_file: missing.secret }",
        CheckCode::MissingSecret,
    ),
    ("rotate_every: 30d", "pkcs11: { module: ca.pem, token_label: '', pin_file: pin.secret }", CheckCode::InvalidName),
    (
        "algorithms: [ES256, RS256]",
        "algorithms: [ES256, RS256, EdDSA], pkcs11: { module: ca.pem, token_label: sts, pin_file: pin.secret }",
        CheckCode::ConflictingKeys,
    ),
    ("ttl: 15m, max_ttl: 1h", "ttl: 2h, max_ttl: 1h", CheckCode::TtlOverMaximum),
    ("max_ttl: 1h", "max_ttl: 1w", CheckCode::InvalidDuration),
    ("max_ttl: 1h", "max_ttl: 0s", CheckCode::DurationOutOfRange),
    ("max_ttl: 1h", "maxttl: 1h", CheckCode::UnknownKey),
    ("copy_claims: [repository]", "copy_claims: [\"/a~\"]", CheckCode::InvalidClaimName),
    ("failures_per_second: 50", "failures_per_second: -1", CheckCode::InvalidNumber),
    ("keep_alive: 75s", "keep_alive: 2h", CheckCode::DurationOutOfRange),
    ("format: json", "format: xml", CheckCode::UnknownValue),
    ("level: info", "levl: info", CheckCode::UnknownKey),
    ("status_list: true", "status_list: yes", CheckCode::InvalidBoolean),
    ("status_list: true", "status_list: true\nlog: {}", CheckCode::DuplicateKey),
    ("status_list: true", "\tstatus_list: true", CheckCode::YamlTab),
    ("status_list: true", "status_list: &a true", CheckCode::YamlAnchor),
    ("status_list: true", "status_list: !!bool true", CheckCode::YamlTag),
    ("status_list: true", "status_list: *a", CheckCode::YamlUnquotedString),
    ("issuers:\n  github", "isuers:\n  github", CheckCode::UnknownKey),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github:\n    issuer: https://token.actions.githubusercontent.com/\n",
        CheckCode::IssuerSlash,
    ),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github:\n    issuer: https://github.com\n",
        CheckCode::NotAPlatformIssuer,
    ),
    (
        "https://token.actions.githubusercontent.com",
        "https://token.action.githubusercontent.com",
        CheckCode::LookAlikeIssuer,
    ),
    (
        "https://token.actions.githubusercontent.com",
        "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
        CheckCode::DiscoveryUrlAsIssuer,
    ),
    ("https://token.actions.githubusercontent.com", "http://token.actions.githubusercontent.com", CheckCode::PlainHttp),
    ("https://token.actions.githubusercontent.com", "https://sts.example.com", CheckCode::OwnIssuer),
    ("  github:\n    issuer:", "  github:\n    isuer:", CheckCode::UnknownKey),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github: https://token.actions.githubusercontent.com\n",
        CheckCode::WrongType,
    ),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  git hub:\n    issuer: https://token.actions.githubusercontent.com\n",
        CheckCode::InvalidName,
    ),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n    preset: gitlab\n",
        CheckCode::PresetMismatch,
    ),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n    shared: false\n",
        CheckCode::SharedContradicted,
    ),
    (
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n",
        "  github:\n    issuer: https://token.actions.githubusercontent.com\n    owner_claims: [org]\n",
        CheckCode::KeyWithoutEffect,
    ),
    ("preset: kubernetes", "preset: kubernets", CheckCode::UnknownPreset),
    ("preset: kubernetes", "preset: [kubernetes]", CheckCode::WrongType),
    ("preset: kubernetes", "presett: kubernetes", CheckCode::UnknownKey),
    ("preset: kubernetes", "preset:", CheckCode::MissingValue),
    ("jwks_file: staging.jwks.json", "jwks_file: missing.json", CheckCode::UnreadableFile),
    ("jwks_file: staging.jwks.json", "jwks_fil: staging.jwks.json", CheckCode::UnknownKey),
    ("jwks_file: staging.jwks.json", "jwks: { keys: 7 }", CheckCode::InvalidKeySet),
    ("jwks_file: staging.jwks.json", "jwks: { keys: [] }", CheckCode::InvalidKeySet),
    (
        "jwks_file: staging.jwks.json",
        "jwks_file: staging.jwks.json\n    jwks_url: https://keys.example.com",
        CheckCode::ConflictingKeys,
    ),
    (
        "jwks_file: staging.jwks.json",
        "jwks_file: staging.jwks.json\n    ca_file: missing.pem",
        CheckCode::KeyWithoutEffect,
    ),
    ("jwks_file: staging.jwks.json", "jwks_file: staging.jwks.json\n    max_stale: 1h", CheckCode::KeyWithoutEffect),
    ("leeway: 30s", "leeway: 1h", CheckCode::DurationOutOfRange),
    ("leeway: 30s", "leeway: 30", CheckCode::InvalidDuration),
    ("leeway: 30s", "leway: 30s", CheckCode::UnknownKey),
    ("https://gitlab.example.com", "gitlab.example.com", CheckCode::InvalidUrl),
    ("https://gitlab.example.com", "https://169.254.169.254", CheckCode::AddressNotAllowed),
    ("bearer_token_file: gitlab.token", "bearer_token_file: missing.token", CheckCode::MissingSecret),
    ("bearer_token_file: gitlab.token", "ca_file: staging.jwks.json", CheckCode::InvalidCaFile),
    ("bearer_token_file: gitlab.token", "proxy: socks5://p:1", CheckCode::InvalidProxy),
    ("bearer_token_file: gitlab.token", "algorithms: [none]", CheckCode::UnknownValue),
    ("    preset: gitlab\n", "", CheckCode::ShortRuleMismatch),
    ("shared: true", "shared: tru", CheckCode::InvalidBoolean),
    ("shared: true", "shred: true", CheckCode::UnknownKey),
    ("    shared: true\n", "", CheckCode::KeyWithoutEffect),
    ("owner_claims: [org_id]", "owner_claims: [sub]", CheckCode::InvalidOwnerClaim),
    ("owner_claims: [org_id]", "owner_claims: []", CheckCode::EmptyList),
    ("owner_claims: [org_id]", "owner_claim: [org_id]", CheckCode::UnknownKey),
    ("    owner_claims: [org_id]\n", "", CheckCode::AnyOwner),
    ("preset: kubernetes", "preset: kubernetes\n    trust_domain: example.org", CheckCode::KeyWithoutEffect),
    ("{region}", "{regin}", CheckCode::InvalidIssuerTemplate),
    ("region: [eu-west-1]", "region: [eu/west]", CheckCode::InvalidIssuerTemplate),
    ("cluster: \"[0-9A-F]{32}\"", "cluster: \"[0-9A-F\"", CheckCode::InvalidIssuerTemplate),
    ("issuer_template:", "issuer_templat:", CheckCode::UnknownKey),
    ("    variables: {", "    variable: {", CheckCode::UnknownKey),
    ("cluster: \"[0-9A-F]{32}\"", "cluster: [ab]", CheckCode::ImpossibleCondition),
    ("apis:\n", "api:\n", CheckCode::UnknownKey),
    ("  deploy:\n    audience", "  Deploy:\n    audience", CheckCode::InvalidName),
    ("audience: https://deploy.example.com", "audience: deploy", CheckCode::InvalidAudience),
    ("    audience: https://deploy.example.com\n", "", CheckCode::MissingKey),
    ("audience: https://deploy.example.com", "audience: https://logs.example.com", CheckCode::DuplicateAudience),
    ("audience: https://deploy.example.com", "audience: https://sts.example.com", CheckCode::OwnIssuer),
    ("apis:\n", "apis:\n  sts: { audience: https://x.example.com }\n", CheckCode::ReservedName),
    (
        "issuers:\n",
        "issuers:\n  again:\n    issuer: https://token.actions.githubusercontent.com\n",
        CheckCode::IssuerWithoutKeys,
    ),
    ("scopes: [\"deployments:create\", \"releases:read\"]", "scopes: deployments:create", CheckCode::WrongType),
    (
        "scopes: [\"deployments:create\", \"releases:read\"]",
        "scope: [\"deployments:create\", \"releases:read\"]",
        CheckCode::UnknownKey,
    ),
    (
        "scopes: [\"deployments:create\", \"releases:read\"]",
        "scopes: [\"deployments:create\", \"releases read\", \"releases:read\"]",
        CheckCode::InvalidName,
    ),
    (
        "scopes: [\"deployments:create\", \"releases:read\"]",
        "scopes: [\"deployments:create\", \"releases:read\", \"releases:read\"]",
        CheckCode::DuplicateValue,
    ),
    (
        "scopes: [\"deployments:create\", \"releases:read\"]",
        "scopes: [\"deployments:create\", 'releases:read]",
        CheckCode::YamlSyntax,
    ),
    ("signing_algorithm: RS256", "signing_algorithm: EdDSA", CheckCode::UnknownValue),
    ("signing_algorithm: RS256", "signing_algorithm: RS265", CheckCode::UnknownValue),
    ("deploy.secret", "missing.secret", CheckCode::MissingSecret),
    ("introspection_secret_file: deploy.secret", "introspection_secret: deploy", CheckCode::UnknownKey),
    ("  logs:\n    audience: https://logs.example.com\n", "  logs: https://logs.example.com\n", CheckCode::WrongType),
    ("accounts: accounts.yaml", "accounts: missing.yaml", CheckCode::UnreadableFile),
    ("accounts: accounts.yaml", "accounts: a/*.yaml", CheckCode::UnreadableFile),
    ("accounts: accounts.yaml", "accounts: a*/x.yaml", CheckCode::InvalidFilePattern),
    ("accounts: accounts.yaml", "accounts: [accounts.yaml, \"*.yml\"]", CheckCode::NoMatchingFile),
    ("accounts: accounts.yaml", "accounts: [accounts.yaml, 7]", CheckCode::AmbiguousScalar),
    ("accounts: accounts.yaml", "acounts: accounts.yaml", CheckCode::UnknownKey),
    ("accounts: accounts.yaml", "accounts: accounts.yaml\n---\na: 1", CheckCode::YamlMultipleDocuments),
];

const IN_DIRECTORIES: &[Fault] = &[
    ("ldaps://dc1.corp.example.com", "https://dc1.corp.example.com", CheckCode::InvalidUrl),
    ("ldaps://dc1.corp.example.com", "ldaps://sts:x@dc1.corp.example.com", CheckCode::InvalidUrl),
    ("url: ldaps://ldap.example.org", "url: []", CheckCode::EmptyList),
    ("    url: ldaps://ldap.example.org\n", "", CheckCode::MissingKey),
    ("dn: \"cn=sts,dc=example,dc=org\"", "dn: \"\"", CheckCode::InvalidDirectory),
    ("dn: \"cn=sts,dc=example,dc=org\", ", "", CheckCode::MissingKey),
    (
        "password_file: corp.secret }\n    base: \"dc",
        "pasword_file: corp.secret }\n    base: \"dc",
        CheckCode::UnknownKey,
    ),
    ("base: \"dc=example,dc=org\"", "base: example.org", CheckCode::InvalidDirectory),
    ("kind: ldap", "kind: openldap", CheckCode::UnknownValue),
    ("kind: active_directory", "kind: active_directory\n    group_attribute: memberOf", CheckCode::KeyWithoutEffect),
    ("kind: ldap", "kind: ldap\n    group_attribute: \"member of\"", CheckCode::InvalidDirectory),
    ("    user_filter: \"(uid={name})\"\n", "", CheckCode::MissingKey),
    ("(uid={name})", "(uid=build)", CheckCode::InvalidDirectory),
    ("(uid={name})", "uid={name}", CheckCode::InvalidDirectory),
    ("(uid={name})", "({name}=build)", CheckCode::InvalidDirectory),
    ("refresh: 5m", "refresh: 0s", CheckCode::DurationOutOfRange),
    ("refresh: 5m", "refresh: 25h", CheckCode::DurationOutOfRange),
    ("max_age: 1h", "max_age: 1m", CheckCode::DurationOutOfRange),
    ("max_age: 1h", "max_age: 1", CheckCode::InvalidDuration),
    ("  corp:\n", "  Corp:\n", CheckCode::InvalidName),
    ("directories:", "directorys:", CheckCode::UnknownKey),
];

const IN_ACCOUNTS: &[Fault] = &[
    ("directory: corp, group", "directory: copr, group", CheckCode::UnknownDirectory),
    ("directory: corp, group", "directory: people, group", CheckCode::InvalidDirectory),
    ("\"CN=Operators,OU=Groups,DC=corp,DC=example,DC=com\"", "Operators", CheckCode::InvalidDirectory),
    ("CN=Operators,OU=Groups,DC=corp,DC=example,DC=com", "CN=Operators,DC=other,DC=com", CheckCode::InvalidDirectory),
    ("\"CN=Operators,OU=Groups,DC=corp,DC=example,DC=com\"", "S-1-5-21-x", CheckCode::InvalidDirectory),
    (", group: \"CN=Operators,OU=Groups,DC=corp,DC=example,DC=com\"", "", CheckCode::MissingKey),
    (
        "issuer: own-gitlab, claim: groups_direct",
        "issuer: own-gitlb, claim: groups_direct",
        CheckCode::UnknownIssuerEntry,
    ),
    ("issuer: own-gitlab, claim: groups_direct", "issuer: github, claim: groups_direct", CheckCode::StrangersGroup),
    ("issuer: own-gitlab, claim: groups_direct", "issuer: clusters, claim: groups_direct", CheckCode::StrangersGroup),
    ("claim: groups_direct", "claim: aud", CheckCode::StrangersGroup),
    ("claim: groups_direct", "claim: /groups~2", CheckCode::InvalidClaimName),
    ("claim: groups_direct, value: ops", "claim: groups_direct", CheckCode::MissingKey),
    (
        "claim: groups_direct, value: ops",
        "claim: groups_direct, value: ops, directory: corp",
        CheckCode::ConflictingKeys,
    ),
    (
        "value: ops }\n",
        "value: ops }\n      - { issuer: own-gitlab, claim: groups_direct, value: ops }\n",
        CheckCode::DuplicateValue,
    ),
    (
        "      - { issuer: own-gitlab, claim",
        "      - { directory: corp, group: \"cn=operators, ou=groups,dc=corp,dc=example,dc=com\" }\n      - { issuer: own-gitlab, claim",
        CheckCode::DuplicateValue,
    ),
    ("external_login: { directory: corp,", "external_login: { directory: copr,", CheckCode::UnknownDirectory),
    ("name: svc-pods@corp.example.com", "name: CORP\\svc-pods", CheckCode::InvalidDirectory),
    (", name: svc-pods@corp.example.com", "", CheckCode::MissingKey),
    (
        "    default_api: deploy\n",
        "    default_api: deploy\n    external_login: { directory: corp, name: SVC-pods@corp.example.com }\n",
        CheckCode::DuplicateLogin,
    ),
    (
        "claims: { org_id: o-1, tier: { regex: \"gold|silver\" } }",
        "subject: repo:octo/x:ref:refs/heads/main",
        CheckCode::PresetRequired,
    ),
    ("teams:\n  deployers:", "team:\n  deployers:", CheckCode::UnknownKey),
    ("  deployers:\n    display_name", "  Deployers:\n    display_name", CheckCode::InvalidName),
    ("  deployers:\n    display_name", "  de ployers:\n    display_name", CheckCode::InvalidName),
    ("display_name: Deployers", "display: Deployers", CheckCode::UnknownKey),
    ("display_name: Deployers", "display_name: 7", CheckCode::AmbiguousScalar),
    ("grants: { deploy: [\"deployments:create\", \"releases:read\"] }", "grants: [deploy]", CheckCode::WrongType),
    (
        "grants: { deploy: [\"deployments:create\", \"releases:read\"] }",
        "grants: { deploy: deployments:create }",
        CheckCode::WrongType,
    ),
    (
        "grants: { deploy: [\"deployments:create\", \"releases:read\"] }",
        "grant: { deploy: [\"deployments:create\", \"releases:read\"] }",
        CheckCode::UnknownKey,
    ),
    (
        "grants: { deploy: [\"deployments:create\", \"releases:read\"] }",
        "grants: { deply: [\"deployments:create\", \"releases:read\"] }",
        CheckCode::UnknownApi,
    ),
    (
        "grants: { deploy: [\"deployments:create\", \"releases:read\"] }",
        "grants: { deploy: [\"deployments:creat\", \"releases:read\"] }",
        CheckCode::UnknownScope,
    ),
    (
        "grants: { deploy: [\"deployments:create\", \"releases:read\"] }",
        "grants: { deploy: [\"deployments:create\", \"releases:read\"], deploy: [] }",
        CheckCode::DuplicateKey,
    ),
    ("  readers:\n    grants: { logs: [] }\n", "  readers: [logs]\n", CheckCode::WrongType),
    ("  readers:\n    grants: { logs: [] }\n", "  readers:\n    grants: { logs: [\"x\"] }\n", CheckCode::UnknownScope),
    ("service_accounts:", "service_account:", CheckCode::UnknownKey),
    ("  octo-deploy:\n", "  Octo_Deploy:\n", CheckCode::InvalidName),
    ("  octo-deploy:\n", "  deploy:\n", CheckCode::DuplicateName),
    ("  octo-deploy:\n", "  sts:\n", CheckCode::ReservedName),
    ("id: 7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11", "id: Octo", CheckCode::InvalidName),
    ("id: 7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11", "id: pods", CheckCode::DuplicateName),
    ("id: 7f1c2f0a-0c0e-4b6e-9d1e-2a5f1f4f9b11", "id: logs", CheckCode::DuplicateName),
    ("teams: [deployers, readers]", "teams: [deployer, readers]", CheckCode::UnknownTeam),
    ("teams: [deployers, readers]", "teams: deployers", CheckCode::WrongType),
    ("teams: [deployers, readers]", "team: [deployers, readers]", CheckCode::UnknownKey),
    ("default_api: deploy", "default_api: deply", CheckCode::UnknownApi),
    ("default_api: deploy", "default_api: sts", CheckCode::ApiNotGranted),
    ("    ttl: 30m", "    ttl: 2h", CheckCode::TtlOverMaximum),
    ("    ttl: 30m", "    ttl: 30", CheckCode::InvalidDuration),
    ("2099-01-31T00:00:00Z", "2099-01-31", CheckCode::InvalidTime),
    (
        "not_after: 2099-01-31T00:00:00Z",
        "not_after: 2099-01-31T00:00:00Z\n    not_before: 2099-02-01T00:00:00Z",
        CheckCode::NeverInForce,
    ),
    ("    identities:\n      - name: production", "    identitys:\n      - name: production", CheckCode::UnknownKey),
    ("      - name: production\n", "      - name: main branch\n", CheckCode::DuplicateName),
    ("      - name: production\n", "      - nam: production\n", CheckCode::UnknownKey),
    (
        "        issuer: github\n        github:",
        "        issuer: githb\n        github:",
        CheckCode::UnknownIssuerEntry,
    ),
    (
        "        issuer: github\n        github:",
        "        issuer: staging\n        github:",
        CheckCode::ShortRuleMismatch,
    ),
    ("        issuer: github\n        github:", "        github:", CheckCode::MissingKey),
    ("        issuer: github\n        github:", "        issuer: []\n        github:", CheckCode::EmptyList),
    ("        issuer: github\n        github:", "        isuer: github\n        github:", CheckCode::UnknownKey),
    ("github: { repository", "githb: { repository", CheckCode::UnknownKey),
    (
        "{ repository: octo-org/octo-repo, repository_id: 1296269,",
        "{ repo: octo-org/octo-repo, repository_id: 1296269,",
        CheckCode::UnknownKey,
    ),
    (
        "{ repository: octo-org/octo-repo, repository_id: 1296269, environment: production }",
        "{}",
        CheckCode::EmptyCondition,
    ),
    (
        "{ repository: octo-org/octo-repo, repository_id: 1296269, environment: production }",
        "{ environment: production }",
        CheckCode::AnyOwner,
    ),
    (
        "{ repository: octo-org/octo-repo, repository_id: 1296269, environment: production }",
        "octo",
        CheckCode::WrongType,
    ),
    ("repository_id: 1296269", "repository_id: 1.5", CheckCode::AmbiguousScalar),
    ("repository_id: 1296269", "repository_id: 007", CheckCode::AmbiguousScalar),
    ("environment: production }\n        scopes", "environment: no }\n        scopes", CheckCode::AmbiguousScalar),
    ("environment: production }\n        scopes", "environment: null }\n        scopes", CheckCode::AmbiguousScalar),
    (
        "environment: production }\n        scopes",
        "environment: \"a\\\\q\" }\n        scopes",
        CheckCode::InvalidPattern,
    ),
    (
        "environment: production }\n        scopes",
        "environment: { any: [production] } }\n        scopes",
        CheckCode::UnknownKey,
    ),
    (
        "environment: production }\n        scopes",
        "environment: { any_of: [] } }\n        scopes",
        CheckCode::EmptyList,
    ),
    ("environment: production }\n        scopes", "environment: { } }\n        scopes", CheckCode::EmptyCondition),
    (
        "repository: octo-org/octo-repo, repository_id: 1296269,",
        "repository: { any_of: [\"a/b\\\\q\"] },",
        CheckCode::InvalidPattern,
    ),
    (
        "environment: production }\n        scopes",
        "environment: { present: false, any_of: [x] } }\n        scopes",
        CheckCode::ImpossibleCondition,
    ),
    (
        "        scopes: [\"deployments:create\"]",
        "        scopes: [\"deployments:delete\"]",
        CheckCode::ScopeNotGranted,
    ),
    ("        scopes: [\"deployments:create\"]", "        scopes: []", CheckCode::PolicyTestFailed),
    ("        scopes: [\"deployments:create\"]", "        scopes: deployments", CheckCode::WrongType),
    (
        "subject: repo:octo-org/octo-repo:ref:refs/heads/main",
        "subject: repo:octo-org/octo-repo:*",
        CheckCode::LoneWildcard,
    ),
    ("subject: repo:octo-org/octo-repo:ref:refs/heads/main", "subject: repo:octo*", CheckCode::BroadSubject),
    (
        "subject: repo:octo-org/octo-repo:ref:refs/heads/main",
        "subject: \"repo:octo-org/***\"",
        CheckCode::InvalidPattern,
    ),
    ("subject: repo:octo-org/octo-repo:ref:refs/heads/main", "subject: *main", CheckCode::YamlUnquotedString),
    (
        "subject: repo:octo-org/octo-repo:ref:refs/heads/main",
        "subject: |\n          repo:octo-org/octo-repo:ref:refs/heads/main",
        CheckCode::TrailingLineBreak,
    ),
    ("repository_owner_id: \"65\"", "repository_owner_id: 65", CheckCode::AmbiguousScalar),
    ("repository_owner_id: \"65\"", "\"/a~2\": \"65\"", CheckCode::InvalidClaimName),
    (
        "grants: { deploy: [\"releases:read\"] }\n        ttl",
        "grants: { logs: [\"releases:read\"] }\n        ttl",
        CheckCode::UnknownScope,
    ),
    (
        "grants: { deploy: [\"releases:read\"] }\n        ttl",
        "grants: { deply: [] }\n        ttl",
        CheckCode::UnknownApi,
    ),
    ("        ttl: 10m", "        ttl: 10h", CheckCode::TtlOverMaximum),
    ("        ttl: 10m", "        ttl: 10m\n        allow_broad: true", CheckCode::MissingReason),
    (
        "        ttl: 10m",
        "        ttl: 10m\n        gitlab: { ref: main }\n        github: { ref: main }",
        CheckCode::ConflictingKeys,
    ),
    (
        "  pods:\n    grants: { deploy: [\"releases:read\"] }",
        "  pods:\n    grants: { deply: [\"releases:read\"] }",
        CheckCode::UnknownApi,
    ),
    ("namespace: prod, ", "namespac: prod, ", CheckCode::UnknownKey),
    ("issuer: staging", "issuer: stagin", CheckCode::UnknownIssuerEntry),
    ("issuer: own-gitlab\n", "issuer: [own-gitlab, github]\n", CheckCode::ShortRuleMismatch),
    ("or_absent: true", "or_absent: 1", CheckCode::InvalidBoolean),
    ("regex: \"gold|silver\"", "regex: \"(\"", CheckCode::InvalidRegex),
    ("regex: \"gold|silver\"", "regex: \"(a{1000}){1000}\"", CheckCode::InvalidRegex),
    ("regex: \"gold|silver\"", "regex: \"${TIER}\"", CheckCode::VariableNotSet),
    ("org_id: o-1, ", "", CheckCode::AnyOwner),
    ("audience: https://sts.example.com/tenants", "audience: []", CheckCode::EmptyList),
    ("replay: once", "replay: never", CheckCode::UnknownValue),
    ("cluster: 0123456789ABCDEF0123456789ABCDEF", "cluster: 0123", CheckCode::AmbiguousScalar),
    ("cluster: 0123456789ABCDEF0123456789ABCDEF", "cluster: xyz", CheckCode::ImpossibleCondition),
    ("        claims: { cluster: 0123456789ABCDEF0123456789ABCDEF }\n", "", CheckCode::AnyFamilyMember),
    ("tests:\n", "test:\n", CheckCode::UnknownKey),
    (
        "token: { preset: github-actions, repository: octo-org/octo-repo, event_name: pull_request }",
        "token: { preset: github, event_name: pull_request }",
        CheckCode::UnknownPreset,
    ),
    (
        "token: { preset: github-actions, repository: octo-org/octo-repo, event_name: pull_request }",
        "token: { event_name: pull_request }",
        CheckCode::PolicyTestWithoutIssuer,
    ),
    (
        "token: { preset: github-actions, repository: octo-org/octo-repo, event_name: pull_request }",
        "token: missing.json",
        CheckCode::UnreadableFile,
    ),
    (
        "token: { preset: github-actions, repository: octo-org/octo-repo, event_name: pull_request }",
        "token: tls.key",
        CheckCode::InvalidClaimsFile,
    ),
    (
        "token: { preset: github-actions, repository: octo-org/octo-repo, event_name: pull_request }",
        "tokn: { preset: github-actions }",
        CheckCode::UnknownKey,
    ),
    ("    account: octo-deploy\n    expect: deny", "    account: octo\n    expect: deny", CheckCode::PolicyTestFailed),
    ("    account: octo-deploy\n    expect: deny", "    acount: octo-deploy\n    expect: deny", CheckCode::UnknownKey),
    ("expect: deny", "expect: denied", CheckCode::InvalidExpectation),
    ("expect: deny", "expct: deny", CheckCode::UnknownKey),
    ("    expect: deny\n", "", CheckCode::MissingKey),
    ("expect: deny", "expect: deny\n    because: environment", CheckCode::PolicyTestFailed),
    ("identity: production, scopes", "identity: prod, scopes", CheckCode::PolicyTestFailed),
    (
        "expect: { account: octo-deploy, identity: production",
        "expect: { acount: octo-deploy, identity: production",
        CheckCode::UnknownKey,
    ),
];
#[test]
fn the_configuration_that_is_broken_here_is_sound() {
    let found = findings(sound().path());
    assert_eq!(found.exit_code(), 0, "{}", found.render(false));
}

#[test]
fn one_fault_is_one_finding() {
    let mut wrong = Vec::new();
    let of_main = IN_MAIN.iter().chain(IN_DIRECTORIES).map(|case| (MAIN, case));
    let all = of_main.chain(IN_ACCOUNTS.iter().map(|case| (ACCOUNTS, case)));
    assert!(all.clone().count() >= 100, "{}", all.count());
    for (file, (from, to, code)) in all {
        let folder = sound();
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "`{from}` is not in {file}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let found = findings(folder.path());
        let errors: Vec<_> = found.iter().filter(|finding| finding.severity.refuses()).collect();
        if errors.len() != 1 || errors.iter().any(|error| error.code != *code) {
            wrong.push(format!("--- `{from}` to `{to}`, wanted {code}:\n{}", found.render(false)));
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// A fault in a file that the configuration names.
#[test]
fn one_fault_of_a_file_is_one_finding() {
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    type Break = fn(&Path);
    let remove: Break = |path| fs::remove_file(path).unwrap();
    let garble: Break = |path| fs::write(path, "garbled").unwrap();
    let empty: Break = |path| fs::write(path, "").unwrap();
    let two_lines: Break = |path| fs::write(path, "one\ntwo\n").unwrap();
    let binary: Break = |path| fs::write(path, b"\xff\x00").unwrap();
    let folder_there: Break = |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    };
    for (name, fault, code) in [
        (MAIN, remove, CheckCode::UnreadableFile),
        (MAIN, binary, CheckCode::FileNotUtf8),
        (MAIN, folder_there, CheckCode::UnreadableFile),
        (ACCOUNTS, remove, CheckCode::UnreadableFile),
        (ACCOUNTS, binary, CheckCode::FileNotUtf8),
        (ACCOUNTS, garble, CheckCode::WrongType),
        ("tls.crt", remove, CheckCode::MissingSecret),
        ("tls.key", remove, CheckCode::MissingSecret),
        ("tls.key", folder_there, CheckCode::InvalidSecret),
        ("ca.pem", remove, CheckCode::UnreadableFile),
        ("staging.jwks.json", remove, CheckCode::UnreadableFile),
        ("staging.jwks.json", garble, CheckCode::InvalidKeySet),
        ("staging.jwks.json", empty, CheckCode::InvalidKeySet),
        ("deploy.secret", remove, CheckCode::MissingSecret),
        ("deploy.secret", empty, CheckCode::InvalidSecret),
        ("deploy.secret", two_lines, CheckCode::InvalidSecret),
        ("redis.secret", remove, CheckCode::MissingSecret),
        ("redis.secret", two_lines, CheckCode::InvalidSecret),
        ("gitlab.token", remove, CheckCode::MissingSecret),
        ("gitlab.token", empty, CheckCode::InvalidSecret),
        ("gitlab.token", two_lines, CheckCode::InvalidSecret),
    ] {
        let folder = sound();
        fault(&folder.path().join(name));
        let found = findings(folder.path());
        let codes: Vec<_> = found.iter().filter(|one| one.severity.refuses()).map(|one| one.code).collect();
        assert_eq!(codes, [code], "{name}: {}", found.render(false));
    }
    for name in ["tls.key", "deploy.secret", "redis.secret", "gitlab.token"] {
        let folder = sound();
        mode(&folder.path().join(name), 0o644);
        let found = findings(folder.path());
        let codes: Vec<_> = found.iter().filter(|one| one.severity.refuses()).map(|one| one.code).collect();
        assert_eq!(codes, [CheckCode::ExposedSecret], "{name}: {}", found.render(false));
    }
}

/// Several faults are as many findings: one of them hides no other.
#[test]
fn faults_that_have_nothing_to_do_with_each_other_are_all_reported() {
    let folder = sound();
    let replace = |name: &str, pairs: &[(&str, &str)]| {
        let path = folder.path().join(name);
        let mut text = fs::read_to_string(&path).unwrap();
        for (from, to) in pairs {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        fs::write(&path, text).unwrap();
    };
    replace(MAIN, &[("leeway: 30s", "leeway: 30"), ("logs:\n    audience: https://logs", "logs:\n    audience: logs")]);
    replace(
        ACCOUNTS,
        &[
            ("teams: [deployers, readers]", "teams: [deployer, readers]"),
            ("issuer: own-gitlab", "issuer: own-gitlabs"),
            ("regex: \"gold|silver\"", "regex: \"(\""),
            ("namespace: prod", "namespac: prod"),
        ],
    );
    let found = findings(folder.path());
    let codes: BTreeSet<_> = found.iter().filter(|one| one.severity.refuses()).map(|one| one.code).collect();
    let wanted = [
        CheckCode::InvalidDuration,
        CheckCode::InvalidAudience,
        CheckCode::UnknownTeam,
        CheckCode::UnknownIssuerEntry,
        CheckCode::InvalidRegex,
        CheckCode::UnknownKey,
    ];
    assert_eq!(codes, BTreeSet::from(wanted), "{}", found.render(false));
}
