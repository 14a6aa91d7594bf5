//! The directions between the crates, as `cargo metadata` sees them. An edge is added here on purpose, never by accident.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; clippy sees only #[test] functions as tests")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// What each crate may depend on, of ours. `jwks-cache` knows nothing of tokens, policy or
/// configuration; `sts-store` never sees a token; `sts-service` reaches issuer keys through a trait;
/// `sts-config` knows other crates by their specs; only the server names implementations.
const EDGES: &[(&str, &[&str])] = &[
    ("sts-types", &[]),
    ("sts-claims", &["sts-types"]),
    ("sts-api", &["sts-types"]),
    ("sts-jose", &["sts-types", "sts-claims"]),
    ("sts-keyring", &["sts-types", "sts-jose"]),
    ("jwks-cache", &["sts-types", "sts-jose"]),
    ("sts-policy", &["sts-types", "sts-claims"]),
    ("sts-token", &["sts-types", "sts-claims", "sts-jose", "sts-policy"]),
    ("sts-store", &["sts-types"]),
    ("sts-directory", &["sts-types"]),
    ("sts-audit", &["sts-types"]),
    ("sts-console", &["sts-types", "sts-api", "sts-claims", "sts-jose", "sts-store"]),
    ("sts-store-embedded", &["sts-types", "sts-store"]),
    ("sts-store-redis", &["sts-types", "sts-store"]),
    (
        "sts-service",
        &["sts-types", "sts-audit", "sts-claims", "sts-jose", "sts-keyring", "sts-policy", "sts-store", "sts-token"],
    ),
    (
        "sts-config",
        &[
            "sts-types",
            "sts-audit",
            "sts-claims",
            "sts-directory",
            "sts-jose",
            "sts-keyring",
            "sts-policy",
            "sts-store",
            "jwks-cache",
            "sts-token",
        ],
    ),
    (
        "sts",
        &[
            "sts-types",
            "sts-api",
            "sts-claims",
            "sts-client",
            "sts-console",
            "sts-jose",
            "jwks-cache",
            "sts-policy",
            "sts-token",
            "sts-keyring",
            "sts-store",
            "sts-store-embedded",
            "sts-store-redis",
            "sts-service",
            "sts-config",
            "sts-directory",
            "sts-audit",
        ],
    ),
    ("sts-client", &["sts-types", "sts-jose", "jwks-cache"]),
    // It stands beside the server, and knows nothing of how tokens are made.
    ("sts-verify", &["sts-types", "sts-claims", "sts-jose", "jwks-cache"]),
    ("sts-testkit", &["sts-types", "sts-jose"]),
    // For tests only: it reaches every reader of untrusted bytes.
    (
        "sts-fuzz",
        &[
            "sts-types",
            "sts-claims",
            "sts-jose",
            "jwks-cache",
            "sts-policy",
            "sts-token",
            "sts-store",
            "sts-service",
            "sts-config",
            "sts-directory",
        ],
    ),
];

/// Crates of others that have one home, so that what they do has one author: cryptography, YAML, the store's file, HTTP.
const HOMES: &[(&str, &[&str])] = &[
    ("aws-lc-rs", &["sts-jose", "sts-testkit"]),
    ("cryptoki", &["sts-keyring"]),
    ("saphyr-parser", &["sts-config"]),
    ("redb", &["sts-store-embedded"]),
    // The allocator is the choice of the program, never of a library.
    ("tikv-jemallocator", &["sts"]),
    ("redis", &["sts-store-redis"]),
    ("reqwest", &["jwks-cache", "sts", "sts-client", "sts-testkit", "sts-verify"]),
    ("actix-web", &["sts", "sts-console", "sts-verify"]),
    ("ldap3", &["sts-directory"]),
    ("schemars", &["sts-audit"]),
    ("askama", &["sts-console"]),
    ("oauth2", &["sts-console"]),
    ("rust-embed", &["sts-console"]),
    ("utoipa", &["sts-api", "sts"]),
    ("clap", &["sts", "sts-client"]),
    ("clap_complete", &["sts"]),
    ("clap_mangen", &["sts"]),
    ("rustls", &["jwks-cache", "sts", "sts-client", "sts-directory", "sts-testkit"]),
    (
        "tokio",
        &[
            "jwks-cache",
            "sts-directory",
            "sts-keyring",
            "sts-store",
            "sts-store-embedded",
            "sts-store-redis",
            "sts-service",
            "sts",
            "sts-client",
            "sts-testkit",
            "sts-verify",
        ],
    ),
    // Small things that have one author each: edit distances, hexadecimal and base64, the calendar, atomic writes, blocks of addresses, request ids.
    ("ulid", &["sts-service"]),
    ("crc32fast", &["sts-types"]),
    ("ipnet", &["jwks-cache", "sts-types"]),
    ("tempfile", &["sts-types", "sts", "sts-client", "sts-testkit", "sts-fuzz"]),
    ("chrono", &["sts-types"]),
    ("data-encoding", &["sts-types", "sts-service", "sts", "sts-testkit"]),
    ("base64-simd", &["sts-jose"]),
    ("strsim", &["sts-types"]),
    // Other implementations of what we do: what tests compare with, never what ships.
    ("jsonwebtoken", &["sts-testkit", "jwks-cache"]),
    ("openidconnect", &[]),
    ("psl", &[]),
];

#[test]
fn no_crate_depends_on_what_it_must_not_know() {
    assert_eq!(violations(&workspace()), Vec::<String>::new());
}

#[test]
fn the_tables_name_exactly_the_members_of_the_workspace() {
    let workspace = workspace();
    let mut members: Vec<&str> = packages(&workspace).map(|(name, _)| name).collect();
    let mut listed: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    members.sort_unstable();
    listed.sort_unstable();
    assert_eq!(members, listed);
    for (foreign, homes) in HOMES {
        assert!(homes.iter().all(|home| listed.contains(home)), "{foreign}: {homes:?}");
    }
}

#[test]
fn a_forbidden_edge_is_found_in_whatever_table_it_stands() {
    for (from, to, kind) in [
        ("sts-store", "sts-token", Value::Null),
        ("jwks-cache", "sts-policy", Value::Null),
        ("sts-policy", "sts-jose", json!("build")),
        ("sts-token", "aws-lc-rs", Value::Null),
        ("sts", "saphyr-parser", Value::Null),
        ("sts", "redb", json!("build")),
        ("jwks-cache", "openidconnect", Value::Null),
        ("sts-service", "sts-testkit", Value::Null),
        ("sts-unlisted", "sts-types", Value::Null),
    ] {
        let metadata = json!({ "packages": [
            { "name": from, "dependencies": [{ "name": to, "kind": kind }] },
            { "name": to, "dependencies": [] },
        ] });
        assert_eq!(violations(&metadata).first(), Some(&format!("{from} -> {to}")), "{kind}");
    }
}

#[test]
fn tests_may_wire_up_more_than_what_ships_knows_of() {
    let metadata = json!({ "packages": [
        { "name": "sts-jose", "dependencies": [
            { "name": "sts-testkit", "kind": "dev" },
            { "name": "sts-types", "kind": null },
        ] },
        { "name": "sts-policy", "dependencies": [{ "name": "aws-lc-rs", "kind": "dev" }] },
        { "name": "sts-testkit", "dependencies": [{ "name": "aws-lc-rs", "kind": null }] },
        { "name": "sts-types", "dependencies": [] },
    ] });
    assert_eq!(violations(&metadata), Vec::<String>::new());
}

/// Every forbidden edge, as `from -> to`.
fn violations(metadata: &Value) -> Vec<String> {
    let members: Vec<&str> = packages(metadata).map(|(name, _)| name).collect();
    let mut found = Vec::new();
    for (from, dependencies) in packages(metadata) {
        let allowed = EDGES.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, allowed)| allowed);
        for dependency in dependencies {
            let to = dependency.get("name").and_then(Value::as_str).unwrap();
            let for_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            let fine = if members.contains(&to) {
                allowed.contains(&to)
            } else {
                HOMES.iter().all(|(name, homes)| *name != to || homes.contains(&from))
            };
            // Tests may wire up more than what ships knows of.
            if !fine && !for_tests {
                found.push(format!("{from} -> {to}"));
            }
        }
    }
    found
}

fn packages(metadata: &Value) -> impl Iterator<Item = (&str, &Vec<Value>)> {
    metadata.get("packages").and_then(Value::as_array).unwrap().iter().map(|package| {
        let name = package.get("name").and_then(Value::as_str).unwrap();
        (name, package.get("dependencies").and_then(Value::as_array).unwrap())
    })
}

fn workspace() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
