//! Which tokens are accepted.

use std::time::Duration;

use serde_json::json;
use sts_testkit::{Algorithm, Key, Page};
use sts_verify::{BuildError, TokenFault, Verifier, VerifyError};

use crate::support::{AUDIENCE, NOW, World};

#[tokio::test]
async fn a_good_token_is_accepted_and_the_issuer_is_asked_once_for_its_keys() {
    let world = World::new();
    let verifier = world.verifier();
    for _ in 0..3 {
        let token = verifier.verify(&world.token()).await.unwrap();
        assert_eq!((token.subject(), token.jti(), token.expires_at()), ("octo", "token-1", NOW + 600));
        assert!(token.has_scope("deployments:create") && !token.has_scope("deployments"));
    }
    assert_eq!((world.issuer.discoveries(), world.issuer.fetches()), (1, 1));
    let several = world.forge().claim("aud", json!(["https://other.example.com", AUDIENCE])).sign();
    assert!(verifier.verify(&several).await.is_ok());
    let in_full = world.forge().header("typ", "application/AT+JWT").sign();
    assert!(verifier.verify(&in_full).await.is_ok());
}

#[tokio::test]
async fn every_fault_of_a_token_is_named() {
    let world = World::new();
    let (verifier, other) = (world.verifier(), Key::new(Algorithm::ES256, "one"));
    let forge = || world.forge();
    let token = world.token();
    let (signed, _) = token.rsplit_once('.').unwrap();
    for (token, fault) in [
        ("a.b".to_owned(), TokenFault::Malformed("the token does not consist of three parts")),
        (format!("{signed}."), TokenFault::Signature),
        (forge().header("alg", "none").sign(), TokenFault::Algorithm),
        (forge().header("alg", "HS256").sign(), TokenFault::Algorithm),
        (forge().header("typ", "JWT").sign(), TokenFault::Type),
        (forge().no_header("typ").sign(), TokenFault::Type),
        (forge().header("typ", "statuslist+jwt").sign(), TokenFault::Type),
        (forge().raw_payload("[]").sign(), TokenFault::Malformed("its payload is not strict JSON")),
        (forge().claim("iss", "https://sts.example.com").sign(), TokenFault::Issuer),
        (forge().claim("iss", format!("{}/", world.issuer.url())).sign(), TokenFault::Issuer),
        (forge().no_claim("iss").sign(), TokenFault::Issuer),
        (forge().header("kid", "two").sign(), TokenFault::Key),
        (world.forge_with(&other).sign(), TokenFault::Signature),
        (forge().claim("aud", "https://other.example.com").sign(), TokenFault::Audience),
        (forge().claim("aud", "https://deploy.example.com/").sign(), TokenFault::Audience),
        (forge().claim("aud", json!([])).sign(), TokenFault::Audience),
        (forge().claim("exp", NOW).sign(), TokenFault::Expired),
        (forge().claim("iat", NOW + 61).sign(), TokenFault::NotYetValid),
        (forge().claim("nbf", NOW + 61).sign(), TokenFault::NotYetValid),
        (forge().no_claim("jti").sign(), TokenFault::Claim("jti")),
        (forge().claim("exp", "never").sign(), TokenFault::Claim("exp")),
        (forge().claim("cnf", json!({ "jkt": "abc" })).sign(), TokenFault::Bound),
        (forge().claim("cnf", json!({ "x5t#S256": "abc" })).sign(), TokenFault::Bound),
    ] {
        assert_eq!(verifier.verify(&token).await.unwrap_err(), fault.into(), "{token}");
    }
    for accepted in [forge().claim("exp", NOW + 1), forge().claim("iat", NOW + 60), forge().claim("nbf", NOW + 60)] {
        assert!(verifier.verify(&accepted.sign()).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_of_somebody_else_causes_no_request() {
    let world = World::new();
    let verifier = world.verifier();
    for token in [world.forge().claim("iss", "https://evil.example"), world.forge().header("typ", "JWT")] {
        assert!(verifier.verify(&token.sign()).await.is_err());
    }
    assert_eq!(world.issuer.discoveries(), 0);
}

#[tokio::test]
async fn a_longer_life_than_the_service_accepts_is_refused() {
    let world = World::new();
    let verifier = world.builder().max_lifetime(Duration::from_secs(605)).build().unwrap();
    assert!(verifier.verify(&world.token()).await.is_ok());
    let longer = world.forge().claim("exp", NOW + 601).sign();
    assert_eq!(verifier.verify(&longer).await.unwrap_err(), TokenFault::Lifetime.into());
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_fault_of_the_token_and_known_keys_go_on() {
    let world = World::new();
    let warm = world.verifier();
    assert!(warm.verify(&world.token()).await.is_ok());
    world.issuer.discovery(Page::status("503 Service Unavailable"));
    world.issuer.jwks(Page::status("503 Service Unavailable"));
    // A verifier fetches the keys as soon as it is there.
    let fresh = world.verifier();
    assert!(matches!(fresh.verify(&world.token()).await, Err(VerifyError::Unavailable { .. })));
    world.clock.advance(Duration::from_secs(300));
    assert!(warm.verify(&world.token()).await.is_ok());
}

#[tokio::test]
async fn a_verifier_that_would_accept_too_much_is_not_built() {
    let world = World::new();
    let built = Verifier::builder(world.issuer.url()).allow_http().build();
    assert!(matches!(built, Err(BuildError::NoAudience)));
    let built = Verifier::builder(world.issuer.url()).audience(AUDIENCE).build();
    assert!(matches!(built, Err(BuildError::Keys(_))), "plain http was not allowed");
    assert!(matches!(Verifier::new(world.issuer.url(), "api"), Err(BuildError::Keys(_))));
    assert!(matches!(Verifier::new("https://sts.example.com", ""), Err(BuildError::NoAudience)));
    assert!(Verifier::new("https://sts.example.com", "api").is_ok(), "no connection is opened for it");
    let built = world.builder().dpop_origin("deploy.example.com").build();
    assert!(matches!(built, Err(BuildError::Url { setting: "dpop_origin", .. })));
}

#[test]
fn outside_a_runtime_no_verifier_is_built() {
    assert!(matches!(World::new().builder().build(), Err(BuildError::NoRuntime)));
}
