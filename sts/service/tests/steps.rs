//! The order of the steps, and what happens when the ledger or a key source fails: with fakes for both, since neither can be
//! broken on cue from outside.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use sts_audit::{Act, Actor};
use sts_jose::{OsEntropy, SigningKey};
use sts_service::{
    AuthorizationScheme, Caller, DecisionEvent, EventSink, ExchangeTimes, Phase, PhaseTimes, PresentedAccessToken,
    Reason, RefusedError, RequestContext, RevocationRequest, Service, ServiceDependencies, Snapshot, TokenState,
};
use sts_store::{
    Acceptance, EarlierUse, Entry, Issued, Lease, Ledger, LedgerError, LedgerFuture, Listing, ReplayClaim, Revocation,
    RevocationRule, RevocationScope, RuleId, StatusMark, TakenClaim, TokenRecord, Warning,
};
use sts_testkit::{LocalIssuer, ManualClock};
use sts_types::{
    AccountId, Algorithm, ApiKeyId, ApiKeyProof, Clock as _, Digest256, EntryName, FederatedProof, Kid, Proof,
    StatusWindow, UnixTime, rfc,
};
use support::{CONFIG, FakeKeys, ISSUER, NOW, clock, exchange_parameters, issuer, keyring, snapshot};

/// A ledger in memory that can be down, and that tells what it was asked.
#[derive(Default)]
struct FakeLedger {
    down: AtomicBool,
    records: Mutex<HashMap<String, Entry>>,
    claims: Mutex<Vec<(ReplayClaim, EarlierUse)>>,
    rules: Mutex<Arc<[Revocation]>>,
    /// Rules that were ever made.
    made: AtomicU64,
    asked: AtomicU64,
    status: Mutex<StatusMark>,
    era: AtomicU64,
    /// Holds listings back.
    listing_held: AtomicBool,
}

impl FakeLedger {
    fn answer<T: Send + 'static>(&self, work: impl FnOnce() -> T) -> LedgerFuture<'_, T> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let result =
            if self.down.load(Ordering::Relaxed) { Err(LedgerError::Unavailable("down".into())) } else { Ok(work()) };
        async move { result }.boxed()
    }

    fn edit(&self, change: impl Fn(&mut Entry)) {
        self.records.lock().unwrap().values_mut().for_each(change);
    }
}

impl Ledger for FakeLedger {
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        self.answer(move || {
            let mut taken = self.claims.lock().unwrap();
            if let Some((own, used)) = taken.iter().find(|(own, _)| claims.iter().any(|claim| claim.key == own.key)) {
                return Issued::Replayed(TakenClaim { key: own.key, earlier_use: Some(used.clone()) });
            }
            taken.extend(claims.into_iter().map(|claim| (claim, EarlierUse::of(&record))));
            let record = TokenRecord { preceding_rules: Some(self.made.load(Ordering::Relaxed)), ..record };
            self.records.lock().unwrap().insert(record.jti.to_string(), Entry { record, revoked: None });
            Issued::Recorded
        })
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.answer(move || {
            let mut taken = self.claims.lock().unwrap();
            if let Some((own, used)) = taken.iter().find(|(own, _)| own.key == claim.key) {
                return Some(TakenClaim { key: own.key, earlier_use: Some(used.clone()) });
            }
            taken.push((claim, by));
            None
        })
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        self.answer(move || {
            let taken = self.claims.lock().unwrap();
            let (claim, used) = taken.iter().find(|(claim, _)| claim.key == key)?;
            Some(TakenClaim { key: claim.key, earlier_use: Some(used.clone()) })
        })
    }

    fn look_up(&self, jti: sts_types::Jti) -> LedgerFuture<'_, Option<Entry>> {
        self.answer(move || self.records.lock().unwrap().get(jti.as_str()).cloned())
    }

    fn look_up_all(&self, jtis: Vec<sts_types::Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        self.answer(move || {
            let records = self.records.lock().unwrap();
            jtis.iter().map(|jti| records.get(jti.as_str()).cloned()).collect()
        })
    }

    fn revoke(&self, mut revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        self.answer(move || {
            self.status.lock().unwrap().revocations += 1;
            match &revocation.scope {
                RevocationScope::Token(jti) => {
                    self.status.lock().unwrap().tokens += 1;
                    let mut records = self.records.lock().unwrap();
                    records.get_mut(jti.as_str()).unwrap().revoked = Some(revocation.clone());
                }
                RevocationScope::Rule(_) => {
                    let order = self.made.fetch_add(1, Ordering::Relaxed) + 1;
                    (revocation.id, revocation.order) = (format!("{order:032x}").parse().ok(), Some(order));
                    let mut rules = self.rules.lock().unwrap();
                    *rules = rules.iter().cloned().chain([revocation.clone()]).collect();
                }
            }
            revocation
        })
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        self.answer(move || {
            let mut rules = self.rules.lock().unwrap();
            let undone = rules.iter().find(|rule| rule.id.as_ref() == Some(&id)).cloned();
            *rules = rules.iter().filter(|rule| rule.id.as_ref() != Some(&id)).cloned().collect();
            undone
        })
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        self.answer(|| Arc::clone(&self.rules.lock().unwrap()))
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        self.answer(|| self.records.lock().unwrap().values().map(|entry| entry.record.exp).max())
    }

    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        async move {
            while self.listing_held.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let of_account = |entry: &&Entry| listing.account.as_ref().is_none_or(|own| *own == entry.record.account);
            // One page holds all.
            let all = || self.records.lock().unwrap().values().filter(of_account).cloned().collect();
            self.answer(|| if listing.after.is_none() { all() } else { Vec::new() }).await
        }
        .boxed()
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        self.answer(Vec::new)
    }

    fn sweep(&self, _: UnixTime) -> LedgerFuture<'_, usize> {
        self.answer(|| 0)
    }

    fn lease(&self, _: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease> {
        self.answer(move || {
            let mut mark = self.status.lock().unwrap();
            let taken = mark.leased.entry(window).or_default();
            *taken += u64::from(count);
            Lease { first: *taken - u64::from(count), era: self.era.load(Ordering::Relaxed) }
        })
    }

    fn lease_era(&self, _: Option<u8>) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        let is_known = self.status.lock().unwrap().tokens >= seen.tokens;
        let records = self.records.lock().unwrap();
        let revoked = records.values().filter(|entry| entry.revoked.is_some()).map(|entry| entry.record.clone());
        let revoked = is_known.then(|| revoked.collect());
        self.answer(|| revoked)
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        self.answer(|| self.status.lock().unwrap().clone())
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        self.answer(|| Acceptance::NothingToAccept)
    }
}

#[derive(Default)]
struct Events(Mutex<Vec<(Value, PhaseTimes)>>);

impl EventSink for Events {
    fn record(&self, _: &Actor, _: Act) {}

    fn decision(&self, event: &DecisionEvent, times: &ExchangeTimes) {
        self.0.lock().unwrap().push((json!(event), times.phases));
    }
}

struct Fixture {
    service: Service,
    ledger: Arc<FakeLedger>,
    events: Arc<Events>,
    clock: Arc<ManualClock>,
    issuer: LocalIssuer,
    keys: Arc<FakeKeys>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with("", false)
    }

    fn with(replay: &str, keys_unavailable: bool) -> Self {
        Self::of(&CONFIG.replace("REPLAY", replay), keys_unavailable)
    }

    fn of(config: &str, keys_unavailable: bool) -> Self {
        let (directory, clock, issuer) = (tempfile::tempdir().unwrap(), clock(), issuer());
        let ledger = Arc::new(FakeLedger::default());
        let events = Arc::new(Events::default());
        let keys = FakeKeys::of(&issuer, &clock);
        keys.unavailable.store(keys_unavailable, Ordering::Relaxed);
        let service = Service::new(ServiceDependencies {
            snapshot: snapshot(directory.path(), config, Arc::clone(&keys) as _),
            ledger: Arc::clone(&ledger) as _,
            keyring: Arc::new(keyring(directory.path(), clock.now())),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            refusals: None,
            events: Arc::clone(&events) as _,
        });
        Self { service, ledger, events, clock, issuer, keys, _directory: directory }
    }

    fn token(&self, changes: Value) -> String {
        let named = json!({ "jti": "j1" });
        let changes = named.as_object().unwrap().iter().chain(changes.as_object().unwrap());
        self.issuer.token(&changes.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn exchange(&self, token: &str, more: &[(&str, &str)]) -> Result<String, RefusedError> {
        let context = RequestContext {
            request_id: self.service.new_request_id(),
            source: None,
            is_source_known: true,
            arrived: Duration::ZERO,
        };
        let parameters = exchange_parameters(token, more)?;
        let mut pending = self.service.begin_exchange(&context);
        let exchanged = self.service.exchange(&parameters, &mut pending).await;
        drop(pending);
        self.service.told_of_exchanges().await;
        exchanged.map(|exchanged| exchanged.access_token)
    }

    async fn reason(&self, token: &str, more: &[(&str, &str)]) -> Option<Reason> {
        self.exchange(token, more).await.err().map(|refused| refused.reason)
    }

    async fn introspect(&self, token: &str) -> Result<Value, RefusedError> {
        let caller = Caller::Bearer(AccountId::new("introspector").unwrap());
        let answer = self.service.introspect(&self.service.snapshot(), &caller, token).await?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await.unwrap()["active"] == true
    }

    fn last_event(&self) -> Value {
        self.events.0.lock().unwrap().last().unwrap().0.clone()
    }

    /// The phases that the last exchange came to.
    fn last_phases(&self) -> Vec<Phase> {
        let times = self.events.0.lock().unwrap().last().unwrap().1;
        Phase::ALL.into_iter().filter(|phase| times.of(*phase).is_some()).collect()
    }
}

#[tokio::test]
async fn an_exchange_is_measured_up_to_the_phase_that_ended_it() {
    use Phase as P;
    let fixture = Fixture::new();
    let good = fixture.token(json!({}));
    assert_eq!(fixture.reason(&good, &[]).await, None);
    assert_eq!(fixture.last_phases(), P::ALL);
    for (token, came_to) in [
        ("x".to_owned(), &[P::Receive, P::Parse][..]),
        (fixture.token(json!({ "iss": "https://nobody.example" })), &[P::Receive, P::Parse]),
        (fixture.token(json!({ "exp": NOW - 60 })), &[P::Receive, P::Parse, P::Keys, P::Verify]),
        (fixture.token(json!({ "sub": "job:other" })), &[P::Receive, P::Parse, P::Keys, P::Verify, P::Decide]),
    ] {
        assert!(fixture.reason(&token, &[]).await.is_some());
        assert_eq!(fixture.last_phases(), came_to);
    }
    fixture.ledger.down.store(true, Ordering::Relaxed);
    assert_eq!(fixture.reason(&good, &[]).await, Some(Reason::StoreUnavailable));
    assert_eq!(fixture.last_phases(), P::ALL);
}

#[tokio::test]
async fn the_first_failure_names_the_reason() {
    let fixture = Fixture::new();
    let good = fixture.token(json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let tampered = format!("{head}.{}", sts_jose::base64url(&[7; 64]));
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let unknown_key =
        sts_jose::sign_compact(&stranger, "JWT", json!({ "iss": ISSUER }).to_string().as_bytes()).unwrap();
    let access_token = sts_jose::sign_compact(
        fixture.issuer.key(),
        "at+jwt",
        json!({ "iss": "https://nobody.example" }).to_string().as_bytes(),
    )
    .unwrap();
    let scope = [("scope", "no-such-scope"), ("audience", "https://nowhere.example")];
    assert_eq!(signature.len(), 86);

    // Each row is wrong in its own way and in every later one.
    for (token, expected) in [
        ("x".to_owned(), Reason::TokenMalformed),
        (access_token, Reason::TokenTypeRefused),
        (fixture.token(json!({ "iss": "https://nobody.example", "exp": 1 })), Reason::IssuerUnknown),
        (unknown_key, Reason::KeyUnknown),
        (tampered, Reason::SignatureInvalid),
        (fixture.token(json!({ "exp": "never", "nbf": NOW + 9999 })), Reason::TokenMalformed),
        (fixture.token(json!({ "exp": NOW - 60, "aud": "x" })), Reason::TokenExpired),
        (fixture.token(json!({ "nbf": NOW + 61, "aud": "x" })), Reason::TokenNotYetValid),
        (fixture.token(json!({ "exp": NOW + 100_000, "aud": "x" })), Reason::TokenTooOld),
        (fixture.token(json!({ "aud": "https://elsewhere.example", "sub": "job:other" })), Reason::TokenAudience),
        (fixture.token(json!({ "sub": "job:other" })), Reason::NotAuthorized),
        (fixture.token(json!({})), Reason::TargetNotGranted),
    ] {
        assert_eq!(fixture.reason(&token, &scope).await, Some(expected));
        assert_eq!(fixture.last_event()["reason"], expected.name());
    }
    assert_eq!(fixture.reason(&good, &[("scope", "no-such-scope")]).await, Some(Reason::ScopeNotGranted));
    assert_eq!(fixture.reason(&good, &[("audience", "other")]).await, Some(Reason::TargetNotGranted));
    assert_eq!(fixture.ledger.asked.load(Ordering::Relaxed), 0, "a refused exchange never reaches the ledger");
}

#[tokio::test]
async fn c128_c129_nothing_is_answered_when_the_record_is_not_durable() {
    let fixture = Fixture::new();
    fixture.ledger.down.store(true, Ordering::Relaxed);
    let refused = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap_err();
    assert_eq!(refused.reason, Reason::StoreUnavailable);
    assert!(refused.retry_after.is_some());
    let event = fixture.last_event();
    assert_eq!((&event["outcome"], event.get("jti")), (&json!("unavailable"), None));
}

#[tokio::test]
async fn keys_that_cannot_be_looked_up_are_503_and_never_a_verdict() {
    let fixture = Fixture::with("", true);
    let refused = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap_err();
    assert_eq!(refused, RefusedError::for_now(Reason::IssuerUnavailable, Duration::from_secs(7)));
    assert_eq!(fixture.last_event()["issuer_entry"], "ci");
}

#[tokio::test]
async fn c039_c100_a_token_that_comes_again_is_judged_by_the_clock_and_the_keys_of_that_moment() {
    let fixture = Fixture::new();
    let token = fixture.token(json!({}));
    let mut jtis = std::collections::HashSet::new();
    for _ in 0..4 {
        assert_eq!(fixture.reason(&token, &[]).await, None);
        let event = fixture.last_event();
        let told = ["issuer_entry", "subject", "account", "identity", "scope"].map(|name| event[name].clone());
        assert_eq!(told, ["ci", "job:main", "octo", "main", "read write"].map(Value::from));
        assert!(jtis.insert(event["jti"].to_string()), "each time another token is minted");
    }

    let set = |seconds: i64| fixture.clock.set_wall(UnixTime::from_secs(seconds));
    set(NOW + 240 + 60);
    assert_eq!(fixture.reason(&token, &[]).await, Some(Reason::TokenExpired));
    set(NOW - 60 - 61);
    assert_eq!(fixture.reason(&token, &[]).await, Some(Reason::TokenNotYetValid));
    set(NOW);
    assert_eq!(fixture.reason(&token, &[]).await, None);

    fixture.keys.withdrawn.store(true, Ordering::Relaxed);
    assert_eq!(fixture.reason(&token, &[]).await, Some(Reason::KeyUnknown));
    fixture.keys.withdrawn.store(false, Ordering::Relaxed);
    assert_eq!(fixture.reason(&token, &[]).await, None);
}

#[tokio::test]
async fn c015_what_differs_in_one_octet_from_a_token_that_came_before_is_another_token() {
    let fixture = Fixture::new();
    let token = fixture.token(json!({}));
    for _ in 0..3 {
        assert_eq!(fixture.reason(&token, &[]).await, None);
    }
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(bytes).unwrap();
        // Each twice: what was refused is not remembered either.
        for _ in 0..2 {
            assert!(fixture.reason(&other, &[]).await.is_some(), "octet {at}");
        }
    }
    assert_eq!(fixture.reason(&token, &[]).await, None);
}

#[tokio::test]
async fn c057_a_token_that_may_be_used_once_is_used_once_and_not_spent_on_a_typo() {
    let fixture = Fixture::with("replay: once,", false);
    let token = fixture.token(json!({}));
    assert_eq!(fixture.reason(&token, &[("scope", "reed")]).await, Some(Reason::ScopeNotGranted));
    assert!(fixture.exchange(&token, &[]).await.is_ok());
    assert_eq!(fixture.reason(&token, &[]).await, Some(Reason::TokenReplayed));
    assert_eq!(
        fixture.reason(&fixture.token(json!({ "run_id": "43" })), &[]).await,
        Some(Reason::TokenReplayed),
        "by jti"
    );
    assert!(fixture.exchange(&fixture.token(json!({ "jti": "j2" })), &[]).await.is_ok());
    let until: Vec<i64> =
        fixture.ledger.claims.lock().unwrap().iter().map(|(claim, _)| claim.until.as_secs()).collect();
    assert!(until.iter().all(|until| *until > NOW + 240 + 60), "c058: kept beyond exp and leeway");
}

fn of_api_key() -> Proof {
    Proof::ApiKey(ApiKeyProof { id: ApiKeyId::new("0123456789aB").unwrap() })
}

#[tokio::test]
async fn tokens_of_an_api_key_are_revoked_by_its_id_and_a_key_that_nobody_has_is_refused_unless_forced() {
    let fixture = Fixture::new();
    let snapshot = fixture.service.snapshot();
    fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let of = |id: &str, force: bool| RevocationRequest {
        api_key: Some(id.to_owned()),
        force,
        ..RevocationRequest::default()
    };
    let refusal = async |request| fixture.service.revoke(&snapshot, request, "test").await.unwrap_err().to_string();
    assert!(refusal(of("0123456789aB", false)).await.contains("there is no API key `0123456789aB`"));
    // A whole key is not shown again, forced or not.
    for force in [false, true] {
        let text = refusal(of("sts_0123456789aBsecretsecretsecret", force)).await;
        assert!(text.contains("`api_key` is not usable") && !text.contains("secretsecret"), "{text}");
    }
    let forced = fixture.service.revoke(&snapshot, of("0123456789aB", true), "test").await.unwrap();
    assert_eq!(forced.coverage.covered, Some(0), "no token of an ID token is one of a key");
    *fixture.ledger.rules.lock().unwrap() = Arc::from([]);

    fixture.ledger.edit(|entry| entry.record.proof = of_api_key());
    let near = refusal(of("0123456789aC", false)).await;
    assert!(near.contains("did you mean `0123456789aB`?"), "{near}");
    for (request, covered) in [
        (RevocationRequest { account: Some("octo".to_owned()), ..of("0123456789aB", false) }, 1),
        (of("0123456789aB", false), 0),
    ] {
        let revoked = fixture.service.revoke(&snapshot, request, "test").await.unwrap();
        assert_eq!(revoked.coverage.covered, Some(covered), "the second finds nothing left");
    }
}

fn federated_mut(entry: &mut Entry) -> &mut FederatedProof {
    let Proof::Federated(proof) = &mut entry.record.proof else { panic!("not of an ID token") };
    proof
}

#[tokio::test]
async fn in03_a_token_is_active_only_while_everything_agrees() {
    let fixture = Fixture::new();
    let token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    assert!(fixture.is_active(&token).await);

    for change in [
        |entry: &mut Entry| entry.record.token_digest = sts_jose::sha256(b"another token"),
        |entry: &mut Entry| entry.record.account = sts_types::AccountId::new("gone").unwrap(),
        |entry: &mut Entry| federated_mut(entry).identity = sts_types::IdentityName::new("gone").unwrap(),
        |entry: &mut Entry| federated_mut(entry).entry = EntryName::new("gone").unwrap(),
        |entry: &mut Entry| entry.record.kid = Kid::new("another").unwrap(),
        // Nobody knows of such a key, or of such a parent.
        |entry: &mut Entry| entry.record.proof = of_api_key(),
        |entry: &mut Entry| entry.record.proof = entry.record.proof.descendant(entry.record.jti.clone()),
    ] {
        let before = fixture.ledger.records.lock().unwrap().clone();
        fixture.ledger.edit(change);
        assert_eq!(fixture.introspect(&token).await.unwrap(), json!({ "active": false }));
        *fixture.ledger.records.lock().unwrap() = before;
    }
    assert!(fixture.is_active(&token).await);

    fixture.clock.step_wall(900_000);
    assert!(!fixture.is_active(&token).await, "expired to the second");
}

#[tokio::test]
async fn rv04_a_ledger_that_does_not_answer_is_never_read_as_inactive_or_revoked() {
    let fixture = Fixture::new();
    let token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    fixture.ledger.down.store(true, Ordering::Relaxed);
    assert_eq!(fixture.introspect(&token).await.unwrap_err().reason, Reason::StoreUnavailable);
    let snapshot = fixture.service.snapshot();
    assert_eq!(fixture.service.revoke_presented(&snapshot, &token).await.unwrap_err().reason, Reason::StoreUnavailable);
    let presented = PresentedAccessToken { token: &token, scheme: AuthorizationScheme::Bearer };
    let (by, scopes) = (fixture.service.new_request_id(), &[rfc::SCOPE_READ]);
    let bearer = fixture.service.authenticate_token(&snapshot, presented, scopes, &by).await.err().unwrap();
    assert_eq!(bearer.reason, Reason::InvalidToken, "for another audience: known without the ledger");
}

#[tokio::test]
async fn c142_a_clock_that_jumps_mints_nothing_dead_and_ends_nothing_for_good() {
    let fixture = Fixture::new();
    let set = |seconds: i64| fixture.clock.set_wall(UnixTime::from_secs(NOW + seconds));
    let at = |seconds: i64, jti: &str| {
        fixture.token(json!({ "jti": jti, "iat": NOW + seconds - 60, "exp": NOW + seconds + 240 }))
    };
    let first = fixture.exchange(&at(0, "first"), &[]).await.unwrap();
    for jump in [3600, -3600, 7200, i64::from(u32::MAX) - NOW] {
        set(jump);
        // A token of the time before is judged by the time now, whichever way the clock went.
        let stale = if jump > 0 { Reason::TokenExpired } else { Reason::TokenNotYetValid };
        assert_eq!(fixture.reason(&at(0, "stale"), &[]).await, Some(stale), "{jump}");
        let minted = fixture.exchange(&at(jump, "own"), &[]).await.unwrap();
        let payload = sts_jose::decode_base64url(minted.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["iat"], NOW + jump);
        assert!(claims["exp"].as_i64().unwrap() > NOW + jump, "{claims}");
        assert!(fixture.is_active(&minted).await, "{jump}");
        assert_eq!(fixture.is_active(&first).await, jump < 0, "{jump}");
    }
    set(1);
    assert!(fixture.is_active(&first).await);
}

#[tokio::test]
async fn rv02_only_the_whole_token_revokes_it() {
    let fixture = Fixture::new();
    let token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let snapshot = fixture.service.snapshot();
    let asked = fixture.ledger.asked.load(Ordering::Relaxed);
    let (head, _) = token.rsplit_once('.').unwrap();
    for other in ["x", &format!("{head}.{}", sts_jose::base64url(&[1; 64])), &fixture.token(json!({}))] {
        fixture.service.revoke_presented(&snapshot, other).await.unwrap();
    }
    assert_eq!(fixture.ledger.asked.load(Ordering::Relaxed), asked, "nothing is read before the signature is verified");
    assert!(fixture.is_active(&token).await);
    fixture.service.revoke_presented(&snapshot, &token).await.unwrap();
    assert!(!fixture.is_active(&token).await);
}

#[tokio::test]
async fn a_rule_covers_what_all_its_fields_fit_and_nothing_issued_later() {
    let fixture = Fixture::new();
    let token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let record = fixture.ledger.records.lock().unwrap().values().next().unwrap().record.clone();
    let subject_kid = record.proof.federated().unwrap().subject_kid.as_ref().map(ToString::to_string);
    let rule = RevocationRule::default;
    let text = |text: &str| Some(text.to_owned());
    let claim = |pattern: &str| [("run_id".to_owned(), pattern.to_owned())].into();
    for (rule, before, active) in [
        (RevocationRule { account: text("octo"), ..rule() }, NOW + 1, false),
        (RevocationRule { account: text("octo"), ..rule() }, NOW, true),
        (RevocationRule { account: text("other"), ..rule() }, NOW + 1, true),
        (RevocationRule { identity: text("main"), issuer: text("ci"), ..rule() }, NOW + 1, false),
        (RevocationRule { identity: text("main"), issuer: text("cd"), ..rule() }, NOW + 1, true),
        (RevocationRule { subject: text("job:*"), ..rule() }, NOW + 1, false),
        (RevocationRule { subject: text("*"), ..rule() }, NOW + 1, true),
        (RevocationRule { issuer_kid: subject_kid.clone(), ..rule() }, NOW + 1, false),
        (RevocationRule { kid: text(record.kid.as_str()), ..rule() }, NOW + 1, false),
        (RevocationRule { kid: subject_kid.clone(), ..rule() }, NOW + 1, true),
        (RevocationRule { generation: text(&record.generation), ..rule() }, NOW + 1, false),
        (RevocationRule { claim: claim("4?"), ..rule() }, NOW + 1, false),
        (RevocationRule { claim: claim("5?"), ..rule() }, NOW + 1, true),
        (RevocationRule { subject: text("\\broken"), ..rule() }, NOW + 1, false),
    ] {
        let shown = format!("{rule:?} before {before}");
        let revocation = Revocation {
            id: None,
            scope: RevocationScope::Rule(rule),
            before: Some(UnixTime::from_secs(before)),
            before_millis: 0,
            order: None,
            shard_orders: Arc::default(),
            at: UnixTime::from_secs(NOW),
            by: "test".to_owned(),
            reason: None,
            until: UnixTime::from_secs(NOW + 3600),
        };
        *fixture.ledger.rules.lock().unwrap() = [revocation].into();
        assert_eq!(fixture.is_active(&token).await, active, "{shown}");
    }
}

#[tokio::test]
async fn o2_08_an_api_is_known_by_its_name_and_secret() {
    let fixture = Fixture::new();
    let snapshot = fixture.service.snapshot();
    let known = |name: &str, secret: &str| fixture.service.authenticate_api(&snapshot, name, secret).is_some();
    assert!(known("deploy", "secret of deploy"));
    for (name, secret) in
        [("deploy", ""), ("deploy", "secret of deplox"), ("other", "secret of deploy"), ("", ""), ("nobody", "\0")]
    {
        assert!(!known(name, secret), "{name} {secret}");
    }
}

#[tokio::test]
async fn c124_c125_an_event_holds_no_token_and_bounded_text() {
    let fixture = Fixture::new();
    let long = "s".repeat(1000);
    let token = fixture.token(json!({ "sub": long }));
    fixture.reason(&token, &[("audience", "octo")]).await;
    let event = fixture.last_event();
    assert_eq!(event["account"], "octo");
    assert_eq!(event["nearest_identity"], "octo/main");
    assert_eq!(event["failing_condition"]["on"], "subject");
    assert!(event["subject"].as_str().unwrap().len() < 300);
    assert!(event.to_string().len() < 2000);
    let access_token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let events = fixture.events.0.lock().unwrap().iter().map(|(event, _)| event.to_string()).collect::<String>();
    for secret in [&token, &access_token] {
        assert!(secret.split('.').all(|part| !events.contains(part)));
    }
    assert!(fixture.service.denial(event["request_id"].as_str().unwrap()).await.unwrap().is_some());
}

async fn revoke(fixture: &Fixture, request: RevocationRequest) -> Result<Revocation, String> {
    let snapshot = fixture.service.snapshot();
    let revoked = fixture.service.revoke(&snapshot, request, "test").await.map_err(|error| error.to_string())?;
    Ok(revoked.revocation.unwrap())
}

#[tokio::test]
async fn a_rule_without_a_moment_covers_what_was_minted_before_it_and_nothing_after() {
    let fixture = Fixture::new();
    fixture.clock.step_wall(500);
    let before = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let request = RevocationRequest { account: Some("octo".to_owned()), ..RevocationRequest::default() };
    revoke(&fixture, request).await.unwrap();
    assert!(!fixture.is_active(&before).await, "of the very millisecond");
    fixture.clock.step_wall(1);
    let after = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    assert!(fixture.is_active(&after).await, "a millisecond later, in the same second");
    assert!(!fixture.is_active(&before).await);
}

#[tokio::test]
async fn a_rule_outlives_every_token_it_may_cover_though_max_ttl_was_lowered() {
    let fixture = Fixture::new();
    fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let far = UnixTime::from_secs(NOW + 86_400);
    fixture.ledger.edit(|entry| entry.record.exp = far);
    let request = RevocationRequest { issuer: Some("ci".to_owned()), ..RevocationRequest::default() };
    let revocation = revoke(&fixture, request).await.unwrap();
    assert!(revocation.until >= far);
}

#[tokio::test]
async fn all_that_a_revocation_gives_must_match() {
    let fixture = Fixture::new();
    let token = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
    let jti = fixture.ledger.records.lock().unwrap().keys().next().unwrap().clone();
    let text = |text: &str| Some(text.to_owned());
    let none = RevocationRequest::default;
    for (request, wanted) in [
        (none(), "name what to revoke"),
        (RevocationRequest { reason: text("only"), ..none() }, "name what to revoke"),
        (RevocationRequest { subject: text("a\\b"), ..none() }, "subject"),
        (RevocationRequest { jti: text("unknown"), ..none() }, "no live token"),
        (RevocationRequest { jti: text(&jti), account: text("other"), force: true, ..none() }, "does not fit"),
    ] {
        let error = revoke(&fixture, request).await.unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(fixture.is_active(&token).await);
    let claim = [("run_id".to_owned(), "4*".to_owned())].into();
    let request = RevocationRequest { jti: text(&jti), account: text("octo"), claim, ..none() };
    revoke(&fixture, request).await.unwrap();
    assert!(!fixture.is_active(&token).await);
}

#[tokio::test]
async fn a_token_with_a_large_copied_claim_is_introspected_and_revoked_as_any() {
    let fixture = Fixture::new();
    let token = fixture.token(json!({ "run_id": "x".repeat(8000) }));
    let minted = fixture.exchange(&token, &[]).await.unwrap();
    assert!(minted.len() > 10_000);
    assert!(fixture.is_active(&minted).await);
    fixture.service.revoke_presented(&fixture.service.snapshot(), &minted).await.unwrap();
    assert!(!fixture.is_active(&minted).await);
}

fn claims_of(jwt: &str) -> Value {
    let payload = sts_jose::decode_base64url(jwt.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Where the status of a token stands: the list's name, and the place in it.
fn status_of(access: &str) -> (String, usize) {
    let claims = claims_of(access);
    let reference = &claims["status"]["status_list"];
    let name = reference["uri"].as_str().unwrap().strip_prefix("https://sts.example.com/status/").unwrap();
    (name.to_owned(), usize::try_from(reference["idx"].as_u64().unwrap()).unwrap())
}

/// Whether the list says that the token is valid.
///
/// `Err(None)` when there is no such list.
async fn is_valid(fixture: &Fixture, access: &str) -> Result<bool, Option<Reason>> {
    let (name, place) = status_of(access);
    let list = fixture.service.status_list(&name).await.map_err(|refused| Some(refused.reason))?.ok_or(None)?;
    let claims = claims_of(&list.jwt);
    let compressed = sts_jose::decode_base64url(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bits = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&*compressed), &mut bits).unwrap();
    Ok(bits[place / 8] >> (place % 8) & 1 == 0)
}

async fn until_invalid(fixture: &Fixture, access: &str) {
    let mut waited = Duration::ZERO;
    while is_valid(fixture, access).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        waited += Duration::from_millis(100);
        assert!(waited <= Duration::from_secs(6), "longer than a period of the background");
    }
}

#[tokio::test(start_paused = true)]
async fn rv_status_lists_tell_of_everything_that_introspection_tells_of() {
    let listing = format!("status_list: true\n{}", CONFIG.replace("REPLAY", ""));
    let fixture = Fixture::of(&listing, false);
    let work = async {
        let mint = async |jti: &str| fixture.exchange(&fixture.token(json!({ "jti": jti })), &[]).await.unwrap();
        let (revoked, ruled, other) = (mint("a").await, mint("b").await, mint("c").await);
        for access in [&revoked, &ruled, &other] {
            assert_eq!(is_valid(&fixture, access).await, Ok(true));
        }
        assert_ne!(status_of(&revoked), status_of(&ruled));

        fixture.service.revoke_presented(&fixture.service.snapshot(), &revoked).await.unwrap();
        until_invalid(&fixture, &revoked).await;
        assert_eq!(is_valid(&fixture, &ruled).await, Ok(true));

        // As another process records it: this one is told nothing.
        let now = fixture.clock.now().plus(1);
        let rule = RevocationRule { account: Some("octo".to_owned()), ..RevocationRule::default() };
        let by_rule = Revocation {
            id: None,
            scope: RevocationScope::Rule(rule),
            before: Some(now),
            before_millis: 0,
            order: None,
            shard_orders: Arc::default(),
            at: now,
            by: "other".to_owned(),
            reason: None,
            until: now.plus(3600),
        };
        fixture.ledger.revoke(by_rule).await.unwrap();
        until_invalid(&fixture, &ruled).await;
        *fixture.ledger.rules.lock().unwrap() = Arc::default();
        fixture.ledger.status.lock().unwrap().revocations += 1;

        // The identity is gone from the configuration.
        let keys = Arc::clone(&fixture.keys);
        let gone = listing.replace("name: main", "name: renamed");
        drop(fixture.service.swap(snapshot(fixture._directory.path(), &gone, keys as _)));
        until_invalid(&fixture, &other).await;

        // What cannot be brought up to date is served while it may be relied on, and then no more.
        fixture.ledger.down.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
        fixture.clock.step_wall(100_000);
        assert_eq!(is_valid(&fixture, &other).await, Ok(false));
        fixture.clock.step_wall(250_000);
        assert_eq!(is_valid(&fixture, &other).await, Err(Some(Reason::StoreUnavailable)));
        fixture.ledger.down.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(is_valid(&fixture, &other).await, Ok(false));

        // There are no lists but those that tokens point to, and those end with their tokens.
        let (name, _) = status_of(&other);
        for unknown in [name.replace("-0", "-1"), name.replace("-0", "-00"), "x".to_owned(), "1-0".to_owned()] {
            assert!(fixture.service.status_list(&unknown).await.unwrap().is_none(), "{unknown}");
        }
        fixture.clock.step_wall(3_700_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(is_valid(&fixture, &other).await, Err(None));
    };
    tokio::select! {
        () = fixture.service.keep_status_lists() => unreachable!(),
        () = work => {}
    }
}

/// Runs `work` beside the background of the status lists of a fixture that has them.
async fn beside_status_lists(work: impl AsyncFnOnce(&Fixture)) {
    let fixture = Fixture::of(&format!("status_list: true\n{}", CONFIG.replace("REPLAY", "")), false);
    tokio::select! {
        () = fixture.service.keep_status_lists() => unreachable!(),
        () = work(&fixture) => {}
    }
}

/// A rule over the tokens of `octo` (by `account`), or of its identity, that were minted before `before`; as another process makes it.
fn made_elsewhere(before: UnixTime, by_account: bool) -> Revocation {
    let rule = if by_account {
        RevocationRule { account: Some("octo".to_owned()), ..RevocationRule::default() }
    } else {
        RevocationRule { identity: Some("main".to_owned()), ..RevocationRule::default() }
    };
    Revocation {
        id: None,
        scope: RevocationScope::Rule(rule),
        before: Some(before),
        before_millis: 0,
        order: None,
        shard_orders: Arc::default(),
        at: before,
        by: "other".to_owned(),
        reason: None,
        until: before.plus(3600),
    }
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_key_of_ours_that_is_withdrawn_are_in_the_lists_and_no_list_is_signed_without_need() {
    beside_status_lists(async |fixture| {
        let (service, directory) = (&fixture.service, fixture._directory.path());
        let minted = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
        let jti = claims_of(&minted)["jti"].as_str().unwrap().to_owned();
        let state = async || {
            let shown = service.show_token(&service.snapshot(), sts_types::Jti::new(&jti).unwrap()).await;
            shown.unwrap().unwrap().state
        };
        assert_eq!(is_valid(fixture, &minted).await, Ok(true));
        let (name, _) = status_of(&minted);
        let signed = async || service.status_list(&name).await.unwrap().unwrap().etag.clone();
        let first = signed().await;

        // Other rules, under which the token stands as before, and a new key beside the old one.
        let other = format!("status_list: true\n# other\n{}", CONFIG.replace("REPLAY", ""));
        let before = service.snapshot().generation.clone();
        drop(service.swap(snapshot(directory, &other, Arc::clone(&fixture.keys) as _)));
        assert_ne!(service.snapshot().generation, before);
        let old = service.keyring().keys()[0].kid().clone();
        service.keyring().rotate(fixture.clock.now()).unwrap();
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(signed().await, first, "the same bits need no other signature");
        assert_eq!((is_valid(fixture, &minted).await, state().await), (Ok(true), TokenState::Active));

        std::fs::remove_file(directory.join(format!("keys/es256-{old}.json"))).unwrap();
        assert!(service.keyring().reread().unwrap());
        assert!(!fixture.is_active(&minted).await);
        assert_eq!(state().await, TokenState::Inactive);
        until_invalid(fixture, &minted).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_look_at_all_records_that_takes_long_holds_up_neither_new_lists_nor_single_revocations() {
    beside_status_lists(async |fixture| {
        let mint = async |jti: &str| fixture.exchange(&fixture.token(json!({ "jti": jti })), &[]).await.unwrap();
        let (revoked, elsewhere, ruled) = (mint("a").await, mint("b").await, mint("c").await);
        assert_eq!(is_valid(fixture, &revoked).await, Ok(true));

        fixture.ledger.listing_held.store(true, Ordering::Relaxed);
        let now = fixture.clock.now();
        fixture.ledger.revoke(made_elsewhere(now.plus(1), false)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(is_valid(fixture, &ruled).await, Ok(true), "nobody has looked yet");
        fixture.service.revoke_presented(&fixture.service.snapshot(), &revoked).await.unwrap();
        until_invalid(fixture, &revoked).await;
        let jti = claims_of(&elsewhere)["jti"].as_str().unwrap().to_owned();
        let alone = Revocation {
            scope: RevocationScope::Token(sts_types::Jti::new(&jti).unwrap()),
            ..made_elsewhere(now, false)
        };
        fixture.ledger.revoke(alone).await.unwrap();
        until_invalid(fixture, &elsewhere).await;
        // Another hour, another list.
        let another = StatusWindow::of(now.plus(7200));
        fixture.ledger.lease(None, another, 1).await.unwrap();
        assert!(fixture.service.status_list(&format!("{}-0", another.number())).await.unwrap().is_some());

        fixture.ledger.listing_held.store(false, Ordering::Relaxed);
        until_invalid(fixture, &ruled).await;
        for access in [&revoked, &elsewhere] {
            assert_eq!(is_valid(fixture, access).await, Ok(false));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_decided_on_before_a_rule_and_recorded_after_it_was_looked_at_gets_into_the_list() {
    for by_account in [true, false] {
        beside_status_lists(async |fixture| {
            let mint = async |jti: &str| fixture.exchange(&fixture.token(json!({ "jti": jti })), &[]).await.unwrap();
            let (first, late) = (mint("a").await, mint("b").await);
            assert_eq!(is_valid(fixture, &late).await, Ok(true));
            let jti = claims_of(&late)["jti"].as_str().unwrap().to_owned();
            let record = fixture.ledger.records.lock().unwrap().remove(&jti).unwrap();

            fixture.clock.step_wall(1000);
            fixture.ledger.revoke(made_elsewhere(fixture.clock.now(), by_account)).await.unwrap();
            until_invalid(fixture, &first).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
            fixture.ledger.records.lock().unwrap().insert(jti, record);
            fixture.clock.step_wall(9000);
            until_invalid(fixture, &late).await;
            fixture.clock.step_wall(1000);
            tokio::time::sleep(Duration::from_secs(10)).await;

            // Once all is settled, nobody looks at records again for nothing.
            let looked = fixture.ledger.asked.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(51)).await;
            assert!(fixture.ledger.asked.load(Ordering::Relaxed) - looked <= 2 * 11, "two small questions a round");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn c142_a_clock_that_jumps_ahead_and_back_brings_no_revoked_token_back_to_a_list() {
    beside_status_lists(async |fixture| {
        let access = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
        fixture.service.revoke_presented(&fixture.service.snapshot(), &access).await.unwrap();
        until_invalid(fixture, &access).await;
        fixture.clock.step_wall(86_400_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(is_valid(fixture, &access).await, Err(None), "its tokens are dead");
        fixture.clock.step_wall(-86_400_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(is_valid(fixture, &access).await, Ok(false));
        // No list says that it was made later than it is.
        fixture.clock.step_wall(-30_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let list = fixture.service.status_list(&status_of(&access).0).await.unwrap().unwrap();
        assert!(claims_of(&list.jwt)["iat"].as_i64().unwrap() <= fixture.clock.now().as_secs());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rv04_nothing_is_decided_and_no_list_is_made_before_the_managed_objects_are_read() {
    beside_status_lists(async |fixture| {
        let access = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
        let whole = fixture.service.snapshot();
        let directory = tempfile::tempdir().unwrap();
        let (without_accounts, _) = CONFIG.split_once("service_accounts:").unwrap();
        let file_rules =
            snapshot(directory.path(), &without_accounts.replace("REPLAY", ""), fixture.keys.clone()).rules;
        let lacking = Snapshot { lacks_objects: true, rules: file_rules, ..(*whole).clone() };
        fixture.service.swap(lacking);
        assert!(!fixture.service.can_decide());
        let refused = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::StoreUnavailable);
        assert_eq!(fixture.introspect(&access).await.unwrap_err().reason, Reason::StoreUnavailable);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let listed = is_valid(fixture, &access).await;
        assert_ne!(listed, Ok(false), "the account is not gone, it is not read");
        fixture.service.swap((*whole).clone());
        assert!(fixture.service.can_decide() && fixture.is_active(&access).await);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(is_valid(fixture, &access).await, Ok(true));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_nobody_could_look_up_yet_is_unavailable_and_not_unknown() {
    beside_status_lists(async |fixture| {
        // Held from the start, so that no look at the records can end before the store is down.
        fixture.ledger.listing_held.store(true, Ordering::Relaxed);
        let access = fixture.exchange(&fixture.token(json!({})), &[]).await.unwrap();
        fixture.ledger.down.store(true, Ordering::Relaxed);
        assert_eq!(is_valid(fixture, &access).await, Err(Some(Reason::StoreUnavailable)));
        fixture.ledger.down.store(false, Ordering::Relaxed);
        assert_eq!(
            is_valid(fixture, &access).await,
            Err(Some(Reason::StoreUnavailable)),
            "nobody knows what is revoked"
        );
        fixture.ledger.listing_held.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(is_valid(fixture, &access).await, Ok(true));
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_block_is_not_used_once_the_store_may_have_lost_that_it_was_taken() {
    let fixture = Fixture::of(&format!("status_list: true\n{}", CONFIG.replace("REPLAY", "")), false);
    let token = fixture.token(json!({}));
    let place = async || status_of(&fixture.exchange(&token, &[]).await.unwrap()).1;
    assert!(place().await < 1024);
    // Somebody else takes the next blocks.
    fixture.ledger.status.lock().unwrap().leased.values_mut().for_each(|taken| *taken = 10 * 1024);
    fixture.ledger.era.fetch_add(1, Ordering::Relaxed);
    for _ in 0..10 {
        assert!((10 * 1024..11 * 1024).contains(&place().await));
    }
}

#[tokio::test]
async fn exchanges_at_once_get_an_index_each_and_wait_for_the_store_once() {
    let fixture = Fixture::of(&format!("status_list: true\n{}", CONFIG.replace("REPLAY", "")), false);
    let token = fixture.token(json!({}));
    fixture.exchange(&token, &[]).await.unwrap();
    let asked = fixture.ledger.asked.load(Ordering::Relaxed);
    let minted = futures_util::future::join_all((0..100).map(|_| fixture.exchange(&token, &[]))).await;
    assert_eq!(fixture.ledger.asked.load(Ordering::Relaxed) - asked, 100, "one store call for each");
    let mut places: Vec<_> = minted.into_iter().map(|access| status_of(&access.unwrap())).collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 100);
}

#[tokio::test]
async fn no_token_is_minted_without_an_index_and_no_index_is_given_twice() {
    let fixture = Fixture::of(&format!("status_list: true\n{}", CONFIG.replace("REPLAY", "")), false);
    fixture.ledger.down.store(true, Ordering::Relaxed);
    assert_eq!(fixture.reason(&fixture.token(json!({})), &[]).await, Some(Reason::StoreUnavailable));
    fixture.ledger.down.store(false, Ordering::Relaxed);
    let token = fixture.token(json!({}));
    let mut places = Vec::new();
    // More than a block.
    for _ in 0..1500 {
        places.push(status_of(&fixture.exchange(&token, &[]).await.unwrap()));
    }
    assert!(!places.is_sorted(), "the order of minting is not told");
    let count = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), count);
}
