//! A ledger of several shards keeps the contract on one redis-server and in a Cluster, and a shard
//! that is away or lost something fails its share alone.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sts_store::contract::{
    AlertLog, ManualClock, ObjectRig, Placed, RefusalRig, Rig, START, SessionRig, claim, jti_in_shard, record, refusal,
    revocation, rule,
};
use sts_store::{
    Acceptance, Issued, Ledger, LedgerError, Listing, RefusalStore, ReplayClaim, Revocation, RevocationScope,
    STATUS_BLOCK, StatusMark, TokenRecord, shard_of,
};
use sts_store_redis::{RedisLedger, RedisSpec, ShardCount, ShardedRedis, Topology};
use sts_testkit::{RedisCluster, RedisServer};
use sts_types::{Digest256, Jti, StatusWindow};
use support::{Store, eventually, node, parts, refusal as refused, spec};

/// A new store in the Redis that all tests of this process share.
fn apart(topology: Topology, shards: u32) -> (ShardedRedis, Arc<ManualClock>, Box<dyn std::any::Any + Send>) {
    static PREFIXES: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("test-{}:", PREFIXES.fetch_add(1, Ordering::Relaxed));
    let (clock, directory) = (Arc::new(ManualClock::default()), tempfile::tempdir().unwrap());
    let parts = parts(&clock, &Arc::new(AlertLog::default()), directory.path(), 0, 1);
    let spec = RedisSpec { prefix, shards: count(shards), ..spec(topology) };
    (RedisLedger::open_shards(&spec, &parts).unwrap(), clock, Box::new(directory))
}

fn count(shards: u32) -> ShardCount {
    ShardCount::new(shards).unwrap()
}

fn alone() -> Topology {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    Topology::Single(node(SERVER.get_or_init(RedisServer::start).port()))
}

fn in_a_cluster() -> Topology {
    static CLUSTER: OnceLock<RedisCluster> = OnceLock::new();
    nodes_of(CLUSTER.get_or_init(RedisCluster::start))
}

fn nodes_of(cluster: &RedisCluster) -> Topology {
    Topology::Cluster(cluster.nodes.iter().map(|each| node(each.port())).collect())
}

/// The contract of a ledger over so many shards.
macro_rules! contract {
    ($module:ident: $topology:path, $shards:literal) => {
        mod $module {
            use super::*;

            async fn ledger() -> Rig {
                let (ledger, clock, keep) = apart($topology(), $shards);
                Rig { ledger: Arc::new(Placed::new(Arc::new(ledger), $shards)), clock, keep }
            }

            sts_store::contract_tests! { ledger }
        }
    };
}

contract! { over_1_shard: alone, 1 }
contract! { over_4_shards: alone, 4 }
contract! { over_32_shards: alone, 32 }
contract! { over_4_shards_in_a_cluster: in_a_cluster, 4 }
contract! { over_32_shards_in_a_cluster: in_a_cluster, 32 }

mod what_else_is_kept_over_4_shards {
    use super::*;

    async fn objects() -> ObjectRig {
        let (ledger, clock, keep) = apart(alone(), 4);
        let store = Arc::new(ledger);
        let ledger = Arc::new(Placed::new(Arc::clone(&store) as _, 4));
        ObjectRig { objects: store, ledger, clock, keep }
    }

    async fn refusals() -> RefusalRig {
        let (ledger, clock, keep) = apart(alone(), 4);
        RefusalRig { refusals: Arc::new(ledger), clock, keep }
    }

    async fn sessions() -> SessionRig {
        let (ledger, clock, keep) = apart(alone(), 4);
        SessionRig { sessions: Arc::new(ledger), clock, keep }
    }

    sts_store::object_contract_tests! { objects }
    sts_store::refusal_contract_tests! { refusals }
    sts_store::session_contract_tests! { sessions }
}

impl Store {
    fn shards(&self, replica: u8, shards: u32) -> ShardedRedis {
        let spec = RedisSpec { shards: count(shards), ..self.spec() };
        RedisLedger::open_shards(&spec, &self.parts(replica, 1)).unwrap()
    }

    fn in_cluster(&self, replica: u8, cluster: &RedisCluster, shards: u32) -> ShardedRedis {
        let spec = RedisSpec { shards: count(shards), ..spec(nodes_of(cluster)) };
        RedisLedger::open_shards(&spec, &self.parts(replica, 1)).unwrap()
    }

    /// The key of that name in a shard, counted from 0.
    fn key(&self, shard: usize, shards: u32, name: &str) -> String {
        let start = format!("sts:{{sts.{shard}-{shards}.");
        let keys = self.server.keys();
        keys.into_iter().find(|key| key.starts_with(&start) && key.ends_with(&format!(":{name}"))).unwrap()
    }
}

/// A claim in that shard.
fn claim_in(shard: u64, shards: u64, number: u8) -> ReplayClaim {
    let mut key = [number; 32];
    key[..8].copy_from_slice(&(u64::from(number) * shards + shard).to_be_bytes());
    ReplayClaim { key: Digest256(key), until: START.plus(1000) }
}

fn in_shard(shard: u8, name: &str) -> TokenRecord {
    TokenRecord { jti: jti_in_shard(shard, name), ..record("x", "octo") }
}

async fn is_revoked(ledger: &dyn Ledger, jti: &Jti) -> bool {
    let (found, rules) = ledger.look_up_with_rules(vec![jti.clone()]).await.unwrap();
    let entry = found.into_iter().next().unwrap().unwrap();
    let names_account = |rule: &Revocation| match &rule.scope {
        RevocationScope::Rule(rule) => rule.account.as_deref() == Some(entry.record.account.as_str()),
        RevocationScope::Token(_) => false,
    };
    entry.revoked.is_some() || rules.iter().any(|rule| names_account(rule) && rule.reaches(&entry.record))
}

fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats = server.command(&["INFO", "commandstats"]).text().to_owned();
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls="))).unwrap_or("0,");
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_record_lies_where_its_claim_or_its_parent_lies_and_any_other_anywhere_in_turn() {
    let (ledger, _, _keep) = apart(alone(), 8);
    for shard in 0..8 {
        let claims = || vec![claim_in(shard, 8, 3), claim_in(1, 8, 4)];
        assert_eq!(ledger.place(None, &claims), u8::try_from(shard).ok(), "the first claim decides");
        let parent = jti_in_shard(u8::try_from(shard).unwrap(), "parent");
        assert_eq!(ledger.place(Some(&parent), &|| vec![claim_in(1, 8, 4)]), u8::try_from(shard).ok());
    }
    let mut of_shards = [0; 8];
    for _ in 0..800 {
        of_shards[usize::from(ledger.place(None, &Vec::new).unwrap())] += 1;
    }
    assert_eq!(of_shards, [100; 8]);
}

#[tokio::test]
async fn an_issue_and_an_introspection_ask_one_shard_in_one_round_trip() {
    let store = Store::new(RedisServer::start());
    let ledger = store.shards(0, 4);
    for shard in 0..4 {
        ledger.issue(in_shard(shard, "first"), vec![]).await.unwrap();
    }
    let before = ["multi", "exec", "set", "hmget", "get"].map(|name| calls(&store.server, name));
    for number in 0..20_u8 {
        let claims = || vec![claim_in(u64::from(number) % 4, 4, number)];
        let shard = ledger.place(None, &claims).unwrap();
        let issued = ledger.issue(in_shard(shard, &format!("t{number}")), claims()).await.unwrap();
        assert_eq!(issued, Issued::Recorded);
    }
    let after = ["multi", "exec", "set", "hmget", "get"].map(|name| calls(&store.server, name));
    let made: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(made, [20, 20, 40, 20, 0], "one transaction, with one read of one mark");
    let jti = |number: u8| jti_in_shard(number % 4, &format!("t{number}"));
    for number in 0..20 {
        let (found, rules) = ledger.look_up_with_rules(vec![jti(number)]).await.unwrap();
        assert!(found[0].is_some() && rules.is_empty());
    }
    assert_eq!(calls(&store.server, "hmget") - after[3], 20);
    assert_eq!(calls(&store.server, "get") - after[4], 40, "the record and its revocation");
}

#[tokio::test]
async fn a_jti_that_names_no_shard_is_absent() {
    let (ledger, _, _keep) = apart(alone(), 4);
    ledger.issue(in_shard(3, "there"), vec![]).await.unwrap();
    for jti in
        [jti_in_shard(4, "there"), jti_in_shard(255, "there"), Jti::new("a").unwrap(), Jti::new("\u{e9}").unwrap()]
    {
        assert_eq!(ledger.look_up(jti.clone()).await.unwrap(), None);
        assert_eq!(ledger.look_up_all(vec![jti.clone(), jti_in_shard(3, "there")]).await.unwrap().len(), 2);
        refused(ledger.issue(TokenRecord { jti: jti.clone(), ..record("x", "octo") }, vec![]).await);
        refused(ledger.revoke(Revocation { scope: RevocationScope::Token(jti), ..revocation("x", "") }).await);
    }
}

/// Whatever the shards of record and claims, and whichever claim is taken.
#[tokio::test]
async fn c059_claims_in_other_shards_are_taken_with_the_record_or_stay_free() {
    let (ledger, _, _keep) = apart(alone(), 4);
    for (round, taken) in [(0_u8, 0_usize), (1, 1), (2, 2), (3, 3)] {
        let claims: Vec<_> = (0..4).map(|shard| claim_in(shard, 4, 10 + round)).collect();
        ledger.issue(in_shard(2, &format!("first-{round}")), vec![claims[taken].clone()]).await.unwrap();
        let refused = ledger.issue(in_shard(1, &format!("second-{round}")), claims.clone()).await.unwrap();
        assert!(matches!(refused, Issued::Replayed(found) if found.key == claims[taken].key));
        assert_eq!(ledger.look_up(jti_in_shard(1, &format!("second-{round}"))).await.unwrap(), None);
        for (index, free) in claims.iter().enumerate().filter(|(index, _)| *index != taken) {
            assert_eq!(ledger.find_claim(free.key).await.unwrap(), None, "{index}");
        }
        let rest: Vec<_> =
            claims.iter().enumerate().filter(|(index, _)| *index != taken).map(|(_, claim)| claim.clone()).collect();
        let issued = ledger.issue(in_shard(1, &format!("second-{round}")), rest).await.unwrap();
        assert_eq!(issued, Issued::Recorded);
        for claim in claims {
            assert!(ledger.take_claim(claim, sts_store::EarlierUse::of(&record("x", "octo"))).await.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn c057_of_many_issues_with_the_same_claims_in_several_shards_exactly_one_is_recorded() {
    let (ledger, _, _keep) = apart(alone(), 4);
    for round in 0..10_u8 {
        let claims: Vec<_> = (0..4).map(|shard| claim_in(shard, 4, 20 + round)).collect();
        let issues = (0..20).map(|number| {
            let home = ledger.place(None, &|| claims.clone()).unwrap();
            ledger.issue(in_shard(home, &format!("{round}-{number}")), claims.clone())
        });
        let outcomes = futures_util::future::try_join_all(issues).await.unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Issued::Recorded).count(), 1, "{outcomes:?}");
    }
}

#[tokio::test]
async fn another_number_of_shards_is_refused_and_both_are_named_and_nothing_is_written() {
    let store = Store::new(RedisServer::start());
    let four = store.shards(0, 4);
    four.issue(in_shard(1, "a"), vec![]).await.unwrap();
    let keys = store.server.keys();
    let text = refused(store.shards(1, 8).issue(in_shard(1, "b"), vec![]).await);
    assert!(text.contains("made with 4 shards") && text.contains("`store.shards` is 8"), "{text}");
    for whole in [store.ledger(2), store.ledger(3)] {
        for text in [
            refused(whole.issue(record("b", "octo"), vec![]).await),
            refused(whole.ready().await),
            refused(whole.accept_epoch().await),
        ] {
            assert!(text.contains("made with 4 shards") && text.contains("`store.shards` is 1"), "{text}");
        }
    }
    refused(store.shards(4, 8).accept_epoch().await);
    assert_eq!(store.server.keys().len(), keys.len());
    assert!(store.shards(5, 4).look_up(jti_in_shard(1, "a")).await.unwrap().is_some());

    let store = Store::new(RedisServer::start());
    store.ledger(0).issue(record("a", "octo"), vec![]).await.unwrap();
    let keys = store.server.keys();
    let text = refused(store.shards(1, 32).issue(in_shard(1, "b"), vec![]).await);
    assert!(text.contains("made with 1 shard,") && text.contains("`store.shards` is 32"), "{text}");
    refused(store.shards(1, 32).accept_epoch().await);
    assert_eq!(store.server.keys().len(), keys.len());
    assert!(store.ledger(0).look_up(Jti::new("a").unwrap()).await.unwrap().is_some());
}

/// Such a server knows from its own files how many shards there are.
#[tokio::test]
async fn a_server_that_starts_again_needs_no_answer_about_the_number_and_still_notices_another() {
    let store = Store::new(RedisServer::start());
    let first = store.shards(0, 4);
    for shard in 0..4 {
        first.issue(in_shard(shard, "a"), vec![]).await.unwrap();
    }
    first.ready().await.unwrap();
    store.server.order(&["RENAME", "sts:{sts}:mark", "aside"]);
    let again = store.shards(0, 4);
    assert!(again.look_up(jti_in_shard(1, "a")).await.unwrap().is_some());
    again.ready().await.unwrap();
    assert_eq!(store.server.command(&["EXISTS", "sts:{sts}:mark"]).text(), "1", "the number is there again");
    store.server.order(&["DEL", "sts:{sts}:mark"]);
    store.shards(1, 8).issue(in_shard(7, "a"), vec![]).await.unwrap();
    let four = store.shards(0, 4);
    let first = four.ready().await;
    let text = refused(four.ready().await);
    assert!(text.contains("made with 8 shards"), "{text}, after {first:?}");
}

#[tokio::test]
async fn of_servers_that_begin_at_once_with_different_numbers_one_number_wins() {
    for _ in 0..5 {
        let store = Store::new(RedisServer::start());
        let (four, eight, whole) = (store.shards(0, 4), store.shards(1, 8), store.ledger(2));
        let outcomes = tokio::join!(
            four.issue(in_shard(1, "a"), vec![]),
            eight.issue(in_shard(1, "a"), vec![]),
            whole.issue(record("a", "octo"), vec![])
        );
        let begun = [outcomes.0.is_ok(), outcomes.1.is_ok(), outcomes.2.is_ok()];
        assert_eq!(begun.iter().filter(|is_begun| **is_begun).count(), 1, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_rule_that_some_shards_did_not_get_is_in_force_where_it_is_and_made_again_it_is_the_same() {
    let store = Store::new(RedisServer::start());
    let ledger = store.shards(0, 4);
    for shard in 0..4 {
        ledger.issue(in_shard(shard, "before"), vec![]).await.unwrap();
    }
    let other = ledger.revoke(rule("other", START.plus(1000))).await.unwrap();
    let rules = store.key(2, 4, "rules");
    store.server.order(&["RENAME", &rules, "aside"]);
    store.server.order(&["SET", &rules, "of another program"]);
    let made = ledger.revoke(rule("octo", START.plus(1000))).await;
    let Err(LedgerError::InPart(text)) = made else { panic!("{made:?}") };
    assert!(text.contains("shard 3 of 4") && text.contains("in force in 3 of 4 shards"), "{text}");
    store.server.order(&["DEL", &rules]);
    store.server.order(&["RENAME", "aside", &rules]);
    store.clock.advance(2);
    let again = store.shards(1, 4);
    for shard in 0..4 {
        assert_eq!(is_revoked(&again, &jti_in_shard(shard, "before")).await, shard != 2, "{shard}");
        again.issue(in_shard(shard, "between"), vec![]).await.unwrap();
        assert!(!is_revoked(&again, &jti_in_shard(shard, "between")).await, "{shard}");
    }
    let listed = again.rules().await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let half = listed.iter().find(|rule| rule.id != other.id).unwrap().clone();
    let whole = again.revoke(rule("octo", START.plus(1000))).await.unwrap();
    assert_eq!(whole.id, half.id);
    for (shard, name) in (0..4).flat_map(|shard| [(shard, "before"), (shard, "between")]) {
        assert!(is_revoked(&again, &jti_in_shard(shard, name)).await, "{shard} {name}");
    }
    again.issue(in_shard(2, "after"), vec![]).await.unwrap();
    assert!(!is_revoked(&again, &jti_in_shard(2, "after")).await);
    assert_eq!(*again.rules().await.unwrap(), [other.clone(), whole.clone()]);
    assert_eq!(again.undo_rule(whole.id.clone().unwrap()).await.unwrap(), Some(whole.clone()));
    assert_eq!(again.undo_rule(whole.id.unwrap()).await.unwrap(), None);
    assert_eq!(*again.rules().await.unwrap(), [other]);
}

#[tokio::test]
async fn a_rule_is_known_to_another_process_at_its_next_look_at_any_shard() {
    let store = Store::new(RedisServer::start());
    let (one, other) = (store.shards(0, 4), store.shards(1, 4));
    for shard in 0..4 {
        one.issue(in_shard(shard, "a"), vec![]).await.unwrap();
        assert!(!is_revoked(&other, &jti_in_shard(shard, "a")).await);
    }
    let made = one.revoke(rule("octo", START.plus(1000))).await.unwrap();
    for shard in 0..4 {
        assert!(is_revoked(&other, &jti_in_shard(shard, "a")).await, "{shard}");
    }
    one.undo_rule(made.id.unwrap()).await.unwrap();
    for shard in [3, 1, 0, 2] {
        assert!(!is_revoked(&other, &jti_in_shard(shard, "a")).await, "{shard}");
    }
}

#[tokio::test]
async fn a_shard_that_lost_something_fails_its_share_alone_until_the_loss_is_accepted() {
    let store = Store::new(RedisServer::start());
    let ledger = store.shards(0, 4);
    for shard in 0..4 {
        ledger.issue(in_shard(shard, "a"), vec![]).await.unwrap();
        ledger
            .revoke(Revocation { scope: RevocationScope::Token(jti_in_shard(shard, "a")), ..revocation("x", "leaked") })
            .await
            .unwrap();
    }
    store.server.order(&["DEL", &store.key(1, 4, "mark"), &store.key(1, 4, "revocations")]);
    let text = refused(ledger.look_up(jti_in_shard(1, "a")).await);
    assert!(text.starts_with("shard 2 of 4: "), "{text}");
    for shard in [0, 2, 3] {
        assert!(is_revoked(&ledger, &jti_in_shard(shard, "a")).await);
    }
    for _ in 0..40 {
        let shard = ledger.place(None, &Vec::new).unwrap();
        assert_ne!(shard, 1, "new tokens go to the others");
    }
    let warnings = ledger.ready().await.unwrap();
    assert!(
        warnings.iter().any(|warning| warning.name == "shards_away" && warning.text.contains("shard 2 of 4")),
        "{warnings:?}"
    );
    assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted);
    assert!(is_revoked(&ledger, &jti_in_shard(1, "a")).await, "its revocation was still there");
    assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::NothingToAccept);
    let placed: BTreeSet<_> = (0..8).map(|_| ledger.place(None, &Vec::new).unwrap()).collect();
    assert_eq!(placed.len(), 4, "all are well again");
    // A process that starts now follows, and so does one that was there.
    for ledger in [store.shards(0, 4), store.shards(1, 4)] {
        assert!(is_revoked(&ledger, &jti_in_shard(1, "a")).await);
    }
}

#[tokio::test]
async fn a_node_that_is_away_fails_its_share_of_shards_and_new_tokens_go_to_the_others() {
    let mut cluster = RedisCluster::start();
    for node in &cluster.nodes {
        node.order(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let store = Store::new(RedisServer::start());
    let ledger = store.in_cluster(0, &cluster, 12);
    for shard in 0..12 {
        ledger.issue(in_shard(shard, "a"), vec![]).await.unwrap();
    }
    let of_nodes: Vec<usize> =
        (0..3).map(|node| cluster.nodes[node].keys().iter().filter(|key| key.ends_with(":mark")).count()).collect();
    assert!(
        of_nodes.iter().sum::<usize>() == 13 && of_nodes.iter().all(|count| (4..=5).contains(count)),
        "{of_nodes:?}"
    );
    cluster.nodes[2].kill();
    let mut failed = Vec::new();
    for shard in 0..12 {
        if let Err(LedgerError::Unavailable(text)) = ledger.look_up(jti_in_shard(shard, "a")).await {
            assert!(text.starts_with(&format!("shard {} of 12", shard + 1)), "{text}");
            failed.push(shard);
        }
    }
    assert_eq!(failed, [8, 9, 10, 11]);
    let mut placed = BTreeSet::new();
    for number in 0..80 {
        let shard = ledger.place(None, &Vec::new).unwrap();
        let issued = ledger.issue(in_shard(shard, &format!("new-{number}")), vec![]).await.unwrap();
        assert_eq!(issued, Issued::Recorded);
        placed.insert(shard);
    }
    assert_eq!(placed, (0..8).collect(), "all of the others get their part");
    let warnings = ledger.ready().await.unwrap();
    let away = warnings.iter().find(|warning| warning.name == "shards_away").unwrap();
    assert!(away.text.starts_with("4 of 12 shards") && away.text.contains("shard 9 of 12"), "{}", away.text);
    let claims = vec![claim_in(9, 12, 1)];
    assert_eq!(ledger.place(None, &|| claims.clone()), Some(9), "a claim has one place");
    refused(ledger.issue(in_shard(9, "claimed"), claims).await);
    refused(ledger.rules().await);
    // A claim in a shard that is there is not spent on a record that cannot be written.
    let free = claim_in(0, 12, 2);
    refused(ledger.issue(in_shard(9, "claimed"), vec![free.clone()]).await);
    assert_eq!(ledger.find_claim(free.key).await.unwrap(), None);

    cluster.nodes[2].restart();
    for shard in 8..12 {
        let jti = jti_in_shard(shard, "a");
        let found = eventually(&store, "the shard is back", async || ledger.look_up(jti.clone()).await).await;
        assert!(found.is_some());
    }
    let warnings = eventually(&store, "all shards are back", async || ledger.ready().await).await;
    assert!(warnings.iter().all(|warning| warning.name != "shards_away"), "{warnings:?}");
}

/// No node has more than 1.2 times its share of the exchanges.
#[tokio::test]
async fn each_node_of_a_cluster_gets_its_share_of_exchanges_with_and_without_claims() {
    let cluster = RedisCluster::start();
    let store = Store::new(RedisServer::start());
    let ledger = store.in_cluster(0, &cluster, 32);
    for shard in 0..32 {
        ledger.issue(in_shard(shard, "first"), vec![]).await.unwrap();
    }
    let transactions = || -> Vec<u64> { cluster.nodes.iter().map(|node| calls(node, "exec")).collect() };
    let before = transactions();
    for number in 0..640_u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let claims =
            if number % 2 == 0 { vec![] } else { vec![ReplayClaim { key: Digest256(key), until: START.plus(900) }] };
        let shard = ledger.place(None, &|| claims.clone()).unwrap();
        ledger.issue(in_shard(shard, &format!("t{number}")), claims).await.unwrap();
    }
    let of_nodes: Vec<u64> = transactions().iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(of_nodes.iter().sum::<u64>(), 640, "one transaction for each");
    assert!(of_nodes.iter().all(|count| count * 3 * 10 <= 640 * 12), "{of_nodes:?}");
}

#[tokio::test]
async fn pages_over_shards_have_no_gap_and_no_repetition_even_within_one_millisecond() {
    let (ledger, _, _keep) = apart(alone(), 5);
    let mut wanted = BTreeSet::new();
    for number in 0..120_i64 {
        let shard = u8::try_from(number * number % 5).unwrap();
        let iat = START.plus(number / 40);
        let issued = TokenRecord { iat, iat_millis: 7, ..in_shard(shard, &format!("t{number}")) };
        wanted.insert(issued.jti.clone());
        ledger.issue(issued, vec![]).await.unwrap();
    }
    for limit in [1, 7, 50, 120, 1000] {
        let (mut seen, mut after, mut newest) = (Vec::new(), None, i64::MAX);
        loop {
            let page = ledger.list(Listing { after: after.clone(), limit, account: None }).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.record.jti.clone());
            for entry in page {
                assert!(entry.record.iat.as_secs() <= newest, "newest first");
                newest = entry.record.iat.as_secs();
                seen.push(entry.record.jti);
            }
        }
        assert_eq!(seen.len(), 120, "{limit}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), wanted, "{limit}");
    }
}

#[tokio::test]
async fn status_indexes_of_all_shards_are_different_and_each_shard_tells_what_was_revoked_there() {
    let store = Store::new(RedisServer::start());
    let (one, other) = (store.shards(0, 4), store.shards(1, 4));
    let window = StatusWindow::of(START);
    let mut taken = BTreeSet::new();
    for shard in [0, 3, 0, 1, 2, 0] {
        for ledger in [&one, &other] {
            let lease = ledger.lease(Some(shard), window, STATUS_BLOCK).await.unwrap();
            assert_eq!(lease.era, ledger.lease_era(Some(shard)));
            assert!((lease.first..lease.first + u64::from(STATUS_BLOCK)).all(|index| taken.insert(index)), "{lease:?}");
        }
    }
    let mark = one.status().await.unwrap();
    assert!(mark.leased[&window] > *taken.last().unwrap());
    for shard in 0..4 {
        one.issue(in_shard(shard, "a"), vec![]).await.unwrap();
    }
    assert_eq!(other.revoked_since(&mark).await.unwrap(), Some(vec![]));
    for shard in [1, 3] {
        let scope = RevocationScope::Token(jti_in_shard(shard, "a"));
        one.revoke(Revocation { scope, ..revocation("x", "leaked") }).await.unwrap();
    }
    let revoked = other.revoked_since(&mark).await.unwrap().unwrap();
    let shards: Vec<_> = revoked.iter().map(|record| shard_of(&record.jti).unwrap()).collect();
    assert_eq!(shards, [1, 3]);
    assert!(other.status().await.unwrap().revocations > mark.revocations);
    assert_eq!(other.revoked_since(&StatusMark::default()).await.unwrap(), None, "a mark of another store");
}

/// A flood has the room of all shards together, and no more.
#[tokio::test]
async fn fld42_shards_divide_the_room_for_refusals() {
    let (ledger, clock, _keep) = apart(alone(), 4);
    ledger.remember((0..20).map(|number| refusal(number, u64::from(number % 2), 0)).collect()).await.unwrap();
    for batch in 1..=24 {
        let flood = (0..256).map(|number| refusal(1000 * batch + number, 99, u64::from(batch)));
        ledger.remember(flood.collect()).await.unwrap();
    }
    ledger.forget(sts_types::Clock::now(&*clock)).await.unwrap();
    let kept = ledger.latest(10_000, Arc::default()).await.unwrap();
    assert!((3600..=4096).contains(&kept.len()), "{}", kept.len());
    for number in 0..20 {
        assert!(ledger.find(refusal(number, 0, 0).request_id).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn the_claims_of_the_samples_lie_in_some_shard() {
    let (ledger, _, _keep) = apart(alone(), 4);
    let shard = ledger.place(None, &|| vec![claim(1, START.plus(10))]).unwrap();
    ledger.issue(in_shard(shard, "a"), vec![claim(1, START.plus(10))]).await.unwrap();
    assert!(ledger.find_claim(claim(1, START).key).await.unwrap().is_some());
}
