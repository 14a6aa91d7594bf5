//! Rows that somebody else wrote or damaged: absent, with an alert, and nothing that was revoked comes back by them.

use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use sts_types::Jti;

use super::super::EmbeddedLedger;
use super::super::tables::{BY_JTI, RECORDS, REVOCATIONS, RULES};
use crate::contract::{AlertLog, ManualClock, START, TestSeal, record, revocation, rule};
use crate::{Alert, Entry, Fault, Issued, Ledger, Listing, Place, codec};

/// A store that is closed while it is tampered with.
struct Store {
    path: PathBuf,
    alerts: Arc<AlertLog>,
    _directory: tempfile::TempDir,
}

impl Store {
    /// Holds the records `a` (number 0) and `b`, of which `b` is revoked, and a rule.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Self {
            path: directory.path().join("ledger.redb"),
            alerts: Arc::new(AlertLog::default()),
            _directory: directory,
        };
        let ledger = store.open(1);
        for jti in ["a", "b"] {
            assert_eq!(ledger.issue(record(jti, "octo"), None).await.unwrap(), Issued::Recorded);
        }
        ledger.revoke(revocation("b", "leaked")).await.unwrap();
        ledger.revoke(rule("octo", START.plus(1000))).await.unwrap();
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
    newer[0] = 2;
    let mut older = sound.clone();
    older[0] = 0;
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let cases = [
        (flipped, Fault::Seal),
        (other, Fault::Seal),
        (forged, Fault::Seal),
        (other_place, Fault::Seal),
        (older, Fault::Seal),
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
        let mut index = transaction.open_table(BY_JTI).unwrap();
        index.insert("b", 0).unwrap();
        index.insert("invented", 0).unwrap();
    });
    for jti in ["b", "invented"] {
        assert_eq!(store.look_up(jti).await, (None, vec![Alert { place: Place::Record, fault: Fault::Seal }]), "{jti}");
    }
}

#[tokio::test]
async fn c133_damage_to_its_revocation_does_not_bring_a_token_back() {
    let store = Store::new().await;
    store.tamper(|transaction| {
        transaction.open_table(REVOCATIONS).unwrap().insert("b", b"\x01nothing".as_slice()).unwrap();
    });
    assert_eq!(store.look_up("b").await, (None, vec![Alert { place: Place::Revocation, fault: Fault::Form }]));
    // And revoking it once more mends it.
    store.open(1).revoke(revocation("b", "again")).await.unwrap();
    assert!(matches!(store.look_up("b").await, (Some(Entry { revoked: Some(_), .. }), _)));
}

#[tokio::test]
async fn c133_a_rule_that_is_not_as_it_was_written_is_left_out_and_raises_an_alert() {
    let store = Store::new().await;
    store.tamper(|transaction| {
        let mut rules = transaction.open_table(RULES).unwrap();
        let stored = rules.get(0).unwrap().unwrap().value().to_vec();
        rules.insert(7, stored.as_slice()).unwrap();
    });
    let ledger = store.open(1);
    assert_eq!(*ledger.rules().await.unwrap(), [rule("octo", START.plus(1000))]);
    assert_eq!(store.alerts.take(), [Alert { place: Place::Rule, fault: Fault::Seal }]);
}

#[tokio::test]
async fn under_another_key_nothing_opens() {
    let store = Store::new().await;
    let ledger = store.open(2);
    assert_eq!(*ledger.rules().await.unwrap(), []);
    assert_eq!(ledger.look_up(Jti::new("a").unwrap()).await.unwrap(), None);
    let alerts: Vec<Place> = store.alerts.take().iter().map(|alert| alert.place).collect();
    assert_eq!(alerts, [Place::Rule, Place::Record]);
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
        let open = |place, key: &[u8]| codec::open::<crate::TokenRecord>(&TestSeal(1), place, key, &stored);
        prop_assert_eq!(open(Place::Record, &key), Ok(record));
        prop_assert_eq!(open(Place::Revocation, &key), Err(Fault::Seal));
        if other != key {
            prop_assert_eq!(open(Place::Record, &other), Err(Fault::Seal));
        }
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
