//! Managed objects in Redis: tampering, crashes, several processes at once, and many objects.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::time::Duration;

use sts_store::contract::{START, assert_all_object_attacks, object, object_key, record, revocation, rule};
use sts_store::{
    Acceptance, Alert, Committed, Fault, Issued, KeyUse, Ledger, LedgerError, ManagedObject, ObjectChange, ObjectKind,
    ObjectStore, Place,
};
use sts_store_redis::{RedisLedger, RedisSpec, Topology};
use sts_testkit::{RedisPair, RedisReply, RedisServer};
use sts_types::{ApiKeyId, Jti};
use support::{Store, eventually, node, refusal, saved, spec};

const OBJECTS: &str = "sts:{sts}:objects";
const MARK: &str = "sts:{sts}:mark";
const LOG: &str = "sts:{sts}:object-log";

fn team(name: &str, note: &str) -> ObjectChange {
    ObjectChange::Put(object(ObjectKind::Teams, name, note))
}

fn no_team(name: &str) -> ObjectChange {
    ObjectChange::Delete(object_key(ObjectKind::Teams, name))
}

/// Commits at the current sequence, and returns the new one.
async fn commit(ledger: &RedisLedger, changes: Vec<ObjectChange>) -> u64 {
    let at = ledger.objects().await.unwrap().sequence;
    match ledger.commit(at, changes).await.unwrap() {
        Committed::Done(sequence) => sequence,
        Committed::Stale(now) => panic!("somebody else committed {now}"),
    }
}

/// Name, note and revision of each object.
fn seen(objects: &[ManagedObject]) -> Vec<(String, String, u64)> {
    let note = |object: &ManagedObject| object.spec["note"].as_str().unwrap().to_owned();
    objects.iter().map(|object| (object.key.name.clone(), note(object), object.revision)).collect()
}

/// What an attacker finds: two objects, one changed once, one deleted, and what was there before.
/// The fields of `a`, `b` and `gone` are returned.
async fn scene(store: &Store) -> ([RedisLedger; 2], [String; 3]) {
    let ledgers = [store.ledger(1), store.ledger(2)];
    let field = async |name: &str, changes| {
        let before = fields(store);
        commit(&ledgers[0], changes).await;
        fields(store).into_iter().find(|field| !before.contains(field)).unwrap_or_else(|| name.to_owned())
    };
    let gone = field("gone", vec![team("gone", "1")]).await;
    let a = field("a", vec![team("a", "1")]).await;
    let b = field("b", vec![team("b", "1")]).await;
    store.server.order(&["COPY", OBJECTS, "older-objects"]);
    store.server.order(&["COPY", MARK, "older-mark"]);
    store.server.order(&["COPY", LOG, "older-log"]);
    commit(&ledgers[1], vec![team("a", "2"), no_team("gone")]).await;
    for ledger in &ledgers {
        assert_eq!(seen(&ledger.objects().await.unwrap().objects).len(), 2);
        ledger.issue(record(&format!("t{}", fields(store).len()), "octo"), vec![]).await.ok();
    }
    for replica in [1, 2] {
        saved(store, replica, 4).await;
    }
    (ledgers, [a, b, gone])
}

fn fields(store: &Store) -> Vec<String> {
    match store.server.command(&["HKEYS", OBJECTS]) {
        RedisReply::List(list) => list.iter().map(|one| one.text().to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

/// A script that copies a field of `older-objects`, or of the objects, over another field.
const COPY_FIELD: &str = "redis.call('HSET', KEYS[1], ARGV[2], redis.call('HGET', KEYS[2], ARGV[1]))";

fn attacks([a, b, gone]: &[String; 3]) -> Vec<(&'static str, Vec<Vec<String>>)> {
    let order = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let older = |from: &str, to: &str| order(&["EVAL", COPY_FIELD, "2", OBJECTS, "older-objects", from, to]);
    vec![
        ("an object is gone", vec![order(&["HDEL", OBJECTS, a])]),
        ("an object was altered", vec![order(&["HSET", OBJECTS, a, "junk"])]),
        ("an older revision of an object is there again", vec![older(a, a)]),
        ("an object that was deleted is there again", vec![older(gone, gone)]),
        (
            "an object that was deleted stands in the place of another",
            vec![order(&["HDEL", OBJECTS, b]), older(gone, gone)],
        ),
        ("an object stands under the name of another", vec![older(b, a)]),
        ("an object stands under another kind", vec![older(b, "0123456789abcdef0123456789abcdef")]),
        ("all objects are gone", vec![order(&["DEL", OBJECTS])]),
        ("all objects and their log are gone", vec![order(&["DEL", OBJECTS, LOG])]),
        ("all objects and the mark are gone", vec![order(&["DEL", OBJECTS, LOG, MARK])]),
        (
            "an older copy of the objects and the mark",
            vec![
                order(&["COPY", "older-objects", OBJECTS, "REPLACE"]),
                order(&["COPY", "older-log", LOG, "REPLACE"]),
                order(&["COPY", "older-mark", MARK, "REPLACE"]),
            ],
        ),
        ("an older copy of the objects", vec![order(&["COPY", "older-objects", OBJECTS, "REPLACE"])]),
        ("something else is among the objects", vec![order(&["HSET", OBJECTS, "junk", "junk"])]),
        ("something else stands in the place of all", vec![order(&["SET", OBJECTS, "junk"])]),
    ]
}

#[tokio::test]
async fn f2_whatever_is_done_to_objects_behind_our_back_is_noticed_and_healed_by_an_acceptance() {
    let names: Vec<_> = attacks(&<[String; 3]>::default()).into_iter().map(|(name, _)| name).collect();
    assert_all_object_attacks(names.iter().copied());
    for (at, what) in names.iter().enumerate() {
        let store = Store::new(RedisServer::start());
        let (ledgers, known) = scene(&store).await;
        for key in store.server.keys() {
            store.server.order(&["COPY", &key, &format!("safe-{key}")]);
        }
        store.alerts.take();
        for order in attacks(&known).swap_remove(at).1 {
            store.server.order(&order.iter().map(String::as_str).collect::<Vec<_>>());
        }
        // Processes that know the objects, one that restarts, and one that is new.
        let fresh = [store.ledger(1), store.ledger(7)];
        for (who, ledger) in ledgers.iter().chain(&fresh).enumerate() {
            // A new process cannot tell an older copy from the newest.
            if who == 3 && *what == "an older copy of the objects and the mark" {
                continue;
            }
            store.clock.advance(2);
            assert!(ledger.ready().await.is_err() || who >= 2, "{what}: ready at {who}");
            refusal(ledger.objects().await);
            refusal(ledger.commit(4, vec![team("c", "1")]).await);
            // The whole store refuses from then on.
            let issued = ledger.issue(record("new", "octo"), vec![]).await;
            assert!(matches!(issued, Err(LedgerError::Unavailable(_))), "{what}: issued at {who}");
            refusal(ledger.look_up(Jti::new("t2").unwrap()).await);
            refusal(ledger.changes_since(3).await);
            refusal(ledger.ready().await);
        }
        assert!(!store.alerts.take().is_empty(), "{what}");
        // Everything works again when the data are back.
        for key in store.server.keys().iter().filter(|key| key.starts_with("safe-")) {
            store.server.order(&["COPY", key, key.strip_prefix("safe-").unwrap(), "REPLACE"]);
        }
        for ledger in &ledgers {
            store.clock.advance(5);
            eventually(&store, what, async || ledger.ready().await).await;
            let objects = ledger.objects().await.unwrap().objects;
            assert_eq!(seen(&objects), [("a".to_owned(), "2".to_owned(), 4), ("b".to_owned(), "1".to_owned(), 3)]);
        }
        // Or when an operator accepts the loss.
        for order in attacks(&known).swap_remove(at).1 {
            store.server.order(&order.iter().map(String::as_str).collect::<Vec<_>>());
        }
        assert_eq!(ledgers[0].accept_epoch().await.unwrap(), Acceptance::Accepted, "{what}");
        for ledger in &ledgers {
            store.clock.advance(5);
            eventually(&store, what, async || ledger.ready().await).await;
            let accepted = ledger.objects().await.unwrap();
            assert!(accepted.sequence > 4, "{what}: nobody takes it for what he knew");
            assert!(accepted.objects.iter().all(|object| object.revision <= accepted.sequence));
            assert_eq!(ledger.changes_since(4).await.unwrap(), None, "{what}");
            assert_eq!(ledger.changes_since(accepted.sequence).await.unwrap().unwrap().changes, []);
            let next = commit(ledger, vec![team("c", "1")]).await;
            assert!(next > accepted.sequence);
        }
    }
}

#[tokio::test]
async fn f2_what_was_altered_among_the_objects_is_found_by_a_sample_of_readiness() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    let names: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
    commit(&ledger, names.iter().map(|name| team(name, "1")).collect()).await;
    store.server.order(&["COPY", OBJECTS, "older-objects"]);
    commit(&ledger, names.iter().map(|name| team(name, "2")).collect()).await;
    // One that reads nothing else: the number of rows is right.
    let field = fields(&store).swap_remove(77);
    store.server.order(&["EVAL", COPY_FIELD, "2", OBJECTS, "older-objects", &field, &field]);
    let mut refused = None;
    for round in 0..4 {
        store.clock.advance(2);
        if let Err(error) = ledger.ready().await {
            refused = Some((round, error.to_string()));
            break;
        }
    }
    let (_, text) = refused.expect("four samples see all 200");
    assert!(text.contains("managed objects") && text.contains("sts store accept-epoch"), "{text}");
    assert_eq!(store.alerts.take(), [Alert { place: Place::Object, fault: Fault::Missing }]);
}

#[tokio::test]
async fn a_foreign_value_under_a_key_of_the_store_is_named_by_readiness_with_its_consequence() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    let at = commit(&ledger, vec![team("a", "1")]).await;
    for (key, consequence) in [
        ("all", "no token can be recorded"),
        ("ends", "no token can be recorded"),
        ("rules", "nothing can be revoked"),
        ("revocations", "nothing can be revoked"),
        ("revoked", "no single token can be revoked"),
        ("object-log", "no managed object can be changed"),
        ("objects", "the managed objects in this Redis are not those that were made"),
        ("mark", "the mark of the revocations in this Redis holds something else"),
    ] {
        let key = format!("sts:{{sts}}:{key}");
        store.server.order(&["COPY", &key, "aside", "REPLACE"]);
        store.server.order(&["SET", &key, "junk"]);
        store.clock.advance(2);
        let text = refusal(ledger.ready().await);
        assert!(text.contains(consequence), "{key}: {text}");
        assert!(
            text.contains(&format!("`{key}`")) || ["objects", "mark"].iter().any(|own| key.ends_with(own)),
            "{text}"
        );
        if key == LOG {
            refusal(ledger.commit(at, vec![team("b", "1")]).await);
            assert_eq!(ledger.changes_since(at).await.unwrap().unwrap().changes, [], "what is there is still told");
            // The cure that the text names.
            store.server.order(&["DEL", &key]);
        } else {
            store.server.order(&["COPY", "aside", &key, "REPLACE"]);
        }
        eventually(&store, &key, async || ledger.ready().await).await;
    }
    commit(&ledger, vec![team("b", "1")]).await;
    assert_eq!(store.ledger(2).objects().await.unwrap().objects.len(), 2);
    for key in ["leases", "key-uses", "last-uses", "denials"] {
        let key = format!("sts:{{sts}}:{key}");
        store.server.order(&["SET", &key, "junk"]);
        let warnings = ledger.ready().await.unwrap();
        let warning = warnings.iter().find(|warning| warning.name == "foreign_key").unwrap();
        assert!(warning.text.contains(&format!("`{key}`")), "{}", warning.text);
        assert_eq!(ledger.issue(record(&key, "octo"), vec![]).await.unwrap(), Issued::Recorded);
        store.server.order(&["DEL", &key]);
        assert!(ledger.ready().await.unwrap().iter().all(|warning| warning.name != "foreign_key"));
    }
}

#[tokio::test]
async fn a_log_that_somebody_altered_hides_no_change() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    let mut sequence = commit(&one, vec![team("a", "0"), team("b", "0")]).await;
    assert_eq!(two.objects().await.unwrap().sequence, sequence);
    let other = r#"{"kind":"teams","name":"b"}"#;
    for (round, orders) in [
        vec![vec!["LSET", LOG, "-1", "junk"]],
        vec![vec!["LSET", LOG, "-1", other]],
        vec![vec!["DEL", LOG]],
        vec![vec!["RPUSH", LOG, other]],
        vec![vec!["LPOP", LOG]],
    ]
    .into_iter()
    .enumerate()
    {
        let note = (round + 1).to_string();
        let next = commit(&one, vec![team("a", &note)]).await;
        orders.iter().for_each(|order| store.server.order(order));
        let told = two.changes_since(sequence).await.unwrap().unwrap();
        assert_eq!(told.sequence, next);
        let [ObjectChange::Put(a)] = &told.changes[..] else { panic!("{told:?}") };
        assert_eq!((a.spec["note"].as_str().unwrap(), a.revision), (note.as_str(), next));
        sequence = next;
    }
    assert_eq!(store.alerts.take(), []);
    // One that only removes.
    let gone = commit(&one, vec![no_team("a")]).await;
    store.server.order(&["LSET", LOG, "-1", other]);
    let told = two.changes_since(sequence).await.unwrap().unwrap();
    assert_eq!((told.sequence, told.changes), (gone, vec![no_team("a")]));
}

#[tokio::test]
async fn of_two_processes_that_commit_at_once_one_is_stale() {
    let store = Store::new(RedisServer::start());
    let ledgers: Vec<RedisLedger> = (0..4).map(|replica| store.ledger(replica)).collect();
    let mut at = 0;
    for round in 0..10 {
        let work = ledgers.iter().enumerate().map(async |(who, ledger)| {
            // Revocations move the same mark.
            let name = format!("{round}-{who}");
            ledger.revoke(revocation(&name, "leaked")).await.unwrap();
            ledger.commit(at, vec![team("a", &name), team("b", &name)]).await.unwrap()
        });
        let outcomes = futures_util::future::join_all(work).await;
        let done: Vec<_> = (0..4).filter(|who| matches!(outcomes[*who], Committed::Done(_))).collect();
        let [winner] = done[..] else { panic!("{outcomes:?}") };
        let Committed::Done(sequence) = outcomes[winner] else { panic!() };
        assert!(
            outcomes.iter().enumerate().all(|(who, outcome)| who == winner || *outcome == Committed::Stale(sequence))
        );
        for ledger in &ledgers {
            let told = ledger.changes_since(at).await.unwrap();
            if let Some(told) = &told {
                assert_eq!(told.sequence, sequence);
            }
            let objects = ledger.objects().await.unwrap().objects;
            let note = format!("{round}-{winner}");
            assert_eq!(seen(&objects), ["a", "b"].map(|name| (name.to_owned(), note.clone(), sequence)));
        }
        at = sequence;
    }
    for ledger in &ledgers {
        ledger.ready().await.unwrap();
    }
    assert_eq!(store.alerts.take(), []);
}

#[tokio::test]
async fn a_redis_that_is_killed_in_a_commit_leaves_every_object_whole() {
    let mut store = Store::new(RedisServer::with("appendonly yes\nappendfsync always\n"));
    let short = RedisSpec { timeout: Duration::from_millis(700), ..store.spec() };
    let mut ledger = store.ledger_by(0, short.clone());
    let note = |round: usize| format!("{round}-{}", "x".repeat(2000));
    let changes = |round| (0..300).map(|n| team(&format!("t{n:03}"), &note(round))).collect::<Vec<_>>();
    commit(&ledger, changes(0)).await;
    for round in 1..8 {
        let at = eventually(&store, "the objects", async || ledger.objects().await).await.sequence;
        let info = store.server.command(&["INFO", "server"]).text().to_owned();
        let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().to_owned();
        // It dies at some instant of the commit.
        let killer = std::thread::spawn(move || {
            for _ in 0..round * round * 200_000 {
                std::hint::spin_loop();
            }
            std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        });
        let outcome = ledger.commit(at, changes(round)).await;
        killer.join().unwrap();
        store.server.kill();
        store.server.restart();
        // The caller knows, or knows that he does not.
        assert!(matches!(outcome, Ok(Committed::Done(_)) | Err(LedgerError::Unavailable(_))), "{outcome:?}");
        if round % 2 == 0 {
            ledger = store.ledger_by(0, short.clone());
        }
        let stored = eventually(&store, "the objects", async || ledger.objects().await).await;
        assert_eq!(stored.objects.len(), 300);
        let first = stored.objects[0].spec["note"].clone();
        assert!(stored.objects.iter().all(|object| object.spec["note"] == first && object.revision == stored.sequence));
        let is_new = first.as_str().unwrap() == note(round);
        assert_eq!(stored.sequence > at, is_new, "{outcome:?}");
        assert!(is_new || outcome.is_err(), "what was answered is there");
        eventually(&store, "readiness", async || ledger.ready().await).await;
    }
    assert_eq!(store.alerts.take(), []);
}

#[tokio::test]
async fn a_commit_is_answered_only_when_the_configured_replicas_have_it() {
    let store = Store::new(RedisServer::start());
    let wants = RedisSpec { wait_replicas: 1, timeout: Duration::from_secs(2), ..store.spec() };
    let ledger = store.ledger_by(0, wants);
    let text = refusal(ledger.commit(0, vec![team("a", "1")]).await);
    assert!(text.contains("on 0 of 1 replicas"), "{text}");
    assert_eq!(ledger.objects().await.unwrap().objects.len(), 1, "it is in force all the same");
}

#[tokio::test]
async fn c130_a_failover_by_sentinel_keeps_the_objects_and_what_was_waited_for() {
    let RedisPair { mut primary, replica, sentinel } = RedisPair::start();
    let topology = Topology::Sentinel { sentinels: vec![node(sentinel.port())], name: "mymaster".to_owned() };
    let store = Store::new(replica);
    let ledger = store.ledger_by(0, RedisSpec { wait_replicas: 1, ..spec(topology) });
    let at = commit(&ledger, vec![team("a", "1")]).await;
    primary.kill();
    let stored = eventually(&store, "the failover", async || ledger.objects().await).await;
    assert_eq!((stored.sequence, stored.objects.len()), (at, 1));
}

#[tokio::test]
async fn objects_and_revocations_keep_one_mark_over_processes_and_restarts() {
    let store = Store::new(RedisServer::start());
    let (one, two) = (store.ledger(1), store.ledger(2));
    one.issue(record("a", "octo"), vec![]).await.unwrap();
    let first = commit(&one, vec![team("a", "1")]).await;
    two.revoke(revocation("a", "leaked")).await.unwrap();
    let second = commit(&two, vec![team("b", "1")]).await;
    let told = one.changes_since(first).await.unwrap().unwrap();
    assert_eq!((told.sequence, told.changes.len()), (second, 1));
    for ledger in [&one, &two, &store.ledger(1), &store.ledger(9)] {
        assert!(ledger.look_up(Jti::new("a").unwrap()).await.unwrap().unwrap().revoked.is_some());
        assert_eq!(ledger.objects().await.unwrap().objects.len(), 2);
        assert_eq!(ledger.changes_since(second).await.unwrap().unwrap().changes, []);
        ledger.ready().await.unwrap();
    }
    assert_eq!(two.issue(record("c", "octo"), vec![]).await.unwrap(), Issued::Recorded);
    assert_eq!(store.alerts.take(), []);
}

#[tokio::test]
async fn one_who_is_up_to_date_asks_with_one_small_read() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    let at = commit(&ledger, vec![team("a", &"x".repeat(50_000))]).await;
    let ran = || {
        let stats = store.server.command(&["INFO", "commandstats"]).text().to_owned();
        let calls = |line: &str| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), numbers.split(',').next()?.parse::<u64>().ok()?))
        };
        let all: Vec<_> = stats.lines().filter_map(calls).filter(|(name, _)| name != "info").collect();
        all
    };
    let before = ran();
    for _ in 0..10 {
        assert_eq!(ledger.changes_since(at).await.unwrap().unwrap().changes, []);
    }
    let after = ran();
    let more: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
    let [(name, calls)] = more[..] else { panic!("{more:?}") };
    let earlier = before.iter().find(|(known, _)| known == name).map_or(0, |(_, calls)| *calls);
    assert_eq!((name.as_str(), calls - earlier), ("hmget", 10));
}

#[tokio::test]
async fn the_use_of_a_key_is_the_latest_of_all_processes_and_goes_with_the_key() {
    let store = Store::new(RedisServer::start());
    let ledgers: Vec<RedisLedger> = (0..4).map(|replica| store.ledger(replica)).collect();
    let id = ApiKeyId::new("0123456789ab").unwrap();
    let used = |seconds: i64| KeyUse { at: START.plus(seconds), from: format!("192.0.2.{seconds}") };
    for ledger in &ledgers {
        ledger.ready().await.unwrap();
    }
    let work = ledgers.iter().zip([3, 9, 7, 5]).map(|(ledger, at)| ledger.record_uses(vec![(id.clone(), used(at))]));
    futures_util::future::try_join_all(work).await.unwrap();
    assert_eq!(ledgers[0].uses().await.unwrap(), [(id.clone(), used(9))]);
    // What somebody else wrote there is nobody's use.
    store.server.order(&["HSET", "sts:{sts}:key-uses", "no id", "junk", id.as_str(), "junk"]);
    assert_eq!(ledgers[1].uses().await.unwrap(), []);
    ledgers[1].record_uses(vec![(id.clone(), used(1))]).await.unwrap();
    assert_eq!(ledgers[1].uses().await.unwrap(), [(id.clone(), used(1))]);
    let key = object(ObjectKind::ApiKeys, id.as_str(), "");
    commit(&ledgers[2], vec![ObjectChange::Put(key.clone())]).await;
    commit(&ledgers[2], vec![ObjectChange::Delete(key.key)]).await;
    assert_eq!(ledgers[3].uses().await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_among_a_hundred_thousand_objects_reads_none_of_them() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger(1);
    let spec = serde_json::json!({ "display_name": "Octo deployer", "teams": ["deployers"], "identities": [
        { "name": "production", "issuer": "github", "github": { "repository": "octo-org/octo-repo", "environment": "production" } } ] });
    let mut at = 0;
    for thousand in 0..10 {
        let account = |n: usize| {
            let account = object(ObjectKind::ServiceAccounts, &format!("account-{n:06}"), "");
            ObjectChange::Put(ManagedObject { spec: spec.clone(), ..account })
        };
        let changes = (thousand * 10_000..(thousand + 1) * 10_000).map(account).collect();
        let Committed::Done(sequence) = ledger.commit(at, changes).await.unwrap() else { panic!() };
        at = sequence;
    }
    let fresh = store.ledger(2);
    let stored = fresh.objects().await.unwrap();
    assert_eq!((stored.sequence, stored.objects.len()), (at, 100_000));
    let read = |name: &str| {
        let stats = store.server.command(&["INFO", "commandstats"]).text().to_owned();
        let line =
            stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or_default().to_owned();
        line.split(',').next().unwrap_or_default().to_owned()
    };
    let scans = read("hscan");
    let Committed::Done(next) = fresh.commit(at, vec![team("a", "1")]).await.unwrap() else { panic!() };
    let told = ledger.changes_since(at).await.unwrap().unwrap();
    assert_eq!((told.sequence, told.changes.len()), (next, 1));
    assert_eq!(scans, read("hscan"), "neither the commit nor those who follow read all objects");
    ledger.ready().await.unwrap();
}
