//! Signatures on keys that are held parsed, beside `jsonwebtoken`, which parses the key for every call, in the same run:
//! `cargo bench -p sts-jose`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot prepare its case has nothing to measure")]

use divan::Bencher;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use sts_jose::{Algorithm, CompactJws, KeySet, Signer as _, SigningKey, VerifyingKey, sign_compact};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];

fn main() {
    divan::main();
}

/// About as large as a GitHub Actions token.
fn claims() -> Value {
    json!({
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "https://sts.example.com",
        "sub": "repo:octo-org/octo-repo:environment:production",
        "jti": "58772c9f-4d75-4fc8-8956-7dd522569a00",
        "exp": 4_000_000_000_u64, "iat": 1_790_000_000_u64, "nbf": 1_790_000_000_u64,
        "repository": "octo-org/octo-repo", "repository_id": "1296269", "repository_owner_id": "65",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
        "event_name": "push", "ref": "refs/heads/main", "ref_protected": "true", "run_id": "9876543210",
    })
}

struct Case {
    key: SigningKey,
    verifying: VerifyingKey,
    payload: Vec<u8>,
    token: String,
}

impl Case {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).expect("a key");
        let payload = claims().to_string().into_bytes();
        let token = sign_compact(&key, "JWT", &payload).expect("a token");
        Self { verifying: key.verifying_key(), key, payload, token }
    }
}

#[divan::bench(args = ALGORITHMS)]
fn sign_held(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    bencher.bench(|| sign_compact(&case.key, "at+jwt", &case.payload));
}

#[divan::bench(args = ALGORITHMS)]
fn sign_jsonwebtoken(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    let der = case.key.to_pkcs8();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem(&der)).expect("an RSA key"),
        Algorithm::ES256 => EncodingKey::from_ec_der(&der),
        _ => EncodingKey::from_ed_der(&der),
    };
    let header = Header::new(algorithm.name().parse().expect("a known algorithm"));
    let claims = claims();
    bencher.bench(|| jsonwebtoken::encode(&header, &claims, &key).expect("a token"));
}

/// From the token's text to believed bytes.
#[divan::bench(args = ALGORITHMS)]
fn verify_held(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    bencher.bench(|| {
        let jws = CompactJws::parse(&case.token).expect("a token");
        jws.verify(&case.verifying).expect("a good signature");
        jws
    });
}

#[divan::bench(args = ALGORITHMS)]
fn verify_jsonwebtoken(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let case = Case::new(algorithm);
    let key =
        DecodingKey::from_jwk(&serde_json::from_value(case.key.public_jwk().clone()).expect("a JWK")).expect("a key");
    let mut validation = Validation::new(algorithm.name().parse().expect("a known algorithm"));
    validation.validate_aud = false;
    bencher.bench(|| jsonwebtoken::decode::<Value>(&case.token, &key, &validation).expect("a good token"));
}

/// The strict reading of a token alone, which every refused token costs.
#[divan::bench]
fn parse_token(bencher: Bencher<'_, '_>) {
    let case = Case::new(Algorithm::EdDSA);
    bencher.bench(|| CompactJws::parse(&case.token));
}

/// What holding a key saves on each verification.
#[divan::bench(args = ALGORITHMS)]
fn parse_key_set(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let document = json!({ "keys": [Case::new(algorithm).key.public_jwk()] });
    bencher.bench(|| KeySet::from_value(&document, &ALGORITHMS));
}

fn pem(der: &[u8]) -> Vec<u8> {
    let body = data_encoding::BASE64.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n").into_bytes()
}
