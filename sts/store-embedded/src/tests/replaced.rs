//! A file that is removed or replaced under a running server. Only the file that this process wrote
//! last is used, or an exact copy of it.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use redb::Database;
use sts_types::Jti;

use super::super::tables::{META, PROBE};
use super::super::{EmbeddedLedger, file, watermark_path};
use super::disk::{Disk, Mood};
use sts_store::contract::{AlertLog, ManualClock, START, TestSeal, claim, object, record, replayed, revocation, rule};
use sts_store::{
    Acceptance, Alert, Committed, EarlierUse, Fault, Issued, Ledger, LedgerError, ObjectChange, ObjectKind,
    ObjectStore, Place,
};

const REPLACED: Alert = Alert { place: Place::File, fault: Fault::Replaced };
const IN_DOUBT: Alert = Alert { place: Place::Epoch, fault: Fault::Missing };

struct Rig {
    ledger: EmbeddedLedger,
    path: PathBuf,
    disk: Disk,
    clock: Arc<ManualClock>,
    alerts: Arc<AlertLog>,
    _directory: tempfile::TempDir,
}

impl Rig {
    /// A store in which `a` is revoked, and `old` took a claim.
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.redb");
        drop(file::open_or_create(&path).unwrap());
        let (disk, clock, alerts) = (Disk::new(&path), Arc::new(ManualClock::default()), Arc::new(AlertLog::default()));
        let opener = disk.clone();
        let ledger = EmbeddedLedger::start(
            &path,
            disk.open().unwrap(),
            Box::new(move || opener.open()),
            Some(watermark_path(&path)),
            Arc::new(TestSeal(1)),
            Arc::clone(&clock) as _,
            Arc::clone(&alerts) as _,
        )
        .unwrap();
        let rig = Self { ledger, path, disk, clock, alerts, _directory: directory };
        rig.ledger.issue(record("a", "octo"), vec![]).await.unwrap();
        rig.ledger.issue(record("old", "octo"), vec![claim(1, START.plus(9000))]).await.unwrap();
        rig.ledger.revoke(revocation("a", "leaked")).await.unwrap();
        rig
    }

    fn copy(&self) -> PathBuf {
        let copy = self.path.with_extension("copy");
        std::fs::copy(&self.path, &copy).unwrap();
        copy
    }

    /// Puts the file `other` in the place of the store.
    fn replace_by(&self, other: &PathBuf) {
        std::fs::rename(&self.path, self.path.with_extension("former")).unwrap();
        std::fs::rename(other, &self.path).unwrap();
    }

    /// Probes the store as the server does: once to notice, once after the pause.
    async fn probe(&self) -> Result<(), LedgerError> {
        let _ = self.ledger.ready().await;
        self.clock.advance(1);
        self.ledger.ready().await.map(drop)
    }

    async fn assert_in_doubt(&self, what: &str) {
        let refused = self.probe().await;
        let is_told =
            matches!(&refused, Err(LedgerError::Unavailable(text)) if text.contains("sts store accept-epoch"));
        assert!(is_told, "{what}: {refused:?}");
        assert_eq!(self.alerts.take(), [REPLACED, IN_DOUBT], "{what}");
        assert!(self.ledger.look_up(Jti::new("a").unwrap()).await.is_err(), "{what}");
        assert!(self.ledger.issue(record("new", "octo"), vec![]).await.is_err(), "{what}");
        assert!(self.ledger.objects().await.is_err() && self.ledger.changes_since(0).await.is_err(), "{what}");
        assert_eq!(self.alerts.take(), [], "{what}: told once");
    }

    async fn assert_sound(&self, what: &str) {
        self.probe().await.unwrap();
        assert!(self.ledger.look_up(Jti::new("a").unwrap()).await.unwrap().unwrap().revoked.is_some(), "{what}");
        let again = self.ledger.issue(record("again", "octo"), vec![claim(1, START.plus(9000))]).await.unwrap();
        assert_eq!(again, replayed(1), "{what}");
    }
}

#[tokio::test]
async fn c134_an_exact_copy_in_place_of_the_store_is_used_and_raises_an_alert() {
    let rig = Rig::new().await;
    let copy = rig.copy();
    rig.replace_by(&copy);
    assert!(rig.ledger.revoke(revocation("old", "leaked")).await.is_err(), "nobody would find that write again");
    rig.clock.advance(1);
    rig.assert_sound("a copy").await;
    assert_eq!(rig.alerts.take(), [REPLACED]);
    rig.assert_sound("a copy, later").await;
    assert_eq!(rig.alerts.take(), []);
}

#[tokio::test]
async fn c134_the_same_file_that_is_back_is_used_without_an_alert() {
    let rig = Rig::new().await;
    let aside = rig.path.with_extension("aside");
    std::fs::rename(&rig.path, &aside).unwrap();
    assert!(rig.ledger.issue(record("new", "octo"), vec![]).await.is_err());
    std::fs::rename(&aside, &rig.path).unwrap();
    rig.clock.advance(1);
    rig.assert_sound("the same file").await;
    assert_eq!(rig.alerts.take(), []);
}

/// Each write makes the copy from before it an older one, also where the number of revocations is
/// the same.
#[tokio::test]
async fn c134_an_older_copy_in_place_of_the_store_is_in_doubt_whatever_it_lacks() {
    let by = || EarlierUse::of(&record("any", "octo"));
    for what in [
        "a record",
        "a claim",
        "a claim without a record, in the place of a swept one",
        "a revocation",
        "a rule",
        "an object",
        "a lease",
        "a sweep",
    ] {
        let rig = Rig::new().await;
        rig.ledger.take_claim(claim(3, START.plus(10)), by()).await.unwrap();
        let copy = rig.copy();
        match what {
            "a record" => assert_eq!(rig.ledger.issue(record("b", "octo"), vec![]).await.unwrap(), Issued::Recorded),
            "a claim" => {
                let taken = vec![claim(2, START.plus(9000))];
                assert_eq!(rig.ledger.issue(record("b", "octo"), taken).await.unwrap(), Issued::Recorded);
            }
            "a claim without a record, in the place of a swept one" => {
                rig.ledger.sweep(START.plus(11)).await.unwrap();
                let taken = rig.ledger.take_claim(claim(2, START.plus(9000)), by()).await.unwrap();
                assert_eq!(taken, None);
            }
            "a revocation" => drop(rig.ledger.revoke(revocation("old", "leaked")).await.unwrap()),
            "a rule" => drop(rig.ledger.revoke(rule("octo", START.plus(1000))).await.unwrap()),
            "an object" => {
                let change = ObjectChange::Put(object(ObjectKind::Teams, "a", "1"));
                assert_eq!(rig.ledger.commit(0, vec![change]).await.unwrap(), Committed::Done(1));
            }
            "a lease" => drop(rig.ledger.lease(None, sts_types::StatusWindow::of(START), 8).await.unwrap()),
            "a sweep" => drop(rig.ledger.sweep(START.plus(5000)).await.unwrap()),
            _ => unreachable!("{what}"),
        }
        rig.replace_by(&copy);
        rig.assert_in_doubt(what).await;
        // The right file heals it, and so does an operator.
        let older = rig.path.with_extension("older");
        std::fs::rename(&rig.path, &older).unwrap();
        std::fs::rename(rig.path.with_extension("former"), &rig.path).unwrap();
        rig.probe().await.unwrap();
        assert_eq!(rig.alerts.take(), [REPLACED], "{what}");
        rig.replace_by(&older);
        rig.assert_in_doubt(what).await;
        assert_eq!(rig.ledger.accept_epoch().await.unwrap(), Acceptance::Accepted, "{what}");
        rig.probe().await.unwrap();
        assert_eq!(rig.ledger.issue(record("new", "octo"), vec![]).await.unwrap(), Issued::Recorded);
        assert_eq!(rig.alerts.take(), [], "{what}");
    }
}

#[tokio::test]
async fn c134_another_store_in_place_of_the_store_is_in_doubt_and_is_not_written_to() {
    let rig = Rig::new().await;
    let other = rig.path.with_extension("other");
    drop(file::open_or_create(&other).unwrap());
    rig.replace_by(&other);
    let refused = rig.probe().await;
    assert!(refused.is_err());
    let [REPLACED, Alert { place: Place::Epoch, .. }] = rig.alerts.take()[..] else { unreachable!("no alert") };
    for _ in 0..3 {
        assert!(rig.probe().await.is_err() && rig.ledger.issue(record("new", "octo"), vec![]).await.is_err());
    }
    drop(rig.ledger);
    let database = Database::open(&rig.path).unwrap();
    let meta = redb::ReadableDatabase::begin_read(&database).unwrap().open_table(META).unwrap();
    assert!(meta.get(PROBE).unwrap().is_none());
}

/// The write went into a file that nobody finds again, so that its caller must not rely on it.
#[tokio::test]
async fn c134_a_store_that_is_replaced_during_a_commit_answers_that_commit_with_an_error() {
    let rig = Rig::new().await;
    let copy = rig.copy();
    rig.disk.set(Mood::Stalls);
    let mut revoking = rig.ledger.revoke(revocation("old", "leaked"));
    assert!((&mut revoking).now_or_never().is_none());
    rig.disk.wait_for_one_that_waits();
    rig.replace_by(&copy);
    rig.disk.set(Mood::Well);
    assert!(revoking.await.is_err());
    rig.clock.advance(1);
    rig.assert_sound("the copy holds all that was answered").await;
    assert_eq!(rig.alerts.take(), [REPLACED]);
    assert!(rig.ledger.look_up(Jti::new("old").unwrap()).await.unwrap().unwrap().revoked.is_none());
}

/// A write that failed may be in the file or not. Both are states that this process knows.
#[tokio::test]
async fn c137_a_store_whose_last_write_failed_somewhere_is_used_again() {
    let rig = Rig::new().await;
    for operations in 0..30 {
        rig.disk.set(Mood::FailsAfter(operations, std::io::ErrorKind::StorageFull));
        let _ = rig.ledger.revoke(revocation(&format!("x{operations}"), "leaked")).await;
        let change = ObjectChange::Put(object(ObjectKind::Teams, "a", "1"));
        let at = rig.ledger.engine.object_sequence();
        let _ = rig.ledger.commit(at, vec![change]).await;
        rig.disk.set(Mood::Well);
        rig.clock.advance(1);
        rig.assert_sound(&operations.to_string()).await;
        let stored = rig.ledger.objects().await.unwrap();
        assert_eq!(rig.ledger.changes_since(stored.sequence).await.unwrap().unwrap().changes, []);
    }
    assert_eq!(rig.alerts.take(), []);
}

/// As `cp` does it: the file is the same one, with other content.
#[tokio::test]
async fn c134_an_older_copy_that_is_written_over_the_store_is_noticed_and_left_as_it_is() {
    let rig = Rig::new().await;
    let older = std::fs::read(&rig.path).unwrap();
    rig.ledger.issue(record("b", "octo"), vec![claim(2, START.plus(9000))]).await.unwrap();
    let newest = std::fs::read(&rig.path).unwrap();
    std::fs::write(&rig.path, &older).unwrap();
    assert!(rig.ledger.issue(record("c", "octo"), vec![claim(2, START.plus(9000))]).await.is_err());
    assert!(std::fs::read(&rig.path).unwrap() == older, "the operator's file was written to");
    rig.clock.advance(1);
    rig.assert_in_doubt("an older copy").await;
    std::fs::write(&rig.path, &newest).unwrap();
    rig.probe().await.unwrap();
    rig.assert_sound("the newest").await;
    assert_eq!(rig.alerts.take(), [REPLACED]);
}

#[tokio::test]
async fn c139_a_store_that_is_truncated_or_overwritten_in_use_answers_nothing_until_it_is_back() {
    for (what, content) in [("empty", vec![]), ("text", b"issuer: https://sts.example.com\n".repeat(9000))] {
        let rig = Rig::new().await;
        let newest = std::fs::read(&rig.path).unwrap();
        std::fs::write(&rig.path, &content).unwrap();
        for _ in 0..3 {
            assert!(rig.ledger.issue(record("c", "octo"), vec![]).await.is_err(), "{what}");
            assert!(rig.probe().await.is_err(), "{what}");
            assert!(rig.ledger.look_up(Jti::new("a").unwrap()).await.is_err(), "{what}");
        }
        std::fs::write(&rig.path, &newest).unwrap();
        rig.clock.advance(1);
        rig.assert_sound(what).await;
        assert_eq!(rig.alerts.take(), [REPLACED], "{what}");
    }
}
