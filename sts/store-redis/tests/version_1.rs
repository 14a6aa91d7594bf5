//! Stores with records in the format of version 1. `tests/version_1` holds the embedded store's
//! file, and the content of Redis as commands that write it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sts_store::contract::{AlertLog, ManualClock, START, claim, federated, record};
use sts_store::{Entry, Issued, Ledger, Listing, TakenClaim, TokenRecord};
use sts_store_embedded::EmbeddedLedger;
use sts_store_redis::{RedisLedger, RedisParts};
use sts_testkit::RedisServer;
use sts_types::{FederatedProof, Jti, Proof, Seal};
use support::Store;

/// The seal under which they were written. It is the same in every version of Rust, and no
/// cryptography.
struct StableSeal;

impl Seal for StableSeal {
    fn seal(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut code = [0; 32];
        for (at, part) in (0_u64..).zip(code.chunks_mut(8)) {
            let fold = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
            let hash = parts.concat().into_iter().fold(0xcbf2_9ce4_8422_2325 ^ at, fold);
            part.copy_from_slice(&hash.to_be_bytes());
        }
        code
    }

    fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        self.seal(parts) == code
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/version_1").join(name)
}

/// The written records, in today's format.
fn written() -> [TokenRecord; 5] {
    let proof = FederatedProof { subject_kid: None, subject_jti_digest: None, ..federated() };
    let mut bare = TokenRecord { proof: Proof::Federated(proof), status_index: None, ..record("bare", "bare") };
    bare.claims.clear();
    let after = TokenRecord { preceding_rules: Some(1), ..record("after", "ruled") };
    [record("full", "octo"), bare, record("alone", "octo"), record("ruled", "ruled"), after]
}

/// Asserts that everything is there and the store works.
async fn assert_readable(ledger: &dyn Ledger, alerts: &AlertLog) {
    ledger.ready().await.unwrap();
    let rules = ledger.rules().await.unwrap();
    let [rule] = &*rules else { panic!("{rules:?}") };
    let mut listed = ledger.list(Listing { limit: 9, ..Listing::default() }).await.unwrap();
    listed.sort_by(|a, b| a.record.jti.cmp(&b.record.jti));
    assert_eq!(listed.len(), written().len());
    for record in written() {
        let jti = record.jti.clone();
        let entry = ledger.look_up(jti.clone()).await.unwrap();
        assert!(listed.contains(entry.as_ref().unwrap()), "{jti}");
        let Some(Entry { record: read, revoked }) = entry else { panic!("{jti}") };
        assert_eq!(read, record);
        assert_eq!(revoked.is_some(), jti.as_str() == "alone");
        assert_eq!(rule.reaches(&record), jti.as_str() != "after", "{jti}");
    }
    // Claims of that version do not say who took them.
    let taken = claim(1, START.plus(1000));
    let unknown = TakenClaim { key: taken.key, earlier_use: None };
    assert_eq!(ledger.find_claim(taken.key).await.unwrap(), Some(unknown.clone()));
    let again = ledger.issue(record("again", "octo"), vec![taken, claim(2, START.plus(1000))]).await;
    assert_eq!(again.unwrap(), Issued::Replayed(unknown));
    assert_eq!(ledger.issue(record("new", "octo"), vec![claim(2, START.plus(1000))]).await.unwrap(), Issued::Recorded);
    assert!(ledger.look_up(Jti::new("new").unwrap()).await.unwrap().is_some());
    assert_eq!(alerts.take(), []);
}

#[tokio::test]
async fn an_embedded_store_of_version_1_is_read_and_written_on() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["ledger.redb", "ledger.redb.seen"] {
        std::fs::write(directory.path().join(name), std::fs::read(fixture(name)).unwrap()).unwrap();
    }
    let alerts = Arc::new(AlertLog::default());
    let path = directory.path().join("ledger.redb");
    let clock = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(&path, Arc::new(StableSeal), clock, Arc::clone(&alerts) as _).unwrap();
    assert_readable(&ledger, &alerts).await;
}

#[tokio::test]
async fn a_redis_store_of_version_1_is_read_and_written_on() {
    let store = Store::new(RedisServer::start());
    let client = redis::Client::open(store.server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let commands: Vec<Vec<Value>> = serde_json::from_slice(&std::fs::read(fixture("redis.json")).unwrap()).unwrap();
    for command in commands {
        let mut order = redis::Cmd::new();
        for argument in command {
            order.arg(match argument["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => from_hex(argument["hex"].as_str().unwrap()),
            });
        }
        order.query_async::<redis::Value>(&mut connection).await.unwrap();
    }
    let parts = RedisParts { seal: Arc::new(StableSeal), ..store.parts(1, 1) };
    let ledger = RedisLedger::open(store.spec(), parts).unwrap();
    assert_readable(&ledger, &store.alerts).await;
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
