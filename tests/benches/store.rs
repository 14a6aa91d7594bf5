//! The embedded store's real write: record, three indexes, seal, group commit and fsync, by so many callers at once; and its reads. The
//! same of the Redis store, on a redis-server on this machine with an append-only file that is synced every second; a look-up there is
//! what an introspection asks, the rules included.
//!
//! `cargo bench -p sts-store-redis --bench store`. The engine was chosen by the same rows in a store of 20,000 records (650 bytes each, 2 cores, ext4 on
//! a virtual disk), in microseconds per record at 1, 32 and 256 callers:
//!
//! | engine, layout | 1 | 32 | 256 | open |
//! |---|---|---|---|---|
//! | redb 4.6, records keyed by jti | 349 | 65 | 40 | < 1 ms |
//! | redb 4.6, records keyed by number (ours) | 442 | 61 | 22 | < 1 ms |
//! | fjall 3.1 | 145 | 17 to 28 | 9 to 19 | 370 to 1,270 ms |
//!
//! fjall writes faster; redb brings 3 crates instead of 43, opens at once, keeps one file in which every page has a checksum, and at
//! 40,000 durable records a second is not what limits an exchange that verifies and signs.

#![expect(clippy::unwrap_used, reason = "a benchmark that fails is to end")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::future::join_all;
use sts_store::contract::{AlertLog, ManualClock, START, TestSeal, object, record};
use sts_store::{Committed, Ledger, ManagedObject, ObjectChange, ObjectKind, ObjectStore, TokenRecord};
use sts_store_embedded::EmbeddedLedger;
use sts_store_redis::{Node, RedisLedger, RedisParts, RedisSpec, ShardCount, Topology};
use sts_testkit::RedisServer;
use sts_types::{Jti, Seal};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Records that are there before anything is measured.
const STOCK: u64 = 20_000;
/// Managed objects that are there before a change is measured.
const OBJECTS: u64 = 100_000;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 32, 256], sample_count = 50)]
fn issue(bencher: Bencher<'_, '_>, callers: u64) {
    let store = Store::<EmbeddedLedger>::stocked();
    bencher.counter(ItemsCount::new(callers)).bench_local(|| store.issue(callers));
}

#[divan::bench(sample_count = 1000)]
fn look_up(bencher: Bencher<'_, '_>) {
    let store = Store::<EmbeddedLedger>::stocked();
    bencher.counter(ItemsCount::new(1_u64)).bench_local(|| store.look_up(1));
}

#[divan::bench(args = [1, 32, 256], sample_count = 50)]
fn redis_issue(bencher: Bencher<'_, '_>, callers: u64) {
    let store = Store::<RedisLedger>::stocked();
    bencher.counter(ItemsCount::new(callers)).bench_local(|| store.issue(callers));
}

#[divan::bench(args = [1, 32, 256], sample_count = 200)]
fn redis_look_up(bencher: Bencher<'_, '_>, callers: u64) {
    let store = Store::<RedisLedger>::stocked();
    bencher.counter(ItemsCount::new(callers)).bench_local(|| store.look_up(callers));
}

#[divan::bench(sample_count = 5)]
fn sweep(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(STOCK)).with_inputs(Store::<EmbeddedLedger>::stocked).bench_local_values(|store| {
        assert!(store.runtime.block_on(store.ledger.sweep(START.plus(2000))).is_ok());
        store
    });
}

#[divan::bench(sample_count = 20)]
fn open(bencher: Bencher<'_, '_>) {
    let Store { directory, ledger, .. } = Store::<EmbeddedLedger>::stocked();
    drop(ledger);
    bencher.bench_local(|| drop(open_in(&directory)));
}

/// One change among [`OBJECTS`] objects.
#[divan::bench(sample_count = 200)]
fn commit_object(bencher: Bencher<'_, '_>) {
    let Store { ledger, runtime, directory: _directory, .. } = Store::with_objects();
    let mut at = runtime.block_on(ledger.objects()).unwrap().sequence;
    bencher.bench_local(|| {
        let committed = runtime.block_on(ledger.commit(at, vec![account(at % OBJECTS)])).unwrap();
        at += 1;
        assert_eq!(committed, Committed::Done(at));
    });
}

/// An exchange's record among [`OBJECTS`] objects, while nobody changes any.
#[divan::bench(sample_count = 200)]
fn issue_beside_objects(bencher: Bencher<'_, '_>) {
    let store = Store::with_objects();
    bencher.bench_local(|| store.issue(1));
}

#[divan::bench(sample_count = 1000)]
fn no_changed_object(bencher: Bencher<'_, '_>) {
    let Store { ledger, runtime, directory: _directory, .. } = Store::with_objects();
    let at = runtime.block_on(ledger.objects()).unwrap().sequence;
    bencher.bench_local(|| assert!(runtime.block_on(ledger.changes_since(at)).unwrap().unwrap().changes.is_empty()));
}

#[divan::bench(sample_count = 5)]
fn all_objects(bencher: Bencher<'_, '_>) {
    let Store { ledger, runtime, directory: _directory, .. } = Store::with_objects();
    bencher.bench_local(|| runtime.block_on(ledger.objects()).unwrap());
}

#[divan::bench(sample_count = 5)]
fn open_with_objects(bencher: Bencher<'_, '_>) {
    let Store { directory, ledger, .. } = Store::with_objects();
    drop(ledger);
    bencher.bench_local(|| drop(open_in(&directory)));
}

/// A service account of about 700 bytes.
fn account(number: u64) -> ObjectChange {
    let identity = serde_json::json!({
        "name": "main branch", "issuer": "github", "subject": format!("repo:octo-org/repo-{number}:ref:refs/heads/main"),
        "conditions": { "repository_id": number.to_string(), "event_name": ["push", "workflow_dispatch"] },
        "grants": [{ "api": "deploy", "scopes": ["deployments:create", "releases:read"] }],
    });
    let account = object(ObjectKind::ServiceAccounts, &format!("account-{number}"), "");
    let spec = serde_json::json!({ "display_name": format!("Deployment {number}"), "identities": [identity] });
    ObjectChange::Put(ManagedObject { spec, ..account })
}

/// A ledger that holds [`STOCK`] records.
struct Store<L> {
    ledger: L,
    runtime: Runtime,
    issued: AtomicU64,
    asked: AtomicU64,
    directory: TempDir,
    /// Where the ledger is, when it is elsewhere.
    _redis: Option<RedisServer>,
}

impl Store<EmbeddedLedger> {
    fn stocked() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ledger = open_in(&directory);
        Self { ledger, runtime, issued: AtomicU64::new(0), asked: AtomicU64::new(0), directory, _redis: None }.filled()
    }
}

impl Store<EmbeddedLedger> {
    /// A store of [`OBJECTS`] accounts.
    fn with_objects() -> Self {
        let store = Self::stocked();
        let changes = (0..OBJECTS).map(account).collect();
        assert_eq!(store.runtime.block_on(store.ledger.commit(0, changes)).unwrap(), Committed::Done(1));
        store
    }
}

impl Store<RedisLedger> {
    fn stocked() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let redis = RedisServer::with("appendonly yes\n");
        let spec = RedisSpec {
            topology: Topology::Single(Node { host: "127.0.0.1".to_owned(), port: redis.port() }),
            database: 0,
            tls: None,
            username: None,
            password_file: None,
            prefix: "sts:".to_owned(),
            timeout: Duration::from_secs(20),
            wait_replicas: 0,
            shards: ShardCount::ONE,
        };
        let parts = RedisParts {
            seal: Arc::new(TestSeal(1)),
            clock: Arc::new(ManualClock::default()),
            entropy: Arc::new(Zeros),
            alerts: Arc::new(AlertLog::default()),
            runtime: runtime.handle().clone(),
            watermark: directory.path().join("mark.json"),
        };
        let ledger = RedisLedger::open(spec, parts).unwrap();
        Self { ledger, runtime, issued: AtomicU64::new(0), asked: AtomicU64::new(0), directory, _redis: Some(redis) }
            .filled()
    }
}

struct Zeros;

impl sts_types::Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

impl<L: Ledger> Store<L> {
    fn filled(self) -> Self {
        let store = self;
        while store.issued.load(Ordering::Relaxed) < STOCK {
            store.issue(2000);
        }
        store
    }

    fn look_up(&self, callers: u64) {
        let first = self.asked.fetch_add(callers, Ordering::Relaxed);
        let look_ups = (first..first + callers).map(|number| {
            let jti = Jti::new(&jti(number * 7919 % STOCK)).unwrap();
            self.ledger.look_up_with_rules(vec![jti])
        });
        let found = self.runtime.block_on(join_all(look_ups));
        assert!(found.iter().all(|found| found.as_ref().is_ok_and(|(entries, _)| entries.iter().all(Option::is_some))));
    }

    fn issue(&self, callers: u64) {
        let first = self.issued.fetch_add(callers, Ordering::Relaxed);
        let issues = (first..first + callers).map(|number| {
            let record =
                TokenRecord { exp: START.plus(900), ..record(&jti(number), &format!("account-{}", number % 100)) };
            self.ledger.issue(record, vec![])
        });
        let issued = self.runtime.block_on(join_all(issues));
        assert!(issued.iter().all(Result::is_ok));
    }
}

fn open_in(directory: &TempDir) -> EmbeddedLedger {
    let path = directory.path().join("ledger.redb");
    let clock = Arc::new(ManualClock::default());
    EmbeddedLedger::open(&path, Arc::new(TestSeal(1)), clock, Arc::new(AlertLog::default())).unwrap()
}

/// As random as ours, and the same in every run.
fn jti(number: u64) -> String {
    let code = TestSeal(0).seal(&[&number.to_be_bytes()]);
    code.iter().take(11).map(|byte| format!("{byte:02x}")).collect()
}
