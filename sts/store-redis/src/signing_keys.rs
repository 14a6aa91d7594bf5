//! The sealed signing keys: one value, which is replaced only if nobody else did meanwhile.
//!
//! The ledger cannot be opened before these keys are known, so this has a connection of its own. It
//! is made for each call, since there is one in a minute.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sts_store::spec::RedisSpec;

use super::batch::{Batch, Replies, command, sized};
use super::connect::{Connector, connect_deadline};
use super::error::RedisStoreError;
use super::names::signing_keys;
use super::open_error::RedisOpenError;

/// The value with the sealed signing keys of a Redis.
pub struct RedisSigningKeys {
    connector: Connector,
    name: String,
    deadline: Duration,
    wait_replicas: u32,
}

impl std::fmt::Debug for RedisSigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSigningKeys").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RedisSigningKeys {
    /// The value in the Redis of `spec`. It sends nothing yet.
    ///
    /// # Errors
    /// See [`RedisOpenError`].
    pub fn new(spec: RedisSpec) -> Result<Self, RedisOpenError> {
        let (name, wait_replicas) = (signing_keys(&spec.prefix), spec.wait_replicas);
        let deadline = connect_deadline(spec.timeout);
        Ok(Self { connector: Connector::new(spec, name.clone())?, name, deadline, wait_replicas })
    }

    /// The name of the value.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value, if there is one. Blocks.
    ///
    /// # Errors
    /// Why Redis does not answer.
    pub fn read(&self) -> Result<Option<Vec<u8>>, String> {
        self.block_on(async |connection| self.get(connection).await)
    }

    /// Writes `new` if the value is still `expected`, and waits for the replicas of `wait_replicas`.
    /// Returns whether it was still that. Blocks.
    ///
    /// # Errors
    /// Why Redis does not answer. The value may be written all the same.
    pub fn replace(&self, expected: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        self.block_on(async |connection| {
            let mut watch = Batch::plain();
            watch.add(command("WATCH", &[&self.name]));
            Replies::from(watch.send(connection).await?).value()?;
            if self.get(connection).await?.as_deref() != expected {
                return Ok(false);
            }
            let mut set = sized("SET", 2, new.len());
            set.arg(&self.name).arg(new);
            let mut write = Batch::atomic();
            write.add(set);
            write.wait_for(self.wait_replicas, u64::try_from(self.deadline.as_millis() / 2).unwrap_or(u64::MAX));
            match write.send(connection).await {
                Ok(_) => Ok(true),
                Err(RedisStoreError::Conflict) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    async fn get(&self, connection: &mut MultiplexedConnection) -> Result<Option<Vec<u8>>, RedisStoreError> {
        let mut get = Batch::plain();
        get.add(command("GET", &[&self.name]));
        Replies::from(get.send(connection).await?).bytes()
    }

    /// Runs `work` on a new connection, on a thread of its own: the caller's may drive a runtime, and
    /// must not drive another.
    fn block_on<T: Send>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisStoreError> + Send,
    ) -> Result<T, String> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
            let outcome = runtime.block_on(async {
                tokio::time::timeout(self.deadline, async {
                    let (_, mut connection) = self.connector.connect().await?;
                    work(&mut connection).await
                })
                .await
            });
            outcome.unwrap_or(Err(RedisStoreError::Deadline(self.deadline))).map_err(|error| error.to_string())
        };
        let thread = std::thread::Builder::new().name("redis-keys".to_owned());
        std::thread::scope(|scope| match thread.spawn_scoped(scope, run) {
            Ok(running) => running.join().unwrap_or_else(|_| Err("the thread that asks Redis ended".to_owned())),
            Err(error) => Err(format!("cannot start a thread: {error}")),
        })
    }
}
