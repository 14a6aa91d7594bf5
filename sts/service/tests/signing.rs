//! A signing key on a device: slow, failing, gone or silent.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use serde_json::{Value, json};
use sts_audit::{Act, Actor};
use sts_jose::{OsEntropy, SignError, Signer, Signing, SigningInput, SigningKey, VerifyingKey};
use sts_keyring::{Directory, KeyDevice, Keyring, KeyringError};
use sts_service::{
    Caller, DecisionEvent, EventSink, ExchangeTimes, Exchanged, Introspection, Outcome, Reason, RefusedError,
    RequestContext, Service, ServiceDependencies,
};
use sts_store::contract::{AlertLog, TestSeal};
use sts_store::{Ledger as _, Listing};
use sts_store_embedded::EmbeddedLedger;
use sts_testkit::LocalIssuer;
use sts_types::{AccountId, Algorithm, Clock as _, Kid};
use support::{CONFIG, FakeKeys, clock, exchange_parameters, issuer, keyring_spec, snapshot};
use tokio::sync::{mpsc, oneshot};

/// What the device is asked to sign, and where its answer goes.
struct Request {
    message: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, SignError>>,
}

/// A key on a device that the test plays.
struct DeviceKey {
    key: SigningKey,
    requests: mpsc::UnboundedSender<Request>,
    is_gone: Arc<AtomicBool>,
}

impl Signer for DeviceKey {
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn kid(&self) -> &Kid {
        self.key.kid()
    }

    fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    fn public_jwk(&self) -> &Value {
        self.key.public_jwk()
    }

    fn sign<'a>(&'a self, input: SigningInput<'a>) -> Signing<'a, Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Request { message: input.bytes().to_vec(), answer });
        if sent.is_err() {
            return Signing::Done(Err(SignError::Unavailable));
        }
        Signing::Pending(Box::pin(async { answered.await.unwrap_or(Err(SignError::Unavailable)) }))
    }

    fn check(&self) -> Signing<'_, ()> {
        let is_gone = Arc::clone(&self.is_gone);
        Signing::Pending(Box::pin(async move {
            if is_gone.load(Ordering::Relaxed) { Err(SignError::Unavailable) } else { Ok(()) }
        }))
    }
}

/// A device that makes keys.
struct Device {
    keys: Mutex<Vec<SigningKey>>,
    requests: mpsc::UnboundedSender<Request>,
    is_gone: Arc<AtomicBool>,
    /// The threads that made or destroyed keys.
    threads: Arc<Mutex<Vec<ThreadId>>>,
}

impl KeyDevice for Device {
    fn generate(&self, algorithm: Algorithm) -> Result<sts_keyring::DeviceKey, KeyringError> {
        self.threads.lock().unwrap().push(std::thread::current().id());
        let key = SigningKey::generate(algorithm).map_err(|_| KeyringError::Generate(algorithm))?;
        let public = sts_keyring::DeviceKey::from_jwk(key.public_jwk(), algorithm).unwrap();
        self.keys.lock().unwrap().push(key);
        Ok(public)
    }

    fn signer(&self, key: &Arc<sts_keyring::DeviceKey>) -> Arc<dyn Signer> {
        let mut keys = self.keys.lock().unwrap();
        let index = keys.iter().position(|made| made.kid() == key.kid()).unwrap();
        let requests = self.requests.clone();
        Arc::new(DeviceKey { key: keys.remove(index), requests, is_gone: Arc::clone(&self.is_gone) })
    }

    fn destroy(&self, _: &Kid) -> Result<(), KeyringError> {
        self.threads.lock().unwrap().push(std::thread::current().id());
        Ok(())
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<(Outcome, Option<String>)>>);

impl EventSink for Events {
    fn record(&self, _: &Actor, _: Act) {}

    fn decision(&self, event: &DecisionEvent, _: &ExchangeTimes) {
        let reason = json!(event).get("reason").and_then(serde_json::Value::as_str).map(str::to_owned);
        self.0.lock().unwrap().push((event.outcome, reason));
    }
}

struct Fixture {
    service: Service,
    store: Arc<EmbeddedLedger>,
    events: Arc<Events>,
    issuer: LocalIssuer,
    keyring: Arc<Keyring>,
    is_gone: Arc<AtomicBool>,
    threads: Arc<Mutex<Vec<ThreadId>>>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// A service, and what the device is asked.
    fn new() -> (Self, mpsc::UnboundedReceiver<Request>) {
        Self::of(CONFIG)
    }

    fn of(config: &str) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (directory, clock, issuer) = (tempfile::tempdir().unwrap(), clock(), issuer());
        let (requests, asked) = mpsc::unbounded_channel();
        let is_gone = Arc::new(AtomicBool::new(false));
        let threads = Arc::default();
        let device =
            Device { keys: Mutex::default(), requests, is_gone: Arc::clone(&is_gone), threads: Arc::clone(&threads) };
        let keys = Arc::new(Directory::open(&directory.path().join("keys")).unwrap());
        let keyring =
            Keyring::open(keyring_spec(), keys, Some(Arc::new(device)), &OsEntropy, clock.now()).map(Arc::new).unwrap();
        let alerts = Arc::new(AlertLog::default());
        let store = EmbeddedLedger::in_memory(Arc::new(TestSeal(1)), Arc::clone(&clock) as _, alerts).unwrap();
        let (store, events) = (Arc::new(store), Arc::new(Events::default()));
        let keys = FakeKeys::of(&issuer, &clock);
        let service = Service::new(ServiceDependencies {
            snapshot: snapshot(directory.path(), &config.replace("REPLAY", ""), keys),
            ledger: Arc::clone(&store) as _,
            keyring: Arc::clone(&keyring),
            clock,
            entropy: Arc::new(OsEntropy),
            refusals: None,
            events: Arc::clone(&events) as _,
        });
        (Self { service, store, events, issuer, keyring, is_gone, threads, _directory: directory }, asked)
    }

    async fn exchange(&self, subject: &str) -> Result<Exchanged, RefusedError> {
        let request_id = self.service.new_request_id();
        let context = RequestContext {
            request_id,
            source: None,
            is_source_known: true,
            arrived: self.service.clock().monotonic(),
        };
        let token = self.issuer.token(&json!({ "sub": subject }));
        let mut pending = self.service.begin_exchange(&context);
        self.service.exchange(&exchange_parameters(&token, &[])?, &mut pending).await
    }

    async fn recorded(&self) -> usize {
        self.store.list(Listing { account: None, after: None, limit: 100 }).await.unwrap().len()
    }
}

/// The device's answer to a request. Nobody verifies the signature here.
fn answer(request: Request) {
    request.answer.send(Ok(vec![1; 64])).unwrap();
}

/// Runs on one worker, so whatever blocks it blocks everything.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_device_holds_up_its_own_exchange_and_no_other() {
    let (fixture, mut device) = Fixture::new();
    let mut slow = pin!(fixture.exchange("job:main"));
    let first = tokio::select! {
        _ = &mut slow => panic!("the device has not answered"),
        request = device.recv() => request.unwrap(),
    };
    // Another task of the worker, such as the answer of a health check.
    assert_eq!(tokio::spawn(async { "live" }).await.unwrap(), "live");
    assert_eq!(fixture.exchange("job:stranger").await.unwrap_err().reason, Reason::NotAuthorized);
    let (quick, ()) = tokio::join!(fixture.exchange("job:main"), async { answer(device.recv().await.unwrap()) });
    quick.unwrap();
    assert_eq!(fixture.recorded().await, 1, "the first exchange has no signature yet");
    answer(first);
    slow.await.unwrap();
    assert_eq!(fixture.recorded().await, 2);
}

/// A device or a disk may take seconds.
#[tokio::test(flavor = "current_thread")]
async fn keys_are_made_and_destroyed_on_threads_that_serve_no_request() {
    let (fixture, _device) = Fixture::new();
    let service = &fixture.service;
    fixture.threads.lock().unwrap().clear();
    let made = service.rotate_keys().await.unwrap().made;
    assert_eq!(made.len(), fixture.threads.lock().unwrap().len());
    let kid = fixture.keyring.keys()[0].kid().clone();
    service.withdraw_key(&service.snapshot(), &kid, None, "test", false).await.unwrap();
    let threads = fixture.threads.lock().unwrap();
    assert!(threads.len() > made.len(), "the key was destroyed");
    assert!(!threads.contains(&std::thread::current().id()), "{threads:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_token_has_the_signature_of_the_device_and_the_name_of_its_published_key() {
    let (fixture, mut device) = Fixture::new();
    let (exchanged, ()) = tokio::join!(fixture.exchange("job:main"), async {
        let Request { message, answer } = device.recv().await.unwrap();
        assert!(message.starts_with(b"ey") && message.iter().filter(|octet| **octet == b'.').count() == 1);
        answer.send(Ok(vec![7; 64])).unwrap();
    });
    let token = exchanged.unwrap().access_token;
    assert!(token.ends_with(&format!(".{}", sts_jose::base64url(&[7; 64]))), "the device's own octets");
    let document: Value = serde_json::from_slice(&fixture.keyring.document()).unwrap();
    let header = sts_jose::decode_base64url(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(document["keys"][0]["kid"], header["kid"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_device_that_fails_is_temporarily_unavailable_and_not_ready_until_it_is_well() {
    let (fixture, mut device) = Fixture::new();
    assert_eq!(fixture.service.check_signing().await, Ok(()));
    let failures: [fn(Request); 2] =
        [|request| request.answer.send(Err(SignError::Failed)).unwrap(), |request| drop(request.answer)];
    for fails in failures {
        let (refused, ()) = tokio::join!(fixture.exchange("job:main"), async { fails(device.recv().await.unwrap()) });
        let refused = refused.unwrap_err();
        assert_eq!(refused.reason, Reason::SignerUnavailable);
        assert!(refused.retry_after.is_some() && refused.text().contains("nothing was minted"), "{refused:?}");
        assert!(fixture.service.can_sign().is_err(), "readiness says so without another request");
        fixture.service.told_of_exchanges().await;
        let told = fixture.events.0.lock().unwrap().last().unwrap().clone();
        assert_eq!(told, (Outcome::Unavailable, Some("signer_unavailable".to_owned())));
        assert_eq!(fixture.recorded().await, 0);
        assert_eq!(fixture.service.check_signing().await, Ok(()));
        assert_eq!(fixture.service.can_sign(), Ok(()));
    }
    // Found out though nobody asks for a token.
    fixture.is_gone.store(true, Ordering::Relaxed);
    assert_eq!(fixture.service.check_signing().await, Err(SignError::Unavailable));
    assert_eq!(fixture.service.can_sign(), Err(SignError::Unavailable));
    // Gone altogether.
    drop(device);
    assert_eq!(fixture.exchange("job:main").await.unwrap_err().reason, Reason::SignerUnavailable);
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_device_that_says_nothing_is_not_waited_for_without_end() {
    let (fixture, mut device) = Fixture::new();
    let refused = fixture.exchange("job:main").await.unwrap_err();
    assert_eq!(refused.reason, Reason::SignerUnavailable);
    assert_eq!(fixture.service.can_sign(), Err(SignError::Unavailable));
    // An answer that comes too late goes nowhere.
    assert!(device.recv().await.unwrap().answer.send(Ok(vec![1; 64])).is_err());
    assert_eq!(fixture.recorded().await, 0);
}

#[tokio::test(flavor = "current_thread")]
async fn an_introspection_answer_that_cannot_be_signed_says_nothing_of_the_token() {
    let (fixture, mut device) = Fixture::new();
    let snapshot = fixture.service.snapshot();
    let caller = Caller::Bearer(AccountId::new("reader").unwrap());
    let signing = fixture.service.sign_introspection(&snapshot, &caller, &Introspection::INACTIVE);
    let (refused, ()) = tokio::join!(signing, async { drop(device.recv().await.unwrap()) });
    let refused = refused.unwrap_err();
    assert_eq!(refused.reason, Reason::SignerUnavailable);
    assert!(refused.text().contains("nothing is said of whether the token is active"), "{refused:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_status_list_waits_for_its_device_and_is_published_when_it_signs() {
    let (fixture, mut device) = Fixture::of(&format!("status_list: true\n{CONFIG}"));
    let (exchanged, ()) = tokio::join!(fixture.exchange("job:main"), async { answer(device.recv().await.unwrap()) });
    let token = exchanged.unwrap().access_token;
    // Not earlier: a store that writes has a deadline, which stopped time would jump to.
    tokio::time::pause();
    let payload = sts_jose::decode_base64url(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    let uri = claims["status"]["status_list"]["uri"].as_str().unwrap();
    let name = uri.rsplit_once('/').unwrap().1.to_owned();
    let serve = async {
        // The first signature fails, the next pass asks again.
        drop(device.recv().await.unwrap());
        answer(device.recv().await.unwrap());
        loop {
            match fixture.service.status_list(&name).await {
                Ok(Some(list)) => break list,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let list = tokio::select! {
        () = fixture.service.keep_status_lists() => panic!("it never ends"),
        list = serve => list,
    };
    assert!(list.jwt.ends_with(&sts_jose::base64url(&[1; 64])));
}
