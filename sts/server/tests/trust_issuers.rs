//! Who is let in, judged through the loader: hosts that anybody can have an issuer on, texts that look like others, keys that
//! two entries share, and claims that name no owner.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "set-up that fails is a test that fails")]

use std::fs;

use serde_json::{Value, json};
use sts::compile::{Purpose, load};
use sts_policy::Preset;

/// The exit code, and every finding.
struct Judged {
    code: u8,
    text: String,
    presets: Vec<Option<Preset>>,
}

impl Judged {
    fn errors(&self) -> usize {
        self.text.lines().filter(|line| line.starts_with("error")).count()
    }

    fn warnings(&self) -> usize {
        self.text.lines().filter(|line| line.starts_with("warning")).count()
    }
}

fn judge(entry: &Value, identity: &Value) -> Judged {
    judge_as("https://sts.example.com", &json!({ "e": entry }), identity)
}

fn judge_as(ours: &str, entries: &Value, identity: &Value) -> Judged {
    let mut identity = identity.clone();
    identity["name"] = json!("i");
    identity["issuer"] = json!("e");
    let config = json!({
        "issuer": ours,
        "issuers": entries,
        "apis": { "deploy": { "audience": "https://deploy.example.com", "scopes": ["read"] } },
        "service_accounts": { "octo": { "grants": { "deploy": ["read"] }, "identities": [identity] } },
    });
    let folder = tempfile::tempdir().unwrap();
    for (name, keys) in [("one.json", keys(&[ONE])), ("both.json", keys(&[OTHER, ONE])), ("other.json", keys(&[OTHER]))]
    {
        fs::write(folder.path().join(name), keys.to_string()).unwrap();
    }
    let path = folder.path().join("sts.yaml");
    fs::write(&path, serde_json::to_string_pretty(&config).unwrap()).unwrap();
    match load(&path, &|_| None, Purpose::Serve) {
        Ok(loaded) => Judged {
            code: 0,
            text: loaded.warnings.render(false),
            presets: loaded.written.policy.issuers.iter().map(|entry| entry.preset).collect(),
        },
        Err(findings) => Judged { code: findings.exit_code(), text: findings.render(false), presets: Vec::new() },
    }
}

const ONE: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER: &str = "hv6kQ0m1sVhDNlnOUhGYuD5G8lCBLDKhWAfbW5ENPkU";
const UUID: &str = "33333333-4444-4555-8666-777777777777";

fn keys(all: &[&str]) -> Value {
    let key = |(at, x): (usize, &&str)| json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": format!("k{at}") });
    json!({ "keys": all.iter().enumerate().map(key).collect::<Vec<_>>() })
}

#[test]
fn f1_an_open_variable_where_anybody_can_have_a_tenant_is_unsafe_and_a_listed_one_is_fine() {
    for (template, name, more) in [
        ("https://{org}.okta.com/oauth2/default", "org", json!({})),
        ("https://{org}.okta.com", "org", json!({ "preset": "okta" })),
        ("https://{org}.okta.com", "org", json!({ "preset": "none" })),
        ("https://{org}.okta.com", "org", json!({ "shared": false })),
        ("https://{tenant}.eu.auth0.com/", "tenant", json!({ "preset": "auth0" })),
        ("https://{bucket}.s3.eu-west-1.amazonaws.com", "bucket", json!({ "preset": "kubernetes" })),
        ("https://s3.eu-west-1.amazonaws.com/{bucket}", "bucket", json!({ "preset": "kubernetes" })),
        ("https://{project}.supabase.co/auth/v1", "project", json!({})),
        ("https://idcs-{id}.identity.oraclecloud.com", "id", json!({})),
        ("https://{tenant}.ciamlogin.com/x/v2.0", "tenant", json!({})),
        ("https://{sub_domain}.onelogin.com/oidc/2", "sub_domain", json!({})),
        ("https://api.workos.com/user_management/{client}", "client", json!({})),
        ("https://{app}.clerk.accounts.dev", "app", json!({})),
        ("https://{team}.cloudflareaccess.com", "team", json!({})),
        ("https://storage.googleapis.com/{bucket}", "bucket", json!({ "preset": "kubernetes" })),
        ("https://{account}.blob.core.windows.net/oidc/", "account", json!({ "preset": "kubernetes" })),
        ("https://{org}.github.io/oidc", "org", json!({ "preset": "kubernetes" })),
        ("https://{shop}.co.uk", "shop", json!({})),
    ] {
        for pattern in ["[a-z0-9-]+", "acme-[a-z]+", ".*"] {
            let mut entry = more.clone();
            entry["issuer_template"] = json!(template);
            entry["variables"] = json!({ name: pattern });
            let identity = json!({ "subject": "the-one-workload" });
            let judged = judge(&entry, &identity);
            assert_eq!(judged.code, 1, "{entry}: {}", judged.text);
            assert!(judged.text.contains("whoever ") && judged.text.contains("allow_broad"), "{}", judged.text);
            let fixed = json!({ "subject": "the-one-workload", "claims": { name: "acme" } });
            assert_eq!(judge(&entry, &fixed).code, if pattern == "acme-[a-z]+" { 2 } else { 0 }, "{entry}");
            let excused = json!({ "subject": "the-one-workload", "allow_broad": "a test" });
            assert_eq!(judge(&entry, &excused).code, 0, "{entry}");
            entry["variables"] = json!({ name: ["acme", "acme-eu"] });
            assert_eq!(judge(&entry, &identity).code, 0, "{entry}");
        }
    }
    // One's own host: worth a look, and no more.
    let own = json!({ "issuer_template": "https://{cluster}.oidc.acme.com", "variables": { "cluster": "[a-z]+" } });
    let judged = judge(&own, &json!({ "subject": "the-one-workload" }));
    assert!(judged.code == 0 && judged.text.contains("accepts tokens of every"), "{}", judged.text);
}

#[test]
fn f1_fld3_a_family_of_entra_with_everybodys_tenant_says_who_gets_in() {
    let template = "https://login.microsoftonline.com/{tenant}/v2.0";
    let object = json!({ "azure": { "object_id": UUID } });
    for listed in [
        json!(["common"]),
        json!(["organizations"]),
        json!(["consumers"]),
        json!(["Common"]),
        json!([UUID, "common"]),
        json!(["common", UUID]),
    ] {
        for template in
            [template, "https://sts.windows.net/{tenant}/", "https://login.microsoftonline.us/{tenant}/v2.0"]
        {
            let entry = json!({ "issuer_template": template, "variables": { "tenant": listed } });
            let judged = judge(&entry, &object);
            assert_eq!((judged.code, judged.errors()), (2, 1), "{entry}: {}", judged.text);
            assert!(judged.text.contains("anybody with a Microsoft account"), "{}", judged.text);
        }
    }
    let open = json!({ "issuer_template": template, "variables": { "tenant": "[a-z0-9-]+" } });
    let judged = judge(&open, &object);
    assert!(judged.code == 1 && judged.text.contains("anybody with a Microsoft account"), "{}", judged.text);
    let named = json!({ "azure": { "object_id": UUID }, "claims": { "tenant": "common" } });
    let judged = judge(&open, &named);
    assert!(judged.code == 1 && judged.text.contains("anybody with a Microsoft account"), "{}", judged.text);
    let mine = json!({ "azure": { "object_id": UUID }, "claims": { "tenant": UUID } });
    assert_eq!(judge(&open, &mine).code, 0);
    let listed = json!({ "issuer_template": template, "variables": { "tenant": [UUID] } });
    assert_eq!(judge(&listed, &object).code, 0);
}

#[test]
fn f1_two_entries_of_one_trust_domain_or_issuer_never_share_a_key() {
    let inline = |x: &[&str]| json!({ "jwks": keys(x) });
    let file = |name: &str| json!({ "jwks_file": name });
    let entry = |issuer: &str, keys: &Value| {
        let mut entry = keys.clone();
        entry["issuer"] = json!(issuer);
        entry["preset"] = json!("spiffe");
        entry["trust_domain"] = json!("example.org");
        entry
    };
    let identity = json!({ "subject": "spiffe://example.org/deployer" });
    for (first, second, shares) in [
        (inline(&[ONE]), inline(&[OTHER, ONE]), true),
        (inline(&[ONE]), file("one.json"), true),
        (inline(&[ONE]), file("both.json"), true),
        (file("both.json"), file("one.json"), true),
        (file("other.json"), file("both.json"), true),
        (inline(&[ONE]), inline(&[OTHER]), false),
        (inline(&[ONE]), file("other.json"), false),
        (file("one.json"), file("other.json"), false),
    ] {
        for (one, other) in [("https://a.acme.io", "https://b.acme.io"), ("https://a.acme.io", "https://a.acme.io")] {
            let entries = json!({ "e": entry(one, &first), "f": entry(other, &second) });
            let judged = judge_as("https://sts.example.com", &entries, &identity);
            assert_eq!(judged.code, if shares { 2 } else { 0 }, "{entries}: {}", judged.text);
            assert_eq!(judged.errors(), usize::from(shares), "{entries}: {}", judged.text);
            assert!(!shares || judged.text.contains("holds a key of"), "{}", judged.text);
        }
    }
    // Keys that are fetched from one place are the same keys.
    let fetched = json!({ "issuer": "https://a.acme.io", "jwks_url": "https://keys.acme.io/jwks" });
    let entries = json!({ "e": fetched, "f": fetched });
    let judged = judge_as("https://sts.example.com", &entries, &json!({ "subject": "svc" }));
    assert!(judged.code == 2 && judged.text.contains("the same `jwks_url`"), "{}", judged.text);
}

#[test]
fn fld30_an_issuer_with_a_character_that_nobody_sees_is_an_error_that_names_it() {
    for (issuer, wanted) in [
        (" https://idp.acme.io", "U+0020 (a blank) as character 1"),
        ("https://idp.acme.io ", "U+0020 (a blank) as character 20"),
        ("https://idp .acme.io", "U+0020 (a blank) as character 12"),
        ("https://idp.acme.io\t", "U+0009 (a tab) as character 20"),
        ("https://idp.acme.io\n", "U+000A (a line break) as character 20"),
        ("https://idp\u{200b}.acme.io", "U+200B (a zero-width space) as character 12"),
        ("\u{feff}https://idp.acme.io", "U+FEFF (a byte order mark) as character 1"),
        ("https://idp.acme.io/\u{202e}x", "U+202E (a mark of the writing direction) as character 21"),
        ("https://idp.\u{ad}acme.io", "U+00AD (a soft hyphen) as character 13"),
        ("https://idp.acme.io\u{a0}", "U+00A0 (a no-break space) as character 20"),
        ("https://idp.acme.io\u{1}", "U+0001 (a control character) as character 20"),
        ("https://idp.acme.io\u{3164}", "U+3164 (an invisible character) as character 20"),
        (" api", "U+0020 (a blank) as character 1"),
        ("api ", "U+0020 (a blank) as character 4"),
        ("a\u{2060}pi", "U+2060 (an invisible character) as character 2"),
        ("a\u{2066}pi", "U+2066 (a mark of the writing direction) as character 2"),
    ] {
        for more in [json!({}), json!({ "jwks": keys(&[ONE]) }), json!({ "jwks_url": "https://keys.acme.io/jwks" })] {
            let mut entry = more.clone();
            entry["issuer"] = json!(issuer);
            let judged = judge(&entry, &json!({ "subject": "svc" }));
            assert_eq!((judged.code, judged.errors()), (2, 1), "{entry}: {}", judged.text);
            assert!(judged.text.contains(wanted), "{entry}: {}", judged.text);
        }
    }
    let judged = judge(
        &json!({ "issuer_template": "https://{x}.idp\u{200b}.acme.io", "variables": { "x": ["a"] } }),
        &json!({ "subject": "svc" }),
    );
    assert!(judged.code == 2 && judged.text.contains("U+200B"), "{}", judged.text);
    let judged = judge_as(
        "https://sts\u{200b}.example.com",
        &json!({ "e": { "issuer": "https://a.acme.io" } }),
        &json!({ "subject": "svc" }),
    );
    assert!(judged.code == 2 && judged.text.contains("U+200B"), "{}", judged.text);
    let judged = judge(
        &json!({ "issuer": "https://user:hun ter2@idp.acme.io", "jwks": keys(&[ONE]) }),
        &json!({ "subject": "svc" }),
    );
    assert!(judged.code == 2 && !judged.text.contains("ter2"), "{}", judged.text);
    let blank_within = json!({ "issuer": "Ein Ausweis", "jwks": keys(&[ONE]) });
    assert_eq!(judge(&blank_within, &json!({ "subject": "svc" })).code, 0);
}

#[test]
fn fld30_our_own_issuer_in_another_spelling_is_our_own_issuer() {
    let svc = json!({ "subject": "svc" });
    for (ours, issuer) in [
        ("https://sts.example.com", "https://sts.example.com"),
        ("https://sts.example.com", "https://sts.example.com/"),
        ("https://sts.example.com", "https://STS.example.com"),
        ("https://sts.example.com", "HTTPS://sts.example.com"),
        ("https://sts.example.com", "https://sts.example.com:443"),
        ("https://sts.example.com", "https://sts.example.com:443/"),
        ("https://sts.example.com", "https://sts.example.com."),
        ("https://sts.example.com", "http://sts.example.com"),
        ("https://sts.example.com", "sts.example.com"),
        ("https://sts.example.com/", "https://sts.example.com"),
        ("https://sts.example.com/Tenant", "https://sts.example.com/tenant/"),
        ("https://sts.example.com:443", "https://sts.example.com"),
    ] {
        let entries = json!({ "e": { "issuer": issuer, "jwks": keys(&[ONE]) } });
        let judged = judge_as(ours, &entries, &svc);
        assert_eq!((judged.code, judged.errors()), (2, 1), "{issuer}: {}", judged.text);
        assert!(judged.text.contains("is our own `issuer`"), "{issuer}: {}", judged.text);
    }
    for issuer in ["https://sts.example.com:8443", "https://sts.example.com/a", "https://sts2.example.com", "sts"] {
        let entries = json!({ "e": { "issuer": issuer, "jwks": keys(&[ONE]) } });
        assert_eq!(judge_as("https://sts.example.com", &entries, &svc).code, 0, "{issuer}");
    }
    for template in ["https://{x}.example.com", "https://{x}.example.com/"] {
        let entries = json!({ "e": { "issuer_template": template, "variables": { "x": ["sts", "other"] } } });
        let judged = judge_as("https://sts.example.com", &entries, &svc);
        assert!(judged.code == 2 && judged.text.contains("is our own `issuer`"), "{template}: {}", judged.text);
    }
}

#[test]
fn fld7_a_claim_that_the_caller_chooses_is_told_and_one_cause_is_one_error() {
    let entry = |claims: &Value| json!({ "issuer": "https://many.acme.io", "shared": true, "owner_claims": claims });
    for claim in [
        "nonce", "scope", "acr", "sid", "act", "/act/sub", "iss", "/iss", "sub", "/sub", "aud", "azp", "jti", "/",
        "//", "", " ", "/org_id/",
    ] {
        for written in [json!([claim]), json!(claim), json!(["org_id", claim])] {
            let judged = judge(&entry(&written), &json!({ "claims": { "environment": "prod", "org_id": "o-*" } }));
            assert_eq!((judged.code, judged.errors()), (2, 1), "{written}: {}", judged.text);
        }
    }
    for claim in [
        "environment",
        "actor",
        "ref",
        "branch",
        "event_name",
        "workflow",
        "job_name",
        "run_id",
        "sha",
        "user_login",
        "username",
        "https://ci.example/claims/Environment",
        "/ci/environment",
        "git-branch",
        "gitBranch",
        "deployment_environment",
    ] {
        let judged = judge(
            &json!({ "issuer": "https://many.acme.io", "shared": true, "preset": "none", "owner_claims": [claim] }),
            &json!({ "claims": { claim: "x" } }),
        );
        assert_eq!(judged.code, 0, "{claim}: {}", judged.text);
        assert!(
            judged.text.contains(
                "may not tell tenants apart: in any tenant, the person who starts a run usually chooses such a claim"
            ),
            "{}",
            judged.text
        );
    }
    let judged = judge(&entry(&json!([])), &json!({ "claims": { "environment": "prod" } }));
    assert_eq!((judged.code, judged.errors()), (2, 1), "{}", judged.text);
    for claim in ["project", "repository_name", "groups", "/realm_access/roles", "email", "name", "team"] {
        let judged = judge(&entry(&json!([claim])), &json!({ "claims": { claim: "x" } }));
        assert_eq!(judged.code, 0, "{claim}: {}", judged.text);
        assert!(judged.text.contains("may not tell tenants apart"), "{claim}: {}", judged.text);
    }
    for claim in ["org_id", "/tenant/id", "account_id", "tenant_id", "workspace_id", "https://ci.example/org_id"] {
        let judged = judge(&entry(&json!([claim])), &json!({ "claims": { claim: "x" } }));
        assert_eq!((judged.code, judged.warnings()), (0, 0), "{claim}: {}", judged.text);
    }
}

#[test]
fn fld30_googles_issuer_without_a_scheme_is_google() {
    for more in [
        json!({}),
        json!({ "jwks_url": "https://www.googleapis.com/oauth2/v3/certs" }),
        json!({ "jwks": keys(&[ONE]) }),
        json!({ "preset": "google" }),
    ] {
        let mut entry = more.clone();
        entry["issuer"] = json!("accounts.google.com");
        let judged = judge(&entry, &json!({ "google": { "unique_id": "112233445566778899001" } }));
        assert_eq!((judged.code, judged.warnings()), (0, 0), "{entry}: {}", judged.text);
        assert_eq!(judged.presets, [Some(Preset::Google)], "{entry}");
        // Everybody has an account there, whatever the spelling.
        let judged = judge(&entry, &json!({ "claims": { "azp": "x" } }));
        assert_eq!(judged.code, 1, "{entry}: {}", judged.text);
    }
    let both = json!({ "e": { "issuer": "accounts.google.com" }, "f": { "issuer": "https://accounts.google.com" } });
    let judged = judge_as("https://sts.example.com", &both, &json!({ "subject": "112233445566778899001" }));
    assert_eq!(judged.code, 0, "{}", judged.text);
}
