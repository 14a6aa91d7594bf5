//! Tokens that are bound to a key (DPoP, RFC 9449).

use serde_json::json;
use sts_jose::{Signer as _, SigningKey, sha256};
use sts_testkit::{Algorithm, base64url};
use sts_verify::{BoundRequest, TokenFault, Verifier, VerifyError};

use crate::support::{NOW, World};

const ORIGIN: &str = "https://deploy.example.com/v1";

fn verifier(world: &World) -> Verifier {
    world.builder().dpop_origin(ORIGIN).build().unwrap()
}

/// A token that is bound to `key`.
pub(crate) fn bound_token(world: &World, key: &SigningKey) -> String {
    world.forge().claim("cnf", json!({ "jkt": key.verifying_key().thumbprint() })).sign()
}

/// A proof of `key` for one request with `token`.
pub(crate) fn proof(key: &SigningKey, token: &str, jti: &str, method: &str, uri: &str) -> String {
    let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": key.public_jwk() });
    let ath = base64url(&sha256(token.as_bytes()).0);
    let claims = json!({ "jti": jti, "htm": method, "htu": uri, "iat": NOW, "ath": ath });
    let input = [header, claims].map(|part| base64url(part.to_string().as_bytes())).join(".");
    let signature = key.sign_now(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url(&signature))
}

#[tokio::test]
async fn a_bound_token_is_accepted_with_each_proof_once() {
    let (world, key) = (World::new(), SigningKey::generate(Algorithm::ES256).unwrap());
    let (verifier, token) = (verifier(&world), bound_token(&world, &key));
    for jti in ["one", "two"] {
        let proof = proof(&key, &token, jti, "POST", "https://deploy.example.com/v1/deployments");
        let request = BoundRequest { proof: &proof, method: "POST", path: "/deployments" };
        assert_eq!(verifier.verify_bound(&token, &request).await.unwrap().subject(), "octo");
        assert!(matches!(verifier.verify_bound(&token, &request).await, Err(VerifyError::Proof(_))), "a replay");
    }
    assert_eq!(verifier.verify(&token).await.unwrap_err(), TokenFault::Bound.into(), "it was sent as Bearer");
}

#[tokio::test]
async fn a_proof_for_anything_else_is_refused() {
    let (world, key) = (World::new(), SigningKey::generate(Algorithm::ES256).unwrap());
    let (verifier, token) = (verifier(&world), bound_token(&world, &key));
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let uri = "https://deploy.example.com/v1/deployments";
    let other_token = world.forge().claim("jti", "token-2").sign();
    for (what, proof) in [
        ("another method", proof(&key, &token, "1", "GET", uri)),
        ("another path", proof(&key, &token, "2", "POST", "https://deploy.example.com/v1/other")),
        ("another service", proof(&key, &token, "3", "POST", "https://evil.example/v1/deployments")),
        ("another token", proof(&key, &other_token, "4", "POST", uri)),
        ("another key", proof(&stranger, &token, "5", "POST", uri)),
        ("no proof", "a.b.c".to_owned()),
    ] {
        let request = BoundRequest { proof: &proof, method: "POST", path: "/deployments" };
        assert!(verifier.verify_bound(&token, &request).await.is_err(), "{what}");
    }
    let (unbound, proof) = (world.token(), proof(&key, &world.token(), "6", "POST", uri));
    let request = BoundRequest { proof: &proof, method: "POST", path: "/deployments" };
    assert_eq!(verifier.verify_bound(&unbound, &request).await.unwrap_err(), TokenFault::NotBound.into());
}

#[tokio::test]
async fn a_service_that_did_not_name_its_origin_takes_no_proof() {
    let (world, key) = (World::new(), SigningKey::generate(Algorithm::ES256).unwrap());
    let token = bound_token(&world, &key);
    let request = BoundRequest { proof: "a.b.c", method: "GET", path: "/" };
    let answer = world.verifier().verify_bound(&token, &request).await;
    assert!(matches!(answer, Err(VerifyError::Request(_))));
}
