//! Managed objects in the file: one sealed row each, which the sealed tally counts like the
//! revocations.

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableError};
use sts_types::{ApiKeyId, Seal, UnixTime};

use super::EmbeddedLedger;
use super::engine::DatabaseHandle;
use super::last_uses;
use super::object_log::ObjectCommit;
use super::read::{self, RecordReader};
use super::tables::{KEY_USES, OBJECTS};
use super::tally::{IntegrityError, Tally};
use super::write::{Tables, WriteError, not_encoded};
use sts_store::backend::codec;
use sts_store::{
    Committed, KeyUse, LedgerError, LedgerFuture, ManagedObject, ManagedObjects, ObjectChange, ObjectChanges,
    ObjectKind, ObjectStore, Place, UseKey,
};

/// What one more object may add to the wait for a commit: ten times what it takes on a good disk.
const PER_OBJECT: Duration = Duration::from_micros(200);

impl ObjectStore for EmbeddedLedger {
    #[tracing::instrument(level = "debug", name = "store.objects", skip_all)]
    fn objects(&self) -> LedgerFuture<'_, ManagedObjects> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let engine = Arc::clone(&self.engine);
            let reading = tokio::task::spawn_blocking(move || {
                engine.read(read_objects)?.ok_or_else(|| engine.distrust(&IntegrityError::Altered))
            });
            reading.await.unwrap_or_else(|_| Err(LedgerError::Unavailable("the read was given up".into())))
        })
    }

    /// Reads no file: nobody else writes to it.
    fn changes_since(&self, sequence: u64) -> LedgerFuture<'_, Option<ObjectChanges>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            self.engine.check_integrity()?;
            Ok(self.engine.object_changes_since(sequence))
        })
    }

    #[tracing::instrument(level = "debug", name = "store.commit_objects", skip_all, fields(changes = changes.len()))]
    fn commit(&self, at: u64, changes: Vec<ObjectChange>) -> LedgerFuture<'_, Committed> {
        Box::pin(async move {
            let engine = Arc::clone(&self.engine);
            // The writer thread serves the exchanges as well, so it gets values that are sealed already.
            let preparing = tokio::task::spawn_blocking(move || prepare(&*engine.seal, at, changes));
            let prepared = preparing.await.unwrap_or_else(|_| {
                Err(LedgerError::Unavailable("the commit was given up, nothing is written".into()))
            })?;
            // A caller that gives up does not know whether the commit is made all the same.
            let allowance = PER_OBJECT.saturating_mul(u32::try_from(prepared.len()).unwrap_or(u32::MAX));
            self.write_large(allowance, move |engine, tables| tables.commit_objects(engine, at, prepared)).await
        })
    }

    fn record_uses(&self, uses: Vec<(ApiKeyId, KeyUse)>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            if uses.is_empty() {
                return Ok(());
            }
            self.write(move |_, tables| tables.record_uses(&uses)).await
        })
    }

    fn uses(&self) -> LedgerFuture<'_, Vec<(ApiKeyId, KeyUse)>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            self.engine.read(|database, _| read_uses(database))
        })
    }

    fn record_last_uses(&self, uses: Vec<(UseKey, UnixTime)>, forget_before: Option<UnixTime>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            if uses.is_empty() && forget_before.is_none() {
                return Ok(());
            }
            self.write(move |_, tables| tables.record_last_uses(&uses, forget_before)).await
        })
    }

    fn last_uses(&self, keys: Vec<UseKey>) -> LedgerFuture<'_, Vec<Option<UnixTime>>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            self.engine.read(|database, _| last_uses::read(database, &keys))
        })
    }
}

/// A change and the row that it writes.
pub(super) struct PreparedChange {
    change: ObjectChange,
    /// `None` for a deletion.
    stored: Option<Vec<u8>>,
}

/// Sets revisions and seals the objects. A commit at `at` has the next sequence, or fails.
fn prepare(seal: &dyn Seal, at: u64, changes: Vec<ObjectChange>) -> Result<Vec<PreparedChange>, LedgerError> {
    let prepare = |mut change: ObjectChange| {
        let stored = match &mut change {
            ObjectChange::Put(object) => {
                object.revision = at.saturating_add(1);
                let sealed = codec::seal_value(seal, Place::Object, &object.key.to_bytes(), object);
                Some(sealed.map_err(|_| not_encoded())?)
            }
            ObjectChange::Delete(_) => None,
        };
        Ok(PreparedChange { change, stored })
    };
    changes.into_iter().map(prepare).collect()
}

impl Tables<'_> {
    fn commit_objects(
        &mut self,
        engine: &DatabaseHandle,
        at: u64,
        prepared: Vec<PreparedChange>,
    ) -> Result<Committed, WriteError> {
        let current = self.changed.tally.as_ref().map_or_else(|| engine.object_sequence(), Tally::objects);
        if at != current {
            return Ok(Committed::Stale(current));
        }
        if prepared.is_empty() {
            return Ok(Committed::Done(current));
        }
        let seal = &*engine.seal;
        // Before anything is written: if the tally cannot be read, this commit writes nothing.
        let tally = self.tally(seal)?;
        tally.count(seal, engine.clock.now());
        let sequence = tally.count_objects();
        let (mut changes, mut octets) = (Vec::with_capacity(prepared.len()), 0_usize);
        for PreparedChange { change, stored } in prepared {
            self.write_object(seal, &change, stored.as_deref())?;
            octets = octets.saturating_add(stored.map_or(0, |stored| stored.len()));
            changes.push(change);
        }
        self.changed.objects.push(Arc::new(ObjectCommit { sequence, changes, octets }));
        Ok(Committed::Done(sequence))
    }

    /// Writes or removes one row.
    fn write_object(
        &mut self,
        seal: &dyn Seal,
        change: &ObjectChange,
        stored: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        let key = change.key();
        let (row, sealed_key) = ((key.kind.number(), key.name.as_str()), key.to_bytes());
        let objects = self.objects.open()?;
        let former = match stored {
            Some(stored) => objects.insert(row, stored)?,
            None => objects.remove(row)?,
        };
        let former = former.map(|former| former.value().to_vec());
        if stored.is_none() && key.kind == ObjectKind::ApiKeys {
            self.key_uses.open()?.remove(key.name.as_str())?;
        }
        let tally = self.tally(seal)?;
        if let Some(former) = former {
            tally.remove(seal, Place::Object, &sealed_key, &former);
        }
        if let Some(stored) = stored {
            tally.add(seal, Place::Object, &sealed_key, stored);
        }
        Ok(())
    }

    fn record_uses(&mut self, uses: &[(ApiKeyId, KeyUse)]) -> Result<(), WriteError> {
        let table = self.key_uses.open()?;
        for (id, KeyUse { at, from }) in uses {
            let later = table.get(id.as_str())?.is_some_and(|former| former.value().0 > at.as_secs());
            if !later {
                table.insert(id.as_str(), (at.as_secs(), from.as_str()))?;
            }
        }
        Ok(())
    }
}

/// Opens the row of an object. `None` if it is not as this store wrote it.
pub(super) fn open_object(reader: &RecordReader<'_>, (kind, name): (u8, &str), stored: &[u8]) -> Option<ManagedObject> {
    let object: ManagedObject = reader.open(Place::Object, &sealed_key(kind, name), stored)?;
    (object.key.kind.number() == kind && object.key.name == name).then_some(object)
}

/// The octets that the seal of a row covers besides its value.
pub(super) fn sealed_key(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], name.as_bytes()].concat()
}

/// All objects. `None` if one of them cannot be read.
fn read_objects(database: &Database, reader: &RecordReader<'_>) -> Result<Option<ManagedObjects>, redb::Error> {
    let transaction = database.begin_read()?;
    let Ok(tally) = read::tally(&transaction, reader.seal)? else { return Ok(None) };
    let mut objects = Vec::new();
    match transaction.open_table(OBJECTS) {
        // No object was ever written.
        Err(TableError::TableDoesNotExist(_)) => {}
        table => {
            for row in table?.iter()? {
                let (key, stored) = row?;
                let Some(object) = open_object(reader, key.value(), stored.value()) else { return Ok(None) };
                objects.push(object);
            }
        }
    }
    Ok(Some(ManagedObjects { sequence: tally.objects(), objects }))
}

/// The rows are not sealed. One that is no use of a key is left out.
fn read_uses(database: &Database) -> Result<Vec<(ApiKeyId, KeyUse)>, redb::Error> {
    let mut uses = Vec::new();
    match database.begin_read()?.open_table(KEY_USES) {
        Err(TableError::TableDoesNotExist(_)) => {}
        table => {
            for row in table?.iter()? {
                let (id, used) = row?;
                let (at, from) = used.value();
                if let Ok(id) = ApiKeyId::new(id.value()) {
                    uses.push((id, KeyUse { at: UnixTime::from_secs(at), from: from.to_owned() }));
                }
            }
        }
    }
    Ok(uses)
}
