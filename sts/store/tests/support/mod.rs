//! A Redis, and ledgers in it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use sts_store::contract::{AlertLog, ManualClock, Rig, TestSeal};
use sts_store::{Node, RedisLedger, RedisParts, RedisSpec, Topology};
use sts_testkit::RedisServer;
use sts_types::{Clock, Entropy};

/// A redis-server with what a ledger in it lives by.
pub struct Store {
    pub server: RedisServer,
    pub clock: Arc<ManualClock>,
    pub alerts: Arc<AlertLog>,
    /// Where each process keeps its memory, by number.
    pub directory: tempfile::TempDir,
}

impl Store {
    pub fn new(server: RedisServer) -> Self {
        Self {
            server,
            clock: Arc::new(ManualClock::default()),
            alerts: Arc::default(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn spec(&self) -> RedisSpec {
        spec(Topology::Single(node(self.server.port())))
    }

    /// The ledger of process number `replica`, as it is after a start.
    pub fn ledger(&self, replica: u8) -> RedisLedger {
        self.ledger_by(replica, self.spec())
    }

    pub fn ledger_by(&self, replica: u8, spec: RedisSpec) -> RedisLedger {
        RedisLedger::open(spec, self.parts(replica, 1)).unwrap()
    }

    pub fn parts(&self, replica: u8, seal: u64) -> RedisParts {
        RedisParts {
            seal: Arc::new(TestSeal(seal)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(TestEntropy(replica)),
            alerts: Arc::clone(&self.alerts) as _,
            runtime: tokio::runtime::Handle::current(),
            watermark: self.directory.path().join(format!("mark-{replica}.json")),
        }
    }

    pub fn rig(self) -> Rig {
        Rig { ledger: Arc::new(self.ledger(0)), clock: Arc::clone(&self.clock), keep: Box::new(self) }
    }
}

/// As patient as a machine with other work to do wants it.
pub fn spec(topology: Topology) -> RedisSpec {
    RedisSpec {
        topology,
        database: 0,
        tls: None,
        username: None,
        password_file: None,
        prefix: "sts:".to_owned(),
        timeout: Duration::from_secs(20),
        wait_replicas: 0,
    }
}

pub fn node(port: u16) -> Node {
    Node { host: "127.0.0.1".to_owned(), port }
}

/// Differs from call to call and process to process, and is no randomness.
struct TestEntropy(u8);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        use std::sync::atomic::{AtomicU8, Ordering};
        static CALLS: AtomicU8 = AtomicU8::new(0);
        bytes.fill(self.0);
        bytes[0] = CALLS.fetch_add(1, Ordering::SeqCst);
    }
}
