//! Commits of managed objects, and the last uses of API keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::{Cmd, cmd};
use sts_types::{ApiKeyId, UnixTime};

use super::RedisLedger;
use super::batch::{Batch, Replies, command, sized};
use super::commit::{CommitKind, ObjectsWrite, PlannedWrite};
use super::error::RedisStoreError;
use super::object_load::OBJECTS_LOGGED;
use super::object_registry::ObjectRow;
use super::registry::Verified;
use sts_store::backend::codec;
use sts_store::backend::multiset::row_code;
use sts_store::{
    Committed, KeyUse, LedgerFuture, ManagedObject, ManagedObjects, ObjectChange, ObjectChanges, ObjectKey, ObjectKind,
    ObjectStore, Place, UseKey,
};

/// Fields or entries per command.
const STEP: usize = 500;
/// How often the uses of keys are written again because another process was faster.
const USE_ATTEMPTS: usize = 8;

impl ObjectStore for RedisLedger {
    fn objects(&self) -> LedgerFuture<'_, ManagedObjects> {
        Box::pin(async move { Ok(self.find_objects().await?) })
    }

    fn changes_since(&self, sequence: u64) -> LedgerFuture<'_, Option<ObjectChanges>> {
        Box::pin(async move { Ok(self.find_changes_since(sequence).await?) })
    }

    fn commit(&self, at: u64, changes: Vec<ObjectChange>) -> LedgerFuture<'_, Committed> {
        Box::pin(async move { Ok(self.commit_objects(at, changes).await?) })
    }

    fn record_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> LedgerFuture<'_, ()> {
        Box::pin(async move { Ok(self.write_uses(uses).await?) })
    }

    fn uses(&self) -> LedgerFuture<'_, Vec<(ApiKeyId, KeyUse)>> {
        Box::pin(async move { Ok(self.read_uses().await?) })
    }

    fn record_last_uses(&self, uses: Vec<(UseKey, UnixTime)>, forget_before: Option<UnixTime>) -> LedgerFuture<'_, ()> {
        Box::pin(async move { Ok(self.write_last_uses(uses, forget_before).await?) })
    }

    fn last_uses(&self, keys: Vec<UseKey>) -> LedgerFuture<'_, Vec<Option<UnixTime>>> {
        Box::pin(async move { Ok(self.read_last_uses(keys).await?) })
    }
}

impl RedisLedger {
    async fn commit_objects(&self, at: u64, changes: Vec<ObjectChange>) -> Result<Committed, RedisStoreError> {
        if changes.is_empty() {
            let (mark, _) = self.guarded(self.inspector.reading(Batch::plain())).await?;
            let current = mark.numbers.objects.sequence;
            return Ok(if current == at { Committed::Done(at) } else { Committed::Stale(current) });
        }
        let mut last: BTreeMap<ObjectKey, Option<ManagedObject>> = BTreeMap::new();
        for change in changes {
            match change {
                ObjectChange::Put(object) => last.insert(object.key.clone(), Some(object)),
                ObjectChange::Delete(key) => last.insert(key, None),
            };
        }
        let read = |batch: &mut Batch| {
            // A key of the wrong type is found before anything is written.
            batch.add(command("HMGET", &[self.names().objects(), "any"]));
            batch.add(command("HMGET", &[self.names().key_uses(), "any"]));
            batch.add(command("LRANGE", &[self.names().object_log(), "-1", "-1"]));
        };
        let current = AtomicU64::new(0);
        let plan = |verified: &Verified, replies: &mut Replies| {
            for _ in 0..3 {
                replies.value()?;
            }
            current.store(verified.mark.objects.sequence, Ordering::Relaxed);
            if verified.mark.objects.sequence != at {
                return Ok(None);
            }
            let plan = self.plan_objects(verified, &last)?;
            let sequence = plan.mark.sequence;
            Ok(Some((plan, sequence)))
        };
        match self.commit_as(CommitKind::Objects, read, plan).await? {
            Some(sequence) => {
                self.wait_for_replicas().await?;
                Ok(Committed::Done(sequence))
            }
            None => Ok(Committed::Stale(current.into_inner())),
        }
    }

    fn plan_objects(
        &self,
        verified: &Verified,
        changes: &BTreeMap<ObjectKey, Option<ManagedObject>>,
    ) -> Result<PlannedWrite, RedisStoreError> {
        let (seal, names) = (&*self.inspector.seal, self.names());
        let mut plan = self.plan_of(verified);
        plan.mark.objects.sequence = plan.mark.sequence;
        let mut rows: BTreeMap<ObjectKey, Option<ObjectRow>> = BTreeMap::new();
        let mut puts: Vec<(String, Vec<u8>)> = Vec::new();
        let (mut gone, mut keys_gone): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for ((key, object), before) in changes.iter().zip(self.objects.rows(changes.keys())) {
            let id = names.object_id(key);
            if let Some(before) = before {
                plan.mark.objects.remove(before.code);
            }
            let row = match object {
                Some(object) => {
                    let object = ManagedObject { revision: plan.mark.sequence, ..object.clone() };
                    let stored = codec::seal_value(seal, Place::Object, id.as_bytes(), &object)
                        .map_err(|_| RedisStoreError::Form)?;
                    let code = row_code(seal, Place::Object, id.as_bytes(), &stored);
                    plan.mark.objects.add(code);
                    plan.octets += stored.len();
                    puts.push((id, stored));
                    Some(ObjectRow { code, revision: object.revision })
                }
                None => {
                    gone.push(id);
                    if key.kind == ObjectKind::ApiKeys {
                        keys_gone.push(key.name.clone());
                    }
                    None
                }
            };
            rows.insert(key.clone(), row);
        }
        for some in puts.chunks(STEP) {
            let mut set = sized("HSET", 1 + 2 * some.len(), some.iter().map(|(_, stored)| stored.len()).sum());
            set.arg(names.objects());
            for (id, stored) in some {
                set.arg(id).arg(stored);
            }
            plan.commands.push(set);
        }
        plan.commands.extend(gone.chunks(STEP).map(|ids| cmd("HDEL").arg(names.objects()).arg(ids).to_owned()));
        plan.commands.extend(keys_gone.chunks(STEP).map(|ids| cmd("HDEL").arg(names.key_uses()).arg(ids).to_owned()));
        self.plan_object_log(&mut plan, &rows)?;
        plan.objects = Some(ObjectsWrite { from: verified.mark.objects.clone(), rows });
        Ok(plan)
    }

    /// Adds the changed objects to the log that other processes follow. If it cannot hold them all it
    /// is emptied, and the others read all objects.
    fn plan_object_log(
        &self,
        plan: &mut PlannedWrite,
        rows: &BTreeMap<ObjectKey, Option<ObjectRow>>,
    ) -> Result<(), RedisStoreError> {
        let log = self.names().object_log();
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        plan.mark.objects.logged = plan.mark.objects.logged.saturating_add(count);
        if rows.len() > OBJECTS_LOGGED {
            plan.commands.push(command("DEL", &[log]));
            return Ok(());
        }
        let entries: Vec<Vec<u8>> =
            rows.keys().map(serde_json::to_vec).collect::<Result<_, _>>().map_err(|_| RedisStoreError::Form)?;
        plan.octets += entries.iter().map(Vec::len).sum::<usize>();
        plan.commands.extend(entries.chunks(STEP).map(|some| push(log, some)));
        plan.commands.push(command("LTRIM", &[log, &format!("-{OBJECTS_LOGGED}"), "-1"]));
        Ok(())
    }

    /// Writes the uses that are later than the stored ones. They are no evidence, so an attempt that
    /// other processes disturb again and again is given up with an error.
    async fn write_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> Result<(), RedisStoreError> {
        let mut latest: BTreeMap<ApiKeyId, KeyUse> = BTreeMap::new();
        for (id, used) in uses {
            if latest.get(&id).is_none_or(|known| known.at < used.at) {
                latest.insert(id, used);
            }
        }
        if latest.is_empty() {
            return Ok(());
        }
        self.recheck_integrity().await?;
        let key = self.names().key_uses();
        // The connection is shared with other changes, and its WATCH with it.
        let commit_guard = self.commits.lock().await;
        for _ in 0..USE_ATTEMPTS {
            let mut first = Batch::plain();
            first.add(command("WATCH", &[key]));
            let mut read = sized("HMGET", 1 + latest.len(), 0);
            read.arg(key);
            for id in latest.keys() {
                read.arg(id.as_str());
            }
            first.add(read);
            let mut replies = self.commit_pool.run(first).await?;
            replies.value()?;
            let stored = replies.list()?;
            let mut set = sized("HSET", 1 + 2 * latest.len(), 0);
            set.arg(key);
            let mut later = 0;
            for ((id, used), stored) in latest.iter().zip(stored) {
                let known = stored.as_deref().and_then(|stored| serde_json::from_slice::<KeyUse>(stored).ok());
                if known.is_none_or(|known| known.at < used.at) {
                    set.arg(id.as_str()).arg(serde_json::to_vec(used).map_err(|_| RedisStoreError::Form)?);
                    later += 1;
                }
            }
            // An empty transaction ends the WATCH.
            let mut write = Batch::atomic();
            if later > 0 {
                write.add(set);
            }
            match self.commit_pool.run_after(&replies, write).await {
                Err(RedisStoreError::Conflict) => {}
                written => return written.map(drop),
            }
        }
        drop(commit_guard);
        Err(RedisStoreError::Conflict)
    }

    /// The last uses. A value that is not ours is left out.
    async fn read_uses(&self) -> Result<Vec<(ApiKeyId, KeyUse)>, RedisStoreError> {
        let mut batch = Batch::plain();
        batch.add(command("HGETALL", &[self.names().key_uses()]));
        let flat = self.pool.run(batch).await?.list()?;
        let mut uses = Vec::with_capacity(flat.len() / 2);
        for pair in flat.chunks_exact(2) {
            let [Some(id), Some(stored)] = pair else { continue };
            let id = std::str::from_utf8(id).ok().and_then(|id| ApiKeyId::new(id).ok());
            if let (Some(id), Ok(used)) = (id, serde_json::from_slice(stored)) {
                uses.push((id, used));
            }
        }
        Ok(uses)
    }
}

fn push(log: &str, entries: &[Vec<u8>]) -> Cmd {
    let mut push = sized("RPUSH", 1 + entries.len(), 0);
    push.arg(log);
    for entry in entries {
        push.arg(entry.as_slice());
    }
    push
}
