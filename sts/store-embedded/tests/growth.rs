//! The file grows with the live records, not with all that were ever issued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use sts_store::contract::{AlertLog, ManualClock, TestSeal, claim, record};
use sts_store::{Issued, Ledger, ReplayClaim, TokenRecord};
use sts_store_embedded::EmbeddedLedger;
use sts_types::{Clock, Digest256, Seal};

const PER_ROUND: usize = 1000;

#[tokio::test]
async fn c141_what_is_swept_makes_room_for_what_comes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    let clock = Arc::new(ManualClock::default());
    let ledger =
        EmbeddedLedger::open(&path, Arc::new(TestSeal(1)), Arc::clone(&clock) as _, Arc::new(AlertLog::default()))
            .unwrap();
    let mut sizes = Vec::new();
    for round in 0..8 {
        let now = clock.now();
        let issues = (0..PER_ROUND).map(|n| {
            let name = format!("{round}-{n}");
            let key = Digest256(TestSeal(0).seal(&[name.as_bytes()]));
            let record = TokenRecord { iat: now, exp: now.plus(900), ..record(&name, "octo") };
            ledger.issue(record, vec![ReplayClaim { key, ..claim(0, now.plus(900)) }])
        });
        assert!(join_all(issues).await.iter().all(|issued| matches!(issued, Ok(Issued::Recorded))));
        clock.advance(1000);
        assert_eq!(ledger.sweep(clock.now()).await.unwrap(), PER_ROUND);
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    // The size in a round depends on how the issues fall into groups. Without sweeps it would be
    // eight times as large.
    let bound = 2 * sizes[0].max(sizes[1]);
    assert!(sizes.iter().all(|size| *size <= bound), "the file grows without end: {sizes:?}");
}

#[tokio::test]
async fn c141_a_sweep_forgets_faster_than_callers_at_once_can_issue() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    let clock = Arc::new(ManualClock::default());
    let ledger =
        EmbeddedLedger::open(&path, Arc::new(TestSeal(1)), Arc::clone(&clock) as _, Arc::new(AlertLog::default()))
            .unwrap();
    let now = clock.now();
    let issue = async |name: String, life: i64| {
        let record = TokenRecord { iat: now, exp: now.plus(life), ..record(&name, "octo") };
        assert_eq!(ledger.issue(record, vec![]).await.unwrap(), Issued::Recorded);
    };
    join_all((0..8000).map(|n| issue(format!("dead-{n}"), -1000))).await;
    let (swept, issued) = (AtomicBool::new(false), AtomicUsize::new(0));
    let busy = |caller: usize| {
        let (swept, issued, issue) = (&swept, &issued, &issue);
        async move {
            for n in 0.. {
                if swept.load(Ordering::Relaxed) {
                    return;
                }
                issue(format!("live-{caller}-{n}"), 900).await;
                issued.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let sweep = async {
        assert_eq!(ledger.sweep(now).await.unwrap(), 8000);
        swept.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(sweep, join_all((0..200).map(busy))).await;
    let issued = issued.load(Ordering::Relaxed);
    assert!(issued < 8000, "{issued} came in while 8,000 went");
}
