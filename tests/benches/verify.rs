//! Verifying a token beside the bare signature check: `cargo bench -p sts-verify`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot prepare its case has nothing to measure")]

use divan::{Bencher, black_box};
use futures_util::FutureExt as _;
use serde_json::json;
use sts_jose::{CompactJws, Signer as _, SigningKey, VerifyingKey, sign_compact};
use sts_verify::{Algorithm, KeySource, Verifier};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

fn main() {
    divan::main();
}

/// A token of about 600 bytes, as `sts` mints it, and the key that verifies it.
fn token(key: &SigningKey) -> String {
    let claims = json!({
        "iss": "https://sts.example.com", "sub": "octo-deploy", "client_id": "octo-deploy",
        "aud": "https://deploy.example.com", "iat": 1_700_000_000, "exp": 32_503_680_000_i64,
        "jti": "0Ct2mRrJ3lPqXkq3v1y1zg", "scope": "deployments:create deployments:read", "groups": ["platform"],
        "federated": {
            "iss": "https://token.actions.githubusercontent.com", "sub": "repo:octo/shop:environment:production",
            "identity": "production", "claims": { "repository": "octo/shop", "ref": "refs/heads/main" },
        },
    });
    sign_compact(key, "at+jwt", claims.to_string().as_bytes()).expect("a token")
}

fn check(key: &VerifyingKey, token: &str) {
    let (input, signature) = token.rsplit_once('.').expect("a signature");
    let signature = sts_jose::decode_base64url(signature).expect("base64url");
    key.verify(input.as_bytes(), &signature).expect("a good signature");
}

/// The signature alone.
#[divan::bench(args = ALGORITHMS)]
fn signature(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let key = SigningKey::generate(algorithm).expect("a key");
    let (token, key) = (token(&key), key.verifying_key());
    assert!(CompactJws::parse(&token).is_ok());
    bencher.bench(|| check(black_box(&key), black_box(&token)));
}

/// Everything, with the key at hand.
#[divan::bench(args = ALGORITHMS)]
fn verify(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let key = SigningKey::generate(algorithm).expect("a key");
    let token = token(&key);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let verifier = runtime.block_on(async {
        Verifier::builder("https://sts.example.com")
            .audience("https://deploy.example.com")
            .keys(KeySource::Inline(json!({ "keys": [key.public_jwk()] })))
            .algorithms([algorithm])
            .build()
            .expect("a verifier")
    });
    // A task that is running already awaits it so: nothing has to be waited for while the key is known.
    bencher.bench(|| verifier.verify(black_box(&token)).now_or_never().expect("no wait").expect("a good token"));
}
