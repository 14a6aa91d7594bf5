//! A token ledger in Redis, shared by any number of processes.
//!
//! All keys of a ledger, or of each of its shards, share one hash slot. An issue is therefore one transaction and one round
//! trip, on a Redis Cluster too, and one sequence number shows whether revocations are missing.
//! Values are sealed and versioned as in the embedded store. All reads and writes go to the primary.

mod batch;
mod breaker;
mod claims;
mod commit;
mod connect;
mod connection;
mod connection_pool;
mod connection_slot;
mod error;
mod examine;
mod health;
mod inspector;
mod integrity;
mod issue;
mod key_types;
mod last_uses;
mod layout;
mod lineage;
mod list;
mod load;
mod mark;
mod names;
mod object_load;
mod object_registry;
mod object_store;
mod open_error;
mod read;
mod rebuild;
mod rebuild_objects;
mod refusals;
mod registry;
mod rollback_guard;
mod seen_claims;
mod sessions;
mod shard;
mod signing_keys;
mod slots;
mod status;
mod store_mark;
mod stored_value;
mod sweep;

pub use examine::examine;
pub use open_error::RedisOpenError;
pub use shard::ShardedRedis;
pub use signing_keys::RedisSigningKeys;
pub use sts_store::spec::{Node, RedisSpec, RedisTls, ShardCount, Topology};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use sts_types::{Clock, Digest256, Entropy, Jti, Seal, StatusWindow, UnixTime};

use self::batch::{Batch, Replies, command};
use self::connect::{Connector, connect_deadline};
use self::connection_pool::ConnectionPool;
use self::error::RedisStoreError;
use self::inspector::{Inspector, add_health, check_health};
use self::key_types::{add_key_types, check_key_types};
use self::layout::Layout;
use self::names::Names;
use self::object_registry::ObjectRegistry;
use self::registry::Registry;
use self::rollback_guard::RollbackGuard;
use self::seen_claims::{MOST, SeenClaims};
use self::slots::ShardIndex;
use self::store_mark::StoreMark;
use sts_store::backend::{STORED, codec};
use sts_store::{Acceptance, Lease, Ledger, LedgerFuture, RuledEntries, StatusMark};
use sts_store::{Alert, Alerts, Place};
use sts_store::{Capacity, Warning};
use sts_store::{EarlierUse, Entry, Issued, Listing, ReplayClaim, Revocation, RuleId, TakenClaim, TokenRecord};

/// How many seconds a key lives in Redis beyond its need, because the clocks of Redis and of this
/// process differ.
const MARGIN: i64 = 600;
/// How often an acceptance starts over because another process was faster.
const ACCEPT_ATTEMPTS: usize = 3;

/// What a Redis store needs besides its [`RedisSpec`].
#[derive(Clone)]
pub struct RedisParts {
    /// Seals the stored values.
    pub seal: Arc<dyn Seal>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for the names of epochs.
    pub entropy: Arc<dyn Entropy>,
    /// Receives an alert for each stored value that was altered.
    pub alerts: Arc<dyn Alerts>,
    /// Runs background tasks. Each connection is driven by the runtime that made it.
    pub runtime: tokio::runtime::Handle,
    /// The file that keeps the highest revocation seen, for the next run.
    pub watermark: PathBuf,
}

impl std::fmt::Debug for RedisParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisParts").field("watermark", &self.watermark).finish_non_exhaustive()
    }
}

/// The ledger in a Redis.
pub struct RedisLedger {
    pool: Arc<ConnectionPool<Inspector>>,
    /// Separate connections for changes to the revocations: no other transaction may come between a
    /// WATCH and its EXEC.
    commit_pool: Arc<ConnectionPool<Inspector>>,
    /// This process makes one change at a time.
    commits: tokio::sync::Mutex<()>,
    /// Separate connections for WAIT, which blocks all later commands on its connection.
    replica_wait_pool: Option<Arc<ConnectionPool<Inspector>>>,
    inspector: Arc<Inspector>,
    entropy: Arc<dyn Entropy>,
    alerts: Arc<dyn Alerts>,
    runtime: tokio::runtime::Handle,
    timeout: Duration,
    wait_replicas: u32,
    registry: Arc<Registry>,
    objects: ObjectRegistry,
    /// Where the next sample of revoked tokens begins.
    next_sample: AtomicUsize,
    /// Where the next sample of objects begins.
    next_object_sample: AtomicUsize,
    seen_claims: SeenClaims,
    /// Refusals written since the store last checked that all fit.
    uncounted_refusals: AtomicUsize,
    /// How many refusals it keeps.
    refusal_capacity: Capacity,
}

impl std::fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLedger")
            .field("timeout", &self.timeout)
            .field("wait_replicas", &self.wait_replicas)
            .finish_non_exhaustive()
    }
}

impl RedisLedger {
    /// Creates a ledger in the Redis of `spec`. It sends nothing yet. While Redis is away, every
    /// operation returns an error.
    ///
    /// # Errors
    /// See [`RedisOpenError`].
    pub fn open(spec: RedisSpec, parts: RedisParts) -> Result<Self, RedisOpenError> {
        let RedisParts { seal, alerts, watermark, .. } = &parts;
        let guard = RollbackGuard::open(watermark.clone(), Arc::clone(seal), Arc::clone(alerts))?;
        Self::of_shard(spec, parts, ShardIndex::WHOLE, guard, None)
    }

    /// The ledger in one shard. `layout` compares their number, if there are several.
    fn of_shard(
        spec: RedisSpec,
        parts: RedisParts,
        shard: ShardIndex,
        guard: RollbackGuard,
        layout: Option<Arc<Layout>>,
    ) -> Result<Self, RedisOpenError> {
        let RedisParts { seal, clock, entropy, alerts, runtime, watermark: _ } = parts;
        let names = Names::new(&spec.prefix, shard, Arc::clone(&seal));
        let guard = Arc::new(guard);
        let (timeout, wait_replicas) = (spec.timeout, spec.wait_replicas);
        let connector = Arc::new(Connector::new(spec, names.mark().to_owned())?);
        let inspector = Arc::new(Inspector {
            names,
            guard,
            seal,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            step_deadline: connect_deadline(timeout),
            layout,
        });
        let pool =
            |timeout| ConnectionPool::new(Arc::clone(&connector), Arc::clone(&inspector), Arc::clone(&clock), timeout);
        Ok(Self {
            pool: pool(timeout),
            commit_pool: pool(timeout),
            commits: tokio::sync::Mutex::default(),
            // WAIT may take the whole timeout, and the round trip as much again.
            replica_wait_pool: (wait_replicas > 0).then(|| pool(timeout.saturating_mul(2))),
            inspector,
            entropy,
            alerts,
            runtime,
            timeout,
            wait_replicas,
            registry: Arc::new(Registry::new()),
            objects: ObjectRegistry::new(),
            next_sample: AtomicUsize::new(0),
            next_object_sample: AtomicUsize::new(0),
            seen_claims: SeenClaims::new(shard.part_of(MOST)),
            uncounted_refusals: AtomicUsize::new(0),
            refusal_capacity: Capacity { full: shard.part_of(STORED.full), small: shard.part_of(STORED.small) },
        })
    }

    /// Sends a batch that begins with the read of the mark, and checks that mark.
    async fn guarded(&self, batch: Batch) -> Result<(StoreMark, Replies), RedisStoreError> {
        let floor = self.verification_floor()?;
        let (mark, replies) = self.verify_mark(floor, self.pool.run(batch).await?)?;
        self.catch_up(&mark).await?;
        Ok((mark, replies))
    }

    /// The floor for a batch that is about to be sent; see [`RollbackGuard::floor`]. Fails while
    /// Redis is unfit.
    fn verification_floor(&self) -> Result<u64, RedisStoreError> {
        self.guard().admits()?;
        Ok(self.guard().floor())
    }

    /// Reads the mark, which is the first reply, and checks it.
    fn verify_mark(&self, floor: u64, mut replies: Replies) -> Result<(StoreMark, Replies), RedisStoreError> {
        let mut mark = StoreMark::read(&mut replies)?;
        if self.check(&mut mark, floor)? {
            let guard = Arc::clone(self.guard());
            self.runtime.spawn(async move { guard.save().await });
        }
        Ok((mark, replies))
    }

    /// See [`RollbackGuard::check`]. After a failure, later requests use new connections.
    fn check(&self, mark: &mut StoreMark, floor: u64) -> Result<bool, RedisStoreError> {
        self.guard().check(mark, floor).inspect_err(|_| self.distrust())
    }

    fn distrust(&self) {
        [Some(&self.pool), Some(&self.commit_pool), self.replica_wait_pool.as_ref()]
            .into_iter()
            .flatten()
            .for_each(|pool| pool.distrust());
    }

    /// Checks the mark before the first write, and before the first write after a failed check.
    /// Nothing may be written to another Redis, or to one that lost revocations.
    async fn recheck_integrity(&self) -> Result<(), RedisStoreError> {
        if self.guard().has_integrity_error()
            || !self.registry.is_sound()
            || self.objects.is_suspected()
            || self.guard().lineage().is_err()
        {
            Box::pin(self.guarded(self.inspector.reading(Batch::plain()))).await?;
        }
        Ok(())
    }

    async fn probe(&self) -> Result<Vec<Warning>, RedisStoreError> {
        if let Some(layout) = &self.inspector.layout {
            layout.confirm().await?;
        }
        self.pool.follow_primary().await?;
        self.commit_pool.follow_primary().await?;
        if let Some(replica_wait_pool) = &self.replica_wait_pool {
            replica_wait_pool.follow_primary().await?;
        }
        let mut batch = self.inspector.reading(Batch::plain());
        let now = self.clock().now_millis();
        add_health(&mut batch);
        batch.add(command("SET", &[self.names().probe(), "1", "PX", "60000"]));
        add_key_types(&mut batch, self.names());
        // Not through `verification_floor`: this probe sets the fitness that the floor depends on.
        let floor = self.guard().floor();
        let mut replies = self.pool.run(batch).await?;
        let mark = StoreMark::read(&mut replies);
        let warnings = check_health(&mut replies, now);
        self.guard().note_fitness(warnings.as_ref().map(|_| ()).map_err(RedisStoreError::clone));
        let mut warnings = warnings?;
        let mut mark = mark?;
        self.check(&mut mark, floor)?;
        replies.value()?;
        warnings.extend(check_key_types(&mut replies, self.names())?);
        self.catch_up(&mark).await?;
        self.sample_revocations().await?;
        self.sample_objects().await?;
        Ok(warnings)
    }

    /// Checks that the revocations and all objects are those that were made.
    async fn verify_all(&self, mark: &StoreMark) -> Result<(), RedisStoreError> {
        self.catch_up(mark).await?;
        self.find_objects().await.map(drop)
    }

    /// Accepts the store as it is. If another process did so meanwhile, its state is looked at anew.
    async fn accept(&self) -> Result<Acceptance, RedisStoreError> {
        for _ in 0..ACCEPT_ATTEMPTS {
            match self.try_accept().await {
                Err(RedisStoreError::Conflict) => {}
                accepted => return accepted,
            }
        }
        Err(RedisStoreError::Conflict)
    }

    async fn try_accept(&self) -> Result<Acceptance, RedisStoreError> {
        let commit_guard = self.commits.lock().await;
        let floor = self.guard().floor();
        let mut replies = self.pool.run(self.inspector.reading(Batch::plain())).await?;
        let mut mark = StoreMark::read(&mut replies)?;
        if self.guard().check(&mut mark, floor).is_ok() {
            match self.verify_all(&mark).await {
                Ok(()) => return Ok(Acceptance::NothingToAccept),
                // Nothing is wrong with the data, as far as anybody knows.
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => {}
            }
        }
        let (epoch, begun) = self.guard().next_epoch(&mark, &*self.entropy, self.clock().now())?;
        let mut connection = self.pool.dedicated().await?;
        let mark = self.inspector.rebuild(&mut connection, &mark, epoch, begun).await?;
        self.guard().accept(&mark)?;
        self.guard().save().await;
        self.registry.forget();
        self.objects.forget();
        drop(commit_guard);
        self.catch_up(&mark).await?;
        Ok(Acceptance::Accepted)
    }

    /// Unseals a stored value. An altered value raises an alert and counts as absent.
    fn unseal<T: serde::de::DeserializeOwned>(&self, place: Place, key: &[u8], stored: &[u8]) -> Option<T> {
        codec::open(&*self.inspector.seal, place, key, stored)
            .map_err(|fault| self.alerts.raise(Alert { place, fault }))
            .ok()
    }

    fn names(&self) -> &Names {
        &self.inspector.names
    }

    fn guard(&self) -> &Arc<RollbackGuard> {
        &self.inspector.guard
    }

    fn clock(&self) -> &dyn Clock {
        &*self.inspector.clock
    }
}

/// Milliseconds since the epoch at which Redis may drop a key that is needed until `until`.
fn forget_at(until: UnixTime) -> i64 {
    until.plus(MARGIN).as_secs().saturating_mul(1000).max(1)
}

impl Ledger for RedisLedger {
    fn issue(&self, record: TokenRecord, claims: Vec<ReplayClaim>) -> LedgerFuture<'_, Issued> {
        Box::pin(self.issue_record(record, claims))
    }

    fn take_claim(&self, claim: ReplayClaim, by: EarlierUse) -> LedgerFuture<'_, Option<TakenClaim>> {
        Box::pin(self.take_lone_claim(claim, by))
    }

    fn find_claim(&self, key: Digest256) -> LedgerFuture<'_, Option<TakenClaim>> {
        Box::pin(async move { Ok(self.find_taken(key).await?) })
    }

    fn look_up(&self, jti: Jti) -> LedgerFuture<'_, Option<Entry>> {
        Box::pin(async move { Ok(self.find(&jti).await?) })
    }

    fn look_up_all(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, Vec<Option<Entry>>> {
        Box::pin(async move { Ok(self.find_all(&jtis).await?) })
    }

    fn look_up_with_rules(&self, jtis: Vec<Jti>) -> LedgerFuture<'_, RuledEntries> {
        Box::pin(async move {
            if jtis.is_empty() {
                return Ok((Vec::new(), self.rules_in_force().await?));
            }
            // The same round trip reads the mark, which the rules in memory were brought up to.
            let found = self.find_all(&jtis).await?;
            Ok((found, self.registry.rules(self.clock().now())))
        })
    }

    fn revoke(&self, revocation: Revocation) -> LedgerFuture<'_, Revocation> {
        Box::pin(async move { Ok(self.record_revocation(revocation).await?) })
    }

    fn undo_rule(&self, id: RuleId) -> LedgerFuture<'_, Option<Revocation>> {
        Box::pin(async move { Ok(self.take_back_rule(&id).await?) })
    }

    fn rules(&self) -> LedgerFuture<'_, Arc<[Revocation]>> {
        Box::pin(async move { Ok(self.rules_in_force().await?) })
    }

    fn last_end(&self) -> LedgerFuture<'_, Option<UnixTime>> {
        Box::pin(async move { Ok(self.find_last_end().await?) })
    }

    fn list(&self, listing: Listing) -> LedgerFuture<'_, Vec<Entry>> {
        Box::pin(async move { Ok(self.page(listing).await?) })
    }

    fn ready(&self) -> LedgerFuture<'_, Vec<Warning>> {
        Box::pin(async move { Ok(self.probe().await?) })
    }

    fn sweep(&self, now: UnixTime) -> LedgerFuture<'_, usize> {
        Box::pin(async move { Ok(self.forget_dead(now).await?) })
    }

    fn lease(&self, _: Option<u8>, window: StatusWindow, count: u32) -> LedgerFuture<'_, Lease> {
        Box::pin(async move { Ok(self.take_indexes(window, count).await?) })
    }

    fn lease_era(&self, _: Option<u8>) -> u64 {
        self.era_of(self.pool.connections())
    }

    fn status(&self) -> LedgerFuture<'_, StatusMark> {
        Box::pin(async move { Ok(self.find_status().await?) })
    }

    fn revoked_since<'a>(&'a self, seen: &'a StatusMark) -> LedgerFuture<'a, Option<Vec<TokenRecord>>> {
        Box::pin(async move { Ok(self.find_revoked_since(seen).await?) })
    }

    fn accept_epoch(&self) -> LedgerFuture<'_, Acceptance> {
        Box::pin(async move { Ok(self.accept().await?) })
    }
}
