//! Every vector of the Wycheproof files for our algorithms, with exact counts. Deliberate differences are listed by number here and
//! explained in `tests/corpus/wycheproof/README.md`; a result that drifts from these numbers in either direction is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy sees only #[test] functions as tests"
)]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use sts_jose::{Algorithm, CompactJws, KeySet, UnusableKeyError, base64url, parse_jwk};

/// What became of the vectors of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    valid_accepted: usize,
    invalid_refused: usize,
    acceptable_refused: usize,
    /// Vectors whose result is not the file's.
    differences: BTreeSet<u64>,
}

/// Runs every vector of `file` through `accepts(group, test)`.
fn run(file: &str, accepts: impl Fn(&Value, &Value) -> bool) -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus/wycheproof").join(file);
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut outcome = Outcome::default();
    let mut count = 0;
    for group in document["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            match (test["result"].as_str().unwrap(), accepts(group, test)) {
                ("valid", true) => outcome.valid_accepted += 1,
                ("invalid", false) => outcome.invalid_refused += 1,
                ("acceptable", false) => outcome.acceptable_refused += 1,
                _ => assert!(outcome.differences.insert(test["tcId"].as_u64().unwrap())),
            }
        }
    }
    assert_eq!(document["numberOfTests"], count, "{file}");
    outcome
}

#[test]
fn json_web_signature() {
    let outcome = run("json_web_signature_test.json", |group, test| {
        let jwk = group.get("public").unwrap_or(&group["private"]);
        verifies(&json!({ "keys": [jwk] }), test)
    });
    let hmac = [1, 348, 352, 357, 358, 359, 372, 373, 376, 377];
    let unregistered_alg = [347, 351];
    let other_alg_than_the_keys = [346, 350];
    assert_eq!(
        outcome,
        Outcome {
            valid_accepted: 32,
            invalid_refused: 355,
            acceptable_refused: 0,
            differences: [hmac.as_slice(), &unregistered_alg, &other_alg_than_the_keys].concat().into_iter().collect(),
        }
    );
}

#[test]
fn c034_json_web_key() {
    let outcome =
        run("json_web_key_test.json", |group, test| verifies(group.get("public").unwrap_or(&group["private"]), test));
    let hmac = BTreeSet::from([2, 13, 14, 15]);
    assert_eq!(outcome, Outcome { valid_accepted: 1, invalid_refused: 21, acceptable_refused: 0, differences: hmac });
}

/// Whether a relying party that has this key set, or this one key, takes the token.
fn verifies(keys: &Value, test: &Value) -> bool {
    let document = if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) };
    let Ok(set) = KeySet::from_value(&document, &Algorithm::ALL) else { return false };
    let Ok(jws) = CompactJws::parse(test["jws"].as_str().unwrap()) else { return false };
    let kid = jws.header().kid.as_ref();
    set.keys.iter().any(|key| (kid.is_none() || key.kid() == kid) && jws.verify(key).is_ok())
}

#[test]
fn j06_c007_c008_c009_ecdsa_p256() {
    assert_eq!(ecdsa("ecdsa_secp256r1_sha256_p1363_test.json", "P-256"), exactly(173, 89));
}

#[test]
fn j06_c007_c008_c009_ecdsa_p384() {
    assert_eq!(ecdsa("ecdsa_secp384r1_sha384_p1363_test.json", "P-384"), exactly(193, 87));
}

#[test]
fn j06_c007_c008_c009_ecdsa_p521() {
    assert_eq!(ecdsa("ecdsa_secp521r1_sha512_p1363_test.json", "P-521"), exactly(231, 87));
}

#[test]
fn j08_c014_ed25519() {
    let outcome = run("ed25519_test.json", |group, test| signature_verifies(&group["publicKeyJwk"], test));
    assert_eq!(outcome, exactly(88, 63));
}

#[test]
fn j07_c013_rsa_pkcs1() {
    let outcome = run("rsa_signature_2048_sha256_test.json", |group, test| signature_verifies(&group["keyJwk"], test));
    let exponent_3 = BTreeSet::from([258, 259]);
    assert_eq!(outcome, Outcome { acceptable_refused: 1, differences: exponent_3, ..exactly(7, 249) });
}

fn exactly(valid_accepted: usize, invalid_refused: usize) -> Outcome {
    Outcome { valid_accepted, invalid_refused, ..Outcome::default() }
}

/// The groups without a JWK give the point in SEC 1 form, so all keys are read from that.
fn ecdsa(file: &str, crv: &str) -> Outcome {
    run(file, |group, test| {
        let point = hex(&group["publicKey"]["uncompressed"]);
        let (x, y) = point[1..].split_at((point.len() - 1) / 2);
        let jwk = json!({ "kty": "EC", "crv": crv, "x": base64url(x), "y": base64url(y) });
        if let Some(given) = group.get("publicKeyJwk") {
            assert_eq!((&given["x"], &given["y"]), (&jwk["x"], &jwk["y"]));
        }
        signature_verifies(&jwk, test)
    })
}

fn signature_verifies(jwk: &Value, test: &Value) -> bool {
    match parse_jwk(jwk, &Algorithm::ALL) {
        Err(UnusableKeyError::Exponent) => false,
        key => key.unwrap().verify(&hex(&test["msg"]), &hex(&test["sig"])).is_ok(),
    }
}

fn hex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}
