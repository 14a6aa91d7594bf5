//! API keys and chains of tokens, over a whole service with a store in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod chains;
mod model;
#[path = "../support/mod.rs"]
mod support;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sts_audit::{Act, Actor};
use sts_jose::{OsEntropy, sha256};
use sts_service::{
    ApiKeyEntry, ApiKeys, Caller, DecisionEvent, EventSink, ExchangeTimes, Parameters, Reason, RefusedError,
    RequestContext, Service, ServiceDependencies, Snapshot,
};
use sts_store::contract::{AlertLog, TestSeal};
use sts_store_embedded::EmbeddedLedger;
use sts_testkit::{LocalIssuer, ManualClock};
use sts_types::{AccountId, AccountName, ApiKey, Clock as _, IpNetwork, Scope, UnixTime, rfc};
use support::{CONFIG, FakeKeys, NOW, clock, issuer, keyring, snapshot};

struct NoEvents;

impl EventSink for NoEvents {
    fn decision(&self, _: &DecisionEvent, _: &ExchangeTimes) {}

    fn record(&self, _: &Actor, _: Act) {}
}

struct Fixture {
    service: Service,
    config: String,
    clock: Arc<ManualClock>,
    keys: Arc<FakeKeys>,
    issuer: LocalIssuer,
    directory: tempfile::TempDir,
}

impl Fixture {
    /// A service whose account `octo` has these API keys.
    fn new(api_keys: Vec<ApiKeyEntry>) -> Self {
        Self::of(CONFIG.replace("REPLAY", ""), api_keys)
    }

    fn of(config: String, api_keys: Vec<ApiKeyEntry>) -> Self {
        let (clock, issuer, directory) = (clock(), issuer(), tempfile::tempdir().unwrap());
        let keys = FakeKeys::of(&issuer, &clock);
        let store =
            EmbeddedLedger::in_memory(Arc::new(TestSeal(1)), Arc::clone(&clock) as _, Arc::new(AlertLog::default()));
        let ledger = Arc::new(store.unwrap());
        let service = Service::new(ServiceDependencies {
            snapshot: with_keys(&config, &directory, &keys, api_keys, true),
            ledger: Arc::clone(&ledger) as _,
            keyring: Arc::new(keyring(directory.path(), clock.now())),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            refusals: Some(ledger as _),
            events: Arc::new(NoEvents),
        });
        Self { service, config, clock, keys, issuer, directory }
    }

    fn reload(&self, api_keys: Vec<ApiKeyEntry>, is_enabled: bool) {
        self.service.swap(with_keys(&self.config, &self.directory, &self.keys, api_keys, is_enabled));
    }

    async fn ask(&self, pairs: &[(&str, &str)], source: &str) -> Result<String, RefusedError> {
        self.ask_from(pairs, source, true).await
    }

    /// `is_source_known`: whether `source` is the caller's address, and not that of a proxy.
    async fn ask_from(
        &self,
        pairs: &[(&str, &str)],
        source: &str,
        is_source_known: bool,
    ) -> Result<String, RefusedError> {
        self.send(&parameters(pairs), source, is_source_known).await
    }

    async fn send(
        &self,
        parameters: &Parameters<'_>,
        source: &str,
        is_source_known: bool,
    ) -> Result<String, RefusedError> {
        let mut pending = self.service.begin_exchange(&RequestContext {
            request_id: self.service.new_request_id(),
            source: Some(source.parse::<IpAddr>().unwrap()),
            is_source_known,
            arrived: self.clock.monotonic(),
        });
        self.service.exchange(parameters, &mut pending).await.map(|exchanged| exchanged.access_token)
    }

    /// The token of an API key.
    async fn by_key(&self, name: &str, secret: &str, more: &[(&str, &str)]) -> Result<String, Reason> {
        let base = [("grant_type", "client_credentials"), ("client_id", name), ("client_secret", secret)];
        self.ask(&[&base[..], more].concat(), "192.0.2.1").await.map_err(|refused| refused.reason)
    }

    async fn by_own(&self, token: &str, more: &[(&str, &str)]) -> Result<String, Reason> {
        let base = [
            ("grant_type", rfc::GRANT_TOKEN_EXCHANGE),
            ("subject_token_type", rfc::TOKEN_TYPE_ACCESS_TOKEN),
            ("subject_token", token),
        ];
        self.ask(&[&base[..], more].concat(), "192.0.2.1").await.map_err(|refused| refused.reason)
    }

    async fn introspect(&self, token: &str) -> Value {
        let caller = Caller::Bearer(AccountId::new("anybody").unwrap());
        json!(self.service.introspect(&self.service.snapshot(), &caller, token).await.unwrap())
    }

    async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await["active"] == true
    }
}

fn parameters(pairs: &[(&str, &str)]) -> Parameters<'static> {
    let own = |text: &str| text.to_owned().into();
    Parameters::new(pairs.iter().map(|(name, value)| (own(name), own(value))).collect()).unwrap()
}

fn with_keys(
    config: &str,
    directory: &tempfile::TempDir,
    keys: &Arc<FakeKeys>,
    api_keys: Vec<ApiKeyEntry>,
    api_keys_enabled: bool,
) -> Snapshot {
    let snapshot = snapshot(directory.path(), config, Arc::clone(keys) as _);
    Snapshot { api_keys: Arc::new(ApiKeys::new(api_keys)), api_keys_enabled, ..snapshot }
}

fn entry(key: &ApiKey) -> ApiKeyEntry {
    ApiKeyEntry {
        id: key.id().clone(),
        account: AccountName::new("octo").unwrap(),
        name: "build server".to_owned(),
        secret_sha256: sha256(key.secret().as_bytes()),
        scopes: None,
        allow_from: Vec::new(),
        created_at: UnixTime::from_secs(NOW - 60),
        created_by: "admin token".to_owned(),
        expires_at: UnixTime::from_secs(NOW + 600),
    }
}

#[tokio::test]
async fn c160_an_api_key_gets_tokens_that_name_it_and_end_with_it() {
    let key = ApiKey::generate(&OsEntropy);
    let fixture = Fixture::new(vec![entry(&key)]);
    let secret = key.expose();
    let access = fixture.by_key("octo", &secret, &[("scope", "read"), ("audience", "deploy")]).await.unwrap();
    let body = fixture.introspect(&access).await;
    assert_eq!((&body["sub"], &body["scope"]), (&json!("octo"), &json!("read")));
    assert_eq!(body["credential"], json!({ "type": "api_key", "id": key.id().as_str() }));
    assert!(body.get("federated").is_none());
    assert!(body["exp"].as_i64().unwrap() <= NOW + 600, "no longer than the key");
    assert!(fixture.service.api_key_uses().of(key.id()).is_some_and(|last| last.from == "192.0.2.1"));
    let child = fixture.by_own(&access, &[]).await.unwrap();
    assert!(fixture.is_active(&child).await);
    // Without the key, and while keys are off.
    for (keys, is_enabled) in [(vec![], true), (vec![entry(&key)], false)] {
        fixture.reload(keys, is_enabled);
        for token in [&access, &child] {
            assert!(!fixture.is_active(token).await);
        }
        assert_eq!(fixture.by_own(&access, &[]).await, Err(Reason::NotAuthorized));
        assert_eq!(fixture.by_key("octo", &secret, &[]).await, Err(Reason::InvalidClient));
    }
    fixture.reload(vec![entry(&key)], true);
    assert!(fixture.is_active(&child).await);
    fixture.clock.advance(Duration::from_secs(599));
    assert!(fixture.by_key("octo", &secret, &[]).await.is_ok());
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.by_key("octo", &secret, &[]).await, Err(Reason::InvalidClient));
}

#[tokio::test]
async fn o2_08_wrong_credentials_are_one_answer_whatever_is_wrong() {
    let (key, other, narrow) =
        (ApiKey::generate(&OsEntropy), ApiKey::generate(&OsEntropy), ApiKey::generate(&OsEntropy));
    let network = IpNetwork::parse("10.0.0.0/8").unwrap();
    let fixture = Fixture::new(vec![entry(&key), ApiKeyEntry { allow_from: vec![network], ..entry(&narrow) }]);
    let secret = key.expose();
    let cut = secret.get(..57).unwrap();
    for (name, secret) in [
        ("octo", other.expose().as_str()),
        ("octo", cut),
        ("octo", key.secret()),
        ("octo", "x"),
        ("other", secret.as_str()),
        ("OCTO", secret.as_str()),
        ("octo", narrow.expose().as_str()),
    ] {
        let base = [("grant_type", "client_credentials"), ("client_id", name), ("client_secret", secret)];
        let refused = fixture.ask(&base, "192.0.2.1").await.unwrap_err();
        assert_eq!(refused.reason, Reason::InvalidClient, "{name}");
        assert_eq!(
            refused.text(),
            "the credentials are wrong: send the service account's name and one of its API keys"
        );
    }
    let narrow_secret = narrow.expose();
    let base = [("grant_type", "client_credentials"), ("client_id", "octo"), ("client_secret", narrow_secret.as_str())];
    assert!(fixture.ask(&base, "10.1.2.3").await.is_ok());
    // The address of a proxy that does not tell the caller's is not the caller's.
    let refused = fixture.ask_from(&base, "10.1.2.3", false).await.unwrap_err();
    assert_eq!(refused.reason, Reason::InvalidClient);
    let everywhere = [("grant_type", "client_credentials"), ("client_id", "octo"), ("client_secret", secret.as_str())];
    assert!(fixture.ask_from(&everywhere, "10.1.2.3", false).await.is_ok());
    // A key is no token of any kind.
    assert_eq!(fixture.by_own(&secret, &[]).await, Err(Reason::TokenMalformed));
}

#[tokio::test]
async fn a_key_narrows_its_account_and_its_tokens_are_narrowed_with_it() {
    let key = ApiKey::generate(&OsEntropy);
    let narrowed = ApiKeyEntry { scopes: Some(vec![Scope::new("read").unwrap()]), ..entry(&key) };
    let fixture = Fixture::new(vec![narrowed]);
    let secret = key.expose();
    let access = fixture.by_key("octo", &secret, &[]).await.unwrap();
    assert_eq!(fixture.introspect(&access).await["scope"], "read");
    assert_eq!(fixture.by_key("octo", &secret, &[("scope", "write")]).await, Err(Reason::ScopeNotGranted));
    assert_eq!(fixture.by_key("octo", &secret, &[("audience", "other")]).await, Err(Reason::TargetNotGranted));
    assert_eq!(fixture.by_own(&access, &[("scope", "write")]).await, Err(Reason::ScopeNotGranted));
}

#[tokio::test]
async fn c085_what_came_from_a_token_ends_with_the_key_that_signed_the_token() {
    let key = ApiKey::generate(&OsEntropy);
    let fixture = Fixture::new(vec![ApiKeyEntry { expires_at: UnixTime::from_secs(NOW + 7200), ..entry(&key) }]);
    let keys = fixture.service.keyring();
    let first = keys.keys()[0].kid().clone();
    // Its successor signs from 600 seconds after this on.
    keys.rotate(fixture.clock.now()).unwrap();
    fixture.clock.advance(Duration::from_secs(590));
    let parent = fixture.by_key("octo", &key.expose(), &[]).await.unwrap();
    fixture.clock.advance(Duration::from_secs(20));
    assert_eq!(*keys.signer(keys.default_algorithm(), fixture.clock.now()).unwrap().kid(), *keys.keys()[1].kid());
    let child = fixture.by_own(&parent, &[]).await.unwrap();
    let grandchild = fixture.by_own(&child, &[]).await.unwrap();
    assert!(fixture.is_active(&child).await && fixture.is_active(&grandchild).await);
    for file in std::fs::read_dir(fixture.directory.path().join("keys")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().contains(first.as_str()) {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(keys.reread().unwrap() && keys.keys().iter().all(|key| *key.kid() != first));
    for token in [&parent, &child, &grandchild] {
        assert!(!fixture.is_active(token).await);
    }
    assert_eq!(fixture.by_own(&child, &[]).await, Err(Reason::NotAuthorized));
}
