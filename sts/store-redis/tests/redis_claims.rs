//! Claims without a record in Redis, which servers race for, which somebody deletes, and which a broken
//! Redis must not give away. And how many round trips a call takes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use sts_store::contract::{START, claim, record, replayed, revocation};
use sts_store::{Alert, EarlierUse, Fault, Issued, Ledger, LedgerError, Place, TakenClaim};
use sts_store_redis::{RedisLedger, Topology};
use sts_testkit::RedisServer;
use support::{Store, eventually, jti, node, refusal, saved, spec};

/// The outcome for the request that `name` stands for.
async fn take(ledger: &RedisLedger, number: u8, name: &str) -> Result<Option<TakenClaim>, LedgerError> {
    ledger.take_claim(claim(number, START.plus(400)), EarlierUse::of(&record(name, "octo"))).await
}

fn already_taken(number: u8) -> Option<TakenClaim> {
    let Issued::Replayed(taken) = replayed(number) else { panic!() };
    Some(taken)
}

#[tokio::test]
async fn dp02_of_many_who_take_one_claim_at_two_servers_exactly_one_has_it() {
    let store = Store::new(RedisServer::start());
    let ledgers = [store.ledger(1), store.ledger(2)];
    for ledger in &ledgers {
        ledger.ready().await.unwrap();
    }
    for number in 1..=20 {
        let attempts = (0..20).map(|at| take(&ledgers[at % 2], number, "a"));
        let outcomes = futures_util::future::try_join_all(attempts).await.unwrap();
        let first: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_none()).collect();
        assert_eq!(first.len(), 1, "{outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == already_taken(number)).count(), 19);
    }
}

#[tokio::test]
async fn f2_dp02_a_claim_without_a_record_that_was_deleted_in_redis_stays_taken_where_it_was_seen() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    assert_eq!(take(&one, 1, "a").await.unwrap(), None);
    assert_eq!(take(&two, 1, "b").await.unwrap(), already_taken(1));
    for ledger in [&one, &two, &one] {
        let key = store.server.keys().into_iter().find(|key| key.contains(":c:")).unwrap();
        store.server.order(&["DEL", &key]);
        store.alerts.take();
        assert_eq!(take(ledger, 1, "c").await.unwrap(), already_taken(1));
        assert_eq!(store.alerts.take(), [Alert { place: Place::Claim, fault: Fault::Missing }]);
        assert!(store.server.keys().contains(&key), "it is taken again");
    }
    // So a server that has not seen it knows it, too.
    assert_eq!(take(&store.ledger(3), 1, "d").await.unwrap(), already_taken(1));
    // Another type in its place leaves it taken.
    let key = store.server.keys().into_iter().find(|key| key.contains(":c:")).unwrap();
    store.server.order(&["DEL", &key]);
    store.server.command(&["LPUSH", &key, "x"]);
    let unknown = TakenClaim { key: claim(1, START).key, earlier_use: None };
    assert_eq!(take(&store.ledger(4), 1, "e").await.unwrap(), Some(unknown));
}

#[tokio::test]
async fn dp02_a_redis_that_cannot_tell_whether_a_claim_was_taken_is_an_error_by_name_and_takes_nothing() {
    let mut store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    saved(&store, 1, 1).await;
    let claims = |store: &Store| store.server.keys().into_iter().filter(|key| key.contains(":c:")).count();
    for (setting, error) in [("maxmemory", "(OOM)"), ("min-replicas-to-write", "(NOREPLICAS)")] {
        store.server.order(&["CONFIG", "SET", setting, "1"]);
        assert!(refusal(take(&ledger, 1, "a").await).contains(error));
        store.server.order(&["CONFIG", "SET", setting, "0"]);
    }
    assert_eq!(claims(&store), 0);
    // Without the mark, this is another Redis. It has not seen the claim, and is not asked.
    store.server.order(&["RENAME", "sts:{sts}:mark", "kept"]);
    let refused = refusal(take(&ledger, 1, "a").await);
    assert!(refused.contains("sts store accept-epoch"), "{refused}");
    assert_eq!(claims(&store), 0, "what it wrote is taken back");
    store.server.order(&["RENAME", "kept", "sts:{sts}:mark"]);
    eventually(&store, "a trusted store", async || ledger.ready().await).await;
    assert_eq!(take(&ledger, 1, "a").await.unwrap(), None);
    store.server.kill();
    assert!(!refusal(take(&ledger, 2, "a").await).is_empty());
    store.server.restart();
}

#[tokio::test]
async fn a_claim_is_taken_and_several_records_are_looked_up_in_one_round_trip_each() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    for name in ["a", "b", "c"] {
        ledger.issue(record(name, "octo"), vec![]).await.unwrap();
    }
    let client = RoundTrips::to(store.server.port()).await;
    let counted = store.ledger_by(2, spec(Topology::Single(node(client.port))));
    counted.ready().await.unwrap();
    assert_eq!(client.during(async || drop(take(&counted, 1, "a").await.unwrap())).await, 1);
    assert_eq!(client.during(async || drop(take(&counted, 1, "b").await.unwrap())).await, 1);
    let jtis = ["a", "b", "c", "nothing"].map(jti).to_vec();
    assert_eq!(client.during(async || drop(counted.look_up_all(jtis.clone()).await.unwrap())).await, 1);
    let each = async || {
        for jti in &jtis {
            counted.look_up(jti.clone()).await.unwrap();
        }
    };
    assert_eq!(client.during(each).await, 4, "this is how it counts");
}

/// A way to a Redis that counts what is sent through it. A batch of ours is sent at once.
struct RoundTrips {
    port: u16,
    sent: Arc<AtomicUsize>,
}

impl RoundTrips {
    async fn to(server: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, sent) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (mut requests, mut replies) = from.into_split();
                let (mut answers, mut asked) = to.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut replies).await });
                let sent = Arc::clone(&counted);
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(length @ 1..) = requests.read(&mut buffer).await {
                        sent.fetch_add(1, Ordering::SeqCst);
                        asked.write_all(buffer.get(..length).unwrap()).await.unwrap();
                    }
                });
            }
        });
        Self { port, sent }
    }

    async fn during(&self, work: impl AsyncFnOnce()) -> usize {
        let before = self.sent.load(Ordering::SeqCst);
        work().await;
        self.sent.load(Ordering::SeqCst) - before
    }
}
