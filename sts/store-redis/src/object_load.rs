//! Reads the managed objects, and checks that they are those that were made.

use std::collections::BTreeMap;
use std::time::Duration;

use super::RedisLedger;
use super::batch::{Batch, command, sized};
use super::error::{ErrorReply, RedisStoreError};
use super::mark::{ObjectsMark, SealedMark};
use super::object_registry::{ObjectRow, RowsAt};
use super::store_mark::StoreMark;
use sts_store::backend::codec;
use sts_store::backend::multiset::row_code;
use sts_store::{Alert, Fault, ManagedObject, ManagedObjects, ObjectChange, ObjectChanges, ObjectKey, Place};
use sts_types::Seal;

/// How many entries the log of changed objects keeps for processes that have not read them yet.
pub(super) const OBJECTS_LOGGED: usize = 4096;
/// How many more log entries a read asks for, because changes may arrive meanwhile.
const SLACK: u64 = 256;
/// Objects per step of a scan. An object has at most some 64 KiB, and most have much less.
const SCANNED: &str = "250";
/// The most objects that one transaction reads.
const MOST_READ: usize = 1024;
/// The octets of a typical object, for the deadline of a read of many.
const TYPICAL: usize = 2048;
/// How often a read starts over because objects change meanwhile.
const ATTEMPTS: usize = 8;
/// How often the last changes are read again because still others arrive.
const SETTLING: usize = 32;
/// How long to wait before reading a Redis again that failed its check.
const PAUSE: Duration = Duration::from_secs(1);
/// How many objects one readiness check reads.
const SAMPLE_SIZE: usize = 64;

/// Objects as they are read, with their rows.
type ReadObjects = BTreeMap<ObjectKey, (ManagedObject, ObjectRow)>;

/// Opens a stored object. `id` is what it is stored under.
pub(super) fn open_object(seal: &dyn Seal, id: &[u8], stored: &[u8]) -> Result<(ManagedObject, ObjectRow), Fault> {
    let object: ManagedObject = codec::open(seal, Place::Object, id, stored)?;
    let row = ObjectRow { code: row_code(seal, Place::Object, id, stored), revision: object.revision };
    Ok((object, row))
}

impl RedisLedger {
    /// Records that the objects in Redis are not those that were made. Returns the error that
    /// callers get from now on.
    pub(super) fn suspect_objects(&self, fault: Fault) -> RedisStoreError {
        let error = RedisStoreError::Integrity(
            "the managed objects in this Redis are not those that were made: some were deleted, put back or altered, so that what was \
             removed or switched off may come back. Bring the right data back, or accept the loss with `sts store accept-epoch`"
                .into(),
        );
        if self.objects.suspect(error.clone()) {
            tracing::error!(error = %error, "the Redis store is not trusted: nothing is minted and no token is active");
            self.alerts.raise(Alert { place: Place::Object, fault });
        }
        error
    }

    /// Fails while the objects are not those that were made. Reads them anew now and then.
    pub(super) async fn recheck_objects(&self) -> Result<(), RedisStoreError> {
        if !self.objects.is_suspected() {
            return Ok(());
        }
        let mut next_load = self.objects.loading.lock().await;
        self.reload_objects(&mut next_load).await
    }

    /// Brings what is known of the objects up to `mark` or a later one, and checks that they add up.
    pub(super) async fn follow_objects(&self, mark: &SealedMark) -> Result<(), RedisStoreError> {
        if self.objects.is_at(mark) {
            return Ok(());
        }
        // One task reads for all that wait here.
        let mut next_load = self.objects.loading.lock().await;
        if let Some(from) = self.objects.position(&mark.epoch).filter(|_| !self.objects.is_suspected()) {
            // Replies can arrive out of order.
            if from == mark.objects || from.sequence > mark.objects.sequence {
                return Ok(());
            }
            if self.follow_object_log(&from).await? {
                return Ok(());
            }
        }
        self.reload_objects(&mut next_load).await
    }

    /// Reads all objects, unless a check failed a moment ago.
    async fn reload_objects(&self, next_load: &mut Duration) -> Result<(), RedisStoreError> {
        let now = self.clock().monotonic();
        if let Some(suspicion) = self.objects.suspicion()
            && now < *next_load
        {
            return Err(suspicion);
        }
        *next_load = now.saturating_add(PAUSE);
        self.load_objects().await.map(drop)
    }

    /// All objects.
    pub(super) async fn find_objects(&self) -> Result<ManagedObjects, RedisStoreError> {
        self.guarded(self.inspector.reading(Batch::plain())).await?;
        let mut next_load = self.objects.loading.lock().await;
        *next_load = self.clock().monotonic().saturating_add(PAUSE);
        self.load_objects().await
    }

    /// Reads and verifies all objects.
    async fn load_objects(&self) -> Result<ManagedObjects, RedisStoreError> {
        for _ in 0..ATTEMPTS {
            let floor = self.guard().floor();
            let (began, _) = self.verify_mark(floor, self.pool.run(self.inspector.reading(Batch::plain())).await?)?;
            let scanned = self.scan_objects().await?;
            let Some((mark, objects)) = self.settle(&began, scanned).await? else { continue };
            let (objects, fault) = match objects {
                Ok(objects) => (objects, None),
                Err(fault) => (ReadObjects::new(), Some(fault)),
            };
            let rows = objects.iter().map(|(key, (_, row))| (key.clone(), *row)).collect();
            if fault.is_some() || !self.objects.replace(&mark, rows) {
                return Err(self.suspect_objects(fault.unwrap_or(Fault::Missing)));
            }
            let objects = objects.into_values().map(|(object, _)| object).collect();
            return Ok(ManagedObjects { sequence: mark.objects.sequence, objects });
        }
        Err(RedisStoreError::Conflict)
    }

    /// All objects as a scan finds them, or what is wrong with one. Objects that change meanwhile may
    /// be there in either state.
    async fn scan_objects(&self) -> Result<Result<ReadObjects, Fault>, RedisStoreError> {
        let seal = &*self.inspector.seal;
        let mut objects = ReadObjects::new();
        let mut first_fault = None;
        let mut cursor = "0".to_owned();
        loop {
            let mut batch = Batch::plain();
            batch.add(command("HSCAN", &[self.names().objects(), &cursor, "COUNT", SCANNED]));
            batch.allow_for(MOST_READ * TYPICAL);
            let (next, fields) = match self.pool.run(batch).await?.scan_fields() {
                Err(RedisStoreError::Named(ErrorReply::WrongType)) => return Ok(Err(Fault::Form)),
                step => step?,
            };
            for (id, stored) in fields {
                match open_object(seal, &id, &stored) {
                    Ok((object, row)) => drop(objects.insert(object.key.clone(), (object, row))),
                    Err(fault) => first_fault = first_fault.or(Some(fault)),
                }
            }
            if next == "0" {
                return Ok(first_fault.map_or(Ok(objects), Err));
            }
            cursor = next;
        }
    }

    /// Reads again what changed since `began`, until nothing changes any more. `None` if too much
    /// changes.
    async fn settle(
        &self,
        began: &StoreMark,
        mut scanned: Result<ReadObjects, Fault>,
    ) -> Result<Option<(SealedMark, Result<ReadObjects, Fault>)>, RedisStoreError> {
        for _ in 0..SETTLING {
            let since = &began.numbers.objects;
            let Some((mark, keys)) = self.read_object_log(&began.numbers.epoch, since, SLACK).await? else {
                return Ok(None);
            };
            let Ok(objects) = &mut scanned else { return Ok(Some((mark, scanned))) };
            if keys.len() > MOST_READ {
                return Ok(None);
            }
            let Some(read) = self.read_objects(&mark.objects, keys.iter()).await? else { continue };
            for (key, read) in keys.into_iter().zip(read) {
                match read {
                    None => drop(objects.remove(&key)),
                    Some(Ok(read)) => drop(objects.insert(key, read)),
                    Some(Err(fault)) => return Ok(Some((mark, Err(fault)))),
                }
            }
            return Ok(Some((mark, scanned)));
        }
        Ok(None)
    }

    /// Advances by the log of changes. Returns whether the result adds up.
    async fn follow_object_log(&self, from: &ObjectsMark) -> Result<bool, RedisStoreError> {
        for _ in 0..SETTLING {
            let epoch = self.guard().lineage()?.id.clone();
            let Some((mark, keys)) = self.read_object_log(&epoch, from, SLACK).await? else { return Ok(false) };
            if keys.len() > MOST_READ {
                return Ok(false);
            }
            let Some(read) = self.read_objects(&mark.objects, keys.iter()).await? else { continue };
            let mut changes = BTreeMap::new();
            for (key, read) in keys.into_iter().zip(read) {
                let row = match read.transpose() {
                    Ok(read) => read.map(|(_, row)| row),
                    Err(_) => return Ok(false),
                };
                changes.insert(key, row);
            }
            return Ok(self.objects.advance(from, &mark, &changes));
        }
        Ok(false)
    }

    /// Reads the mark, and from the log the objects that changed since `since`. `None` if the log
    /// does not reach that far back, or is not ours.
    async fn read_object_log(
        &self,
        epoch: &str,
        since: &ObjectsMark,
        slack: u64,
    ) -> Result<Option<(SealedMark, Vec<ObjectKey>)>, RedisStoreError> {
        let mut batch = self.inspector.reading(Batch::atomic());
        let from = format!("-{}", u64::try_from(MOST_READ).unwrap_or(0).saturating_add(slack));
        batch.add(command("LRANGE", &[self.names().object_log(), &from, "-1"]));
        let floor = self.guard().floor();
        let (mark, mut replies) = self.verify_mark(floor, self.pool.run(batch).await?)?;
        let log = replies.list()?;
        let mark = SealedMark::clone(&mark.numbers);
        let missed = mark.objects.logged.checked_sub(since.logged).and_then(|missed| usize::try_from(missed).ok());
        let first = missed.and_then(|missed| log.len().checked_sub(missed));
        let Some(log) = first.and_then(|first| log.get(first..)).filter(|_| mark.epoch == epoch) else {
            return Ok(None);
        };
        let parse = |entry: &Option<Vec<u8>>| serde_json::from_slice(entry.as_deref().unwrap_or_default()).ok();
        let keys: Option<std::collections::BTreeSet<ObjectKey>> = log.iter().map(parse).collect();
        Ok(keys.map(|keys| (mark, keys.into_iter().collect())))
    }

    /// The objects of `keys`, in their order, if the mark in Redis is still at `at`.
    async fn read_objects<'a>(
        &self,
        at: &ObjectsMark,
        keys: impl ExactSizeIterator<Item = &'a ObjectKey>,
    ) -> Result<Option<Vec<Option<Result<(ManagedObject, ObjectRow), Fault>>>>, RedisStoreError> {
        if keys.len() == 0 {
            return Ok(Some(Vec::new()));
        }
        let ids: Vec<String> = keys.map(|key| self.names().object_id(key)).collect();
        let mut batch = self.inspector.reading(Batch::atomic());
        let mut read = sized("HMGET", 1 + ids.len(), 0);
        read.arg(self.names().objects()).arg(&ids);
        batch.add(read);
        batch.allow_for(ids.len() * TYPICAL);
        let floor = self.guard().floor();
        let (mark, mut replies) = self.verify_mark(floor, self.pool.run(batch).await?)?;
        let values = replies.list()?;
        if values.len() != ids.len() {
            return Err(RedisStoreError::Form);
        }
        if mark.numbers.objects != *at {
            return Ok(None);
        }
        let open = |(id, stored): (&String, Option<Vec<u8>>)| {
            stored.map(|stored| open_object(&*self.inspector.seal, id.as_bytes(), &stored))
        };
        Ok(Some(ids.iter().zip(values).map(open).collect()))
    }

    /// What changed after `sequence`.
    pub(super) async fn find_changes_since(&self, sequence: u64) -> Result<Option<ObjectChanges>, RedisStoreError> {
        for _ in 0..ATTEMPTS {
            let (mark, _) = self.guarded(self.inspector.reading(Batch::plain())).await?;
            let current = mark.numbers.objects.sequence;
            if current == sequence {
                return Ok(Some(ObjectChanges { sequence, changes: Vec::new() }));
            }
            if current < sequence {
                return Ok(None);
            }
            self.follow_objects(&mark.numbers).await?;
            let Some(changed) = self.objects.changed_since(sequence).filter(|changed| changed.rows.len() <= MOST_READ)
            else {
                return Ok(None);
            };
            if let Some(changes) = self.read_changes(&changed).await? {
                return Ok(Some(ObjectChanges { sequence: changed.mark.sequence, changes }));
            }
        }
        Ok(None)
    }

    /// The changed objects, if nothing else has changed since.
    async fn read_changes(&self, changed: &RowsAt) -> Result<Option<Vec<ObjectChange>>, RedisStoreError> {
        let Some(read) = self.read_objects(&changed.mark, changed.rows.keys()).await? else { return Ok(None) };
        let mut changes = Vec::with_capacity(read.len());
        for ((key, known), read) in changed.rows.iter().zip(read) {
            match (known, read) {
                (None, None) => changes.push(ObjectChange::Delete(key.clone())),
                (Some(known), Some(Ok((object, row)))) if *known == row => changes.push(ObjectChange::Put(object)),
                (_, Some(Err(fault))) => return Err(self.suspect_objects(fault)),
                _ => return Err(self.suspect_objects(Fault::Missing)),
            }
        }
        Ok(Some(changes))
    }

    /// Checks that Redis still has what we know: the number of objects, and a sample of them. Each
    /// call takes another sample.
    pub(super) async fn sample_objects(&self) -> Result<(), RedisStoreError> {
        let from = self.next_object_sample.fetch_add(SAMPLE_SIZE, std::sync::atomic::Ordering::Relaxed);
        let sample = self.objects.sample(from, SAMPLE_SIZE);
        let ids: Vec<String> = sample.rows.keys().map(|key| self.names().object_id(key)).collect();
        let mut batch = self.inspector.reading(Batch::atomic());
        batch.add(command("HLEN", &[self.names().objects()]));
        if !ids.is_empty() {
            let mut read = sized("HMGET", 1 + ids.len(), 0);
            read.arg(self.names().objects()).arg(&ids);
            batch.add(read).allow_for(ids.len() * TYPICAL);
        }
        let (mark, mut replies) = match self.guarded(batch).await {
            // Something else stands in the place of the objects. The scan says so.
            Err(RedisStoreError::Named(ErrorReply::WrongType)) => return self.find_objects().await.map(drop),
            read => read?,
        };
        let objects = &mark.numbers.objects;
        if u64::try_from(replies.number()?) != Ok(objects.rows) {
            return Err(self.suspect_objects(Fault::Missing));
        }
        if ids.is_empty() || *objects != sample.mark || self.objects.position(&mark.numbers.epoch).is_none() {
            return Ok(());
        }
        let seal = &*self.inspector.seal;
        for ((id, row), stored) in ids.iter().zip(sample.rows.values()).zip(replies.list()?) {
            let code = stored.map(|stored| row_code(seal, Place::Object, id.as_bytes(), &stored));
            if code != row.map(|row| row.code) {
                return Err(self.suspect_objects(Fault::Missing));
            }
        }
        Ok(())
    }
}
