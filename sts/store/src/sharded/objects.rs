//! What else a store keeps. The managed objects change together under one sequence, so they lie in
//! the first shard, and the uses of keys and accounts with them. Sessions and refusals are divided by
//! their names.

use std::collections::HashSet;
use std::sync::Arc;

use sts_types::{ApiKeyId, RequestId, UnixTime};

use super::{Shard, ShardedStore, remainder};
use crate::ledger::{LedgerError, LedgerFuture};
use crate::managed::{Committed, KeyUse, ManagedObjects, ObjectChange, ObjectChanges, ObjectStore, UseKey};
use crate::refusals::{ListedRefusal, RefusalStore, StoredRefusal};
use crate::sessions::{SessionKey, SessionStore, StoredSession};

/// The shard of the managed objects.
const OBJECTS: usize = 0;

impl<S: Shard> ObjectStore for ShardedStore<S> {
    fn objects(&self) -> LedgerFuture<'_, ManagedObjects> {
        self.ask(OBJECTS, S::objects)
    }

    fn changes_since(&self, sequence: u64) -> LedgerFuture<'_, Option<ObjectChanges>> {
        self.ask(OBJECTS, |shard| shard.changes_since(sequence))
    }

    fn commit(&self, at: u64, changes: Vec<ObjectChange>) -> LedgerFuture<'_, Committed> {
        self.ask(OBJECTS, |shard| shard.commit(at, changes))
    }

    fn record_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> LedgerFuture<'_, ()> {
        self.ask(OBJECTS, |shard| shard.record_uses(uses))
    }

    fn uses(&self) -> LedgerFuture<'_, Vec<(ApiKeyId, KeyUse)>> {
        self.ask(OBJECTS, S::uses)
    }

    fn record_last_uses(&self, uses: Vec<(UseKey, UnixTime)>, forget_before: Option<UnixTime>) -> LedgerFuture<'_, ()> {
        self.ask(OBJECTS, |shard| shard.record_last_uses(uses, forget_before))
    }

    fn last_uses(&self, keys: Vec<UseKey>) -> LedgerFuture<'_, Vec<Option<UnixTime>>> {
        self.ask(OBJECTS, |shard| shard.last_uses(keys))
    }
}

impl<S: Shard> SessionStore for ShardedStore<S> {
    fn create(&self, session: StoredSession) -> LedgerFuture<'_, ()> {
        self.ask(self.index_for(&session.key.digest), |shard| shard.create(session))
    }

    fn replace(&self, session: StoredSession) -> LedgerFuture<'_, bool> {
        self.ask(self.index_for(&session.key.digest), |shard| shard.replace(session))
    }

    fn session(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        self.ask(self.index_for(&key.digest), |shard| shard.session(key))
    }

    fn take(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        self.ask(self.index_for(&key.digest), |shard| shard.take(key))
    }

    fn forget_ended(&self, now: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async move { self.all(|shard| shard.forget_ended(now)).await.map(drop) })
    }
}

impl<S: Shard> ShardedStore<S> {
    /// The index of the shard with the refusal of that request.
    fn index_of_refusal(&self, request_id: &RequestId) -> usize {
        // FNV-1a. It only has to spread, and to be the same in every version.
        let hash = request_id
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        remainder(hash >> 32, self.shards.len())
    }

    async fn latest_of_all(
        &self,
        limit: usize,
        known: Arc<HashSet<RequestId>>,
    ) -> Result<Vec<ListedRefusal>, LedgerError> {
        let listed = self.all(|shard| shard.latest(limit, Arc::clone(&known))).await?;
        let mut all: Vec<ListedRefusal> = listed.into_iter().flatten().collect();
        all.sort_by_key(|refusal| std::cmp::Reverse(refusal.time_millis()));
        all.truncate(limit);
        Ok(all)
    }
}

impl<S: Shard> RefusalStore for ShardedStore<S> {
    fn remember(&self, refusals: Vec<StoredRefusal>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let mut by_shard: Vec<Vec<StoredRefusal>> = self.shards.iter().map(|_| Vec::new()).collect();
            for refusal in refusals {
                if let Some(of_shard) = by_shard.get_mut(self.index_of_refusal(&refusal.request_id)) {
                    of_shard.push(refusal);
                }
            }
            let some = by_shard.into_iter().enumerate().filter(|(_, refusals)| !refusals.is_empty());
            let writing = some.map(|(index, refusals)| self.ask(index, |shard| shard.remember(refusals)));
            // Those of a shard that is away do not keep the others from being written.
            futures_util::future::join_all(writing).await.into_iter().collect()
        })
    }

    fn find(&self, request_id: RequestId) -> LedgerFuture<'_, Option<StoredRefusal>> {
        self.ask(self.index_of_refusal(&request_id), |shard| shard.find(request_id))
    }

    fn latest(&self, limit: usize, known: Arc<HashSet<RequestId>>) -> LedgerFuture<'_, Vec<ListedRefusal>> {
        Box::pin(self.latest_of_all(limit, known))
    }

    fn forget(&self, now: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async move { self.all(|shard| shard.forget(now)).await.map(drop) })
    }
}
