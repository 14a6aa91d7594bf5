//! The embedded store keeps the ledger's contract.

use std::sync::Arc;

use sts_store::EmbeddedLedger;
use sts_store::contract::{AlertLog, ManualClock, Rig, TestSeal};

async fn embedded() -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(
        &directory.path().join("ledger.redb"),
        Arc::new(TestSeal(1)),
        Arc::clone(&clock) as _,
        Arc::new(AlertLog::default()),
    )
    .unwrap();
    Rig { ledger: Arc::new(ledger), clock, keep: Box::new(directory) }
}

sts_store::contract_tests! { embedded }
sts_store::clock_tests! { embedded }
