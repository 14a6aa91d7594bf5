//! Revoked tokens, as the issuer's status lists tell of them.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::{Value, json};
use sts_testkit::{Algorithm, Forge, Key, Page, base64url};
use sts_verify::{TokenFault, Verifier, VerifyError};

use crate::support::{NOW, World};

const LIST: &str = "/status/1-0";
const MAX_AGE: Duration = Duration::from_secs(60);

/// A list in which exactly the tokens at `revoked` are not valid.
fn list(world: &World, revoked: &[usize]) -> Value {
    let mut bits = vec![0_u8; 16];
    for index in revoked {
        bits[index / 8] |= 1 << (index % 8);
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&bits).unwrap();
    json!({
        "iss": world.issuer.url(), "sub": uri(world), "iat": NOW, "exp": NOW + 3600, "ttl": 30,
        "status_list": { "bits": 1, "lst": base64url(&zlib.finish().unwrap()) },
    })
}

fn uri(world: &World) -> String {
    format!("{}{LIST}", world.issuer.url())
}

fn publish(world: &World, key: &Key, typ: &str, claims: &Value) {
    let signed = Forge::new(key, claims).header("typ", typ).sign();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", signed.len());
    world.issuer.page(LIST, Page::Raw(format!("{head}{signed}").into_bytes()));
}

fn publish_list(world: &World, revoked: &[usize]) {
    publish(world, &world.key, "statuslist+jwt", &list(world, revoked));
}

fn token_at(world: &World, uri: &str, index: u64) -> String {
    world.forge().claim("status", json!({ "status_list": { "uri": uri, "idx": index } })).sign()
}

fn verifier(world: &World) -> Verifier {
    world.builder().status_list_max_age(MAX_AGE).build().unwrap()
}

/// What `future` gives. A test whose condition never comes true fails, and does not hang.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_one_fetch_serves_all_of_a_list() {
    let world = World::new();
    publish_list(&world, &[3]);
    let verifier = verifier(&world);
    for index in [0, 2, 4, 127] {
        assert!(verifier.verify(&token_at(&world, &uri(&world), index)).await.is_ok(), "{index}");
    }
    let revoked = verifier.verify(&token_at(&world, &uri(&world), 3)).await.unwrap_err();
    assert_eq!(revoked, TokenFault::Revoked.into());
    let behind = verifier.verify(&token_at(&world, &uri(&world), 128)).await.unwrap_err();
    assert_eq!(behind, TokenFault::Claim("status").into());
    assert_eq!(world.issuer.asked(LIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_fetched_again_in_the_background_after_its_ttl() {
    let world = World::new();
    publish_list(&world, &[]);
    let (verifier, token) = (verifier(&world), token_at(&world, &uri(&world), 3));
    assert!(verifier.verify(&token).await.is_ok());
    publish_list(&world, &[3]);
    assert!(verifier.verify(&token).await.is_ok(), "the list at hand is young enough");
    assert_eq!(world.issuer.asked(LIST), 1);
    world.clock.advance(Duration::from_secs(30));
    // The one that finds the list due is not held up by the fetch.
    let refused = async {
        loop {
            match verifier.verify(&token).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        }
    };
    assert_eq!(in_time(refused).await, TokenFault::Revoked.into());
    assert_eq!(world.issuer.asked(LIST), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_does_not_end_the_fetch_that_others_wait_for() {
    let world = World::new();
    publish_list(&world, &[3]);
    let (verifier, token) = (verifier(&world), token_at(&world, &uri(&world), 4));
    // So that the keys are there before the issuer stops answering.
    assert!(matches!(
        verifier.verify(&token_at(&world, "http://other.example/1", 4)).await,
        Err(VerifyError::Token(_))
    ));
    world.issuer.hold();
    let first = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verifier.verify(&token).await }
    });
    let asked = async {
        while world.issuer.asked(LIST) == 0 {
            tokio::task::yield_now().await;
        }
    };
    in_time(asked).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.issuer.release();
    assert!(in_time(verifier.verify(&token)).await.is_ok());
    assert_eq!(world.issuer.asked(LIST), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_that_is_young_enough_no_token_is_accepted() {
    let world = World::new();
    publish_list(&world, &[]);
    let (verifier, token) = (verifier(&world), token_at(&world, &uri(&world), 3));
    assert!(verifier.verify(&token).await.is_ok());
    world.issuer.page(LIST, Page::status("503 Service Unavailable"));
    world.clock.advance(MAX_AGE);
    assert!(verifier.verify(&token).await.is_ok(), "exactly as old as it may be");
    world.clock.advance(Duration::from_secs(5));
    assert!(matches!(verifier.verify(&token).await, Err(VerifyError::Unavailable { .. })));
    let asked = world.issuer.asked(LIST);
    assert!(matches!(verifier.verify(&token).await, Err(VerifyError::Unavailable { .. })));
    assert_eq!(world.issuer.asked(LIST), asked, "a failed fetch is not repeated for each token");
    publish_list(&world, &[]);
    world.clock.advance(Duration::from_secs(5));
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn what_is_not_the_list_of_the_token_is_never_believed() {
    let world = World::new();
    let stranger = Key::new(Algorithm::ES256, "one");
    let with = |name: &str, value: Value| {
        let mut claims = list(&world, &[]);
        claims[name] = value;
        claims
    };
    for (what, key, typ, claims) in [
        ("another key", &stranger, "statuslist+jwt", list(&world, &[])),
        ("an access token", &world.key, "at+jwt", list(&world, &[])),
        (
            "another list",
            &world.key,
            "statuslist+jwt",
            with("sub", format!("{}/status/2-0", world.issuer.url()).into()),
        ),
        ("another issuer", &world.key, "statuslist+jwt", with("iss", "https://evil.example".into())),
        ("an expired list", &world.key, "statuslist+jwt", with("exp", NOW.into())),
        ("no list", &world.key, "statuslist+jwt", with("status_list", json!({}))),
    ] {
        publish(&world, key, typ, &claims);
        let answer = verifier(&world).verify(&token_at(&world, &uri(&world), 3)).await;
        assert!(matches!(answer, Err(VerifyError::Unavailable { .. })), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_list_elsewhere_is_not_fetched_and_a_token_without_a_list_is_refused() {
    let (world, elsewhere) = (World::new(), World::new());
    let verifier = verifier(&world);
    for uri in [uri(&elsewhere), "not a url".to_owned(), uri(&world).replace("http:", "https:")] {
        let answer = verifier.verify(&token_at(&world, &uri, 3)).await.unwrap_err();
        assert_eq!(answer, TokenFault::Claim("status").into(), "{uri}");
    }
    assert_eq!(elsewhere.issuer.asked(LIST), 0);
    assert_eq!(verifier.verify(&world.token()).await.unwrap_err(), TokenFault::NoStatus.into());
}

#[tokio::test]
async fn a_cache_on_the_way_makes_a_list_older() {
    let world = World::new();
    let signed = Forge::new(&world.key, &list(&world, &[])).header("typ", "statuslist+jwt").sign();
    let page = |age: u64| {
        let length = signed.len();
        let head = format!("HTTP/1.1 200 OK\r\nAge: {age}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        world.issuer.page(LIST, Page::Raw(format!("{head}{signed}").into_bytes()));
    };
    world.clock.advance(Duration::from_secs(300));
    let token = token_at(&world, &uri(&world), 3);
    page(61);
    assert!(matches!(verifier(&world).verify(&token).await, Err(VerifyError::Unavailable { .. })));
    page(59);
    assert!(verifier(&world).verify(&token).await.is_ok());
}
