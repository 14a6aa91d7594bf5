//! The Redis store when Redis is away, silent, flushed, rolled back, tampered with, or moved.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use sts_store::contract::{START, assert_all_attacks, claim, record, replayed, revocation, rule};
use sts_store::{Acceptance, Alert, Entry, Fault, Issued, Ledger, LedgerError, Listing, Place, StatusMark, TakenClaim};
use sts_store_redis::{RedisLedger, RedisSpec, Topology};
use sts_testkit::{RedisCluster, RedisPair, RedisReply, RedisServer};
use sts_types::StatusWindow;
use support::{Store, eventually, jti, node, refusal, saved, spec};

#[tokio::test]
async fn c127_redis_away_at_the_start_is_refused_by_name_and_found_when_it_comes() {
    let mut store = Store::new(RedisServer::start());
    store.server.kill();
    let ledger = store.ledger(0);
    assert!(refusal(ledger.issue(record("a", "octo"), vec![]).await).contains("no connection to Redis"));
    assert!(refusal(ledger.look_up(jti("a")).await).contains("no connection"));
    assert!(refusal(ledger.ready().await).contains("no connection"));
    for _ in 0..5 {
        refusal(ledger.rules().await);
    }
    assert!(refusal(ledger.rules().await).contains("several times in a row"), "the breaker is open");
    store.server.restart();
    let issued = eventually(&store, "an issue", async || ledger.issue(record("b", "octo"), vec![]).await).await;
    assert_eq!(issued, Issued::Recorded);
    eventually(&store, "readiness", async || ledger.ready().await).await;
}

#[tokio::test]
async fn c129_a_redis_that_is_silent_meets_a_deadline_and_is_heard_again() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger_by(0, RedisSpec { timeout: Duration::from_millis(300), ..store.spec() });
    eventually(&store, "an issue", async || ledger.issue(record("a", "octo"), vec![]).await).await;
    store.server.signal("STOP");
    for _ in 0..3 {
        assert!(refusal(ledger.look_up(jti("a")).await).contains("did not answer within 300 ms"));
    }
    store.server.signal("CONT");
    let found = eventually(&store, "a look-up", async || ledger.look_up(jti("a")).await).await;
    assert!(found.is_some());
}

#[tokio::test]
async fn c129_redis_is_found_again_though_whoever_asks_never_waits_for_the_answer() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger_by(0, RedisSpec { timeout: Duration::from_millis(100), ..store.spec() });
    eventually(&store, "an issue", async || ledger.issue(record("a", "octo"), vec![]).await).await;
    store.server.signal("STOP");
    for _ in 0..8 {
        refusal(ledger.rules().await);
    }
    store.server.signal("CONT");
    let is_open = || ledger.rules().now_or_never().is_some_and(|answer| answer.is_err());
    for _ in 0..600 {
        // Asked once, and given up: the only call that passes per pause is among these.
        if !is_open() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if ledger.rules().await.is_ok() {
                return;
            }
        }
        store.clock.advance(3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never found again");
}

/// A way to the port that `leads_to` has whenever somebody comes. It lets so many through and
/// leaves the others hanging; how many came.
async fn way(leads_to: Arc<AtomicUsize>, wide: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Ok((mut from, _)) = listener.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) >= wide {
                hanging.push(from);
                continue;
            }
            let server = u16::try_from(leads_to.load(Ordering::SeqCst)).unwrap();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    (port, came)
}

#[tokio::test]
async fn c130_c134_a_name_that_leads_to_another_redis_is_followed_though_the_one_before_still_answers() {
    let store = Store::new(RedisServer::start());
    let leads_to = Arc::new(AtomicUsize::new(store.server.port().into()));
    let (port, _) = way(Arc::clone(&leads_to), usize::MAX).await;
    let ledger = store.ledger_by(0, spec(Topology::Single(node(port))));
    eventually(&store, "an issue", async || ledger.issue(record("a", "octo"), vec![]).await).await;
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    let taken = claim(1, START.plus(600));
    ledger.issue(record("used", "octo"), vec![taken.clone()]).await.unwrap();

    // A copy takes over, and the name leads to it. The old one loses its data and goes on
    // answering.
    let copy = RedisServer::with(&format!("replicaof 127.0.0.1 {}", store.server.port()));
    sts_testkit::until("the copy is whole", || {
        copy.command(&["INFO", "replication"]).text().contains("master_link_status:up")
    });
    copy.order(&["REPLICAOF", "NO", "ONE"]);
    leads_to.store(copy.port().into(), Ordering::SeqCst);
    store.server.order(&["FLUSHALL"]);
    // An undo runs where the write ran: the claim on the copy stays.
    let refused = refusal(ledger.issue(record("b", "octo"), vec![taken.clone()]).await);
    assert!(refused.contains("does not hold the ledger"), "{refused}");
    assert_eq!(store.server.command(&["KEYS", "*"]), RedisReply::List(vec![]), "nothing is left on the one before");
    let again =
        eventually(&store, "a replay", async || ledger.issue(record("again", "octo"), vec![taken.clone()]).await).await;
    assert_eq!(again, replayed(1));
    let issued = eventually(&store, "an issue", async || ledger.issue(record("c", "octo"), vec![]).await).await;
    assert_eq!(issued, Issued::Recorded);
    assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some(), "what was revoked is revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c129_a_worker_whose_own_connection_is_slow_to_come_is_served_over_anothers_meanwhile() {
    let store = Store::new(RedisServer::start());
    let (port, came) = way(Arc::new(AtomicUsize::new(store.server.port().into())), 1).await;
    let spec = RedisSpec { timeout: Duration::from_secs(5), ..spec(Topology::Single(node(port))) };
    let ledger = Arc::new(store.ledger_by(0, spec));
    eventually(&store, "an issue", async || ledger.issue(record("a", "octo"), vec![]).await).await;
    let first = came.load(Ordering::SeqCst);
    // An HTTP worker has its own runtime.
    let worker = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                assert!(ledger.look_up(jti("a")).await.unwrap().is_some());
            }
        });
    });
    tokio::task::spawn_blocking(move || worker.join()).await.unwrap().unwrap();
    let tried = || came.load(Ordering::SeqCst) - first;
    sts_testkit::until("a connection is tried for the worker", || tried() == 1);
}

#[tokio::test]
async fn c131_a_full_a_read_only_and_a_busy_redis_refuse_by_name_and_write_nothing() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(0);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    let taken = claim(1, START.plus(900));
    store.server.order(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(refusal(ledger.issue(record("b", "octo"), vec![taken.clone()]).await).contains("(OOM)"));
    store.server.order(&["CONFIG", "SET", "maxmemory", "0"]);
    store.server.order(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert!(refusal(ledger.issue(record("b", "octo"), vec![taken.clone()]).await).contains("(NOREPLICAS)"));
    assert!(refusal(ledger.revoke(revocation("a", "leaked")).await).contains("(NOREPLICAS)"));
    assert!(refusal(ledger.ready().await).contains("(NOREPLICAS)"));
    assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_none());
    store.server.order(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(ledger.look_up(jti("b")).await.unwrap(), None);
    assert_eq!(
        ledger.issue(record("b", "octo"), vec![taken]).await.unwrap(),
        Issued::Recorded,
        "its claim was not spent"
    );
    store.server.order(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(refusal(ledger.issue(record("c", "octo"), vec![]).await).contains("(READONLY)"));
    // Not on a new connection, either: a replica may be behind.
    store.clock.advance(3);
    assert!(refusal(ledger.look_up(jti("a")).await).contains("(READONLY)"));
    store.server.order(&["REPLICAOF", "NO", "ONE"]);
    eventually(&store, "an issue", async || ledger.issue(record("c", "octo"), vec![]).await).await;
}

#[tokio::test]
async fn c132_a_redis_that_may_evict_keeps_no_ledger_and_a_weak_one_warns() {
    let store = Store::new(RedisServer::with("maxmemory-policy allkeys-lru"));
    let ledger = store.ledger(0);
    let text = refusal(ledger.ready().await);
    assert!(text.contains("allkeys-lru") && text.contains("noeviction"), "{text}");
    assert!(refusal(ledger.issue(record("a", "octo"), vec![]).await).contains("allkeys-lru"));
    assert!(refusal(ledger.look_up(jti("a")).await).contains("allkeys-lru"));
    store.server.order(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    store.clock.advance(3);
    let warnings = ledger.ready().await.unwrap();
    let names: Vec<_> = warnings.iter().map(|warning| warning.name).collect();
    // The clock of the test is far from that of Redis.
    assert_eq!(names, ["no_persistence", "clock_difference", "default_user"]);
    assert_eq!(ledger.issue(record("a", "octo"), vec![]).await.unwrap(), Issued::Recorded);
    store.server.order(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    store.clock.advance(3);
    refusal(ledger.ready().await);
    refusal(ledger.issue(record("b", "octo"), vec![]).await);
}

#[tokio::test]
async fn c134_a_flushed_redis_answers_nothing_until_that_is_accepted_and_every_replica_follows() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    one.issue(record("a", "octo"), vec![]).await.unwrap();
    one.revoke(revocation("a", "leaked")).await.unwrap();
    assert!(two.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(one.accept_epoch().await.unwrap(), Acceptance::NothingToAccept);
    let before = one.status().await.unwrap().revocations;
    store.server.order(&["FLUSHALL"]);
    for ledger in [&one, &two, &store.ledger(1)] {
        let text = refusal(ledger.look_up(jti("a")).await);
        assert!(text.contains("flushed") && text.contains("sts store accept-epoch"), "{text}");
        refusal(ledger.issue(record("b", "octo"), vec![]).await);
        refusal(ledger.rules().await);
        refusal(ledger.revoke(rule("octo", START.plus(1000))).await);
        refusal(ledger.ready().await);
        refusal(ledger.list(Listing { limit: 1, ..Listing::default() }).await);
        refusal(ledger.lease(None, StatusWindow::of(START), 8).await);
        refusal(ledger.status().await);
        refusal(ledger.revoked_since(&StatusMark::default()).await);
    }
    assert_eq!(one.accept_epoch().await.unwrap(), Acceptance::Accepted);
    for ledger in [&one, &two, &store.ledger(1), &store.ledger(2)] {
        store.clock.advance(3);
        assert_eq!(ledger.look_up(jti("a")).await.unwrap(), None);
        ledger.ready().await.unwrap();
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::NothingToAccept);
    }
    let after = two.status().await.unwrap().revocations;
    assert!(before < after, "the number goes on, so that no number stands for two states: {before} {after}");
    assert_eq!(two.issue(record("b", "octo"), vec![]).await.unwrap(), Issued::Recorded);
}

#[tokio::test]
async fn c130_c134_a_redis_with_fewer_revocations_than_were_seen_is_an_older_copy_also_after_a_restart() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(0);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    let mark = "sts:{sts}:mark";
    store.server.order(&["COPY", mark, "older"]);
    ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    store.server.order(&["COPY", mark, "newest"]);
    saved(&store, 0, 2).await;
    // A process that only reads remembers, too.
    let reader = store.ledger(1);
    assert_eq!(reader.rules().await.unwrap().len(), 1);
    saved(&store, 1, 2).await;
    store.server.order(&["COPY", "older", mark, "REPLACE"]);
    for ledger in [&ledger, &reader, &store.ledger(0), &store.ledger(1)] {
        let text = refusal(ledger.look_up(jti("a")).await);
        assert!(text.contains("older copy: its last change is number 1 where number 2 was seen"), "{text}");
        // No attempt moves the number towards the missing one.
        for _ in 0..3 {
            refusal(ledger.revoke(revocation("a", "again")).await);
            refusal(ledger.revoke(rule("octo", START.plus(1000))).await);
        }
    }
    assert_eq!(store.server.command(&["HGET", mark, "sealed"]), store.server.command(&["HGET", "older", "sealed"]));
    // The newer data are back, so nothing was lost.
    store.server.order(&["COPY", "newest", mark, "REPLACE"]);
    for ledger in [&ledger, &reader] {
        assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some());
    }
    // Data from before an acceptance are another ledger.
    store.server.order(&["HDEL", mark, "epoch"]);
    refusal(ledger.look_up(jti("a")).await);
    ledger.accept_epoch().await.unwrap();
    assert!(reader.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some(), "what is there is kept");
    assert_eq!(reader.rules().await.unwrap().len(), 1);
    store.server.order(&["COPY", "newest", mark, "REPLACE"]);
    assert!(refusal(reader.look_up(jti("a")).await).contains("another ledger, or an older copy"));
}

#[tokio::test]
async fn c134_indexes_that_redis_may_have_lost_sight_of_belong_to_an_era_that_is_over() {
    let mut store = Store::new(RedisServer::with("appendonly yes\n"));
    let (one, two, idle) = (store.ledger(1), store.ledger(2), store.ledger(3));
    let window = StatusWindow::of(START);
    let leases = [one.lease(None, window, 8).await.unwrap(), two.lease(None, window, 8).await.unwrap()];
    let idles = idle.lease(None, window, 8).await.unwrap();
    assert_eq!((leases[0].first, leases[1].first, idles.first), (0, 8, 16));
    assert_eq!((leases[0].era, leases[1].era), (one.lease_era(None), two.lease_era(None)));

    // Flushed, and taken as it is at one of them: both count from 0 anew, and neither uses what it
    // had.
    store.server.order(&["FLUSHALL"]);
    refusal(one.look_up(jti("a")).await);
    refusal(two.look_up(jti("a")).await);
    one.accept_epoch().await.unwrap();
    two.look_up(jti("a")).await.unwrap();
    assert_ne!(one.lease_era(None), leases[0].era);
    assert_ne!(two.lease_era(None), leases[1].era);
    // Over its old connection, and without having seen the loss.
    idle.look_up(jti("a")).await.unwrap();
    assert_ne!(idle.lease_era(None), idles.era);
    let again = one.lease(None, window, 8).await.unwrap();
    assert_eq!((again.first, again.era), (0, one.lease_era(None)));

    // A killed Redis may have lost its last writes. A replica that becomes primary may lack them,
    // too.
    store.server.kill();
    store.server.restart();
    eventually(&store, "a lease", async || one.lease(None, window, 8).await).await;
    assert_ne!(one.lease_era(None), again.era);
}

#[tokio::test]
async fn the_tokens_that_another_process_revoked_alone_are_told_and_no_others() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    for name in ["a", "b", "c", "d"] {
        one.issue(record(name, "octo"), vec![]).await.unwrap();
    }
    one.revoke(revocation("a", "leaked")).await.unwrap();
    let told = async |seen: &StatusMark| {
        let records = two.revoked_since(seen).await.unwrap();
        records.map(|records| records.into_iter().map(|record| record.jti.to_string()).collect::<Vec<_>>())
    };
    let seen = two.status().await.unwrap();
    assert_eq!(told(&seen).await, Some(vec![]));
    for name in ["b", "a", "c", "b"] {
        one.revoke(revocation(name, "leaked")).await.unwrap();
    }
    one.revoke(rule("octo", START.plus(1000))).await.unwrap();
    assert_eq!(told(&seen).await.unwrap(), ["b", "c"], "each once, and no rule");
    assert_eq!(told(&StatusMark::default()).await.unwrap(), ["a", "b", "c"]);
    one.sweep(START).await.unwrap();
    assert_eq!(told(&seen).await.unwrap(), ["b", "c"]);

    // Untrusted data give no answer, and then all records must be read.
    let ids = "sts:{sts}:revoked";
    let last = store.server.command(&["LINDEX", ids, "-1"]).text().to_owned();
    for orders in [
        &[&["LSET", ids, "-1", "junk"][..]][..],
        &[&["LSET", ids, "-1", &last], &["LPOP", ids], &["LPOP", ids]],
        &[&["DEL", ids]],
        &[&["RPUSH", ids, &last, &last, &last], &["HSET", "sts:{sts}:mark", "tokens", "20000"]],
        &[&["HDEL", "sts:{sts}:mark", "tokens"]],
    ] {
        orders.iter().for_each(|order| store.server.order(order));
        assert_eq!(told(&seen).await, None, "{orders:?}");
    }
}

#[tokio::test]
async fn c133_a_key_that_holds_something_else_is_a_refusal_and_never_an_answer() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(0);
    let window = StatusWindow::of(START);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.lease(None, window, 8).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    let all = Listing { limit: 9, ..Listing::default() };
    let account = Listing { account: Some(record("a", "octo").account), ..all.clone() };
    let keys: Vec<String> = store.server.keys().into_iter().filter(|key| !key.contains(":t:")).collect();
    for key in keys.iter().filter(|key| !key.contains(":r:")) {
        store.server.order(&["RENAME", key, "aside"]);
        store.server.order(&["SET", key, "junk"]);
        let refusals = match key.rsplit(':').find(|part| part.len() != 32).unwrap() {
            "mark" => vec![
                refusal(ledger.issue(record("b", "octo"), vec![]).await),
                refusal(ledger.look_up(jti("a")).await),
                refusal(ledger.rules().await),
                refusal(ledger.revoke(revocation("a", "leaked")).await),
                refusal(ledger.status().await),
            ],
            "rules" => vec![
                refusal(ledger.revoke(rule("octo", START.plus(1000))).await),
                refusal(store.ledger(1).rules().await),
            ],
            "all" => {
                vec![refusal(ledger.issue(record("b", "octo"), vec![]).await), refusal(ledger.list(all.clone()).await)]
            }
            "ends" => vec![
                refusal(ledger.issue(record("b", "octo"), vec![]).await),
                refusal(ledger.last_end().await),
                refusal(ledger.sweep(START).await),
            ],
            "revocations" => vec![
                refusal(ledger.revoke(revocation("c", "leaked")).await),
                refusal(store.ledger(1).look_up(jti("a")).await),
            ],
            "leases" => vec![refusal(ledger.lease(None, window, 8).await), refusal(ledger.status().await)],
            "revoked" => vec![
                refusal(ledger.revoke(revocation("b", "leaked")).await),
                refusal(ledger.revoked_since(&StatusMark::default()).await),
            ],
            "a" => vec![
                refusal(ledger.issue(record("b", "octo"), vec![]).await),
                refusal(ledger.list(account.clone()).await),
            ],
            other => panic!("a key that nobody thought of: {other}"),
        };
        assert!(refusals.iter().all(|text| text.contains("WRONGTYPE")), "{key}: {refusals:?}");
        store.server.order(&["RENAME", "aside", key]);
        assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some());
    }
    assert_eq!(ledger.lease(None, window, 8).await.unwrap().first, 8);
    // Not a number.
    store.server.order(&["HSET", "sts:{sts}:leases", &window.number().to_string(), "junk"]);
    refusal(ledger.lease(None, window, 8).await);
    refusal(ledger.status().await);
    store.server.order(&["HSET", "sts:{sts}:mark", "sealed", "junk"]);
    refusal(ledger.look_up(jti("a")).await);
    refusal(ledger.issue(record("c", "octo"), vec![]).await);
}

#[tokio::test]
async fn a_ledger_under_other_keys_is_not_taken_for_an_empty_one() {
    let store = Store::new(RedisServer::start());
    store.ledger(0).issue(record("a", "octo"), vec![]).await.unwrap();
    let other = RedisLedger::open(store.spec(), store.parts(1, 2)).unwrap();
    let text = refusal(other.look_up(jti("a")).await);
    assert!(text.contains("not written with our key") && text.contains("signing.keys_dir"), "{text}");
    assert_eq!(store.alerts.take()[0], Alert { place: Place::Epoch, fault: Fault::Seal });
}

#[tokio::test]
async fn c133_what_somebody_else_wrote_is_absent_and_raises_an_alert_and_nothing_revoked_comes_back() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(0);
    for name in ["a", "b"] {
        ledger.issue(record(name, "octo"), vec![]).await.unwrap();
    }
    let key = |kind: &str| store.server.keys().into_iter().find(|key| key.contains(kind)).unwrap();
    ledger.revoke(revocation("b", "leaked")).await.unwrap();
    let revoked = key(":r:");
    let id = revoked.rsplit(':').next().unwrap().to_owned();
    let record_b = format!("sts:{{sts}}:t:{id}");
    let record_a = store.server.keys().into_iter().find(|key| key.contains(":t:") && !key.ends_with(&id)).unwrap();

    let tampered = async |orders: &[&[&str]], name: &str, place: Place, fault: Fault| {
        for order in orders {
            store.server.order(order);
        }
        store.alerts.take();
        let entry = ledger.look_up(jti(name)).await.unwrap();
        match place {
            Place::Record => assert_eq!(entry, None, "{orders:?}"),
            _ => assert!(entry.is_some_and(|entry| entry.revoked.is_some()), "{orders:?}"),
        }
        assert_eq!(store.alerts.take(), [Alert { place, fault }], "{orders:?}");
    };
    // Another record under its name, a later version, damage, another type of value.
    tampered(&[&["COPY", &record_b, &record_a, "REPLACE"]], "a", Place::Record, Fault::Seal).await;
    tampered(&[&["SETRANGE", &record_a, "0", "\u{3}"]], "a", Place::Record, Fault::Newer).await;
    tampered(&[&["SET", &record_a, "junk"]], "a", Place::Record, Fault::Newer).await;
    tampered(&[&["SET", &record_a, "\u{1}"]], "a", Place::Record, Fault::Form).await;
    tampered(&[&["DEL", &record_a], &["LPUSH", &record_a, "x"]], "a", Place::Record, Fault::Form).await;
    // An unreadable revocation is not a missing one.
    tampered(&[&["SETRANGE", &revoked, "40", "x"]], "b", Place::Revocation, Fault::Seal).await;
    tampered(&[&["DEL", &revoked], &["LPUSH", &revoked, "x"]], "b", Place::Revocation, Fault::Form).await;
    // Listings see the same.
    let listed = ledger.list(Listing { limit: 9, ..Listing::default() }).await.unwrap();
    assert!(matches!(&listed[..], [Entry { record, revoked: Some(_) }] if record.jti == jti("b")), "{listed:?}");
}

#[tokio::test]
async fn rv04_a_revocation_is_answered_only_when_the_configured_replicas_have_it() {
    let store = Store::new(RedisServer::start());
    let wants = RedisSpec { wait_replicas: 1, timeout: Duration::from_secs(2), ..store.spec() };
    let ledger = store.ledger_by(0, wants);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    for _ in 0..2 {
        let text = refusal(ledger.revoke(revocation("a", "leaked")).await);
        assert!(text.contains("on 0 of 1 replicas"), "{text}");
    }
    assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some(), "it is in force all the same");
    let replica = RedisServer::with(&format!("replicaof 127.0.0.1 {}", store.server.port()));
    // Repeating a revocation that exists already returns only once enough replicas have it.
    eventually(&store, "a replica", async || ledger.revoke(revocation("a", "leaked")).await).await;
    assert!(replica.keys().iter().any(|key| key.contains(":r:")));
}

#[tokio::test]
async fn c130_a_failover_by_sentinel_is_followed_and_keeps_what_was_waited_for() {
    let pair = RedisPair::start();
    let RedisPair { mut primary, replica, sentinel } = pair;
    let topology = Topology::Sentinel { sentinels: vec![node(sentinel.port())], name: "mymaster".to_owned() };
    let store = Store::new(replica);
    let ledger = store.ledger_by(0, RedisSpec { wait_replicas: 1, ..spec(topology.clone()) });
    for name in ["a", "b"] {
        ledger.issue(record(name, "octo"), vec![]).await.unwrap();
    }
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    primary.kill();
    let after = store.ledger_by(1, spec(topology));
    let entry = eventually(&store, "the failover", async || ledger.look_up(jti("a")).await).await;
    assert!(entry.unwrap().revoked.is_some());
    let entry = eventually(&store, "the failover", async || after.look_up(jti("b")).await).await;
    assert!(entry.unwrap().revoked.is_none());
    eventually(&store, "a write", async || after.issue(record("c", "octo"), vec![]).await).await;
}

#[tokio::test]
async fn a_cluster_whose_node_goes_and_comes_and_whose_slot_moves_is_followed() {
    let cluster = RedisCluster::start();
    let topology = Topology::Cluster(cluster.nodes.iter().map(|each| node(each.port())).collect());
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger_by(0, spec(topology));
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    let key = "sts:{sts}:probe";
    let before = cluster.owner(key);
    cluster.move_slot(key);
    assert_ne!(cluster.owner(key), before);
    let found = eventually(&store, "the move", async || ledger.look_up(jti("a")).await).await;
    assert!(found.unwrap().revoked.is_some());
    assert_eq!(ledger.issue(record("b", "octo"), vec![]).await.unwrap(), Issued::Recorded);

    let mut cluster = cluster;
    let owner = cluster.owner(key);
    cluster.nodes[owner].kill();
    refusal(ledger.issue(record("c", "octo"), vec![]).await);
    refusal(ledger.look_up(jti("a")).await);
    cluster.nodes[owner].restart();
    let found = eventually(&store, "the node", async || ledger.look_up(jti("a")).await).await;
    assert!(found.unwrap().revoked.is_some());
    eventually(&store, "a write", async || ledger.issue(record("c", "octo"), vec![]).await).await;
}

#[tokio::test]
async fn processes_that_begin_at_once_agree_on_one_epoch() {
    let store = Store::new(RedisServer::start());
    let ledgers: Vec<RedisLedger> = (0..8).map(|replica| store.ledger(replica)).collect();
    let ready = futures_util::future::join_all(ledgers.iter().map(Ledger::ready)).await;
    assert!(ready.iter().all(Result::is_ok), "{ready:?}");
    let issues = ledgers.iter().zip(0..).map(|(ledger, at)| ledger.issue(record(&format!("t{at}"), "octo"), vec![]));
    assert!(futures_util::future::join_all(issues).await.iter().all(Result::is_ok));
}

/// Accepts connections to the port of `server`, and forwards data until the next cut.
async fn relay_that_cuts(server: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, cuts) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&cuts);
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let (began, cuts) = (counted.load(Ordering::SeqCst), Arc::clone(&counted));
            let to = tokio::net::TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            for (mut from, mut to) in [from.into_split(), to.into_split()].into_iter().zip_ends() {
                let cuts = Arc::clone(&cuts);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        if cuts.load(Ordering::SeqCst) == began && to.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (port, cuts)
}

/// Pairs the reader of each connection with the writer of the other.
trait Crossed {
    fn zip_ends(self) -> Vec<(OwnedReadHalf, OwnedWriteHalf)>;
}

impl<I: Iterator<Item = (OwnedReadHalf, OwnedWriteHalf)>> Crossed for I {
    fn zip_ends(self) -> Vec<(OwnedReadHalf, OwnedWriteHalf)> {
        let (reads, mut writes): (Vec<_>, Vec<_>) = self.unzip();
        writes.reverse();
        reads.into_iter().zip(writes).collect()
    }
}

/// One of every operation, each over an idle connection.
async fn each_after_idling(store: &Store, ledger: &RedisLedger, round: u8, idle: impl Fn()) {
    let name = |kind: &str| format!("{kind}-{round}");
    let pause = || {
        idle();
        store.clock.advance(2);
    };
    pause();
    let taken = claim(round, START.plus(900));
    let issued = ledger.issue(record(&name("a"), "octo"), vec![taken.clone()]).await;
    assert_eq!(issued.unwrap(), Issued::Recorded, "the caller's own first attempt");
    pause();
    assert!(ledger.look_up(jti(&name("a"))).await.unwrap().is_some());
    pause();
    ledger.revoke(revocation(&name("a"), "leaked")).await.unwrap();
    pause();
    ledger.revoke(rule(&name("octo"), START.plus(900))).await.unwrap();
    pause();
    assert_eq!(ledger.rules().await.unwrap().len(), usize::from(round));
    pause();
    ledger.lease(None, StatusWindow::of(START), 8).await.unwrap();
    pause();
    assert_eq!(ledger.issue(record(&name("b"), "octo"), vec![taken]).await.unwrap(), replayed(round));
}

#[tokio::test]
async fn fld16_a_redis_that_closes_idle_connections_costs_no_caller_an_error() {
    let primary = RedisServer::start();
    let replica = RedisServer::with(&format!("replicaof 127.0.0.1 {}", primary.port()));
    sts_testkit::until("the replica to follow", || {
        replica.command(&["INFO", "replication"]).text().contains("master_link_status:up")
    });
    let store = Store::new(primary);
    let spec = RedisSpec { wait_replicas: 1, ..store.spec() };
    let ledger = store.ledger_by(0, spec);
    each_after_idling(&store, &ledger, 1, || {
        // Like its `timeout`, and at once.
        store.server.order(&["CLIENT", "KILL", "TYPE", "normal"]);
    })
    .await;
    // And by itself.
    store.server.order(&["CONFIG", "SET", "timeout", "1"]);
    sts_testkit::until("Redis to close what is idle", || {
        store.server.command(&["INFO", "clients"]).text().contains("connected_clients:1\r")
    });
    each_after_idling(&store, &ledger, 2, || {}).await;
}

#[tokio::test]
async fn fld16_a_middlebox_that_forgets_idle_connections_without_a_word_costs_no_caller_an_error() {
    let store = Store::new(RedisServer::start());
    let (port, cuts) = relay_that_cuts(store.server.port()).await;
    let spec = RedisSpec { timeout: Duration::from_secs(4), ..spec(Topology::Single(node(port))) };
    let ledger = store.ledger_by(0, spec);
    each_after_idling(&store, &ledger, 1, || {
        cuts.fetch_add(1, Ordering::SeqCst);
    })
    .await;
}

#[tokio::test]
async fn fld16_idle_connections_in_a_cluster_and_behind_sentinels_cost_no_caller_an_error() {
    let pair = RedisPair::start();
    let cluster = RedisCluster::start();
    let sentinels = Topology::Sentinel { sentinels: vec![node(pair.sentinel.port())], name: "mymaster".to_owned() };
    let nodes = Topology::Cluster(cluster.nodes.iter().map(|each| node(each.port())).collect());
    let store = Store::new(RedisServer::start());
    for (replica, (topology, servers)) in
        [(sentinels, vec![&pair.primary]), (nodes, cluster.nodes.iter().collect())].into_iter().enumerate()
    {
        let ledger = store.ledger_by(u8::try_from(replica).unwrap(), spec(topology));
        each_after_idling(&store, &ledger, 1, || {
            servers.iter().for_each(|server| server.order(&["CLIENT", "KILL", "TYPE", "normal"]));
        })
        .await;
    }
}

#[tokio::test]
async fn f2_a_claim_that_was_deleted_in_redis_stays_taken_where_it_was_seen() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    let taken = claim(1, START.plus(900));
    assert_eq!(one.issue(record("a", "octo"), vec![taken.clone()]).await.unwrap(), Issued::Recorded);
    assert_eq!(two.issue(record("b", "octo"), vec![taken.clone()]).await.unwrap(), replayed(1));
    for (ledger, name) in [(&one, "c"), (&two, "d"), (&one, "e")] {
        let key = store.server.keys().into_iter().find(|key| key.contains(":c:")).unwrap();
        store.server.order(&["DEL", &key]);
        store.alerts.take();
        assert_eq!(ledger.issue(record(name, "octo"), vec![taken.clone()]).await.unwrap(), replayed(1));
        assert_eq!(store.alerts.take(), [Alert { place: Place::Claim, fault: Fault::Missing }]);
        assert!(store.server.keys().contains(&key), "it is taken again");
        assert_eq!(ledger.look_up(jti(name)).await.unwrap(), None);
    }
    // By the exchange that took it first.
    assert_eq!(store.ledger(3).issue(record("f", "octo"), vec![taken.clone()]).await.unwrap(), replayed(1));
    let key = store.server.keys().into_iter().find(|key| key.contains(":c:")).unwrap();
    store.server.order(&["DEL", &key]);
    assert_eq!(one.find_claim(taken.key).await.unwrap().map(Issued::Replayed), Some(replayed(1)));
    assert_eq!(store.ledger(4).find_claim(taken.key).await.unwrap(), None);
}

#[tokio::test]
async fn fld42_a_claim_that_somebody_wrote_names_no_exchange_and_is_taken_all_the_same() {
    let store = Store::new(RedisServer::start());
    let (one, other) = (claim(1, START.plus(900)), claim(2, START.plus(900)));
    let ledger = store.ledger(1);
    let mut names = Vec::new();
    for (name, taken) in [("a", &one), ("b", &other)] {
        ledger.issue(record(name, "octo"), vec![taken.clone()]).await.unwrap();
        let added = store.server.keys().into_iter().find(|key| key.contains(":c:") && !names.contains(key));
        names.push(added.unwrap());
    }
    let forged = |fault: Fault| vec![Alert { place: Place::Claim, fault }];
    // A value of an earlier version, a forgery, the sealed value of another claim, one of a future
    // version, and another type. A server that remembers which exchange took the claim also knows
    // that its value was not one of an earlier version.
    for (order, alerts, alerts_where_known) in [
        (vec!["SET", &names[0], "1"], vec![], forged(Fault::Form)),
        (vec!["SET", &names[0], "01J9ZQ4T5M3N8K7R6S2V1W0XYZ"], forged(Fault::Newer), forged(Fault::Newer)),
        (vec!["SET", &names[0], "\u{1}short"], forged(Fault::Form), forged(Fault::Form)),
        (vec!["SET", &names[0], ""], forged(Fault::Form), forged(Fault::Form)),
        (vec!["COPY", &names[1], &names[0], "REPLACE"], forged(Fault::Seal), forged(Fault::Seal)),
        (vec!["LPUSH", &names[0], "x"], forged(Fault::Form), forged(Fault::Form)),
        (vec!["HSET", &names[0], "x", "y"], forged(Fault::Form), forged(Fault::Form)),
    ] {
        store.server.order(&["DEL", &names[0]]);
        store.server.command(&order);
        store.alerts.take();
        // Another server, which has not seen the claim taken.
        let fresh = store.ledger(7);
        let unknown = TakenClaim { key: one.key, earlier_use: None };
        assert_eq!(fresh.find_claim(one.key).await.unwrap(), Some(unknown.clone()), "{order:?}");
        assert_eq!(store.alerts.take(), alerts, "{order:?}");
        let again = fresh.issue(record("c", "octo"), vec![one.clone()]).await.unwrap();
        assert_eq!((again, store.alerts.take()), (Issued::Replayed(unknown), alerts), "{order:?}");
        assert_eq!(fresh.look_up(jti("c")).await.unwrap(), None);
        // This one remembers who took it, and tells that the value is not the one that was written.
        assert_eq!(ledger.issue(record("d", "octo"), vec![one.clone()]).await.unwrap(), replayed(1), "{order:?}");
        assert_eq!(store.alerts.take(), alerts_where_known, "{order:?}");
        assert_eq!(ledger.find_claim(one.key).await.unwrap().map(Issued::Replayed), Some(replayed(1)));
        assert_eq!(store.alerts.take(), alerts_where_known, "{order:?}");
    }
}

#[tokio::test]
async fn f2_a_claim_that_its_issue_takes_back_does_not_stay_spent_where_an_exchange_lost_against_it() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    let spent = claim(0, START.plus(900));
    assert_eq!(one.issue(record("first", "octo"), vec![spent.clone()]).await.unwrap(), Issued::Recorded);
    let mut losses = 0;
    for round in 1..=200 {
        let free = claim(round, START.plus(900));
        // The first issue takes the free claim, finds the other one spent, and takes the free one
        // back. Meanwhile the second may find it taken.
        let name = |kind: &str| format!("{kind}-{round}");
        let both = one.issue(record(&name("both"), "octo"), vec![free.clone(), spent.clone()]);
        let loser = if round % 2 == 0 { &two } else { &one };
        let alone = loser.issue(record(&name("alone"), "octo"), vec![free.clone()]);
        let (both, alone) = tokio::join!(both, alone);
        assert!(matches!(both, Ok(Issued::Replayed(_))), "{both:?}");
        if alone.unwrap() == Issued::Recorded {
            continue;
        }
        losses += 1;
        let again = loser.issue(record(&name("again"), "octo"), vec![free.clone()]).await;
        assert_eq!(again.unwrap(), Issued::Recorded, "nobody has the token of {round}");
        if losses == 6 {
            break;
        }
    }
    assert!(losses > 0, "no exchange ever lost");
    assert_eq!(store.alerts.take(), []);
}

#[tokio::test]
async fn f2_a_claim_among_others_that_stands_is_remembered_by_those_who_lost_against_it() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    let claims = vec![claim(1, START.plus(900)), claim(2, START.plus(900))];
    assert_eq!(one.issue(record("a", "octo"), claims.clone()).await.unwrap(), Issued::Recorded);
    store.clock.advance(61);
    assert_eq!(two.issue(record("b", "octo"), vec![claims[1].clone()]).await.unwrap(), replayed(2));
    for key in store.server.keys().iter().filter(|key| key.contains(":c:")) {
        store.server.order(&["DEL", key]);
    }
    assert_eq!(two.issue(record("c", "octo"), vec![claims[1].clone()]).await.unwrap(), replayed(2));
    assert_eq!(store.alerts.take(), [Alert { place: Place::Claim, fault: Fault::Missing }]);
    assert_eq!(one.issue(record("d", "octo"), claims).await.unwrap(), replayed(1));
}

#[tokio::test]
async fn f2_a_mark_that_another_program_wrote_over_is_a_refusal_that_acceptance_heals() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(0);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    for order in [&["SET", "sts:{sts}:mark", "junk"][..], &["LPUSH", "sts:{sts}:mark", "junk"]] {
        store.server.order(&["DEL", "sts:{sts}:mark"]);
        store.server.order(order);
        store.alerts.take();
        for refusing in [&ledger, &store.ledger(0), &store.ledger(7)] {
            assert!(refusal(refusing.look_up(jti("a")).await).contains("WRONGTYPE"));
            refusal(refusing.issue(record("b", "octo"), vec![]).await);
            refusal(refusing.ready().await);
        }
        assert!(store.alerts.take().contains(&Alert { place: Place::Epoch, fault: Fault::Missing }));
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted);
        assert!(ledger.look_up(jti("a")).await.unwrap().unwrap().revoked.is_some(), "what is there is kept");
        ledger.ready().await.unwrap();
    }
}

#[tokio::test]
async fn c134_of_two_operators_who_accept_at_once_both_are_served_and_one_epoch_begins() {
    let store = Store::new(RedisServer::start());
    let ledgers: Vec<RedisLedger> = (0..4).map(|replica| store.ledger(replica)).collect();
    for round in 0..5 {
        for ledger in &ledgers {
            store.clock.advance(3);
            ledger.ready().await.unwrap();
        }
        store.server.order(&["FLUSHALL"]);
        let accepted = futures_util::future::join_all(ledgers.iter().map(Ledger::accept_epoch)).await;
        assert!(accepted.iter().all(Result::is_ok), "{round}: {accepted:?}");
        let new = accepted.iter().filter(|one| matches!(one, Ok(Acceptance::Accepted))).count();
        assert_eq!(new, 1, "{round}: {accepted:?}");
        for ledger in &ledgers {
            eventually(&store, "trust", async || ledger.ready().await).await;
        }
    }
}

/// Every way in which an attacker with access to Redis tries to bring revoked tokens back:
/// commands, and what they remove.
fn f2_attacks(keys: &[String]) -> Vec<(String, Vec<Vec<String>>)> {
    let order = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let find = |kind: &str| keys.iter().find(|key| key.contains(kind)).unwrap().as_str();
    let (mark, rules, revocations, log) = (find(":mark"), find(":rules"), find(":revocations"), find(":revoked"));
    let value = find(":r:");
    let mut attacks = vec![
        (
            "a revocation is gone".to_owned(),
            vec![order(&["DEL", value]), order(&["ZREM", revocations, &value[value.len() - 32..]])],
        ),
        ("its value is gone".to_owned(), vec![order(&["DEL", value])]),
        ("its row is gone".to_owned(), vec![order(&["ZREM", revocations, &value[value.len() - 32..]])]),
        (
            "its row says that it is over".to_owned(),
            vec![order(&["ZADD", revocations, "1", &value[value.len() - 32..]])],
        ),
        ("the rules are gone".to_owned(), vec![order(&["DEL", rules])]),
        ("all revocations are gone".to_owned(), vec![order(&["DEL", value, revocations, rules, log])]),
        ("all of it is gone".to_owned(), vec![order(&["DEL", value, revocations, rules, log, mark])]),
        ("the mark is gone".to_owned(), vec![order(&["HDEL", mark, "sealed"])]),
        ("the mark is another".to_owned(), vec![order(&["HSET", mark, "sealed", "junk"])]),
        (
            "a mark of an earlier version".to_owned(),
            vec![
                order(&["HDEL", mark, "sealed"]),
                order(&["DEL", value, revocations, rules]),
                order(&["HSET", mark, "sequence", "99"]),
            ],
        ),
        (
            "an older copy".to_owned(),
            vec![order(&["DEL", value, revocations, rules, log]), order(&["COPY", "before", mark, "REPLACE"])],
        ),
        ("an older mark".to_owned(), vec![order(&["COPY", "before", mark, "REPLACE"])]),
        (
            "a rule is there twice".to_owned(),
            vec![order(&["EVAL", "redis.call('HSET', KEYS[1], 'twice', redis.call('HVALS', KEYS[1])[1])", "1", rules])],
        ),
        ("something else is among the rules".to_owned(), vec![order(&["HSET", rules, "junk", "junk"])]),
        ("a rule that was taken back is there again".to_owned(), vec![order(&["COPY", "undone", rules, "REPLACE"])]),
    ];
    attacks.push(("the log is gone, and a revocation".to_owned(), vec![order(&["DEL", log, value, revocations])]));
    attacks
}

#[tokio::test]
async fn f2_whatever_is_deleted_put_back_or_altered_in_redis_brings_nothing_back_to_life() {
    let names: Vec<String> = {
        let store = Store::new(RedisServer::start());
        f2_scene(&store).await;
        f2_attacks(&store.server.keys()).into_iter().map(|(name, _)| name).collect()
    };
    assert_all_attacks(names.iter().map(String::as_str));
    for (at, what) in names.iter().enumerate() {
        let store = Store::new(RedisServer::start());
        let ledgers = f2_scene(&store).await;
        let (_, orders) = f2_attacks(&store.server.keys()).swap_remove(at);
        for key in store.server.keys() {
            store.server.order(&["COPY", &key, &format!("safe-{key}")]);
        }
        store.alerts.take();
        for order in &orders {
            store.server.order(&order.iter().map(String::as_str).collect::<Vec<_>>());
        }
        // A process that knows the revocations, one that restarts, and one that is new.
        let fresh = [store.ledger(1), store.ledger(7)];
        for (who, ledger) in ledgers.iter().chain(&fresh).enumerate() {
            // A new process cannot tell an older copy from the newest.
            if who == 3 && what == "an older copy" {
                continue;
            }
            for name in ["alone", "ruled"] {
                let active = match tokio::join!(ledger.look_up(jti(name)), ledger.rules()) {
                    (Ok(Some(entry)), Ok(rules)) => {
                        entry.revoked.is_none() && !rules.iter().any(|rule| rule.reaches(&entry.record))
                    }
                    _ => false,
                };
                assert!(!active, "{what}: {name} is active at {who}");
            }
            store.clock.advance(2);
            let ready = ledger.ready().await;
            assert!(ready.is_err(), "{what}: ready at {who}");
            let issued = ledger.issue(record("new", "octo"), vec![]).await;
            assert!(matches!(issued, Err(LedgerError::Unavailable(_))), "{what}: issued at {who}");
        }
        assert!(!store.alerts.take().is_empty(), "{what}");
        // Everything works again when the data are back.
        for key in store.server.keys() {
            if let Some(name) = key.strip_prefix("safe-") {
                store.server.order(&["COPY", &key, name, "REPLACE"]);
            }
        }
        for ledger in &ledgers {
            store.clock.advance(5);
            eventually(&store, what, async || ledger.ready().await).await;
            assert!(ledger.look_up(jti("alone")).await.unwrap().unwrap().revoked.is_some(), "{what}");
            assert!(
                ledger.rules().await.unwrap()[0].reaches(&ledger.look_up(jti("ruled")).await.unwrap().unwrap().record)
            );
        }
    }
}

/// A revoked token, one that a rule covers, and a removed rule, at two processes that know them.
async fn f2_scene(store: &Store) -> [RedisLedger; 2] {
    let ledgers = [store.ledger(1), store.ledger(2)];
    for name in ["alone", "ruled"] {
        ledgers[0].issue(record(name, name), vec![]).await.unwrap();
    }
    store.server.order(&["COPY", "sts:{sts}:mark", "before"]);
    let undone = ledgers[1].revoke(rule("other", START.plus(1000))).await.unwrap();
    store.server.order(&["COPY", "sts:{sts}:rules", "undone"]);
    ledgers[1].undo_rule(undone.id.unwrap()).await.unwrap();
    ledgers[0].revoke(revocation("alone", "leaked")).await.unwrap();
    ledgers[1].revoke(rule("ruled", START.plus(1000))).await.unwrap();
    for ledger in &ledgers {
        assert!(ledger.look_up(jti("alone")).await.unwrap().unwrap().revoked.is_some());
        assert_eq!(ledger.rules().await.unwrap().len(), 1);
    }
    saved(store, 1, 4).await;
    saved(store, 2, 4).await;
    ledgers
}

#[tokio::test]
async fn f2_many_processes_that_revoke_at_once_keep_one_sum() {
    let store = Store::new(RedisServer::start());
    let ledgers: Vec<RedisLedger> = (0..4).map(|replica| store.ledger(replica)).collect();
    let work = ledgers.iter().enumerate().map(|(at, ledger)| async move {
        for n in 0..20 {
            let name = format!("{at}-{n}");
            ledger.issue(record(&name, "octo"), vec![]).await.unwrap();
            ledger.revoke(revocation(&name, "leaked")).await.unwrap();
            if n % 5 == 0 {
                ledger.revoke(rule(&name, START.plus(1000))).await.unwrap();
            }
        }
    });
    futures_util::future::join_all(work).await;
    store.clock.advance(2);
    for ledger in ledgers.iter().chain([&store.ledger(9)]) {
        ledger.ready().await.unwrap();
        assert_eq!(ledger.rules().await.unwrap().len(), 16);
    }
    ledgers[0].sweep(START.plus(1_000_000)).await.unwrap();
    assert_eq!(store.server.command(&["ZCARD", "sts:{sts}:revocations"]).text(), "0");
    for ledger in ledgers.iter().chain([&store.ledger(9)]) {
        store.clock.advance(2);
        ledger.ready().await.unwrap();
        assert!(ledger.rules().await.unwrap().is_empty());
    }
}
