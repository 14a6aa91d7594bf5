//! Sessions of the console in Redis: one sealed value for each, which expires by itself.

use sts_store::backend::codec;
use sts_store::{LedgerError, LedgerFuture, Place, SessionKey, SessionStore, StoredSession};
use sts_types::UnixTime;

use super::batch::{Batch, command, sized};
use super::stored_value::found;
use super::{RedisLedger, forget_at};

impl SessionStore for RedisLedger {
    fn create(&self, session: StoredSession) -> LedgerFuture<'_, ()> {
        Box::pin(async move {
            self.set_session(&session, false).await?;
            Ok(())
        })
    }

    fn replace(&self, session: StoredSession) -> LedgerFuture<'_, bool> {
        Box::pin(async move {
            // Redis keeps a value for some time after its end.
            if self.session(session.key).await?.is_none() {
                return Ok(false);
            }
            self.set_session(&session, true).await
        })
    }

    fn session(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            let mut batch = Batch::plain();
            batch.add(command("GET", &[self.names().session(key)]));
            self.session_of(batch, key).await
        })
    }

    fn take(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            let name = self.names().session(key);
            let mut batch = Batch::atomic();
            batch.add(command("GET", &[&name]));
            batch.add(command("DEL", &[&name]));
            self.session_of(batch, key).await
        })
    }

    fn forget_ended(&self, _: UnixTime) -> LedgerFuture<'_, ()> {
        // Each value expires by itself.
        Box::pin(async { Ok(()) })
    }
}

impl RedisLedger {
    /// The session that the first command of `batch` reads.
    async fn session_of(&self, batch: Batch, key: SessionKey) -> Result<Option<StoredSession>, LedgerError> {
        self.recheck_integrity().await?;
        let mut replies = self.pool.run(batch).await?;
        let session: Option<StoredSession> = self.open_found(Place::Session, &key.to_bytes(), found(&mut replies)?);
        let now = self.clock().now();
        Ok(session.filter(|session| session.until >= now))
    }

    /// Writes the session, with `must_exist` only in place of one that is there. Returns whether it
    /// was written.
    async fn set_session(&self, session: &StoredSession, must_exist: bool) -> Result<bool, LedgerError> {
        self.recheck_integrity().await?;
        let key = session.key.to_bytes();
        let stored = codec::seal_value(&*self.inspector.seal, Place::Session, &key, session)
            .map_err(|_| LedgerError::Unavailable("a session cannot be encoded".into()))?;
        let mut set = sized("SET", 5, stored.len());
        set.arg(self.names().session(session.key)).arg(stored).arg("PXAT").arg(forget_at(session.until));
        if must_exist {
            set.arg("XX");
        }
        let mut batch = Batch::plain();
        batch.add(set);
        Ok(self.pool.run(batch).await?.was_set()?)
    }
}
