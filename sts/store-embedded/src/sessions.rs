//! Sessions of the console in the file. There are few, so a sweep reads them all.

use redb::{ReadableDatabase, ReadableTable, TableError};
use sts_store::backend::codec;
use sts_store::{LedgerFuture, Place, SessionKey, SessionStore, StoredSession};
use sts_types::{Seal, UnixTime};

use super::EmbeddedLedger;
use super::tables::SESSIONS;
use super::write::{Encoded, Tables, WriteError};

impl SessionStore for EmbeddedLedger {
    fn create(&self, session: StoredSession) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            let session = Encoded::new(session)?;
            self.write(move |engine, tables| tables.put_session(&*engine.seal, &session)).await
        })
    }

    fn replace(&self, session: StoredSession) -> LedgerFuture<'_, bool> {
        Box::pin(async move {
            let (session, now) = (Encoded::new(session)?, self.engine.clock.now());
            self.write(move |engine, tables| {
                let is_kept = tables.has_session(session.value.key, now)?;
                if is_kept {
                    tables.put_session(&*engine.seal, &session)?;
                }
                Ok(is_kept)
            })
            .await
        })
    }

    fn session(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            self.reopen_if_failed().await?;
            let now = self.engine.clock.now();
            self.engine.read(|database, reader| {
                let sessions = match database.begin_read()?.open_table(SESSIONS) {
                    // A file in which nobody has signed in.
                    Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                    table => table?,
                };
                let Some(stored) = sessions.get(&key.to_bytes())? else { return Ok(None) };
                let (_, sealed) = stored.value();
                let session: Option<StoredSession> = reader.open(Place::Session, &key.to_bytes(), sealed);
                Ok(session.filter(|session| session.until >= now))
            })
        })
    }

    fn take(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            let now = self.engine.clock.now();
            let found = self.session(key).await?;
            if found.is_none() {
                return Ok(None);
            }
            let was_kept = self
                .write(move |_, tables| {
                    let is_kept = tables.has_session(key, now)?;
                    tables.sessions.open()?.remove(&key.to_bytes())?;
                    Ok(is_kept)
                })
                .await?;
            Ok(found.filter(|_| was_kept))
        })
    }

    fn forget_ended(&self, now: UnixTime) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.write(move |_, tables| {
                tables.sessions.open()?.retain(|_, (until, _)| until >= now.as_secs())?;
                Ok(())
            })
            .await
        })
    }
}

impl Tables<'_> {
    fn put_session(&mut self, seal: &dyn Seal, session: &Encoded<StoredSession>) -> Result<(), WriteError> {
        let Encoded { value, payload } = session;
        let key = value.key.to_bytes();
        let sealed = codec::seal(seal, Place::Session, &key, payload);
        self.sessions.open()?.insert(&key, (value.until.as_secs(), sealed.as_slice()))?;
        Ok(())
    }

    /// Whether the session is kept and has not ended at `now`.
    fn has_session(&mut self, key: SessionKey, now: UnixTime) -> Result<bool, WriteError> {
        let sessions = self.sessions.open()?;
        let kept = sessions.get(&key.to_bytes())?;
        Ok(kept.is_some_and(|kept| kept.value().0 >= now.as_secs()))
    }
}
