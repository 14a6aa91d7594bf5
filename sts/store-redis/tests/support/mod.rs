//! A Redis, and ledgers in it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use sts_store::LedgerError;
use sts_store::contract::{AlertLog, ManualClock, Rig, TestSeal};
use sts_store_redis::{Node, RedisLedger, RedisParts, RedisSpec, ShardCount, Topology};
use sts_testkit::RedisServer;
use sts_types::{Clock, Entropy, Jti};

/// A redis-server, and the clock, alerts and files of its ledgers.
pub(crate) struct Store {
    pub(crate) server: RedisServer,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) alerts: Arc<AlertLog>,
    /// The watermark files of the processes, by number.
    pub(crate) directory: tempfile::TempDir,
}

impl Store {
    pub(crate) fn new(server: RedisServer) -> Self {
        Self {
            server,
            clock: Arc::new(ManualClock::default()),
            alerts: Arc::default(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn spec(&self) -> RedisSpec {
        spec(Topology::Single(node(self.server.port())))
    }

    /// The ledger of process number `replica`, as after a start.
    pub(crate) fn ledger(&self, replica: u8) -> RedisLedger {
        self.ledger_by(replica, self.spec())
    }

    pub(crate) fn ledger_by(&self, replica: u8, spec: RedisSpec) -> RedisLedger {
        RedisLedger::open(spec, self.parts(replica, 1)).unwrap()
    }

    pub(crate) fn parts(&self, replica: u8, seal: u64) -> RedisParts {
        parts(&self.clock, &self.alerts, self.directory.path(), replica, seal)
    }

    /// With the user of [`under_acl`].
    pub(crate) fn spec_of_user(&self) -> RedisSpec {
        write_secret(&self.directory.path().join("sts.password"), &format!("{PASSWORD}\n"));
        self.spec_of_user_with("sts.password")
    }

    /// With the user of [`under_acl`], and the password in that file.
    pub(crate) fn spec_of_user_with(&self, file: &str) -> RedisSpec {
        let password_file = Some(self.directory.path().join(file));
        RedisSpec { username: Some("sts".to_owned()), password_file, ..self.spec() }
    }

    pub(crate) fn rig(self) -> Rig {
        Rig { ledger: Arc::new(self.ledger(0)), clock: Arc::clone(&self.clock), keep: Box::new(self) }
    }
}

/// Does what the server does when it starts.
pub(crate) fn install_cryptography() {
    // After the first time it exists already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The parts of the ledger of process number `replica`.
pub(crate) fn parts(
    clock: &Arc<ManualClock>,
    alerts: &Arc<AlertLog>,
    directory: &std::path::Path,
    replica: u8,
    seal: u64,
) -> RedisParts {
    RedisParts {
        seal: Arc::new(TestSeal(seal)),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        entropy: Arc::new(TestEntropy(replica)),
        alerts: Arc::clone(alerts) as _,
        runtime: tokio::runtime::Handle::current(),
        watermark: directory.join(format!("mark-{replica}.json")),
    }
}

/// The password of the user `sts` at [`under_acl`].
pub(crate) const PASSWORD: &str = "password-of-the-store";

/// A redis-server with exactly the users that we ship, and one for the test itself.
pub(crate) fn under_acl() -> RedisServer {
    let shipped = include_str!("../../../../deploy/redis/sts.acl");
    let users = shipped.replace("REPLACE-WITH-A-LONG-RANDOM-PASSWORD", PASSWORD);
    assert_ne!(users, shipped);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{users}user test on >test ~* &* +@all\n")).unwrap();
    let server = RedisServer::with(&format!("aclfile {}", file.path().display()));
    server.login("test", "test")
}

/// A long timeout, for a busy machine.
pub(crate) fn spec(topology: Topology) -> RedisSpec {
    RedisSpec {
        topology,
        database: 0,
        tls: None,
        username: None,
        password_file: None,
        prefix: "sts:".to_owned(),
        timeout: Duration::from_secs(20),
        wait_replicas: 0,
        shards: ShardCount::ONE,
    }
}

pub(crate) fn node(port: u16) -> Node {
    Node { host: "127.0.0.1".to_owned(), port }
}

/// Differs from call to call and process to process, but is not random.
struct TestEntropy(u8);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        use std::sync::atomic::{AtomicU8, Ordering};
        static CALLS: AtomicU8 = AtomicU8::new(0);
        bytes.fill(self.0);
        bytes[0] = CALLS.fetch_add(1, Ordering::SeqCst);
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

pub(crate) fn jti(text: &str) -> Jti {
    Jti::new(text).unwrap()
}

/// The error text with which the store refuses.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, LedgerError>) -> String {
    match answer {
        Err(LedgerError::Unavailable(text)) => text.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Repeats a call until the store answers. Moves the clock forward so that the breaker lets a probe
/// through.
pub(crate) async fn eventually<T>(
    store: &Store,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, LedgerError>,
) -> T {
    for _ in 0..600 {
        if let Ok(answer) = ask().await {
            return answer;
        }
        store.clock.advance(3);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}: {:?}", ask().await.err());
}

/// A process saves the mark a moment after it has seen it.
pub(crate) async fn saved(store: &Store, replica: u8, sequence: u64) {
    let path = store.directory.path().join(format!("mark-{replica}.json"));
    for _ in 0..600 {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.contains(&format!("\"sequence\":{sequence}}}")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not saved: {:?}", std::fs::read_to_string(&path));
}
