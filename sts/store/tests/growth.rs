//! The file grows with what lives, not with all that was ever issued.

use std::sync::Arc;

use futures_util::future::join_all;
use sts_store::contract::{AlertLog, ManualClock, TestSeal, claim, record};
use sts_store::{EmbeddedLedger, Issued, Ledger, ReplayClaim, TokenRecord};
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
            let key = Digest256(TestSeal(0).seal(name.as_bytes()));
            let record = TokenRecord { iat: now, exp: now.plus(900), ..record(&name, "octo") };
            ledger.issue(record, Some(ReplayClaim { key, ..claim(0, now.plus(900)) }))
        });
        assert!(join_all(issues).await.iter().all(|issued| matches!(issued, Ok(Issued::Recorded))));
        clock.advance(1000);
        assert_eq!(ledger.sweep(clock.now()).await.unwrap(), PER_ROUND);
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    // How large it gets in a round depends on how the issues fall into groups. Without room made it would be eight times as large.
    let bound = 2 * sizes[0].max(sizes[1]);
    assert!(sizes.iter().all(|size| *size <= bound), "the file grows without end: {sizes:?}");
}
