//! No `Debug` of this crate shows a token, a key or a secret.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use serde_json::json;
use sts_audit::{Act, Actor};
use sts_jose::OsEntropy;
use sts_service::{
    ApiSecret, DecisionEvent, EventSink, ExchangeTimes, Presented, RequestContext, Service, ServiceDependencies,
};
use sts_store::contract::{AlertLog, TestSeal};
use sts_store_embedded::EmbeddedLedger;
use sts_types::Clock as _;
use support::{CONFIG, FakeKeys, clock, exchange_parameters, issuer, keyring, snapshot};

struct Nowhere;

impl EventSink for Nowhere {
    fn decision(&self, _: &DecisionEvent, _: &ExchangeTimes) {}

    fn record(&self, _: &Actor, _: Act) {}
}

#[tokio::test]
async fn debug_shows_no_token_and_no_secret() {
    let (directory, clock, issuer) = (tempfile::tempdir().unwrap(), clock(), issuer());
    let keys = FakeKeys::of(&issuer, &clock);
    let seal = Arc::new(TestSeal(1));
    let store = EmbeddedLedger::in_memory(seal, Arc::clone(&clock) as _, Arc::new(AlertLog::default())).unwrap();
    let keyring = Arc::new(keyring(directory.path(), clock.now()));
    let dependencies = ServiceDependencies {
        snapshot: snapshot(directory.path(), &CONFIG.replace("REPLAY", ""), keys),
        ledger: Arc::new(store),
        keyring: Arc::clone(&keyring),
        clock,
        entropy: Arc::new(OsEntropy),
        refusals: None,
        events: Arc::new(Nowhere),
    };
    let mut shown = vec![format!("{dependencies:?}"), format!("{keyring:?} {:?}", keyring.keys())];
    let service = Service::new(dependencies);
    let subject_token = issuer.token(&json!({}));
    let parameters = exchange_parameters(&subject_token, &[("client_secret", "hunter2-of-a-caller")]).unwrap();
    shown.extend([format!("{parameters:?}"), format!("{:?}", Presented::Token(&subject_token))]);
    let parameters = exchange_parameters(&subject_token, &[]).unwrap();
    let context = RequestContext {
        request_id: service.new_request_id(),
        source: None,
        is_source_known: true,
        arrived: service.clock().monotonic(),
    };
    let mut pending = service.begin_exchange(&context);
    let exchanged = service.exchange(&parameters, &mut pending).await.unwrap();
    shown.extend([format!("{pending:?}"), format!("{exchanged:?}"), format!("{service:?}")]);
    shown.extend([format!("{:?}", service.snapshot()), format!("{:?}", ApiSecret::new(b"hunter2-of-an-api"))]);

    let key_files = std::fs::read_dir(directory.path().join("keys")).unwrap();
    let mut secrets: Vec<String> = key_files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|text| match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(file) => file.get("pkcs8").map_or(text, |pkcs8| pkcs8.as_str().unwrap().to_owned()),
            Err(_) => text,
        })
        .filter(|text| text.len() > 20)
        .collect();
    assert_eq!(secrets.len(), 2, "a signing key and the seal's");
    secrets.extend(["hunter2".to_owned(), "secret of deploy".to_owned()]);
    for token in [&subject_token, &exchanged.access_token] {
        secrets.extend(token.split('.').map(str::to_owned));
    }
    for shown in shown {
        for secret in &secrets {
            assert!(!shown.contains(secret.as_str()), "{secret} in {shown}");
        }
    }
}
