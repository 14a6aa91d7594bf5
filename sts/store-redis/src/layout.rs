//! How many shards the store has. The number is sealed and written once, under the name that the mark
//! of a whole store has, and compared before a server uses any shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use sts_store::Place;
use sts_store::backend::codec;
use sts_store::spec::ShardCount;
use sts_types::Seal;

use super::batch::{Batch, Replies, command};
use super::connect::Connector;
use super::error::RedisStoreError;
use super::stored_value::{StoredValue, found};

const LAYOUT_KEY: &[u8] = b"number of shards";

/// The stored form.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLayout {
    shards: u32,
}

/// What compares the number of shards, once for all of them.
pub(super) struct Layout {
    connector: Connector,
    /// See [`super::names::mark_of_whole`].
    name: String,
    shards: ShardCount,
    seal: Arc<dyn Seal>,
    deadline: Duration,
    /// Whether shards may be used.
    is_verified: AtomicBool,
    /// Whether the number in Redis was read and is ours.
    is_confirmed: AtomicBool,
    /// The last answer, if another number was there.
    refusal: ArcSwapOption<RedisStoreError>,
    /// One task asks for all that wait.
    verifying: tokio::sync::Mutex<()>,
}

impl Layout {
    /// `is_known` says that this server has used this number of shards before.
    pub(super) fn new(
        connector: Connector,
        name: String,
        shards: ShardCount,
        seal: Arc<dyn Seal>,
        deadline: Duration,
        is_known: bool,
    ) -> Self {
        let (is_verified, is_confirmed) = (AtomicBool::new(is_known), AtomicBool::new(false));
        let verifying = tokio::sync::Mutex::default();
        let refusal = ArcSwapOption::empty();
        Self { connector, name, shards, seal, deadline, is_verified, is_confirmed, refusal, verifying }
    }

    /// Fails if the store was made with another number of shards, or cannot be asked yet. The first
    /// server writes the number.
    pub(super) async fn verify(&self) -> Result<(), RedisStoreError> {
        if self.is_verified.load(Ordering::Acquire) {
            return Ok(());
        }
        let _verifying = self.verifying.lock().await;
        if self.is_verified.load(Ordering::Acquire) {
            return Ok(());
        }
        self.compare_in_time().await
    }

    /// Like [`verify`](Self::verify), for a server that knows the number from before. A node that is
    /// away with the number does not keep it from its shards.
    pub(super) async fn confirm(&self) -> Result<(), RedisStoreError> {
        if self.is_confirmed.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Ok(_verifying) = self.verifying.try_lock() {
            match self.compare_in_time().await {
                Err(error) if error.is_passing() => {}
                compared => self.refusal.store(compared.err().map(Arc::new)),
            }
        }
        // The other shards ask at the same time, and one of them for all.
        self.refusal.load().as_ref().map_or(Ok(()), |refusal| Err(RedisStoreError::clone(refusal)))
    }

    async fn compare_in_time(&self) -> Result<(), RedisStoreError> {
        let compared = tokio::time::timeout(self.deadline, self.compare(true)).await;
        compared.unwrap_or(Err(RedisStoreError::Deadline(self.deadline)))?;
        self.is_verified.store(true, Ordering::Release);
        self.is_confirmed.store(true, Ordering::Release);
        Ok(())
    }

    /// Like [`verify`](Self::verify), but writes nothing.
    pub(super) async fn examine(&self) -> Result<(), RedisStoreError> {
        self.compare(false).await
    }

    async fn compare(&self, may_write: bool) -> Result<(), RedisStoreError> {
        let (_, mut connection) = self.connector.connect().await?;
        let stored = StoredLayout { shards: u32::try_from(self.shards.get()).unwrap_or(0) };
        let stored =
            codec::seal_value(&*self.seal, Place::Epoch, LAYOUT_KEY, &stored).map_err(|_| RedisStoreError::Form)?;
        let mut batch = Batch::plain();
        if may_write {
            batch.add(redis::cmd("SET").arg(&self.name).arg(stored).arg("NX").to_owned());
        }
        batch.add(command("GET", &[&self.name]));
        let mut replies = Replies::from(batch.send(&mut connection).await?);
        if may_write {
            replies.value()?;
        }
        match found(&mut replies)? {
            StoredValue::Nothing => Ok(()),
            StoredValue::Bytes(stored) => self.compare_with(shards_of(&*self.seal, &stored)),
            // The mark of a whole store is a hash.
            StoredValue::Foreign => self.compare_with(Some(1)),
        }
    }

    fn compare_with(&self, found: Option<u32>) -> Result<(), RedisStoreError> {
        match found {
            Some(shards) if usize::try_from(shards) == Ok(self.shards.get()) => Ok(()),
            Some(shards) => Err(other_number(shards, self.shards)),
            // Another program's value. The check of the mark tells of it.
            None if self.shards == ShardCount::ONE => Ok(()),
            None => Err(RedisStoreError::Integrity(
                "the number of shards in this Redis was not written with our key: every sts that shares a Redis needs the same keys \
                 (`signing.keys_dir`), and a store of its own a `store.prefix` of its own"
                    .into(),
            )),
        }
    }
}

/// The number of shards that `stored` tells. `None` if it is not ours.
pub(super) fn shards_of(seal: &dyn Seal, stored: &[u8]) -> Option<u32> {
    codec::open::<StoredLayout>(seal, Place::Epoch, LAYOUT_KEY, stored).ok().map(|stored| stored.shards)
}

/// The error of a store that was made with another number of shards.
pub(super) fn other_number(found: u32, configured: ShardCount) -> RedisStoreError {
    RedisStoreError::Layout { found, configured }
}
