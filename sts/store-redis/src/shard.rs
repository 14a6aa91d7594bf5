//! A ledger of several shards in Redis, and what a shard does beside a ledger of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sts_types::ReplayClaim;

use super::batch::{Batch, Replies};
use super::connect::{Connector, connect_deadline};
use super::layout::Layout;
use super::names::mark_of_whole;
use super::open_error::RedisOpenError;
use super::rollback_guard::RollbackGuard;
use super::slots::ShardIndex;
use super::store_mark::StoreMark;
use super::{RedisLedger, RedisParts};
use sts_store::spec::{RedisSpec, ShardCount};
use sts_store::{EarlierUse, Entry, LedgerError, LedgerFuture, Listing, Shard, ShardedStore, TakenAside};

/// The ledger in a Redis, in several shards.
pub type ShardedRedis = ShardedStore<RedisLedger>;

impl RedisLedger {
    /// Creates the ledger in the shards of `spec`. It sends nothing yet. Each shard has a watermark
    /// of its own, beside that of `parts`.
    ///
    /// # Errors
    /// See [`RedisOpenError`].
    pub fn open_shards(spec: &RedisSpec, parts: &RedisParts) -> Result<ShardedRedis, RedisOpenError> {
        let mut shards = Vec::with_capacity(spec.shards.get());
        for shard in ShardIndex::all(spec.shards) {
            let file = watermark_of(&parts.watermark, shard);
            let guard = RollbackGuard::open(file, Arc::clone(&parts.seal), Arc::clone(&parts.alerts))?;
            shards.push((shard, guard));
        }
        // A server that has used this store before knows the number of its shards.
        let is_known = shards.iter().any(|(_, guard)| guard.is_settled());
        let is_whole = spec.shards == ShardCount::ONE;
        let layout = if is_whole { None } else { Some(Arc::new(layout(spec, parts, is_known)?)) };
        let open = |(shard, guard)| Self::of_shard(spec.clone(), parts.clone(), shard, guard, layout.clone());
        Ok(ShardedStore::new(shards.into_iter().map(open).collect::<Result<_, _>>()?))
    }
}

fn layout(spec: &RedisSpec, parts: &RedisParts, is_known: bool) -> Result<Layout, RedisOpenError> {
    let name = mark_of_whole(&spec.prefix);
    let connector = Connector::new(spec.clone(), name.clone())?;
    let deadline = connect_deadline(spec.timeout);
    Ok(Layout::new(connector, name, spec.shards, Arc::clone(&parts.seal), deadline, is_known))
}

/// The watermark file of a shard, beside that of a whole store.
pub(super) fn watermark_of(whole: &Path, shard: ShardIndex) -> PathBuf {
    let Some(suffix) = shard.file_suffix() else { return whole.to_owned() };
    let stem = whole.file_stem().unwrap_or_default().to_string_lossy();
    whole.with_file_name(format!("{stem}-{suffix}.json"))
}

/// Claims that were taken for a record in another shard.
pub struct HeldClaims {
    claims: Vec<ReplayClaim>,
    by: EarlierUse,
    undo: Vec<redis::Cmd>,
    replies: Replies,
}

impl std::fmt::Debug for HeldClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldClaims").field("claims", &self.claims.len()).finish_non_exhaustive()
    }
}

impl Shard for RedisLedger {
    type Held = HeldClaims;

    fn is_well(&self) -> bool {
        self.pool.is_well()
            && self.guard().admits().is_ok()
            && !self.guard().has_integrity_error()
            && self.registry.suspicion().is_none()
            && !self.objects.is_suspected()
    }

    fn take_aside(&self, claims: Vec<ReplayClaim>, by: EarlierUse) -> LedgerFuture<'_, TakenAside<HeldClaims>> {
        Box::pin(self.hold_claims(claims, by))
    }

    fn keep(&self, held: HeldClaims) {
        let now = self.clock().now();
        for claim in &held.claims {
            self.seen_claims.remember(claim, Some(held.by.clone()), now);
        }
    }

    fn give_back(&self, held: HeldClaims) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let mut batch = Batch::atomic();
            for command in held.undo {
                batch.add(command);
            }
            // Over the same connection: another Redis may hold a valid claim under that name.
            self.pool.run_after(&held.replies, batch).await?;
            Ok(())
        })
    }

    fn list_before(&self, listing: Listing, millis: i64) -> LedgerFuture<'_, Vec<Entry>> {
        Box::pin(async move { Ok(self.page_before(listing, Some(millis)).await?) })
    }
}

impl RedisLedger {
    /// Takes claims that may be given back. Until it is settled, no other request remembers them as
    /// taken.
    async fn hold_claims(
        &self,
        claims: Vec<ReplayClaim>,
        by: EarlierUse,
    ) -> Result<TakenAside<HeldClaims>, LedgerError> {
        self.recheck_integrity().await?;
        let mut batch = self.inspector.reading(Batch::atomic());
        self.add_claims(&mut batch, &claims, &by, true)?;
        let floor = self.verification_floor()?;
        // Read before the command is sent, as for an issue.
        let now = self.clock().now();
        let seen = claims.iter().map(|claim| self.seen_claims.standing(&claim.key, now)).collect();
        let mut replies = self.pool.run(batch).await?;
        let checked = StoreMark::read(&mut replies).and_then(|mut mark| self.guard().check(&mut mark, floor));
        let mut undo = Vec::new();
        let taken = self.read_claims(&mut replies, &claims, seen, checked.is_ok(), &mut undo)?;
        match (checked, taken) {
            (Ok(_), None) => Ok(TakenAside::Held(HeldClaims { claims, by, undo, replies })),
            (Ok(_), Some(taken)) => {
                Box::pin(self.take_back(undo, &replies)).await;
                Ok(TakenAside::Replayed(taken))
            }
            (Err(error), _) => {
                Box::pin(self.take_back(undo, &replies)).await;
                self.distrust();
                Err(error.into())
            }
        }
    }
}
