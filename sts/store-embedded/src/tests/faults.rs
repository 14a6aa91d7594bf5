//! A disk that is full, fails or stalls. The store acknowledges only what is durable, and it
//! recovers by itself.

use std::io::ErrorKind;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, join_all, select};
use redb::{ReadableDatabase, ReadableTableMetadata};
use sts_types::Jti;

use super::super::tables::RECORDS;
use super::super::{EmbeddedLedger, SWEEP_STEP, file};
use super::disk::{Disk, Mood};
use sts_store::contract::{AlertLog, ManualClock, START, TestSeal, claim, record, revocation, rule};
use sts_store::{Issued, Ledger, LedgerError, Listing, TokenRecord};

struct Rig {
    ledger: EmbeddedLedger,
    disk: Disk,
    clock: Arc<ManualClock>,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.redb");
        drop(file::open_or_create(&path).unwrap());
        let (disk, clock) = (Disk::new(&path), Arc::new(ManualClock::default()));
        let opener = disk.clone();
        let ledger = EmbeddedLedger::start(
            &path,
            disk.open().unwrap(),
            Box::new(move || opener.open()),
            None,
            Arc::new(TestSeal(1)),
            Arc::clone(&clock) as _,
            Arc::new(AlertLog::default()),
        )
        .unwrap();
        Self { ledger, disk, clock, _directory: directory }
    }

    async fn is_revoked(&self, jti: &str) -> bool {
        self.ledger.look_up(Jti::new(jti).unwrap()).await.unwrap().unwrap().revoked.is_some()
    }
}

fn is_unavailable<T>(answer: &Result<T, LedgerError>) -> bool {
    matches!(answer, Err(LedgerError::Unavailable(_)))
}

#[tokio::test]
async fn c137_wherever_the_disk_fails_within_a_commit_nothing_acknowledged_is_lost_and_the_store_comes_back() {
    let rig = Rig::new();
    let mut acknowledged = Vec::new();
    let mut failures = 0;
    for (round, kind) in
        [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem].into_iter().enumerate()
    {
        for operations in 0..40 {
            let name = format!("r{round}-{operations}");
            let before = record(&format!("{name}-before"), "octo");
            rig.ledger.issue(before, vec![]).await.unwrap();
            rig.ledger.revoke(revocation(&format!("{name}-before"), "leaked")).await.unwrap();
            acknowledged.push(format!("{name}-before"));

            rig.disk.set(Mood::FailsAfter(operations, kind));
            let during = rig.ledger.issue(record(&format!("{name}-during"), "octo"), vec![]).await;
            if rig.disk.has_failed() {
                failures += 1;
                assert!(is_unavailable(&during) || during.is_ok(), "{during:?}");
                assert!(is_unavailable(&rig.ledger.issue(record(&format!("{name}-full"), "octo"), vec![]).await));
                assert!(is_unavailable(&rig.ledger.revoke(revocation("x", "leaked")).await));
                assert!(is_unavailable(&rig.ledger.ready().await));
                let known = rig.ledger.look_up(Jti::new(&format!("{name}-before")).unwrap()).await;
                assert!(is_unavailable(&known), "a store that failed is never read as `not there`: {known:?}");
            }
            rig.disk.set(Mood::Well);
            rig.clock.advance(1);
            rig.ledger.ready().await.unwrap();
            if during.is_ok() {
                rig.ledger.revoke(revocation(&format!("{name}-during"), "leaked")).await.unwrap();
                acknowledged.push(format!("{name}-during"));
            }
        }
        rig.clock.advance(1);
    }
    assert!(failures > 20, "{failures}");
    for jti in &acknowledged {
        assert!(rig.is_revoked(jti).await, "{jti}");
    }
}

#[tokio::test]
async fn c137_a_rule_that_could_not_be_written_is_not_in_force_and_those_before_it_are() {
    let rig = Rig::new();
    let first = rig.ledger.revoke(rule("first", START.plus(1000))).await.unwrap();
    rig.disk.set(Mood::FailsAfter(0, ErrorKind::StorageFull));
    assert!(is_unavailable(&rig.ledger.revoke(rule("second", START.plus(1000))).await));
    assert_eq!(*rig.ledger.rules().await.unwrap(), *std::slice::from_ref(&first));
    rig.disk.set(Mood::Well);
    rig.clock.advance(1);
    rig.ledger.ready().await.unwrap();
    assert_eq!(*rig.ledger.rules().await.unwrap(), [first]);
}

#[tokio::test]
async fn c137_reads_come_back_without_a_write() {
    let rig = Rig::new();
    rig.ledger.issue(record("a", "octo"), vec![]).await.unwrap();
    rig.ledger.revoke(revocation("a", "leaked")).await.unwrap();
    rig.disk.set(Mood::FailsAfter(0, ErrorKind::StorageFull));
    assert!(is_unavailable(&rig.ledger.issue(record("b", "octo"), vec![]).await));
    rig.disk.set(Mood::Well);
    assert!(rig.is_revoked("a").await);
}

#[tokio::test]
async fn a_ready_store_is_proved_by_a_write_when_the_last_one_is_long_ago() {
    let rig = Rig::new();
    rig.disk.set(Mood::FailsAfter(0, ErrorKind::ReadOnlyFilesystem));
    rig.ledger.ready().await.unwrap();
    rig.clock.advance(10);
    assert!(is_unavailable(&rig.ledger.ready().await));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_too_long_is_given_up_and_spends_no_claim() {
    let rig = Rig::new();
    rig.disk.set(Mood::Stalls);
    // The first is in the stalled transaction. The second, with the claim, waits behind it.
    let issues = [
        rig.ledger.issue(record("one", "octo"), vec![]),
        rig.ledger.issue(record("two", "octo"), vec![claim(1, START.plus(1000))]),
    ];
    let [first, second] = issues;
    let mut first = Box::pin(first);
    assert!(first.as_mut().now_or_never().is_none());
    while rig.ledger.writer.is_waiting() {
        tokio::task::yield_now().await;
    }
    assert!(is_unavailable(&second.await));
    assert!(is_unavailable(&first.await));
    rig.disk.set(Mood::Well);
    tokio::time::resume();
    let late = rig.ledger.issue(record("three", "octo"), vec![claim(1, START.plus(1000))]).await;
    assert_eq!(late.unwrap(), Issued::Recorded);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_refuses_at_once_and_what_waits_is_written() {
    let rig = Rig::new();
    rig.disk.set(Mood::Stalls);
    let (mut refused, mut waiting) = (Vec::new(), Vec::new());
    for n in 0..10_000 {
        let mut issue = rig.ledger.issue(record(&format!("t{n}"), "octo"), vec![]);
        match (&mut issue).now_or_never() {
            Some(answer) => refused.push(answer),
            None => waiting.push(issue),
        }
    }
    assert!(refused.len() > 5000, "{}", refused.len());
    assert!(refused.iter().all(is_unavailable));
    rig.disk.set(Mood::Well);
    // A paused clock passes on when nothing can run. As long as something can, no answer comes too late.
    let busy = async {
        loop {
            tokio::task::yield_now().await;
        }
    };
    let answers = tokio::select! {
        answers = join_all(waiting) => answers,
        () = busy => unreachable!(),
    };
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Issued::Recorded))));
}

#[tokio::test]
async fn c141_every_issue_passes_the_sweep_of_a_long_backlog() {
    const STEPS: usize = 100;
    const ISSUES: usize = 20;
    let rig = Rig::new();
    for page in 0..STEPS / 20 {
        let dead = (0..20 * SWEEP_STEP).map(|n| rig.ledger.issue(record(&format!("dead{page}-{n}"), "octo"), vec![]));
        assert!(join_all(dead).await.iter().all(Result::is_ok));
    }
    rig.clock.advance(10_000);
    let issues = async {
        for n in 0..ISSUES {
            let live = TokenRecord { exp: START.plus(20_000), ..record(&format!("live{n}"), "octo") };
            assert_eq!(rig.ledger.issue(live, vec![]).await.unwrap(), Issued::Recorded);
        }
    };
    // One after the other, they are all done while the sweep has most of its way to go: each waits
    // for a step or two of it.
    let Either::Left(((), sweep)) = select(std::pin::pin!(issues), rig.ledger.sweep(START.plus(10_000))).await else {
        panic!("the issues waited for the whole sweep")
    };
    let left = rig.ledger.engine.read(|database, _| Ok(database.begin_read()?.open_table(RECORDS)?.len()?)).unwrap();
    let most_swept = (2 * ISSUES + 2) * SWEEP_STEP;
    assert!(usize::try_from(left).unwrap() >= STEPS * SWEEP_STEP + ISSUES - most_swept, "{left}");
    assert_eq!(sweep.await.unwrap(), STEPS * SWEEP_STEP);
    assert_eq!(rig.ledger.list(Listing { limit: 1000, ..Listing::default() }).await.unwrap().len(), ISSUES);
}
