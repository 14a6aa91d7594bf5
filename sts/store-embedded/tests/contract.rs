//! The embedded store keeps the ledger's contract.

#![expect(clippy::unwrap_used, reason = "a test that fails is to end")]

use std::sync::Arc;

use sts_store::contract::{AlertLog, ManualClock, ObjectRig, RefusalRig, Rig, SessionRig, TestSeal};
use sts_store_embedded::EmbeddedLedger;

fn open() -> (EmbeddedLedger, Arc<ManualClock>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let ledger = EmbeddedLedger::open(
        &directory.path().join("ledger.redb"),
        Arc::new(TestSeal(1)),
        Arc::clone(&clock) as _,
        Arc::new(AlertLog::default()),
    );
    (ledger.unwrap(), clock, directory)
}

async fn embedded() -> Rig {
    let (ledger, clock, directory) = open();
    Rig { ledger: Arc::new(ledger), clock, keep: Box::new(directory) }
}

async fn embedded_refusals() -> RefusalRig {
    let (ledger, clock, directory) = open();
    RefusalRig { refusals: Arc::new(ledger), clock, keep: Box::new(directory) }
}

async fn embedded_sessions() -> SessionRig {
    let (ledger, clock, directory) = open();
    SessionRig { sessions: Arc::new(ledger), clock, keep: Box::new(directory) }
}

async fn embedded_objects() -> ObjectRig {
    let (ledger, clock, directory) = open();
    let ledger = Arc::new(ledger);
    ObjectRig { objects: Arc::clone(&ledger) as _, ledger, clock, keep: Box::new(directory) }
}

sts_store::contract_tests! { embedded }
sts_store::whole_ledger_tests! { embedded }
sts_store::clock_tests! { embedded }
sts_store::refusal_contract_tests! { embedded_refusals }
sts_store::refusal_capacity_tests! { embedded_refusals }
sts_store::session_contract_tests! { embedded_sessions }
sts_store::object_contract_tests! { embedded_objects }

mod in_memory {
    use super::*;

    async fn in_memory() -> Rig {
        let clock = Arc::new(ManualClock::default());
        let alerts = Arc::new(AlertLog::default());
        let ledger = EmbeddedLedger::in_memory(Arc::new(TestSeal(1)), Arc::clone(&clock) as _, alerts).unwrap();
        Rig { ledger: Arc::new(ledger), clock, keep: Box::new(()) }
    }

    sts_store::contract_tests! { in_memory }
}
