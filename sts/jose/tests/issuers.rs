//! Recorded key sets and tokens of real issuers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; clippy sees only #[test] functions as tests")]

use serde_json::Value;
use std::path::Path;
use sts_jose::{Algorithm, CompactJws, KeySet, base64url};

const WORKLOADS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/issuers").join(name)).unwrap()
}

#[test]
fn j13_every_key_of_every_recorded_set_is_usable() {
    for (name, keys) in [
        ("aws-outbound", 2),
        ("azure-entra", 2),
        ("forgejo-actions", 1),
        ("github-actions", 4),
        ("gitlab", 3),
        ("gitlab-self-managed", 1),
        ("google", 2),
    ] {
        let set = KeySet::parse(&read(&format!("{name}.jwks.json")), &WORKLOADS).unwrap();
        assert_eq!((set.keys.len(), set.skipped), (keys, vec![]), "{name}");
    }
}

#[test]
fn a_curve_outside_the_default_algorithms_is_skipped_and_the_rest_is_kept() {
    let defaults = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let set = KeySet::parse(&read("aws-outbound.jwks.json"), &defaults).unwrap();
    assert_eq!(set.keys[0].algorithm(), Algorithm::RS256);
    assert_eq!(set.skipped[0].why.kind(), "algorithm_not_allowed");
}

#[test]
fn the_thumbprint_of_gitlabs_keys_is_their_kid() {
    for name in ["gitlab.jwks.json", "gitlab-self-managed.jwks.json"] {
        for key in KeySet::parse(&read(name), &WORKLOADS).unwrap().keys {
            assert_eq!(Some(key.thumbprint()), key.kid().map(|kid| kid.as_str()));
        }
    }
}

#[test]
fn recorded_tokens_verify_with_the_key_they_name_and_with_no_other() {
    for name in ["github-actions", "gitlab-self-managed"] {
        let recorded: Value = serde_json::from_slice(&read(&format!("{name}.recorded-token.json"))).unwrap();
        let part = |part: &str| recorded[part].as_str().unwrap();
        let token = format!(
            "{}.{}.{}",
            base64url(part("header").as_bytes()),
            base64url(part("payload").as_bytes()),
            part("signature")
        );
        let jws = CompactJws::parse(&token).unwrap();
        assert_eq!(jws.payload(), part("payload").as_bytes());
        assert_eq!(jws.header().typ.as_deref(), Some("JWT"));

        let set = KeySet::parse(&read(&format!("{name}.jwks.json")), &WORKLOADS).unwrap();
        for key in &set.keys {
            assert_eq!(jws.verify(key).is_ok(), key.kid() == jws.header().kid.as_ref(), "{name} {key:?}");
        }
        assert!(set.keys.iter().any(|key| jws.verify(key).is_ok()), "{name}");
    }
}
