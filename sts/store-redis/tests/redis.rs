//! The Redis store keeps the ledger's contract on a real redis-server: alone, with the ACL that we
//! ship, over TLS, in a Cluster, and behind sentinels.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails is to end")]

mod support;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sts_store::contract::{
    AlertLog, ManualClock, ObjectRig, RefusalRig, Rig, START, SessionRig, claim, object, record, refusal, replayed,
    revocation, rule,
};
use sts_store::{
    Acceptance, Committed, Issued, KeyUse, Ledger, LedgerError, Listing, ObjectChange, ObjectKind, ObjectStore,
    RefusalStore, StatusMark,
};
use sts_store_redis::{RedisLedger, RedisOpenError, RedisSpec, RedisTls, Topology};
use sts_testkit::{RedisCertificates, RedisCluster, RedisPair, RedisReply, RedisServer};
use sts_types::{ApiKeyId, Jti, StatusWindow};
use support::{PASSWORD, Store, node, parts, spec, under_acl, write_secret};

async fn redis() -> Rig {
    Store::new(RedisServer::start()).rig()
}

async fn objects() -> ObjectRig {
    let store = Store::new(RedisServer::start());
    let ledger = Arc::new(store.ledger(0));
    ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock: Arc::clone(&store.clock), keep: Box::new(store) }
}

sts_store::contract_tests! { redis }
sts_store::whole_ledger_tests! { redis }
sts_store::object_contract_tests! { objects }

mod under_the_rights_that_we_ship {
    use super::*;

    async fn under_acl_alone() -> Rig {
        let store = Store::new(under_acl());
        let spec = store.spec_of_user();
        Rig { ledger: Arc::new(store.ledger_by(0, spec)), clock: Arc::clone(&store.clock), keep: Box::new(store) }
    }

    async fn refusals() -> RefusalRig {
        let store = Store::new(under_acl());
        let ledger = store.ledger_by(0, store.spec_of_user());
        RefusalRig { refusals: Arc::new(ledger), clock: Arc::clone(&store.clock), keep: Box::new(store) }
    }

    async fn objects() -> ObjectRig {
        let store = Store::new(under_acl());
        let ledger = Arc::new(store.ledger_by(0, store.spec_of_user()));
        ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock: Arc::clone(&store.clock), keep: Box::new(store) }
    }

    sts_store::contract_tests! { under_acl_alone }
    sts_store::object_contract_tests! { objects }
    async fn sessions() -> SessionRig {
        let store = Store::new(under_acl());
        let ledger = store.ledger_by(0, store.spec_of_user());
        SessionRig { sessions: Arc::new(ledger), clock: Arc::clone(&store.clock), keep: Box::new(store) }
    }

    sts_store::session_contract_tests! { sessions }
    sts_store::refusal_contract_tests! { refusals }
    sts_store::refusal_capacity_tests! { refusals }
}

mod over_tls {
    use super::*;

    async fn over_tls() -> Rig {
        let certificates = RedisCertificates::make();
        let store = Store::new(RedisServer::with(&certificates.server_lines()));
        let spec = RedisSpec { tls: Some(tls(&certificates)), ..store.spec() };
        let ledger = Arc::new(store.ledger_by(0, spec));
        Rig { ledger, clock: Arc::clone(&store.clock), keep: Box::new((store, certificates)) }
    }

    async fn objects() -> ObjectRig {
        let certificates = RedisCertificates::make();
        let store = Store::new(RedisServer::with(&certificates.server_lines()));
        let spec = RedisSpec { tls: Some(tls(&certificates)), ..store.spec() };
        let ledger = Arc::new(store.ledger_by(0, spec));
        let keep = Box::new((store, certificates));
        ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock: Arc::clone(&keep.0.clock), keep }
    }

    sts_store::contract_tests! { over_tls }
    sts_store::object_contract_tests! { objects }
}

/// A new ledger in the Redis that all tests of this process share.
fn apart(topology: Topology) -> Rig {
    let (ledger, clock, keep) = ledger_apart(topology);
    Rig { ledger, clock, keep }
}

fn ledger_apart(topology: Topology) -> (Arc<RedisLedger>, Arc<ManualClock>, Box<dyn std::any::Any + Send>) {
    static PREFIXES: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("test-{}:", PREFIXES.fetch_add(1, Ordering::Relaxed));
    let (clock, directory) = (Arc::new(ManualClock::default()), tempfile::tempdir().unwrap());
    let parts = parts(&clock, &Arc::new(AlertLog::default()), directory.path(), 0, 1);
    let ledger = RedisLedger::open(RedisSpec { prefix, ..spec(topology) }, parts).unwrap();
    (Arc::new(ledger), clock, Box::new(directory))
}

mod in_a_cluster {
    use super::*;

    fn nodes() -> Topology {
        static CLUSTER: OnceLock<RedisCluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(RedisCluster::start);
        Topology::Cluster(cluster.nodes.iter().map(|each| node(each.port())).collect())
    }

    async fn in_a_cluster() -> Rig {
        apart(nodes())
    }

    async fn objects() -> ObjectRig {
        let (ledger, clock, keep) = ledger_apart(nodes());
        ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock, keep }
    }

    sts_store::contract_tests! { in_a_cluster }
    sts_store::object_contract_tests! { objects }
}

mod behind_sentinels {
    use super::*;

    fn sentinels() -> Topology {
        static PAIR: OnceLock<RedisPair> = OnceLock::new();
        let pair = PAIR.get_or_init(RedisPair::start);
        // One of them is down.
        let sentinels = vec![node(1), node(pair.sentinel.port())];
        Topology::Sentinel { sentinels, name: "mymaster".to_owned() }
    }

    async fn behind_sentinels() -> Rig {
        apart(sentinels())
    }

    async fn objects() -> ObjectRig {
        let (ledger, clock, keep) = ledger_apart(sentinels());
        ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock, keep }
    }

    sts_store::contract_tests! { behind_sentinels }
    sts_store::object_contract_tests! { objects }
}

fn tls(certificates: &RedisCertificates) -> RedisTls {
    support::install_cryptography();
    RedisTls {
        ca_file: Some(certificates.path("ca.crt")),
        client: Some((certificates.path("client.crt"), certificates.path("client.key"))),
    }
}

#[tokio::test]
async fn over_tls_a_server_of_another_authority_and_a_client_without_a_certificate_get_nowhere() {
    let (certificates, others) = (RedisCertificates::make(), RedisCertificates::make());
    let store = Store::new(RedisServer::with(&certificates.server_lines()));
    for (replica, wrong) in [
        tls(&others),
        RedisTls { ca_file: Some(certificates.path("ca.crt")), client: None },
        RedisTls { ca_file: Some(others.path("ca.crt")), ..tls(&certificates) },
        RedisTls { client: tls(&others).client, ..tls(&certificates) },
    ]
    .into_iter()
    .enumerate()
    {
        let spec = RedisSpec { tls: Some(wrong), ..store.spec() };
        let ledger = store.ledger_by(u8::try_from(replica).unwrap(), spec);
        assert!(
            matches!(ledger.issue(record("a", "octo"), vec![]).await, Err(LedgerError::Unavailable(_))),
            "{replica}"
        );
    }
    let sound = store.ledger_by(9, RedisSpec { tls: Some(tls(&certificates)), ..store.spec() });
    assert_eq!(sound.issue(record("a", "octo"), vec![]).await.unwrap(), Issued::Recorded);
}

#[tokio::test]
async fn files_that_are_missing_or_no_certificates_are_found_when_it_is_opened() {
    let store = Store::new(RedisServer::start());
    let open = |spec| RedisLedger::open(spec, store.parts(0, 1)).err();
    let absent = store.directory.path().join("absent");
    let junk = store.directory.path().join("junk");
    write_secret(&junk, "no certificate");
    let missing = |error| matches!(error, Some(RedisOpenError::File { .. }));
    let no_password = open(RedisSpec { password_file: Some(absent.clone()), ..store.spec() });
    assert!(matches!(no_password, Some(RedisOpenError::Secret(error)) if error.is_missing()));
    let with = |tls| RedisSpec { tls: Some(tls), ..store.spec() };
    assert!(missing(open(with(RedisTls { ca_file: Some(absent), client: None }))));
    let client = with(RedisTls { ca_file: None, client: Some((junk.clone(), junk)) });
    assert!(matches!(open(client), Some(RedisOpenError::Client(_))));
}

#[tokio::test]
async fn c136_the_rights_that_we_ship_allow_nothing_beyond_what_the_store_does() {
    let server = under_acl();
    let as_admin = |parts: &[&str]| server.command(parts);
    let mine = |parts: &[&str]| {
        let mut dry = vec!["ACL", "DRYRUN", "sts"];
        dry.extend_from_slice(parts);
        as_admin(&dry)
    };
    for refused in [
        &["EVAL", "return 1", "0"][..],
        &["EVALSHA", "x", "0"],
        &["SCRIPT", "LOAD", "return 1"],
        &["FUNCTION", "LIST"],
        &["FCALL", "f", "0"],
        &["CONFIG", "GET", "dir"],
        &["CONFIG", "SET", "dir", "/"],
        &["KEYS", "*"],
        &["SCAN", "0"],
        &["FLUSHALL"],
        &["FLUSHDB"],
        &["SHUTDOWN"],
        &["DEBUG", "SLEEP", "1"],
        &["MODULE", "LIST"],
        &["ACL", "LIST"],
        &["ACL", "SETUSER", "x"],
        &["MONITOR"],
        &["CLIENT", "LIST"],
        &["REPLICAOF", "NO", "ONE"],
        &["SAVE"],
        &["MIGRATE", "h", "1", "k", "0", "1"],
        &["RESTORE", "sts:x", "0", "x"],
        &["DUMP", "sts:x"],
        &["RENAME", "sts:x", "sts:y"],
        &["EXPIRE", "sts:x", "1"],
        &["SUBSCRIBE", "x"],
        &["PUBLISH", "x", "y"],
        &["CLUSTER", "RESET"],
        &["GET", "other"],
        &["SET", "other", "1"],
    ] {
        assert_ne!(mine(refused), RedisReply::Text("OK".to_owned()), "{refused:?}");
    }
    assert_eq!(mine(&["GET", "sts:x"]), RedisReply::Text("OK".to_owned()));
    // The contract tests show that these rights suffice. A wrong password gives an error that names
    // it.
    let store = Store::new(server);
    write_secret(&store.directory.path().join("password"), "wrong");
    let error = store.ledger_by(0, store.spec_of_user_with("password")).ready().await.unwrap_err();
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
    let error = store.ledger(1).ready().await.unwrap_err();
    assert!(error.to_string().contains("NOAUTH"), "{error}");
    assert!(!error.to_string().contains(PASSWORD));
}

#[tokio::test]
async fn c136_of_the_rights_that_we_ship_none_is_without_use_and_a_flush_is_accepted_with_them() {
    let store = Store::new(under_acl());
    let ledger = store.ledger_by(0, RedisSpec { wait_replicas: 1, ..store.spec_of_user() });
    let window = StatusWindow::of(START);
    let id_of_key = ApiKeyId::new("0123456789ab").unwrap();
    let used = KeyUse { at: START, from: "192.0.2.1".to_owned() };
    ledger.issue(record("a", "octo"), vec![claim(1, START.plus(900))]).await.unwrap();
    let again = ledger.issue(record("b", "octo"), vec![claim(1, START.plus(900))]).await;
    assert_eq!(again.unwrap(), replayed(1));
    // There is no replica. The revocation is written all the same.
    ledger.revoke(revocation("a", "leaked")).await.unwrap_err();
    ledger.revoke(rule("octo", START.plus(10))).await.unwrap_err();
    ledger.rules().await.unwrap();
    ledger.last_end().await.unwrap();
    ledger.lease(None, window, 8).await.unwrap();
    ledger.revoked_since(&StatusMark::default()).await.unwrap();
    let listing = Listing { limit: 1, ..Listing::default() };
    ledger.list(listing.clone()).await.unwrap();
    ledger.list(Listing { after: Some(Jti::new("a").unwrap()), ..listing }).await.unwrap();
    ledger.remember(vec![refusal(1, 1, 0)]).await.unwrap();
    ledger.latest(1, std::sync::Arc::default()).await.unwrap();
    ledger.forget(START.plus(86_401)).await.unwrap();
    let changes = vec![ObjectChange::Put(object(ObjectKind::Teams, "a", ""))];
    assert!(matches!(store.ledger_by(2, store.spec_of_user()).commit(0, changes).await, Ok(Committed::Done(_))));
    ledger.objects().await.unwrap();
    ledger.record_uses(vec![(id_of_key.clone(), used)]).await.unwrap();
    ledger.uses().await.unwrap();
    ledger.ready().await.unwrap();
    ledger.sweep(window.end().plus(61)).await.unwrap();
    store.server.order(&["FLUSHALL"]);
    ledger.look_up(Jti::new("a").unwrap()).await.unwrap_err();
    assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted);

    let used: Vec<String> = store.server.command(&["INFO", "commandstats"]).text().lines().filter_map(ran).collect();
    let rights =
        include_str!("../../../deploy/redis/sts.acl").lines().find(|line| line.starts_with("user sts ")).unwrap();
    for right in rights.split(' ').filter_map(|word| word.strip_prefix('+')) {
        // A Cluster client asks where the keys are, and a client with another database number
        // selects it.
        if !right.starts_with("cluster|") && right != "select" {
            assert!(used.iter().any(|command| command == right), "{right} is not needed: {used:?}");
        }
    }
    let chosen = store.ledger_by(1, RedisSpec { database: 3, ..store.spec_of_user() });
    chosen.issue(record("a", "octo"), vec![]).await.unwrap();
}

/// The command in a line of `INFO commandstats`, if it ran at least once.
fn ran(line: &str) -> Option<String> {
    let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(':')?;
    (!numbers.starts_with("calls=0,")).then(|| name.to_owned())
}

#[tokio::test]
async fn a_new_password_is_taken_up_without_a_restart() {
    let store = Store::new(under_acl());
    let file = store.directory.path().join("password");
    write_secret(&file, &format!("{PASSWORD}\n"));
    let ledger = store.ledger_by(0, store.spec_of_user_with("password"));
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    store.server.order(&["ACL", "SETUSER", "sts", "resetpass", ">another"]);
    write_secret(&file, "another\n");
    store.server.order(&["CLIENT", "KILL", "USER", "sts"]);
    let jti = Jti::new("a").unwrap();
    let mut answer = ledger.look_up(jti.clone()).await;
    for _ in 0..100 {
        if answer.is_ok() {
            break;
        }
        store.clock.advance(5);
        answer = ledger.look_up(jti.clone()).await;
    }
    assert!(answer.unwrap().is_some());
}

#[tokio::test]
async fn every_key_has_the_prefix_and_an_end_and_nothing_of_a_user_in_its_name() {
    let store = Store::new(RedisServer::start());
    let ledger = store.ledger_by(0, RedisSpec { prefix: "my-sts:".to_owned(), ..store.spec() });
    ledger.issue(record("jti-of-a-user", "account-of-a-user"), vec![]).await.unwrap();
    ledger.revoke(revocation("jti-of-a-user", "leaked")).await.unwrap();
    ledger.remember(vec![refusal(1, 1, 0)]).await.unwrap();
    let named = object(ObjectKind::Teams, "team-of-a-user", "");
    assert!(matches!(ledger.commit(0, vec![ObjectChange::Put(named)]).await, Ok(Committed::Done(_))));
    ledger.ready().await.unwrap();
    let keys = store.server.keys();
    assert!(keys.len() >= 6, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("my-sts:{my-sts}:"), "{key}");
        assert!(!key.contains("user"), "{key}");
        if [":t:", ":r:", ":d:"].iter().any(|kind| key.contains(kind)) {
            let end: i64 = store.server.command(&["PEXPIRETIME", &key]).text().parse().unwrap();
            assert!(end >= START.plus(900 + 600).as_secs() * 1000, "{key} {end}");
            let stored = store.server.command(&["GETRANGE", &key, "0", "0"]);
            let version = if key.contains(":t:") { "\u{2}" } else { "\u{1}" };
            assert_eq!(stored.text(), version, "{key}: a version first");
        }
    }
}

#[tokio::test]
async fn fld42_a_refusal_is_found_by_every_replica_and_one_that_was_altered_by_none() {
    let store = Store::new(RedisServer::start());
    let (one, other) = (store.ledger(0), store.ledger(1));
    one.remember(vec![refusal(1, 1, 0), refusal(2, 1, 1)]).await.unwrap();
    let id = |number| refusal(number, 1, 0).request_id;
    assert_eq!(other.find(id(1)).await.unwrap(), Some(refusal(1, 1, 0)));
    let keys: Vec<String> = store.server.keys().into_iter().filter(|key| key.contains(":d:")).collect();
    let [a, b] = keys.as_slice() else { panic!("{keys:?}") };
    // One in the place of the other.
    store.server.order(&["COPY", a, b, "REPLACE"]);
    let found = [other.find(id(1)).await.unwrap(), other.find(id(2)).await.unwrap()];
    assert_eq!(found.iter().flatten().count(), 1, "{found:?}");
    assert_eq!(store.alerts.take().len(), 1);
}
