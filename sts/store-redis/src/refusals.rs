//! Remembered refusals in Redis: one sealed value for each, which expires by itself, and one sorted
//! set of shares and ids by time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sts_types::{RequestId, UnixTime};

use super::batch::{Batch, command, sized};
use super::error::RedisStoreError;
use super::stored_value::{found, whole};
use super::{RedisLedger, forget_at};
use sts_store::Place;
use sts_store::backend::codec;
use sts_store::backend::remembered_from;
use sts_store::{LedgerError, LedgerFuture};
use sts_store::{ListedRefusal, RefusalShare, RefusalStore, StoredRefusal, surplus};

/// Values that one round trip reads or removes.
const STEP: usize = 64;
/// How many refusals a process writes before it checks the limit. At most this many per process are
/// over the limit.
const UNCOUNTED: usize = 64;

impl RefusalStore for RedisLedger {
    fn remember(&self, refusals: Vec<StoredRefusal>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.recheck_integrity().await?;
            let mut batch = Batch::atomic();
            for refusal in &refusals {
                let id = self.names().refusal_id(&refusal.request_id);
                let stored = codec::seal_value(&*self.inspector.seal, Place::Refusal, id.as_bytes(), refusal)
                    .map_err(|_| LedgerError::Unavailable("a refusal cannot be encoded".into()))?;
                let mut set = sized("SET", 4, stored.len());
                set.arg(self.names().refusal(&id)).arg(stored).arg("PXAT").arg(forget_at(refusal.until()));
                batch.add(set);
                let mut add = sized("ZADD", 3, 0);
                add.arg(self.names().refusals()).arg(refusal.time_millis).arg(format!("{}{id}", refusal.share));
                batch.add(add);
            }
            self.pool.run(batch).await?;
            let uncounted = self.uncounted_refusals.fetch_add(refusals.len(), Ordering::Relaxed) + refusals.len();
            if uncounted >= UNCOUNTED {
                self.uncounted_refusals.store(0, Ordering::Relaxed);
                self.make_room().await?;
            }
            Ok(())
        })
    }

    fn find(&self, request_id: RequestId) -> LedgerFuture<'_, Option<StoredRefusal>> {
        Box::pin(async move {
            let id = self.names().refusal_id(&request_id);
            let mut batch = Batch::plain();
            batch.add(command("GET", &[self.names().refusal(&id)]));
            let mut replies = self.pool.run(batch).await?;
            let refusal: Option<StoredRefusal> = self.open_found(Place::Refusal, id.as_bytes(), found(&mut replies)?);
            let now = self.clock().now();
            Ok(refusal.filter(|refusal| refusal.request_id == request_id && refusal.until() >= now))
        })
    }

    fn latest(&self, limit: usize, known: Arc<HashSet<RequestId>>) -> LedgerFuture<'_, Vec<ListedRefusal>> {
        Box::pin(async move { Ok(self.latest_refusals(limit, &known).await?) })
    }

    fn forget(&self, now: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let (before, count) = (format!("({}", remembered_from(now)), STEP.to_string());
            loop {
                let mut batch = Batch::plain();
                batch.add(command("ZRANGEBYSCORE", &[self.names().refusals(), "-inf", &before, "LIMIT", "0", &count]));
                let members = self.pool.run(batch).await?.texts()?;
                self.remove_refusals(&members).await?;
                if members.len() < STEP {
                    return Ok(self.make_room().await?);
                }
            }
        })
    }
}

impl RedisLedger {
    async fn latest_refusals(
        &self,
        limit: usize,
        known: &HashSet<RequestId>,
    ) -> Result<Vec<ListedRefusal>, RedisStoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let now = self.clock().now();
        // A value expires at its time, and its member when somebody forgets it.
        let (from, count) = (remembered_from(now).to_string(), limit.to_string());
        let mut batch = Batch::plain();
        let range = [self.names().refusals(), "+inf", &from, "WITHSCORES", "LIMIT", "0", &count];
        batch.add(command("ZREVRANGEBYSCORE", &range));
        let rows = self.pool.run(batch).await?.texts()?;
        let rows = rows.chunks_exact(2).filter_map(|row| {
            let [member, score] = row else { return None };
            Some((id_of(member)?, u64::try_from(whole(score).ok()?).ok()?))
        });
        let rows: Vec<(&str, u64)> = rows.collect();
        let known: HashMap<String, &RequestId> =
            known.iter().map(|request_id| (self.names().refusal_id(request_id), request_id)).collect();
        let unknown: Vec<&str> = rows.iter().map(|(id, _)| *id).filter(|id| !known.contains_key(*id)).collect();
        let mut read = HashMap::new();
        for chunk in unknown.chunks(STEP) {
            let mut batch = Batch::plain();
            batch.add(command("MGET", &chunk.iter().map(|id| self.names().refusal(id)).collect::<Vec<_>>()));
            let values = self.pool.run(batch).await?.list()?;
            let opened = chunk.iter().zip(values).filter_map(|(id, value)| {
                Some((*id, self.unseal::<StoredRefusal>(Place::Refusal, id.as_bytes(), &value?)?))
            });
            read.extend(opened.filter(|(_, refusal)| refusal.until() >= now));
        }
        let listed = |(id, time_millis): (&str, u64)| match known.get(id) {
            Some(request_id) => Some(ListedRefusal::Known { request_id: (*request_id).clone(), time_millis }),
            None => read.remove(id).map(ListedRefusal::Read),
        };
        Ok(rows.into_iter().filter_map(listed).collect())
    }

    /// Removes the refusals above the limit.
    async fn make_room(&self) -> Result<(), RedisStoreError> {
        let mut batch = Batch::plain();
        batch.add(command("ZREVRANGE", &[self.names().refusals(), "0", "-1"]));
        let members = self.pool.run(batch).await?.texts()?;
        let share_of = |member: &String| -> RefusalShare {
            member.get(..RefusalShare::TEXT_LEN).and_then(|share| share.parse().ok()).unwrap_or_default()
        };
        let rows = members.into_iter().rev().map(|member| (share_of(&member), member));
        let excess = surplus(rows, self.refusal_capacity);
        for chunk in excess.chunks(STEP) {
            self.remove_refusals(chunk).await?;
        }
        Ok(())
    }

    async fn remove_refusals(&self, members: &[String]) -> Result<(), RedisStoreError> {
        if members.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::atomic();
        for member in members {
            if let Some(id) = id_of(member) {
                batch.add(command("DEL", &[self.names().refusal(id)]));
            }
            batch.add(command("ZREM", &[self.names().refusals(), member]));
        }
        self.pool.run(batch).await.map(|_| ())
    }
}

fn id_of(member: &str) -> Option<&str> {
    member.get(RefusalShare::TEXT_LEN..)
}
