//! Rows that somebody else wrote or damaged. They count as absent and raise an alert, and they
//! bring no revoked token back.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use sts_types::Jti;

use super::super::EmbeddedLedger;
use super::super::tables::{
    CLAIM_USES, RECORD_ENDS, RECORDS, REVOCATION_ENDS, REVOCATIONS, RULE_ENDS, RULES, TALLIES, TALLY,
};
use sts_store::backend::codec;
use sts_store::contract::{
    AlertLog, ManualClock, START, TestSeal, assert_all_attacks, claim, record, replayed, revocation, rule,
};
use sts_store::{Acceptance, Alert, Entry, Fault, Issued, Ledger, LedgerError, Listing, Place, TakenClaim};

/// A closed store, for tampering.
struct Store {
    path: PathBuf,
    alerts: Arc<AlertLog>,
    _directory: tempfile::TempDir,
}

impl Store {
    /// A store with the records `a` (number 0) and `b`, of which `b` is revoked, and a rule (number
    /// 0). A second rule was removed. The attacker has copies of the earlier states.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Self {
            path: directory.path().join("ledger.redb"),
            alerts: Arc::new(AlertLog::default()),
            _directory: directory,
        };
        let ledger = store.open(1);
        for jti in ["a", "b"] {
            assert_eq!(ledger.issue(record(jti, "octo"), vec![]).await.unwrap(), Issued::Recorded);
        }
        ledger.revoke(revocation("b", "leaked")).await.unwrap();
        drop(ledger);
        store.tamper(|txn| keep(txn, TALLY, txn.open_table(TALLIES).unwrap().get(TALLY).unwrap().unwrap().value()));
        let ledger = store.open(1);
        ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
        let undone = ledger.revoke(rule("other", START.plus(1000))).await.unwrap();
        drop(ledger);
        store.tamper(|txn| keep(txn, "rule", txn.open_table(RULES).unwrap().get(1).unwrap().unwrap().value()));
        store.open(1).undo_rule(undone.id.unwrap()).await.unwrap();
        store
    }

    fn open(&self, seal: u64) -> EmbeddedLedger {
        let clock = Arc::new(ManualClock::default());
        EmbeddedLedger::open(&self.path, Arc::new(TestSeal(seal)), clock, Arc::clone(&self.alerts) as _).unwrap()
    }

    fn tamper(&self, with: impl FnOnce(&WriteTransaction)) {
        let database = Database::open(&self.path).unwrap();
        let transaction = database.begin_write().unwrap();
        with(&transaction);
        transaction.commit().unwrap();
    }

    fn stored_record(&self, number: u64) -> Vec<u8> {
        let database = Database::open(&self.path).unwrap();
        let table = database.begin_read().unwrap().open_table(RECORDS).unwrap();
        table.get(number).unwrap().unwrap().value().to_vec()
    }

    fn stored_use(&self, key: &[u8; 32]) -> Vec<u8> {
        let database = Database::open(&self.path).unwrap();
        let table = database.begin_read().unwrap().open_table(CLAIM_USES).unwrap();
        table.get(key).unwrap().unwrap().value().to_vec()
    }

    async fn look_up(&self, jti: &str) -> (Option<Entry>, Vec<Alert>) {
        let ledger = self.open(1);
        self.alerts.take();
        (ledger.look_up(Jti::new(jti).unwrap()).await.unwrap(), self.alerts.take())
    }
}

#[tokio::test]
async fn c133_a_record_that_is_not_as_it_was_written_is_absent_and_raises_an_alert() {
    let store = Store::new().await;
    let sound = store.stored_record(0);
    let other = store.stored_record(1);
    let forged = codec::seal(
        &TestSeal(2),
        Place::Record,
        &0_u64.to_be_bytes(),
        &serde_json::to_vec(&record("a", "admin")).unwrap(),
    );
    let no_record = codec::seal(&TestSeal(1), Place::Record, &0_u64.to_be_bytes(), b"{}");
    let other_place = codec::seal(&TestSeal(1), Place::Rule, &0_u64.to_be_bytes(), &sound[33..]);
    let mut newer = sound.clone();
    newer[0] = 3;
    let mut older = sound.clone();
    older[0] = 0;
    let mut of_version_1 = sound.clone();
    of_version_1[0] = 1;
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (flipped, Fault::Seal),
        (other, Fault::Seal),
        (forged, Fault::Seal),
        (other_place, Fault::Seal),
        (older, Fault::Seal),
        (of_version_1, Fault::Seal),
        (newer, Fault::Newer),
        (no_record, Fault::Form),
        (Vec::new(), Fault::Form),
        (sound[..20].to_vec(), Fault::Form),
    ];
    for (stored, fault) in cases {
        store
            .tamper(|transaction| drop(transaction.open_table(RECORDS).unwrap().insert(0, stored.as_slice()).unwrap()));
        assert_eq!(store.look_up("a").await, (None, vec![Alert { place: Place::Record, fault }]));
        let ledger = store.open(1);
        let listed = ledger.list(Listing { limit: 9, ..Listing::default() }).await.unwrap();
        assert_eq!(listed.iter().map(|entry| entry.record.jti.as_str()).collect::<Vec<_>>(), ["b"]);
    }
    store.tamper(|transaction| drop(transaction.open_table(RECORDS).unwrap().insert(0, sound.as_slice()).unwrap()));
    assert!(matches!(store.look_up("a").await, (Some(_), alerts) if alerts.is_empty()));
}

#[tokio::test]
async fn c133_a_record_answers_to_its_own_jti_only() {
    let store = Store::new().await;
    store.tamper(|transaction| {
        let mut names = transaction.open_table(RECORD_ENDS).unwrap();
        let rows: Vec<_> = names.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
        for ((end, number), name) in rows.into_iter().zip(["b", "invented"]) {
            names.insert((end, number), (name, "octo")).unwrap();
        }
    });
    for jti in ["b", "invented"] {
        assert_eq!(store.look_up(jti).await, (None, vec![Alert { place: Place::Record, fault: Fault::Seal }]), "{jti}");
    }
}

/// Asserts that every caller gets "unavailable" and never "not revoked".
async fn assert_in_doubt(store: &Store, fault: Fault, what: &str) {
    store.alerts.take();
    let ledger = store.open(1);
    assert_eq!(store.alerts.take(), [Alert { place: Place::Epoch, fault }], "{what}");
    let unavailable =
        |error: LedgerError| matches!(error, LedgerError::Unavailable(text) if text.contains("sts store accept-epoch"));
    assert!(unavailable(ledger.look_up(Jti::new("a").unwrap()).await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.rules().await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.ready().await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.issue(record("new", "octo"), vec![]).await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.revoke(revocation("a", "leaked")).await.unwrap_err()), "{what}");
    assert!(unavailable(ledger.sweep(START.plus(9_999)).await.unwrap_err()), "{what}");
}

/// The attacker's copies, by name.
const KEPT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kept");

fn keep(txn: &WriteTransaction, name: &str, value: &[u8]) {
    txn.open_table(KEPT).unwrap().insert(name, value).unwrap();
}

fn kept(txn: &WriteTransaction, name: &str) -> Vec<u8> {
    txn.open_table(KEPT).unwrap().get(name).unwrap().unwrap().value().to_vec()
}

/// Ways to remove a revocation from a store, or to put one back.
fn tamperings() -> Vec<(&'static str, Fault, Tampering)> {
    vec![
        (
            "a revocation is gone",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(REVOCATIONS).unwrap().remove("b").unwrap();
            }),
        ),
        (
            "the rules are gone",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(RULES).unwrap().remove(0).unwrap();
            }),
        ),
        (
            "all of it is gone",
            Fault::Missing,
            Box::new(|txn| {
                txn.open_table(REVOCATIONS).unwrap().remove("b").unwrap();
                txn.open_table(RULES).unwrap().remove(0).unwrap();
                txn.open_table(TALLIES).unwrap().remove(TALLY).unwrap();
            }),
        ),
        (
            "the mark is gone",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(TALLIES).unwrap().remove(TALLY).unwrap();
            }),
        ),
        (
            "the mark is another",
            Fault::Seal,
            Box::new(|txn| {
                let forged = codec::seal(&TestSeal(2), Place::Epoch, TALLY.as_bytes(), b"{}");
                txn.open_table(TALLIES).unwrap().insert(TALLY, forged.as_slice()).unwrap();
            }),
        ),
        (
            "all revocations are gone",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(REVOCATIONS).unwrap().remove("b").unwrap();
                txn.open_table(RULES).unwrap().remove(0).unwrap();
            }),
        ),
        (
            "an older mark",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(TALLIES).unwrap().insert(TALLY, kept(txn, TALLY).as_slice()).unwrap();
            }),
        ),
        (
            "an older copy",
            Fault::Missing,
            Box::new(|txn| {
                txn.open_table(RULES).unwrap().remove(0).unwrap();
                txn.open_table(TALLIES).unwrap().insert(TALLY, kept(txn, TALLY).as_slice()).unwrap();
            }),
        ),
        (
            "a rule that was taken back is there again",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(RULES).unwrap().insert(1, kept(txn, "rule").as_slice()).unwrap();
            }),
        ),
        (
            "something else is among the rules",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(RULES).unwrap().insert(9, b"junk".as_slice()).unwrap();
            }),
        ),
        (
            "a revocation is damaged",
            Fault::Seal,
            Box::new(|txn| {
                txn.open_table(REVOCATIONS).unwrap().insert("b", b"\x01nothing".as_slice()).unwrap();
            }),
        ),
        (
            "a rule was moved",
            Fault::Seal,
            Box::new(|txn| {
                let mut rules = txn.open_table(RULES).unwrap();
                let stored = rules.remove(0).unwrap().unwrap().value().to_vec();
                rules.insert(7, stored.as_slice()).unwrap();
            }),
        ),
        (
            "a rule is there twice",
            Fault::Seal,
            Box::new(|txn| {
                let mut rules = txn.open_table(RULES).unwrap();
                let stored = rules.get(0).unwrap().unwrap().value().to_vec();
                rules.insert(7, stored.as_slice()).unwrap();
            }),
        ),
    ]
}

type Tampering = Box<dyn Fn(&WriteTransaction)>;

#[tokio::test]
async fn c133_f2_a_store_from_which_a_revocation_was_taken_answers_nothing_until_that_is_accepted() {
    assert_all_attacks(tamperings().iter().map(|(what, ..)| *what));
    for (what, fault, tampering) in tamperings() {
        let store = Store::new().await;
        store.tamper(|transaction| tampering(transaction));
        assert_in_doubt(&store, fault, what).await;
        assert_in_doubt(&store, fault, what).await;
        assert_eq!(store.open(1).accept_epoch().await.unwrap(), Acceptance::Accepted, "{what}");
        let ledger = store.open(1);
        assert_eq!(ledger.accept_epoch().await.unwrap(), Acceptance::NothingToAccept, "{what}");
        ledger.ready().await.unwrap();
        assert!(ledger.look_up(Jti::new("a").unwrap()).await.unwrap().unwrap().revoked.is_none(), "{what}");
        ledger.revoke(revocation("a", "leaked")).await.unwrap();
        drop(ledger);
        assert!(store.look_up("a").await.0.unwrap().revoked.is_some(), "{what}");
    }
}

#[tokio::test]
async fn what_is_accepted_keeps_what_can_be_read_and_revokes_anew_what_cannot() {
    let store = Store::new().await;
    store.tamper(|transaction| {
        transaction.open_table(REVOCATIONS).unwrap().insert("b", b"\x01nothing".as_slice()).unwrap();
    });
    store.open(1).accept_epoch().await.unwrap();
    let ledger = store.open(1);
    assert!(matches!(&*ledger.rules().await.unwrap(), [held] if held.scope == rule("octo", START).scope));
    let revoked = ledger.look_up(Jti::new("b").unwrap()).await.unwrap().unwrap().revoked.unwrap();
    assert_eq!(revoked.by, "sts store accept-epoch");
}

#[tokio::test]
async fn c134_an_older_copy_of_the_store_is_known_for_one_and_so_is_one_from_before_an_acceptance() {
    let store = Store::new().await;
    let copy = std::fs::read(&store.path).unwrap();
    store.open(1).revoke(revocation("a", "leaked")).await.unwrap();
    let newest = std::fs::read(&store.path).unwrap();

    std::fs::write(&store.path, &copy).unwrap();
    assert_in_doubt(&store, Fault::Missing, "an older copy").await;
    std::fs::write(&store.path, &newest).unwrap();
    assert!(store.look_up("a").await.0.unwrap().revoked.is_some(), "the right file needs no acceptance");

    std::fs::write(&store.path, &copy).unwrap();
    store.open(1).accept_epoch().await.unwrap();
    assert!(store.look_up("a").await.0.unwrap().revoked.is_none());
    std::fs::write(&store.path, &newest).unwrap();
    assert_in_doubt(&store, Fault::Missing, "a copy from before the acceptance").await;

    std::fs::remove_file(&store.path).unwrap();
    let ledger = store.open(1);
    assert!(ledger.ready().await.is_err(), "a store that vanished is no new one");
    ledger.accept_epoch().await.unwrap();
    ledger.ready().await.unwrap();
}

#[tokio::test]
async fn c134_a_store_goes_on_without_its_watermark_and_not_with_a_damaged_one() {
    let store = Store::new().await;
    let mark = store.path.with_file_name("ledger.redb.seen");
    std::fs::remove_file(&mark).unwrap();
    assert!(store.look_up("b").await.0.unwrap().revoked.is_some());
    assert!(mark.exists(), "it is remembered from here on");
    std::fs::write(&mark, b"{").unwrap();
    assert_in_doubt(&store, Fault::Form, "a damaged watermark").await;
    store.open(1).accept_epoch().await.unwrap();
    assert!(store.look_up("b").await.0.unwrap().revoked.is_some());
}

#[tokio::test]
async fn an_index_that_was_altered_does_not_end_a_revocation_early() {
    let store = Store::new().await;
    store.tamper(|transaction| {
        transaction.open_table(REVOCATION_ENDS).unwrap().insert((0, "b"), ()).unwrap();
        transaction.open_table(RULE_ENDS).unwrap().insert((0, 0), ()).unwrap();
    });
    let ledger = store.open(1);
    ledger.sweep(START).await.unwrap();
    assert!(matches!(&*ledger.rules().await.unwrap(), [held] if held.scope == rule("octo", START).scope));
    assert!(ledger.look_up(Jti::new("b").unwrap()).await.unwrap().unwrap().revoked.is_some());
    drop(ledger);
    assert!(store.look_up("b").await.0.unwrap().revoked.is_some());
}

#[tokio::test]
async fn a_sweep_of_dead_revocations_leaves_no_doubt() {
    let store = Store::new().await;
    assert!(store.open(1).sweep(START.plus(1_000_000)).await.is_ok());
    let ledger = store.open(1);
    ledger.ready().await.unwrap();
    assert_eq!(*ledger.rules().await.unwrap(), []);
}

#[tokio::test]
async fn under_another_key_nothing_opens() {
    let store = Store::new().await;
    let ledger = store.open(2);
    assert_eq!(store.alerts.take(), [Alert { place: Place::Epoch, fault: Fault::Seal }]);
    assert!(ledger.look_up(Jti::new("a").unwrap()).await.is_err());
    ledger.accept_epoch().await.unwrap();
    store.alerts.take();
    assert_eq!(*ledger.rules().await.unwrap(), []);
    assert_eq!(ledger.look_up(Jti::new("a").unwrap()).await.unwrap(), None);
    assert_eq!(store.alerts.take(), [Alert { place: Place::Record, fault: Fault::Seal }]);
}

proptest! {
    #[test]
    fn what_was_sealed_opens_under_its_own_key_and_place_only(
        jti in "[^\\p{Cc}]{1,40}", claim in ".*", number in any::<i64>(), key in any::<Vec<u8>>(), other in any::<Vec<u8>>(),
    ) {
        let mut record = record(&jti, "octo");
        record.claims.insert(claim.clone(), claim.into());
        record.claims.insert("number".to_owned(), number.into());
        let stored = codec::seal(&TestSeal(1), Place::Record, &key, &serde_json::to_vec(&record).unwrap());
        let open = |key: &[u8]| codec::open_record(&TestSeal(1), key, &stored);
        prop_assert_eq!(open(&key), Ok(record.clone()));
        if other != key {
            prop_assert_eq!(open(&other), Err(Fault::Seal));
        }
        // A value that was sealed for another place is no record.
        let elsewhere = codec::seal(&TestSeal(1), Place::Refusal, &key, &serde_json::to_vec(&record).unwrap());
        prop_assert_eq!(codec::open_record(&TestSeal(1), &key, &elsewhere), Err(Fault::Seal));
        prop_assert!(codec::open::<serde_json::Value>(&TestSeal(1), Place::Revocation, &key, &stored).is_err());
    }

    #[test]
    fn no_bytes_but_what_was_sealed_open(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        prop_assert!(codec::open::<serde_json::Value>(&TestSeal(1), Place::Record, b"key", &bytes).is_err());
        let mut stored = codec::seal(&TestSeal(1), Place::Record, b"key", b"{\"a\":1}");
        let at = at.index(stored.len());
        stored[at] ^= flip;
        prop_assert!(codec::open::<serde_json::Value>(&TestSeal(1), Place::Record, b"key", &stored).is_err());
    }
}

#[tokio::test]
async fn fld42_a_claim_whose_use_somebody_wrote_names_no_exchange_and_is_taken_all_the_same() {
    let store = Store::new().await;
    let (one, other) = (claim(1, START.plus(900)), claim(2, START.plus(900)));
    let ledger = store.open(1);
    for (name, taken) in [("c", &one), ("d", &other)] {
        ledger.issue(record(name, "octo"), vec![taken.clone()]).await.unwrap();
    }
    drop(ledger);
    let sealed = |until: i64| {
        let by = sts_store::EarlierUse::of(&record("any", "octo"));
        codec::seal_value(&TestSeal(1), Place::Claim, &one.key.0, &(until, by)).unwrap()
    };
    let others = store.stored_use(&other.key.0);
    // Missing, garbage, that of another claim, and a leftover of an earlier claim. Then the right
    // one.
    for (row, fault, is_told) in [
        (None, None, false),
        (Some(b"x".to_vec()), Some(Fault::Newer), false),
        (Some(others), Some(Fault::Seal), false),
        (Some(sealed(START.plus(899).as_secs())), None, false),
        (Some(sealed(START.plus(900).as_secs())), None, true),
    ] {
        store.tamper(|txn| {
            let mut uses = txn.open_table(CLAIM_USES).unwrap();
            match &row {
                Some(row) => drop(uses.insert(&one.key.0, row.as_slice()).unwrap()),
                None => drop(uses.remove(&one.key.0).unwrap()),
            }
        });
        let ledger = store.open(1);
        store.alerts.take();
        let wanted =
            if is_told { replayed(1) } else { Issued::Replayed(TakenClaim { key: one.key, earlier_use: None }) };
        assert_eq!(ledger.find_claim(one.key).await.unwrap().map(Issued::Replayed), Some(wanted.clone()), "{fault:?}");
        assert_eq!(ledger.issue(record("e", "octo"), vec![one.clone()]).await.unwrap(), wanted, "{fault:?}");
        let alerts = fault.map_or(vec![], |fault| vec![Alert { place: Place::Claim, fault }; 2]);
        assert_eq!(store.alerts.take(), alerts);
    }
    // As an earlier version left it.
    store.tamper(|txn| assert!(txn.delete_table(CLAIM_USES).unwrap()));
    let unknown = TakenClaim { key: one.key, earlier_use: None };
    assert_eq!(store.open(1).find_claim(one.key).await.unwrap(), Some(unknown));
}
