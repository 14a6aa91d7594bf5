//! Checks each new connection before its first use, begins the first epoch in an empty store, and
//! takes over the store of an earlier version.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use sts_types::{Clock, Entropy, Seal};

use super::batch::{Batch, Replies, command, sized};
use super::connection_pool::Inspect;
use super::error::RedisStoreError;
use super::health::Health;
use super::layout::{Layout, other_number, shards_of};
use super::names::Names;
use super::rollback_guard::RollbackGuard;
use super::store_mark::{FIELDS, StoreMark};
use super::stored_value::{StoredValue, found};
use sts_store::Warning;
use sts_store::spec::ShardCount;

/// Adds the commands whose replies [`check_health`] reads.
pub(super) fn add_health(batch: &mut Batch) {
    batch.add(redis::cmd("INFO")).add(redis::cmd("TIME")).add(command("ACL", &["WHOAMI"]));
}

/// Evaluates what Redis reports about itself.
pub(super) fn check_health(replies: &mut Replies, our_millis: u64) -> Result<Vec<Warning>, RedisStoreError> {
    let info = match replies.value()? {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } => text,
        _ => return Err(RedisStoreError::Form),
    };
    let time = replies.texts()?;
    let [seconds, micros] = time.as_slice() else { return Err(RedisStoreError::Form) };
    let number = |text: &String| text.parse::<u64>().map_err(|_| RedisStoreError::Form);
    let redis_millis = number(seconds)?.saturating_mul(1000).saturating_add(number(micros)? / 1000);
    // A Redis without ACLs does not know the command, and some users may not run it. Then the name
    // stays empty.
    let user = replies.bytes().ok().flatten().unwrap_or_default();
    let user = String::from_utf8_lossy(&user);
    Health { info: &info, user: &user, redis_millis, our_millis }.check()
}

/// Checks each new connection: its node is the primary, evicts nothing, and holds the ledger that
/// this process trusts. In an empty store it begins the first epoch.
pub(super) struct Inspector {
    pub(super) names: Names,
    pub(super) guard: Arc<RollbackGuard>,
    pub(super) seal: Arc<dyn Seal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// The deadline of each step of a rebuild.
    pub(super) step_deadline: Duration,
    /// The number of shards, if this is one of several.
    pub(super) layout: Option<Arc<Layout>>,
}

impl Inspector {
    /// Adds the read of the mark to `batch`.
    pub(super) fn reading(&self, mut batch: Batch) -> Batch {
        let mut read = sized("HMGET", 1 + FIELDS.len(), 0);
        read.arg(self.names.mark()).arg(&FIELDS);
        batch.add(read);
        batch
    }
}

impl Inspect for Inspector {
    fn ping(&self) -> Batch {
        self.reading(Batch::plain())
    }

    async fn inspect(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisStoreError> {
        if let Some(layout) = &self.layout {
            layout.verify().await?;
        }
        let mut batch = self.reading(Batch::plain());
        add_health(&mut batch);
        let now = self.clock.now_millis();
        let mut replies = Replies::from(batch.send(connection).await?);
        let mark = StoreMark::read(&mut replies)?;
        let fitness = check_health(&mut replies, now).map(|_| ());
        if let Err(error @ RedisStoreError::Named(_)) = fitness {
            return Err(error);
        }
        self.guard.note_fitness(fitness);
        if mark.is_foreign && self.layout.is_none() {
            self.refuse_shards(connection).await?;
        }
        let is_taken_over = mark.epoch.is_some() && mark.sealed.is_none() && self.take_over(connection, &mark).await?;
        // The guard must remember the new mark of a takeover before it is used. After that, the
        // mark of the earlier version no longer counts.
        if self.guard.is_settled() && !is_taken_over {
            return Ok(());
        }
        if mark.epoch.is_none() && !mark.is_foreign && self.is_empty(connection).await? {
            let (epoch, begun) = self.guard.next_epoch(&mark, &*self.entropy, self.clock.now())?;
            // Several processes may begin at once. One wins, and all of them read what it wrote.
            let mut begin = Batch::atomic();
            let sealed = begun.encode(&*self.seal)?;
            begin.add(redis::cmd("HSETNX").arg(self.names.mark()).arg("epoch").arg(epoch).to_owned());
            begin.add(redis::cmd("HSETNX").arg(self.names.mark()).arg("sealed").arg(sealed).to_owned());
            begin.send(connection).await?;
        }
        let mut replies = Replies::from(self.reading(Batch::plain()).send(connection).await?);
        let floor = self.guard.floor();
        match self.guard.check(&mut StoreMark::read(&mut replies)?, floor) {
            // Each operation reports this error itself. The connection stays usable, so that an
            // operator can accept the loss over it.
            Err(RedisStoreError::Integrity(_)) => return Ok(()),
            checked => checked?,
        };
        self.guard.save().await;
        Ok(())
    }
}

impl Inspector {
    /// Fails if this is a store of several shards. A whole store has its mark where such a store has
    /// their number.
    async fn refuse_shards(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisStoreError> {
        let mut batch = Batch::plain();
        batch.add(command("GET", &[self.names.mark()]));
        match found(&mut Replies::from(batch.send(connection).await?))? {
            StoredValue::Bytes(stored) => match shards_of(&*self.seal, &stored) {
                Some(shards) => Err(other_number(shards, ShardCount::ONE)),
                None => Ok(()),
            },
            StoredValue::Nothing | StoredValue::Foreign => Ok(()),
        }
    }

    /// Whether nothing was ever stored here. Records without an epoch mean that somebody deleted
    /// the epoch.
    async fn is_empty(&self, connection: &mut MultiplexedConnection) -> Result<bool, RedisStoreError> {
        let names = &self.names;
        let keys = [
            names.all(),
            names.ends(),
            names.rules(),
            names.revocations(),
            names.revoked(),
            names.leases(),
            names.objects(),
            names.object_log(),
        ];
        let mut batch = Batch::plain();
        batch.add(command("EXISTS", &keys));
        Ok(Replies::from(batch.send(connection).await?).number()? == 0)
    }

    /// Takes over the store of an earlier version, if it is the store that this process trusted.
    /// Returns whether it was.
    async fn take_over(
        &self,
        connection: &mut MultiplexedConnection,
        mark: &StoreMark,
    ) -> Result<bool, RedisStoreError> {
        let sequence = self.earlier_sequence(connection).await?;
        if mark.sealed.is_some() || !self.guard.is_known_of_earlier_version(mark, sequence) {
            return Ok(false);
        }
        let (epoch, mut begun) = self.guard.next_epoch(mark, &*self.entropy, self.clock.now())?;
        begun.sequence = begun.sequence.max(sequence);
        match self.rebuild(connection, mark, epoch, begun).await {
            Ok(_) => tracing::warn!(
                "the Redis store was migrated from an earlier version; servers of that version can no longer use it"
            ),
            // Another process was faster.
            Err(RedisStoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}
