//! A file of an earlier schema version, and what is kept in memory beside the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableHandle};
use sts_types::{Jti, StatusWindow};

use super::super::engine::guarded;
use super::super::tables::{
    FORMER_BY_ACCOUNT, FORMER_BY_JTI, META, RECORD_ENDS, RECORDS, SCHEMA, SCHEMA_VERSION, TALLIES, TALLY,
};
use super::super::{EmbeddedLedger, read};
use sts_store::contract::{AlertLog, ManualClock, START, TestSeal, claim, object, record, revocation, rule};
use sts_store::{
    Acceptance, Committed, EarlierUse, Entry, Issued, Ledger, LedgerError, Listing, ObjectChange, ObjectKind,
    ObjectStore,
};

struct Store {
    path: PathBuf,
    clock: Arc<ManualClock>,
    _directory: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().join("ledger.redb"), clock: Arc::default(), _directory: directory }
    }

    fn open(&self) -> EmbeddedLedger {
        self.open_at(&self.path)
    }

    fn open_at(&self, path: &Path) -> EmbeddedLedger {
        let alerts = Arc::new(AlertLog::default());
        EmbeddedLedger::open(path, Arc::new(TestSeal(1)), Arc::clone(&self.clock) as _, alerts).unwrap()
    }

    /// Makes the closed file what version 1 wrote: with indexes in tables.
    fn make_former(&self) {
        let database = Database::open(&self.path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut by_jti = transaction.open_table(FORMER_BY_JTI).unwrap();
            let mut by_account = transaction.open_table(FORMER_BY_ACCOUNT).unwrap();
            for row in transaction.open_table(RECORD_ENDS).unwrap().iter().unwrap() {
                let (key, names) = row.unwrap();
                by_jti.insert(names.value().0, key.value().1).unwrap();
                by_account.insert((names.value().1, key.value().1), ()).unwrap();
            }
            transaction.open_table(META).unwrap().insert(SCHEMA, 1).unwrap();
        }
        transaction.commit().unwrap();
    }
}

/// The schema version of the file, and whether it has an index of the former version.
fn schema(path: &Path) -> (u64, bool) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_read().unwrap();
    let version = transaction.open_table(META).unwrap().get(SCHEMA).unwrap().unwrap().value();
    let former = [FORMER_BY_JTI.name(), FORMER_BY_ACCOUNT.name()];
    (version, transaction.list_tables().unwrap().any(|table| former.contains(&table.name())))
}

async fn jtis(ledger: &EmbeddedLedger, account: Option<&str>) -> Vec<String> {
    let account = account.map(|account| sts_types::AccountId::new(account).unwrap());
    let listing = Listing { account, limit: 100, ..Listing::default() };
    ledger.list(listing).await.unwrap().into_iter().map(|Entry { record, .. }| record.jti.to_string()).collect()
}

async fn is_found(ledger: &EmbeddedLedger, jti: &str) -> bool {
    ledger.look_up(Jti::new(jti).unwrap()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_file_of_version_1_is_read_as_it_is_and_brought_up_to_date_by_the_first_commit() {
    let store = Store::new();
    let ledger = store.open();
    for (jti, account) in [("a", "octo"), ("b", "hubot"), ("c", "octo")] {
        ledger.issue(record(jti, account), vec![]).await.unwrap();
    }
    drop(ledger);
    store.make_former();
    let ledger = store.open();
    assert!(is_found(&ledger, "a").await);
    assert_eq!(jtis(&ledger, Some("octo")).await, ["c", "a"]);
    drop(ledger);
    assert_eq!(schema(&store.path), (1, true), "nothing was written, so an earlier version can still open it");
    let ledger = store.open();
    assert!(matches!(ledger.issue(record("b", "octo"), vec![]).await, Err(LedgerError::Duplicate)));
    assert_eq!(ledger.issue(record("d", "octo"), vec![]).await.unwrap(), Issued::Recorded);
    assert_eq!(jtis(&ledger, Some("octo")).await, ["d", "c", "a"]);
    drop(ledger);
    assert_eq!(schema(&store.path), (SCHEMA_VERSION, false));
    assert_eq!(jtis(&store.open(), None).await, ["d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_backup_of_a_file_of_version_1_is_of_the_current_version() {
    let store = Store::new();
    store.open().issue(record("a", "octo"), vec![]).await.unwrap();
    store.make_former();
    let copy = store.path.with_extension("copy");
    let ledger = store.open();
    let target = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&copy).unwrap();
    ledger.back_up(target).await.unwrap();
    assert_eq!(schema(&copy), (SCHEMA_VERSION, false));
    let copied = store.open_at(&copy);
    assert!(is_found(&copied, "a").await);
    assert_eq!(copied.issue(record("b", "octo"), vec![]).await.unwrap(), Issued::Recorded);
}

#[tokio::test]
async fn a_file_of_version_1_that_is_in_doubt_stays_as_it_is_until_an_operator_accepts_it() {
    let store = Store::new();
    let ledger = store.open();
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    drop(ledger);
    store.make_former();
    let database = Database::open(&store.path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TALLIES).unwrap().remove(TALLY).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let ledger = store.open();
    ledger.issue(record("b", "octo"), vec![]).await.unwrap_err();
    drop(ledger);
    assert_eq!(schema(&store.path), (1, true));
    let ledger = store.open();
    assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::Accepted);
    assert!(ledger.look_up(Jti::new("a").unwrap()).await.unwrap().unwrap().revoked.is_some());
    assert_eq!(ledger.issue(record("b", "octo"), vec![]).await.unwrap(), Issued::Recorded);
    drop(ledger);
    assert_eq!(schema(&store.path), (SCHEMA_VERSION, false));
}

#[tokio::test]
async fn after_each_kind_of_write_the_extent_is_that_of_the_file() {
    let store = Store::new();
    let ledger = store.open();
    let assert_exact = |what: &str| {
        let state = ledger.engine.state();
        let database = state.as_ref().as_ref().unwrap();
        let of_file = guarded(|| read::extent(database)).unwrap();
        assert_eq!(ledger.engine.extent(), Some(of_file), "{what}");
    };
    assert_exact("open");
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    assert_exact("issue");
    ledger.issue(record("b", "octo"), vec![claim(1, START.plus(900))]).await.unwrap();
    assert_exact("issue with a claim");
    let by = EarlierUse::of(&record("b", "octo"));
    assert!(ledger.take_claim(claim(2, START.plus(900)), by).await.unwrap().is_none());
    assert_exact("claim");
    ledger.lease(None, StatusWindow::of(START), 7).await.unwrap();
    assert_exact("lease");
    ledger.revoke(revocation("a", "leaked")).await.unwrap();
    assert_exact("revoke");
    let made = ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
    assert_exact("rule");
    ledger.undo_rule(made.id.unwrap()).await.unwrap();
    assert_exact("rule undone");
    let put = ObjectChange::Put(object(ObjectKind::Teams, "platform", ""));
    assert!(matches!(ledger.commit(0, vec![put]).await.unwrap(), Committed::Done(_)));
    assert_exact("object");
    store.clock.advance(100_000);
    assert_eq!(ledger.sweep(START.plus(100_000)).await.unwrap(), 2);
    assert_exact("sweep");
    assert!(!is_found(&ledger, "a").await && jtis(&ledger, Some("octo")).await.is_empty());
    ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    assert_exact("issue after the sweep");
}

#[tokio::test]
async fn a_page_of_an_account_is_full_though_many_of_its_newest_records_have_expired() {
    let store = Store::new();
    let ledger = store.open();
    for (jti, life) in [("a", 9000), ("b", 9000), ("c", 900), ("d", 900), ("e", 900), ("f", 9000)] {
        let lasting = sts_store::TokenRecord { exp: START.plus(life), ..record(jti, "octo") };
        ledger.issue(lasting, vec![]).await.unwrap();
    }
    store.clock.advance(5000);
    let account = Some(sts_types::AccountId::new("octo").unwrap());
    let listing = Listing { account, limit: 2, ..Listing::default() };
    let page: Vec<String> =
        ledger.list(listing.clone()).await.unwrap().iter().map(|entry| entry.record.jti.to_string()).collect();
    assert_eq!(page, ["f", "b"]);
    let next = Listing { after: Some(Jti::new("b").unwrap()), ..listing };
    let page: Vec<String> = ledger.list(next).await.unwrap().iter().map(|entry| entry.record.jti.to_string()).collect();
    assert_eq!(page, ["a"]);
}

#[tokio::test]
async fn of_two_issues_with_one_jti_in_one_group_the_second_is_refused() {
    let store = Store::new();
    let ledger = store.open();
    let (first, second) = futures_util::future::join(
        ledger.issue(record("a", "octo"), vec![]),
        ledger.issue(record("a", "octo"), vec![]),
    )
    .await;
    assert!(matches!((first, second), (Ok(Issued::Recorded), Err(LedgerError::Duplicate))));
    let records = Database::open(&store.path);
    assert!(records.is_err(), "held");
    drop(ledger);
    let database = Database::open(&store.path).unwrap();
    let table = database.begin_read().unwrap().open_table(RECORDS).unwrap();
    assert_eq!(redb::ReadableTableMetadata::len(&table).unwrap(), 1);
}
