//! The Redis store of an earlier version, and the leftovers of a store whose epoch or mark somebody
//! deleted.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use serde_json::{Value, json};
use sts_store::contract::{START, TestSeal, in_version_1, record, revocation, rule};
use sts_store::{Acceptance, Alert, Fault, Ledger, Place, TokenRecord};
use sts_testkit::RedisServer;
use sts_types::{Jti, Seal as _, UnixTime};
use support::Store;

fn jti(text: &str) -> Jti {
    Jti::new(text).unwrap()
}

/// The stored form in every version: the version octet, the seal over place, key and content, and
/// the content.
fn sealed(place: u8, key: &str, content: &Value) -> Vec<u8> {
    let mut octets = vec![1, place];
    octets.extend((key.len() as u64).to_be_bytes());
    let content = serde_json::to_vec(content).unwrap();
    let code = TestSeal(1).seal(&[&octets, key.as_bytes(), &content]);
    [&[1], code.as_slice(), &content].concat()
}

/// The digest of a text in a key name.
fn digest(kind: u8, text: &str) -> String {
    sts_types::hex(&TestSeal(1).seal(&[&[0, kind], text.as_bytes()])[..16])
}

/// Writes the layout of version 1: its own epoch, unsealed numbers, a list of rules, and records
/// that are sealed for no epoch.
struct Earlier {
    connection: redis::aio::MultiplexedConnection,
    revocations: u64,
}

impl Earlier {
    const EPOCH: &str = "00112233445566778899aabbccddeeff";

    async fn begin(store: &Store) -> Self {
        let client = redis::Client::open(store.server.url()).unwrap();
        let mut earlier = Self { connection: client.get_multiplexed_async_connection().await.unwrap(), revocations: 0 };
        let epoch = json!({ "id": Self::EPOCH, "former": [], "since": START });
        earlier.run(redis::cmd("HSET").arg("sts:{sts}:mark").arg("epoch").arg(sealed(4, "epoch", &epoch))).await;
        earlier.run(redis::cmd("HSET").arg("sts:{sts}:mark").arg("sequence").arg(0)).await;
        earlier
    }

    async fn run(&mut self, command: &redis::Cmd) {
        command.query_async::<redis::Value>(&mut self.connection).await.unwrap();
    }

    async fn issue(&mut self, record: &TokenRecord) {
        let (id, account) = (digest(b't', record.jti.as_str()), digest(b'a', record.account.as_str()));
        let mut content = in_version_1(record);
        content.as_object_mut().unwrap().remove("preceding_rules");
        self.run(redis::cmd("SET").arg(format!("sts:{{sts}}:t:{id}")).arg(sealed(1, &id, &content))).await;
        let millis = record.iat.as_secs() * 1000 + i64::from(record.iat_millis);
        self.run(redis::cmd("ZADD").arg(format!("sts:{{sts}}:a:{account}")).arg(millis).arg(&id)).await;
        self.run(redis::cmd("ZADD").arg("sts:{sts}:all").arg(millis).arg(&id)).await;
        let end = record.exp.as_secs() + 60;
        self.run(redis::cmd("ZADD").arg("sts:{sts}:ends").arg(end).arg(format!("{id}{account}"))).await;
    }

    async fn revoke_token(&mut self, name: &str) {
        let id = digest(b't', name);
        let mut content = serde_json::to_value(revocation(name, "leaked")).unwrap();
        content["before"] = json!(START);
        self.run(redis::cmd("SET").arg(format!("sts:{{sts}}:r:{id}")).arg(sealed(2, &id, &content))).await;
        self.run(redis::cmd("RPUSH").arg("sts:{sts}:revoked").arg(&id)).await;
        self.raise("tokens").await;
    }

    async fn revoke_account(&mut self, account: &str, before: UnixTime) {
        let mut content = serde_json::to_value(rule(account, START.plus(1000))).unwrap();
        content["before"] = json!(before);
        content["before_millis"] = json!(0);
        self.run(redis::cmd("RPUSH").arg("sts:{sts}:rules").arg(sealed(3, "rule", &content))).await;
        self.raise("rules").await;
    }

    async fn raise(&mut self, number: &str) {
        self.revocations += 1;
        self.run(redis::cmd("HINCRBY").arg("sts:{sts}:mark").arg("sequence").arg(1)).await;
        self.run(redis::cmd("HINCRBY").arg("sts:{sts}:mark").arg(number).arg(1)).await;
    }

    /// The watermark of a process of that version.
    fn remember(&self, store: &Store, replica: u8) {
        let mark = json!({ "version": 1, "epoch": Self::EPOCH, "sequence": self.revocations });
        std::fs::write(store.directory.path().join(format!("mark-{replica}.json")), mark.to_string()).unwrap();
    }
}

/// Three tokens: one revoked, one that a rule covers, one that is active.
async fn earlier_store() -> (Store, Earlier) {
    let store = Store::new(RedisServer::start());
    let mut earlier = Earlier::begin(&store).await;
    for name in ["alone", "ruled", "live"] {
        earlier.issue(&record(name, name)).await;
    }
    earlier.revoke_token("alone").await;
    earlier.revoke_account("ruled", START.plus(1)).await;
    (store, earlier)
}

async fn assert_as_revoked(ledger: &dyn Ledger) {
    ledger.ready().await.unwrap();
    assert!(ledger.look_up(jti("alone")).await.unwrap().unwrap().revoked.is_some());
    let rules = ledger.rules().await.unwrap();
    let [rule] = &*rules else { panic!("{rules:?}") };
    assert!(rule.reaches(&ledger.look_up(jti("ruled")).await.unwrap().unwrap().record));
    assert!(ledger.look_up(jti("live")).await.unwrap().unwrap().revoked.is_none());
}

#[tokio::test]
async fn f2_the_store_of_an_earlier_version_is_taken_over_with_all_that_was_revoked() {
    let (store, earlier) = earlier_store().await;
    earlier.remember(&store, 1);
    let first = store.ledger(1);
    assert_as_revoked(&first).await;
    first.revoke(revocation("live", "leaked")).await.unwrap();
    // Processes that knew the store follow, and so do new ones.
    earlier.remember(&store, 2);
    for ledger in [&first, &store.ledger(2), &store.ledger(7)] {
        assert!(ledger.look_up(jti("alone")).await.unwrap().unwrap().revoked.is_some());
        assert!(ledger.look_up(jti("live")).await.unwrap().unwrap().revoked.is_some());
        assert_eq!(ledger.rules().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn f2_the_store_of_an_earlier_version_that_nobody_knows_or_that_is_older_is_not_taken_over_unasked() {
    for is_known in [true, false] {
        let (store, mut earlier) = earlier_store().await;
        if is_known {
            earlier.remember(&store, 1);
            earlier.run(redis::cmd("HSET").arg("sts:{sts}:mark").arg("sequence").arg(1)).await;
        }
        let ledger = store.ledger(1);
        ledger.look_up(jti("live")).await.unwrap_err();
        ledger.ready().await.unwrap_err();
        ledger.issue(record("new", "octo"), vec![]).await.unwrap_err();
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted, "known: {is_known}");
        assert_as_revoked(&ledger).await;
    }
}

#[tokio::test]
async fn f2_an_earlier_mark_is_no_way_around_the_sealed_one() {
    let (store, earlier) = earlier_store().await;
    earlier.remember(&store, 1);
    store.server.order(&["COPY", "sts:{sts}:mark", "earlier"]);
    assert_as_revoked(&store.ledger(1)).await;
    store.server.order(&["COPY", "earlier", "sts:{sts}:mark", "REPLACE"]);
    store.server.order(&["DEL", "sts:{sts}:rules", "sts:{sts}:revocations", "sts:{sts}:revoked"]);
    for ledger in [store.ledger(1), store.ledger(7)] {
        ledger.look_up(jti("alone")).await.unwrap_err();
        ledger.ready().await.unwrap_err();
    }
}

#[tokio::test]
async fn f2_what_is_left_of_a_store_whose_bookkeeping_was_deleted_is_no_part_of_the_next() {
    let store = Store::new(RedisServer::start());
    let known = store.ledger(1);
    for name in ["alone", "ruled"] {
        known.issue(record(name, name), vec![]).await.unwrap();
    }
    known.revoke(revocation("alone", "leaked")).await.unwrap();
    known.revoke(rule("ruled", START.plus(1000))).await.unwrap();
    let records: Vec<String> = store.server.keys().into_iter().filter(|key| key.contains(":t:")).collect();
    for key in store.server.keys().iter().filter(|key| !records.contains(*key)) {
        store.server.order(&["DEL", key]);
    }
    let fresh = store.ledger(7);
    fresh.issue(record("new", "octo"), vec![]).await.unwrap();
    store.alerts.take();
    for name in ["alone", "ruled"] {
        assert_eq!(fresh.look_up(jti(name)).await.unwrap(), None, "{name}");
        assert_eq!(store.alerts.take(), [Alert { place: Place::Record, fault: Fault::Seal }]);
    }
    // Nor do lists that somebody writes again bring them back.
    for key in &records {
        store.server.order(&["ZADD", "sts:{sts}:all", "1", key.rsplit(':').next().unwrap()]);
    }
    assert_eq!(fresh.look_up(jti("alone")).await.unwrap(), None);
    assert!(fresh.look_up(jti("new")).await.unwrap().is_some());
    // A process that knew the store answers nothing at all.
    known.look_up(jti("alone")).await.unwrap_err();
    known.ready().await.unwrap_err();
}
