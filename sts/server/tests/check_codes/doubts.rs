//! Configurations that load, and that somebody should look at.

use std::fs;
use std::path::Path;

use sts_types::CheckCode;

/// What is written in place of what, and the code of the warning or note that comes of it.
pub(super) const DOUBTS: &[(&str, &str, CheckCode)] = &[
    ("tls: { cert_file: tls.crt, key_file: tls.key }", "behind_tls_proxy: [10.0.0.0/8]", CheckCode::BroadProxyRange),
    ("ca_file: ca.pem, ", "", CheckCode::StoreWithoutTls),
    ("correct horse battery", "short", CheckCode::WeakSecret),
    ("\"releases:read\"]\n    signing", "\"releases:read\", openid]\n    signing", CheckCode::IgnoredScope),
    ("readers:\n    grants: { logs: [] }", "readers:\n    grants: { logs: [], deploy: [] }", CheckCode::EmptyGrant),
    ("https://sts.example.com/tenants", "sts.amazonaws.com", CheckCode::SharedAudience),
    ("org_id: o-1, ", "org_id: o-1, email: a@example.com, ", CheckCode::UnverifiedEmail),
    ("service_account: deployer", "service_account: default", CheckCode::DefaultServiceAccount),
    ("repository_id: 1296269, ", "", CheckCode::RecycledName),
    ("    shared: true\n    owner_claims: [org_id]\n", "", CheckCode::TenancyUnknown),
    ("owner_claims: [org_id]", "owner_claims: [org_id, environment]", CheckCode::DoubtfulOwnerClaim),
    ("repository_owner_id: \"65\"", "repository_owner_id: \"65\", event_name: \"push*\"", CheckCode::UnnamedEvent),
    (
        "        kubernetes: { namespace: prod, service_account: deployer }\n",
        "        subject: \"**\"\n",
        CheckCode::BroadIdentity,
    ),
    (
        "subject: repo:octo-org/octo-repo:ref:refs/heads/main",
        "subject: repo:octo-org/octo-repo:environment:production",
        CheckCode::EnvironmentWithoutBranch,
    ),
    (
        "      - name: pipeline\n",
        "      - name: late\n        issuer: staging\n        kubernetes: { namespace: prod, service_account: deployer }\n      - name: pipeline\n",
        CheckCode::ShadowedIdentity,
    ),
    ("directory: corp, name: svc-pods@corp.example.com", "directory: people, name: svc-pods", CheckCode::UnusedLogin),
    (
        "  pods:\n",
        "  others:\n    grants: { deploy: [\"releases:read\"] }\n    identities:\n      - name: pod\n        issuer: staging\n        kubernetes: { namespace: prod, service_account: deployer }\n  pods:\n",
        CheckCode::AmbiguousAccounts,
    ),
];

/// The sound configuration with `to` in place of `from`, in whichever of its files that is.
pub(super) fn sound(from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key_set =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}"#;
    let read = |name: &str| fs::read_to_string(Path::new("tests/single_fault").join(name)).unwrap();
    let mut changed = false;
    for (name, text) in [
        ("sts.yaml", read("sts.yaml")),
        ("accounts.yaml", read("accounts.yaml")),
        ("ca.pem", read("ca.pem")),
        ("staging.jwks.json", key_set.to_owned()),
        ("deploy.secret", "correct horse battery".to_owned()),
        ("redis.secret", "a password of Redis".to_owned()),
        ("corp.secret", "a password of a directory".to_owned()),
        ("gitlab.token", "glpat-token".to_owned()),
        ("tls.crt", "certificate".to_owned()),
        ("tls.key", "key".to_owned()),
    ] {
        changed |= text.contains(from);
        let mut text = text.replacen(from, to, 1);
        if from.starts_with("ca_file") {
            text = text.replacen("rediss://", "redis://", 1);
        }
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    assert!(changed, "`{from}` is in no file");
    folder
}
