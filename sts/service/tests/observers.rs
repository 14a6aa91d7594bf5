//! What is told of an exchange, when, and that telling it costs the caller nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use sts_audit::{Act, Actor};
use sts_jose::OsEntropy;
use sts_service::{
    DecisionEvent, EventSink, ExchangeTimes, GroupBy, PendingExchange, Reason, RefusedError, RequestContext, Service,
    ServiceDependencies, group,
};
use sts_store::contract::{AlertLog, TestSeal};
use sts_store_embedded::EmbeddedLedger;
use sts_testkit::{LocalIssuer, ManualClock};
use sts_types::Clock as _;
use support::{CONFIG, FakeKeys, NOW, clock, exchange_parameters, issuer, keyring, snapshot};

/// Keeps events, unless it is blocked.
#[derive(Default)]
struct Events {
    is_blocked: Mutex<bool>,
    is_required: AtomicBool,
    unblocked: Condvar,
    told: Mutex<Vec<(Value, Duration)>>,
    /// How many were told when the last batch ended.
    written: Mutex<usize>,
    batch_ended: Condvar,
}

impl EventSink for Events {
    fn record(&self, _: &Actor, _: Act) {}

    fn decision(&self, event: &DecisionEvent, times: &ExchangeTimes) {
        drop(self.unblocked.wait_while(self.is_blocked.lock().unwrap(), |is_blocked| *is_blocked).unwrap());
        self.told.lock().unwrap().push((json!(event), times.held));
    }

    fn end_batch(&self) {
        *self.written.lock().unwrap() = self.told.lock().unwrap().len();
        self.batch_ended.notify_all();
    }

    fn is_required(&self) -> bool {
        self.is_required.load(Ordering::Relaxed)
    }
}

struct Fixture {
    service: Service,
    events: Arc<Events>,
    clock: Arc<ManualClock>,
    keys: Arc<FakeKeys>,
    issuer: LocalIssuer,
    store: Arc<EmbeddedLedger>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let clock = clock();
        clock.advance(Duration::from_millis(1));
        Self::over(store(&clock), issuer(), clock)
    }

    /// A replica over that store.
    fn over(store: Arc<EmbeddedLedger>, issuer: LocalIssuer, clock: Arc<ManualClock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let events = Arc::new(Events::default());
        let keys = FakeKeys::of(&issuer, &clock);
        let service = Service::new(ServiceDependencies {
            snapshot: snapshot(directory.path(), &CONFIG.replace("REPLAY", ""), Arc::clone(&keys) as _),
            ledger: Arc::clone(&store) as _,
            keyring: Arc::new(keyring(directory.path(), clock.now())),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            refusals: Some(Arc::clone(&store) as _),
            events: Arc::clone(&events) as _,
        });
        Self { service, events, clock, keys, issuer, store, _directory: directory }
    }

    fn token(&self, subject: &str) -> String {
        self.token_with(json!({ "sub": subject }))
    }

    fn token_with(&self, changes: Value) -> String {
        self.issuer.token(&changes)
    }

    fn begin(&self) -> PendingExchange {
        self.service.begin_exchange(&RequestContext {
            request_id: self.service.new_request_id(),
            source: None,
            is_source_known: true,
            arrived: self.clock.monotonic(),
        })
    }

    async fn exchange(&self, token: &str, pending: &mut PendingExchange) -> Result<(), RefusedError> {
        self.service.exchange(&exchange_parameters(token, &[])?, pending).await.map(|_| ())
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

fn store(clock: &Arc<ManualClock>) -> Arc<EmbeddedLedger> {
    let clock = Arc::clone(clock) as _;
    Arc::new(EmbeddedLedger::in_memory(Arc::new(TestSeal(1)), clock, Arc::new(AlertLog::default())).unwrap())
}

#[tokio::test]
async fn the_last_decision_is_written_although_no_other_follows() {
    const LONG: Duration = Duration::from_secs(20);
    let fixture = Fixture::new();
    for count in 1..4 {
        fixture.reason("not a token").await;
        let written = fixture.events.written.lock().unwrap();
        let waited = fixture.events.batch_ended.wait_timeout_while(written, LONG, |written| *written < count);
        assert_eq!(*waited.unwrap().0, count);
    }
}

#[tokio::test]
async fn f6_the_quantum_is_counted_from_the_beginning_of_the_decision_and_not_from_arrival() {
    let fixture = Fixture::new();
    for body_took in 0..6 {
        for keys_took in 0..6 {
            fixture.keys.takes_millis.store(keys_took, Ordering::Relaxed);
            let mut pending = fixture.begin();
            fixture.clock.advance(Duration::from_millis(body_took));
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
    assert!(fixture.service.denial(event["request_id"].as_str().unwrap()).await.unwrap().is_some());
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
        fixture.begin().refuse(Reason::RequestMalformed.into());
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

/// `token` with another header.
fn headed(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", sts_jose::base64url(header.to_string().as_bytes()))
}

#[tokio::test]
async fn fld46_the_event_of_a_refused_token_has_what_the_token_says_of_itself() {
    let fixture = Fixture::new();
    let forged = |token: String| {
        let signature = fixture.token("job:other").rsplit_once('.').unwrap().1.to_owned();
        format!("{}.{signature}", token.rsplit_once('.').unwrap().0)
    };
    let own = |changes| fixture.token_with(changes);
    let kid = fixture.issuer.verifying_key().kid().unwrap().to_string();
    let stranger = "https://token.action.githubusercontent.com";
    let cases = [
        ("issuer_unknown", own(json!({ "iss": stranger })), json!({ "iss": stranger, "verified": false })),
        ("token_expired", own(json!({ "iat": 5, "exp": 9 })), json!({ "exp": 9, "iat": 5, "verified": false })),
        ("token_not_yet_valid", own(json!({ "nbf": NOW + 99 })), json!({ "nbf": NOW + 99 })),
        ("token_audience", own(json!({ "aud": ["a", "b"] })), json!({ "aud": ["a", "b"], "verified": true })),
        ("signature_invalid", forged(own(json!({}))), json!({ "kid": kid, "alg": "ES256", "verified": false })),
        ("token_algorithm", headed(&own(json!({})), &json!({ "alg": "none" })), json!({ "alg": "none" })),
        (
            "token_type_refused",
            headed(&own(json!({})), &json!({ "alg": "ES256", "typ": "at+jwt" })),
            json!({ "typ": "at+jwt", "iss": "https://issuer.example" }),
        ),
    ];
    for (reason, token, expected) in cases {
        fixture.reason(&token).await;
        let event = fixture.last_event().await;
        assert_eq!(event["reason"], reason);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(event["presented"][name], *value, "{reason} {event}");
        }
        let text = event.to_string();
        assert!(token.split('.').filter(|part| part.len() > 20).all(|part| !text.contains(part)), "{text}");
    }
    // A granted token has no need of it, and a token or password in the place of a claim is not repeated.
    assert_eq!(fixture.reason(&own(json!({}))).await, None);
    assert!(fixture.last_event().await.get("presented").is_none());
    let inner = own(json!({}));
    fixture.reason(&own(json!({ "iss": "https://user:hunter2@host", "aud": [inner] }))).await;
    let text = fixture.last_event().await.to_string();
    assert!(!text.contains("hunter2") && !text.contains(&inner), "{text}");
}

#[tokio::test]
async fn fld42_a_refusal_that_no_rule_was_asked_about_is_found_by_every_replica() {
    let one = Fixture::new();
    let other = Fixture::over(Arc::clone(&one.store), issuer(), Arc::clone(&one.clock));
    for (reason, token) in [
        ("token_expired", one.token_with(json!({ "iat": 5, "exp": 9 }))),
        ("token_audience", one.token_with(json!({ "aud": "nobody" }))),
        ("not_authorized", one.token("job:stranger")),
        ("issuer_unknown", one.token_with(json!({ "iss": "https://x.example" }))),
    ] {
        // Refusals of one millisecond have no order.
        one.clock.advance(Duration::from_millis(1));
        one.reason(&token).await;
        let id = one.last_event().await["request_id"].as_str().unwrap().to_owned();
        let refusal = one.service.denial(&id).await.unwrap().unwrap();
        assert_eq!(refusal.diagnosis.reason, reason);
        one.service.save_refusals().await;
        let found = other.service.denial(&id).await.unwrap().unwrap();
        assert_eq!(json!(found), json!(refusal));
        assert!(found.summary.starts_with(&format!("refused: {reason}: ")), "{}", found.summary);
    }
    let listed = other.service.denials().await.unwrap();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[0].presented.as_ref().unwrap().iss.as_deref(), Some("https://x.example"), "newest first");
    assert_eq!(one.service.denials().await.unwrap().len(), 4, "each once, though it is in memory and in the store");
    assert!(other.service.denial("01J00000000000000000000000").await.unwrap().is_none());
}

#[tokio::test]
async fn fld42_grouped_refusals_are_counted_with_the_last_to_look_at() {
    let fixture = Fixture::new();
    for subject in ["job:a", "job:b", "job:c"] {
        fixture.reason(&fixture.token(subject)).await;
    }
    fixture.reason(&fixture.token_with(json!({ "iat": 5, "exp": 9 }))).await;
    let refusals = fixture.service.denials().await.unwrap();
    let groups = group(&refusals, &GroupBy::parse("reason,account,identity,condition").unwrap());
    assert_eq!(groups[0].count, 3, "{groups:?}");
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(
        groups[0].common,
        [
            (GroupBy::Reason, named("not_authorized")),
            (GroupBy::Account, named("octo")),
            (GroupBy::Identity, named("main")),
            (GroupBy::Condition, named("subject")),
        ]
    );
    assert_eq!(groups[1].common[0], (GroupBy::Reason, named("token_expired")));
    assert_eq!(GroupBy::parse("reason,colour"), Err("colour".to_owned()));
}

#[tokio::test]
async fn fld50_where_audit_is_required_a_full_queue_of_events_refuses_decisions() {
    let fixture = Fixture::new();
    fixture.events.is_required.store(true, Ordering::Relaxed);
    *fixture.events.is_blocked.lock().unwrap() = true;
    let granted = fixture.token("job:main");
    // More than the queue takes, each of them abandoned.
    (0..5000).for_each(|_| drop(fixture.begin()));
    assert_eq!(fixture.reason(&granted).await, Some(Reason::AuditUnavailable));
    *fixture.events.is_blocked.lock().unwrap() = false;
    fixture.events.unblocked.notify_all();
    while fixture.told().await.len() < 4096 {}
    assert_ne!(fixture.reason(&granted).await, Some(Reason::AuditUnavailable));
}
