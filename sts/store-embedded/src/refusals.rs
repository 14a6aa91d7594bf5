//! Remembered refusals in the file: one row each, and an index by time that also holds the share.

use std::collections::HashSet;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError};
use sts_types::{RequestId, Seal, UnixTime};

use super::EmbeddedLedger;
use super::read::RecordReader;
use super::tables::{REFUSALS, REFUSALS_BY_TIME};
use super::write::{Encoded, Tables, WriteError};
use sts_store::Place;
use sts_store::backend::codec;
use sts_store::backend::{STORED, remembered_from};
use sts_store::{LedgerError, LedgerFuture};
use sts_store::{ListedRefusal, RefusalStore, StoredRefusal, surplus};

/// Rows per transaction.
const STEP: usize = 64;

impl RefusalStore for EmbeddedLedger {
    fn remember(&self, refusals: Vec<StoredRefusal>) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let refusals: Vec<_> = refusals.into_iter().map(Encoded::new).collect::<Result<_, _>>()?;
            self.write(move |engine, tables| tables.remember(&*engine.seal, &refusals)).await
        })
    }

    fn find(&self, request_id: RequestId) -> LedgerFuture<'_, Option<StoredRefusal>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let now = self.engine.clock.now();
            self.engine.read(|database, reader| find(database, reader, &request_id, now))
        })
    }

    fn latest(&self, limit: usize, known: Arc<HashSet<RequestId>>) -> LedgerFuture<'_, Vec<ListedRefusal>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let (engine, now) = (Arc::clone(&self.engine), self.engine.clock.now());
            let page = tokio::task::spawn_blocking(move || {
                engine.read(|database, reader| latest(database, reader, limit, &known, now))
            });
            page.await.unwrap_or_else(|_| Err(LedgerError::Unavailable("the listing was given up".into())))
        })
    }

    fn forget(&self, now: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            while self.write(move |_, tables| tables.forget_refusals(now)).await? == STEP {}
            Ok(())
        })
    }
}

impl Tables<'_> {
    fn remember(&mut self, seal: &dyn Seal, refusals: &[Encoded<StoredRefusal>]) -> Result<(), WriteError> {
        for Encoded { value, payload } in refusals {
            let key = value.request_id.as_str();
            let stored = codec::seal(seal, Place::Refusal, key.as_bytes(), payload);
            self.refusals.open()?.insert(key, stored.as_slice())?;
            self.refusals_by_time.open()?.insert((value.time_millis, key), value.share.to_string().as_str())?;
        }
        // Below this limit all of them fit, whatever their shares.
        if self.refusals_by_time.open()?.len()? <= STORED.small as u64 {
            return Ok(());
        }
        let mut rows = Vec::new();
        for row in self.refusals_by_time.open()?.iter()? {
            let (key, share) = row?;
            let (time, id) = key.value();
            // An unreadable share counts as the default share.
            rows.push((share.value().parse().unwrap_or_default(), (time, id.to_owned())));
        }
        for (time, id) in surplus(rows, STORED) {
            self.refusals.open()?.remove(id.as_str())?;
            self.refusals_by_time.open()?.remove((time, id.as_str()))?;
        }
        Ok(())
    }

    /// Forgets one step of refusals that are too old. Returns how many.
    fn forget_refusals(&mut self, now: UnixTime) -> Result<usize, WriteError> {
        let mut dead = Vec::new();
        for row in self.refusals_by_time.open()?.range(..(remembered_from(now), ""))?.take(STEP) {
            let (time, id) = row.map(|(key, _)| (key.value().0, key.value().1.to_owned()))?;
            dead.push((time, id));
        }
        for (time, id) in &dead {
            self.refusals.open()?.remove(id.as_str())?;
            self.refusals_by_time.open()?.remove((*time, id.as_str()))?;
        }
        Ok(dead.len())
    }
}

fn find(
    database: &Database,
    reader: &RecordReader<'_>,
    request_id: &RequestId,
    now: UnixTime,
) -> Result<Option<StoredRefusal>, redb::Error> {
    let key = request_id.as_str();
    let refusals = match database.begin_read()?.open_table(REFUSALS) {
        // A file of an earlier version that nothing was written to since.
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    let Some(stored) = refusals.get(key)? else { return Ok(None) };
    let refusal: Option<StoredRefusal> = reader.open(Place::Refusal, key.as_bytes(), stored.value());
    Ok(refusal.filter(|refusal| refusal.until() >= now))
}

fn latest(
    database: &Database,
    reader: &RecordReader<'_>,
    limit: usize,
    known: &HashSet<RequestId>,
    now: UnixTime,
) -> Result<Vec<ListedRefusal>, redb::Error> {
    let transaction = database.begin_read()?;
    let (refusals, by_time) = match (transaction.open_table(REFUSALS), transaction.open_table(REFUSALS_BY_TIME)) {
        (Err(TableError::TableDoesNotExist(_)), _) | (_, Err(TableError::TableDoesNotExist(_))) => {
            return Ok(Vec::new());
        }
        (refusals, by_time) => (refusals?, by_time?),
    };
    let mut found = Vec::new();
    for row in by_time.range((remembered_from(now), "")..)?.rev() {
        if found.len() == limit {
            break;
        }
        let (key, _) = row?;
        let (time_millis, id) = key.value();
        if let Some(known) = known.get(id) {
            found.push(ListedRefusal::Known { request_id: known.clone(), time_millis });
        } else if let Some(stored) = refusals.get(id)? {
            let opened = reader.open::<StoredRefusal>(Place::Refusal, id.as_bytes(), stored.value());
            found.extend(opened.map(ListedRefusal::Read));
        }
    }
    Ok(found)
}
