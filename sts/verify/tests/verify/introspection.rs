//! Asking the issuer where no status list tells.

use std::time::Duration;

use serde_json::json;
use sts_testkit::Page;
use sts_verify::{Introspection, TokenFault, Verifier, VerifierBuilder, VerifyError};

use crate::support::World;

const ENDPOINT: &str = "/introspect";

fn introspection(world: &World) -> Introspection {
    Introspection::new(format!("{}{ENDPOINT}", world.issuer.url()), "deploy", "s3cret+/")
}

fn builder(world: &World, max_age: Duration) -> VerifierBuilder {
    world.builder().introspection(introspection(world).max_age(max_age))
}

fn verifier(world: &World) -> Verifier {
    builder(world, Duration::ZERO).build().unwrap()
}

fn answer(world: &World, is_active: bool) {
    world.issuer.page(ENDPOINT, Page::Json(json!({ "active": is_active })));
}

#[tokio::test]
async fn the_issuer_is_asked_for_each_token_and_its_word_counts() {
    let world = World::new();
    let (verifier, token) = (verifier(&world), world.token());
    answer(&world, true);
    assert!(verifier.verify(&token).await.is_ok());
    let request = world.issuer.last_request(ENDPOINT).unwrap();
    // RFC 6749 section 2.3.1: `deploy:s3cret%2B%2F`.
    assert!(request.contains(&format!("token={token}&")) && request.contains("Basic ZGVwbG95OnMzY3JldCUyQiUyRg=="));
    answer(&world, false);
    assert_eq!(verifier.verify(&token).await.unwrap_err(), TokenFault::Revoked.into());
    assert_eq!(world.issuer.asked(ENDPOINT), 2);
    // What fails offline is not asked for.
    let expired = world.forge().claim("exp", 1).sign();
    assert_eq!(verifier.verify(&expired).await.unwrap_err(), TokenFault::Expired.into());
    assert_eq!(world.issuer.asked(ENDPOINT), 2);
}

#[tokio::test]
async fn an_answer_counts_for_its_max_age() {
    let world = World::new();
    let verifier = builder(&world, Duration::from_secs(10)).build().unwrap();
    answer(&world, true);
    let token = world.token();
    assert!(verifier.verify(&token).await.is_ok());
    answer(&world, false);
    world.clock.advance(Duration::from_secs(9));
    assert!(verifier.verify(&token).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify(&token).await.unwrap_err(), TokenFault::Revoked.into());
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_well_is_unavailable() {
    let world = World::new();
    let verifier = verifier(&world);
    for page in [
        Page::status("503 Service Unavailable"),
        Page::status("401 Unauthorized"),
        Page::redirect("/elsewhere"),
        Page::Json(json!({ "active": "true" })),
        Page::Json(json!([])),
    ] {
        world.issuer.page(ENDPOINT, page);
        assert!(matches!(verifier.verify(&world.token()).await, Err(VerifyError::Unavailable { .. })));
    }
}

#[tokio::test]
async fn with_status_lists_only_tokens_that_no_list_tells_of_are_asked_for() {
    let world = World::new();
    answer(&world, true);
    let verifier = builder(&world, Duration::ZERO).status_list_max_age(Duration::from_secs(60)).build().unwrap();
    assert!(verifier.verify(&world.token()).await.is_ok(), "it names no list");
    let uri = format!("{}/status/1-0", world.issuer.url());
    let in_a_list = world.forge().claim("status", json!({ "status_list": { "uri": uri, "idx": 1 } })).sign();
    assert!(verifier.verify(&in_a_list).await.is_ok(), "its list cannot be had");
    assert_eq!(world.issuer.asked(ENDPOINT), 2);
}

#[tokio::test]
async fn the_secret_is_shown_nowhere() {
    let world = World::new();
    let shown = format!("{:?} {:?} {:?}", introspection(&world), builder(&world, Duration::ZERO), verifier(&world));
    assert!(shown.contains("deploy") && !shown.contains("s3cret"), "{shown}");
}
