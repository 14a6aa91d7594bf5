//! The Redis store keeps the ledger's contract, on a real redis-server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails is to end")]

mod support;

use sts_store::contract::Rig;

async fn redis() -> Rig {
    support::Store::new(sts_testkit::RedisServer::start()).rig()
}

sts_store::contract_tests! { redis }
