//! Managed objects that somebody else removed, altered or put back, and a file of an earlier
//! version.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};
use sts_types::{ApiKeyId, Jti};

use super::super::EmbeddedLedger;
use super::super::tables::{KEY_USES, OBJECTS, TALLIES, TALLY};
use sts_store::backend::codec;
use sts_store::contract::{
    AlertLog, ManualClock, START, TestSeal, assert_all_object_attacks, object, object_key, record, revocation,
};
use sts_store::{
    Acceptance, Alert, Committed, Fault, KeyUse, Ledger, LedgerError, ObjectChange, ObjectKind, ObjectStore, Place,
};

const TEAMS: u8 = ObjectKind::Teams.number();
/// The attacker's copies, by name.
const KEPT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kept");

/// A closed store, for tampering.
struct Store {
    path: PathBuf,
    alerts: Arc<AlertLog>,
    _directory: tempfile::TempDir,
}

impl Store {
    fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.redb");
        Self { path, alerts: Arc::new(AlertLog::default()), _directory: directory }
    }

    /// A store with the teams `a` (changed once) and `b`. A third one, `c`, was removed. The
    /// attacker has copies of the rows and the mark of the first commit.
    async fn new() -> Self {
        let store = Self::empty();
        let ledger = store.open();
        ledger.issue(record("t", "octo"), vec![]).await.unwrap();
        ledger.commit(0, ["a", "b", "c"].map(|name| put(name, "1")).to_vec()).await.unwrap();
        drop(ledger);
        store.tamper(|txn| {
            let mut kept = txn.open_table(KEPT).unwrap();
            for name in ["a", "b", "c"] {
                let stored = txn.open_table(OBJECTS).unwrap().get((TEAMS, name)).unwrap().unwrap().value().to_vec();
                kept.insert(name, stored.as_slice()).unwrap();
            }
            let mark = txn.open_table(TALLIES).unwrap().get(TALLY).unwrap().unwrap().value().to_vec();
            kept.insert("mark", mark.as_slice()).unwrap();
        });
        let delete = ObjectChange::Delete(object_key(ObjectKind::Teams, "c"));
        assert_eq!(store.open().commit(1, vec![put("a", "2"), delete]).await.unwrap(), Committed::Done(2));
        store
    }

    fn open(&self) -> EmbeddedLedger {
        let clock = Arc::new(ManualClock::default());
        EmbeddedLedger::open(&self.path, Arc::new(TestSeal(1)), clock, Arc::clone(&self.alerts) as _).unwrap()
    }

    fn tamper(&self, with: impl FnOnce(&WriteTransaction)) {
        let database = Database::open(&self.path).unwrap();
        let transaction = database.begin_write().unwrap();
        with(&transaction);
        transaction.commit().unwrap();
    }
}

fn put(name: &str, note: &str) -> ObjectChange {
    ObjectChange::Put(object(ObjectKind::Teams, name, note))
}

fn kept(txn: &WriteTransaction, name: &str) -> Vec<u8> {
    txn.open_table(KEPT).unwrap().get(name).unwrap().unwrap().value().to_vec()
}

fn remove(txn: &WriteTransaction, names: &[&str]) {
    for name in names {
        txn.open_table(OBJECTS).unwrap().remove((TEAMS, *name)).unwrap();
    }
}

fn insert(txn: &WriteTransaction, kind: u8, name: &str, stored: &[u8]) {
    txn.open_table(OBJECTS).unwrap().insert((kind, name), stored).unwrap();
}

/// Asserts that every caller gets "unavailable".
async fn assert_in_doubt(store: &Store, fault: Fault, what: &str) {
    store.alerts.take();
    let ledger = store.open();
    assert_eq!(store.alerts.take(), [Alert { place: Place::Epoch, fault }], "{what}");
    let unavailable =
        |error: LedgerError| matches!(error, LedgerError::Unavailable(text) if text.contains("sts store accept-epoch"));
    assert!(unavailable(ledger.objects().await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.changes_since(2).await.unwrap_err()), "{what}");
    for at in [0, 1, 2] {
        assert!(unavailable(ledger.commit(at, vec![put("new", "1")]).await.unwrap_err()), "{what}");
    }
    assert!(unavailable(ledger.look_up(Jti::new("t").unwrap()).await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.ready().await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.issue(record("new", "octo"), vec![]).await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.revoke(revocation("t", "leaked")).await.unwrap_err()), "{what}");
}

type Tampering = fn(&WriteTransaction);

/// What is done to the store, the fault that is told, and the teams that are left after an
/// acceptance.
fn tamperings() -> Vec<(&'static str, Fault, &'static [&'static str], Tampering)> {
    vec![
        ("an object is gone", Fault::Seal, &["a"], |txn| remove(txn, &["b"])),
        ("an object was altered", Fault::Seal, &["a"], |txn| {
            let mut stored = kept(txn, "b");
            *stored.last_mut().unwrap() ^= 1;
            insert(txn, TEAMS, "b", &stored);
        }),
        ("an older revision of an object is there again", Fault::Seal, &["a", "b"], |txn| {
            insert(txn, TEAMS, "a", &kept(txn, "a"));
        }),
        ("an object that was deleted is there again", Fault::Seal, &["a", "b", "c"], |txn| {
            insert(txn, TEAMS, "c", &kept(txn, "c"));
        }),
        ("an object stands under the name of another", Fault::Seal, &["a"], |txn| {
            insert(txn, TEAMS, "b", &kept(txn, "a"));
        }),
        ("an object stands under another kind", Fault::Seal, &["a"], |txn| {
            remove(txn, &["b"]);
            insert(txn, ObjectKind::ApiKeys.number(), "b", &kept(txn, "b"));
        }),
        ("all objects are gone", Fault::Seal, &[], |txn| remove(txn, &["a", "b"])),
        ("all objects and the mark are gone", Fault::Missing, &[], |txn| {
            remove(txn, &["a", "b"]);
            txn.open_table(TALLIES).unwrap().remove(TALLY).unwrap();
        }),
        ("the table and the mark are gone", Fault::Missing, &[], |txn| {
            txn.delete_table(OBJECTS).unwrap();
            txn.delete_table(TALLIES).unwrap();
        }),
        ("an older copy of the objects and the mark", Fault::Missing, &["a", "b", "c"], |txn| {
            for name in ["a", "c"] {
                insert(txn, TEAMS, name, &kept(txn, name));
            }
            txn.open_table(TALLIES).unwrap().insert(TALLY, kept(txn, "mark").as_slice()).unwrap();
        }),
        ("an older mark", Fault::Seal, &["a", "b"], |txn| {
            txn.open_table(TALLIES).unwrap().insert(TALLY, kept(txn, "mark").as_slice()).unwrap();
        }),
        ("something else is among the objects", Fault::Seal, &["a", "b"], |txn| insert(txn, 9, "x", b"junk")),
        ("an object under another key", Fault::Seal, &["a"], |txn| {
            let key = object_key(ObjectKind::Teams, "b").to_bytes();
            let forged = object(ObjectKind::Teams, "b", "forged");
            insert(txn, TEAMS, "b", &codec::seal_value(&TestSeal(2), Place::Object, &key, &forged).unwrap());
        }),
        ("an object of another place", Fault::Seal, &["a"], |txn| {
            let key = object_key(ObjectKind::Teams, "b").to_bytes();
            let other = object(ObjectKind::Teams, "b", "1");
            insert(txn, TEAMS, "b", &codec::seal_value(&TestSeal(1), Place::Refusal, &key, &other).unwrap());
        }),
    ]
}

#[tokio::test]
async fn c133_a_store_whose_objects_were_altered_answers_nothing_until_that_is_accepted() {
    assert_all_object_attacks(tamperings().iter().map(|(what, ..)| *what));
    for (what, fault, left, tampering) in tamperings() {
        let store = Store::new().await;
        store.tamper(tampering);
        assert_in_doubt(&store, fault, what).await;
        assert_in_doubt(&store, fault, what).await;
        let ledger = store.open();
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted, "{what}");
        let stored = ledger.objects().await.unwrap();
        let names: Vec<_> = stored.objects.iter().map(|object| object.key.name.as_str()).collect();
        assert_eq!(names, left, "{what}");
        assert!(stored.sequence > 2, "{what}: nobody goes on with the objects of before");
        for before in [0, 1, 2] {
            assert_eq!(ledger.changes_since(before).await.unwrap(), None, "{what}");
            let stale = ledger.commit(before, vec![put("new", "1")]).await.unwrap();
            assert_eq!(stale, Committed::Stale(stored.sequence), "{what}");
        }
        drop(ledger);
        let ledger = store.open();
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::NothingToAccept, "{what}");
        assert_eq!(ledger.objects().await.unwrap(), stored, "{what}");
        ledger.ready().await.unwrap();
        let done = ledger.commit(stored.sequence, vec![put("new", "1")]).await.unwrap();
        assert_eq!(done, Committed::Done(stored.sequence + 1), "{what}");
    }
}

#[tokio::test]
async fn c134_an_older_copy_of_the_store_that_lacks_only_a_commit_of_objects_is_known_for_one() {
    let store = Store::new().await;
    let copy = std::fs::read(&store.path).unwrap();
    store.open().commit(2, vec![put("a", "3")]).await.unwrap();
    let newest = std::fs::read(&store.path).unwrap();
    std::fs::write(&store.path, &copy).unwrap();
    assert_in_doubt(&store, Fault::Missing, "an older copy").await;
    std::fs::write(&store.path, &newest).unwrap();
    assert_eq!(store.open().objects().await.unwrap().sequence, 3, "the right file needs no acceptance");
}

/// The file of an earlier version has none of the tables, and a mark without a sequence of
/// objects.
#[tokio::test]
async fn a_file_of_an_earlier_version_opens_and_gets_what_is_new() {
    let store = Store::empty();
    let ledger = store.open();
    ledger.issue(record("t", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("t", "leaked")).await.unwrap();
    drop(ledger);
    store.tamper(|txn| {
        assert!(
            !txn.delete_table(OBJECTS).unwrap() && !txn.delete_table(KEY_USES).unwrap(),
            "they are made when needed"
        );
        let mark = txn.open_table(TALLIES).unwrap().get(TALLY).unwrap().unwrap().value().to_vec();
        assert!(!String::from_utf8_lossy(&mark).contains("objects"), "an earlier version can still read it");
    });
    let ledger = store.open();
    assert_eq!(ledger.objects().await.unwrap(), sts_store::ManagedObjects::default());
    assert_eq!(ledger.uses().await.unwrap(), []);
    assert!(ledger.look_up(Jti::new("t").unwrap()).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(ledger.commit(0, vec![put("a", "1")]).await.unwrap(), Committed::Done(1));
    drop(ledger);
    let ledger = store.open();
    assert_eq!(ledger.objects().await.unwrap().objects.len(), 1);
    assert!(ledger.look_up(Jti::new("t").unwrap()).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(store.alerts.take(), []);
}

#[tokio::test]
async fn the_last_use_of_a_key_goes_with_the_key_and_foreign_rows_are_no_uses() {
    let store = Store::empty();
    let ledger = store.open();
    let ids = ["0123456789aB", "0123456789aC"].map(|id| ApiKeyId::new(id).unwrap());
    let used = KeyUse { at: START, from: "192.0.2.1".to_owned() };
    let keys = ids.clone().map(|id| ObjectChange::Put(object(ObjectKind::ApiKeys, id.as_str(), "key")));
    ledger.commit(0, keys.to_vec()).await.unwrap();
    ledger.record_uses(ids.clone().map(|id| (id, used.clone())).to_vec()).await.unwrap();
    let key = object_key(ObjectKind::ApiKeys, ids[0].as_str());
    ledger.commit(1, vec![ObjectChange::Delete(key)]).await.unwrap();
    drop(ledger);
    store.tamper(|txn| drop(txn.open_table(KEY_USES).unwrap().insert("no id", (1, "somewhere")).unwrap()));
    assert_eq!(store.open().uses().await.unwrap(), [(ids[1].clone(), used)]);
}
