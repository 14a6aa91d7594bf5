//! What is told of an exchange, when, and that telling it costs the caller nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sts_jose::{OsEntropy, SigningKey, VerifyingKey};
use sts_service::{
    Candidates, DecisionEvent, EventSink, IssuerKeys, KeyAnswer, KeyQuestion, KeysView, Parameters, Parts,
    PendingExchange, Reason, Refused, RequestContext, Service, Snapshot, TrustTable,
};
use sts_store::EmbeddedLedger;
use sts_store::contract::{AlertLog, ManualClock, TestSeal};
use sts_token::{Keyring, KeyringSpec};
use sts_types::{Algorithm, Clock, EntryName, Issuer, rfc};

const NOW: i64 = 1_790_000_060;

const CONFIG: &str = r#"
issuer: https://sts.example.com
listen: 127.0.0.1:8080
data_dir: data
issuers:
  ci: { issuer: "https://issuer.example", jwks_url: "https://issuer.example/keys" }
apis:
  deploy: { audience: "https://deploy.example.com", scopes: [read, write] }
service_accounts:
  octo:
    grants: { deploy: [read, write] }
    identities:
      - { name: main, issuer: ci, subject: "job:main" }
"#;

/// A wall clock that stands still, and a monotonic one that moves when it is told to.
struct TestClock(AtomicU64);

impl TestClock {
    fn pass(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_millis(&self) -> u64 {
        u64::try_from(NOW).unwrap() * 1000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// One key, whose look-up takes a time.
struct SlowKeys {
    key: Arc<VerifyingKey>,
    clock: Arc<TestClock>,
    takes_millis: AtomicU64,
}

impl IssuerKeys for SlowKeys {
    fn cached(&self, _: KeyQuestion<'_>) -> Option<Candidates> {
        self.clock.pass(self.takes_millis.load(Ordering::Relaxed));
        Some(vec![Arc::clone(&self.key)])
    }

    fn find<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, KeyAnswer> {
        async { KeyAnswer::Unknown }.boxed()
    }

    fn signature_failed<'a>(&'a self, _: KeyQuestion<'a>) -> BoxFuture<'a, Option<Candidates>> {
        async { None }.boxed()
    }

    fn verified(&self, _: KeyQuestion<'_>) {}

    fn view(&self, _: &EntryName, _: &Issuer) -> Option<KeysView> {
        None
    }
}

/// Keeps events, unless it is blocked.
#[derive(Default)]
struct Events {
    is_blocked: Mutex<bool>,
    unblocked: Condvar,
    told: Mutex<Vec<(Value, Duration)>>,
}

impl EventSink for Events {
    fn decision(&self, event: &DecisionEvent) {
        drop(self.unblocked.wait_while(self.is_blocked.lock().unwrap(), |is_blocked| *is_blocked).unwrap());
        self.told.lock().unwrap().push((json!(event), event.held));
    }
}

struct Fixture {
    service: Service,
    events: Arc<Events>,
    clock: Arc<TestClock>,
    keys: Arc<SlowKeys>,
    issuer_key: SigningKey,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(1)));
        let events = Arc::new(Events::default());
        let issuer_key = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = Arc::new(SlowKeys {
            key: Arc::new(issuer_key.verifying_key()),
            clock: Arc::clone(&clock),
            takes_millis: AtomicU64::new(0),
        });
        let keyring = KeyringSpec {
            directory: directory.path().join("keys"),
            algorithms: vec![Algorithm::ES256],
            rotate_every: None,
            max_ttl: 3600,
        };
        let store = directory.path().join("sts.redb");
        let ledger = EmbeddedLedger::open(
            &store,
            Arc::new(TestSeal(1)),
            Arc::new(ManualClock::default()),
            Arc::new(AlertLog::default()),
        );
        let service = Service::new(Parts {
            snapshot: snapshot(directory.path(), Arc::clone(&keys)),
            ledger: Arc::new(ledger.unwrap()),
            keyring: Arc::new(Keyring::open(keyring, &OsEntropy, clock.now()).unwrap()),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            events: Arc::clone(&events) as _,
        });
        Self { service, events, clock, keys, issuer_key, _directory: directory }
    }

    fn token(&self, subject: &str) -> String {
        let claims = json!({
            "iss": "https://issuer.example", "sub": subject, "aud": "https://sts.example.com",
            "iat": NOW - 60, "exp": NOW + 240,
        });
        sts_jose::sign_compact(&self.issuer_key, "JWT", claims.to_string().as_bytes()).unwrap()
    }

    fn begin(&self) -> PendingExchange {
        self.service.begin_exchange(&RequestContext {
            request_id: self.service.new_request_id(),
            source: None,
            arrived: self.clock.monotonic(),
        })
    }

    async fn exchange(&self, token: &str, pending: &mut PendingExchange) -> Result<(), Refused> {
        let pairs = [
            ("grant_type", rfc::GRANT_TOKEN_EXCHANGE),
            ("subject_token_type", rfc::TOKEN_TYPE_JWT),
            ("subject_token", token),
        ];
        let pairs = pairs.map(|(name, value)| (name.into(), value.into())).into();
        self.service.exchange(&Parameters::new(pairs)?, pending).await.map(|_| ())
    }

    /// Exchanges, sends the answer, and gives the reason of a refusal.
    async fn reason(&self, token: &str) -> Option<Reason> {
        let mut pending = self.begin();
        self.exchange(token, &mut pending).await.err().map(|refused| refused.reason)
    }

    async fn told(&self) -> Vec<(Value, Duration)> {
        self.service.told_of_exchanges().await;
        self.events.told.lock().unwrap().clone()
    }

    async fn last_event(&self) -> Value {
        self.told().await.last().unwrap().0.clone()
    }
}

fn snapshot(directory: &std::path::Path, keys: Arc<SlowKeys>) -> Snapshot {
    let path = directory.join("sts.yaml");
    std::fs::write(&path, CONFIG).unwrap();
    let settings =
        sts_config::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{}", errors.render(false))).settings;
    Snapshot {
        remembered: sts_token::Remembered::default(),
        generation: settings.generation.clone(),
        issuer: settings.issuer.clone(),
        rules: Arc::clone(&settings.rules),
        trust: TrustTable::new(settings.trust.clone()),
        keys,
        status_list: settings.status_list,
        cap_to_subject: settings.cap_to_subject,
        max_ttl: 3600,
        signing: HashMap::new(),
        secrets: HashMap::new(),
        log_claims: false,
    }
}

#[tokio::test]
async fn f6_the_quantum_is_counted_from_the_beginning_of_the_decision_and_not_from_arrival() {
    let fixture = Fixture::new();
    for body_took in 0..6 {
        for keys_took in 0..6 {
            fixture.keys.takes_millis.store(keys_took, Ordering::Relaxed);
            let mut pending = fixture.begin();
            fixture.clock.pass(body_took);
            let refused = fixture.exchange(&fixture.token("job:stranger"), &mut pending).await.unwrap_err();
            assert_eq!(refused.reason, Reason::NotAuthorized);
            drop(pending);
            let (_, held) = fixture.told().await.pop().unwrap();
            assert_eq!(held, Duration::from_millis(5), "body {body_took} ms, keys {keys_took} ms");
        }
    }
}

#[tokio::test]
async fn f6_neither_trace_nor_event_is_made_before_the_answer_has_left() {
    let fixture = Fixture::new();
    let mut pending = fixture.begin();
    let refused = fixture.exchange(&fixture.token("job:stranger"), &mut pending).await.unwrap_err();
    assert_eq!(refused.reason, Reason::NotAuthorized);
    // The answer is known and was held back, and still nothing was made of it.
    assert!(fixture.told().await.is_empty());
    drop(pending);
    let event = fixture.last_event().await;
    assert_eq!(event["nearest_identity"], "octo/main");
    assert_eq!(event["failing_condition"]["on"], "subject");
    assert!(fixture.service.denial(event["request_id"].as_str().unwrap()).await.is_some());
}

#[tokio::test]
async fn f6_a_blocked_sink_holds_up_no_answer_and_what_does_not_fit_is_counted_and_warned_of() {
    let fixture = Fixture::new();
    *fixture.events.is_blocked.lock().unwrap() = true;
    let stranger = fixture.token("job:stranger");
    for _ in 0..3 {
        assert_eq!(fixture.reason(&stranger).await, Some(Reason::NotAuthorized));
        assert_eq!(fixture.reason(&fixture.token("job:main")).await, None);
    }
    assert_eq!(fixture.service.dropped_decisions(), 0);
    let mut begun = 6;
    while fixture.service.dropped_decisions() == 0 {
        fixture.begin().refuse(&Reason::MediaType.into());
        begun += 1;
    }
    let warnings = fixture.service.ready().await.unwrap();
    assert!(warnings.iter().any(|warning| warning.name == "decisions_dropped"), "{warnings:?}");
    *fixture.events.is_blocked.lock().unwrap() = false;
    fixture.events.unblocked.notify_all();
    assert_eq!(fixture.told().await.len() as u64 + fixture.service.dropped_decisions(), begun);
    assert_eq!(fixture.reason(&stranger).await, Some(Reason::NotAuthorized));
    assert_eq!(fixture.last_event().await["reason"], "not_authorized");
}

#[tokio::test]
async fn f6_a_caller_that_hangs_up_leaves_its_event() {
    let fixture = Fixture::new();
    // While the body is read.
    drop(fixture.begin());
    let event = fixture.last_event().await;
    assert_eq!((&event["outcome"], event.get("reason")), (&json!("abandoned"), None));
    // While the refusal is held back.
    let mut pending = fixture.begin();
    let token = fixture.token("job:stranger");
    assert!(fixture.exchange(&token, &mut pending).now_or_never().is_none());
    drop(pending);
    assert_eq!(fixture.last_event().await["reason"], "not_authorized");
    // While the store writes: the event names the token that may be recorded.
    let mut pending = fixture.begin();
    assert!(fixture.exchange(&fixture.token("job:main"), &mut pending).now_or_never().is_none());
    drop(pending);
    let event = fixture.last_event().await;
    assert_eq!((&event["outcome"], event["jti"].is_string()), (&json!("abandoned"), true));
}

#[tokio::test]
async fn f6_an_exchange_that_panics_leaves_its_event() {
    let fixture = Fixture::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _pending = fixture.begin();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(fixture.last_event().await["reason"], "server_error");
}
