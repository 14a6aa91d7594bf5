//! The admin tokens that vouch for sessions opened by a link. Each replica has a token of its own, and
//! the sessions of all, so each says in the store which token it has.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use sts_store::{SessionKey, SessionKind, SessionStore, StoredSession};
use sts_types::{Clock, Digest256};

use crate::SessionError;

/// Seconds for which other replicas believe what one says of its token. Renewed every minute.
const RENEWED_SECONDS: i64 = 150;

/// The member of a published token that says that its server cannot read it now.
const UNREADABLE: &str = "unreadable";

/// The admin token of this server.
pub trait AdminTokenSource: Send + Sync + 'static {
    /// Digest of the token now.
    ///
    /// # Errors
    /// If the token cannot be read, so that nothing tells whether it has changed.
    fn digest(&self) -> Result<Digest256, AdminTokenError>;
}

/// Why the admin token cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdminTokenError(pub String);

/// The admin tokens in force at the replicas.
pub(crate) struct AdminTokens {
    own: Arc<dyn AdminTokenSource>,
    /// The token of this server that the store has.
    published: Mutex<Option<Digest256>>,
}

impl AdminTokens {
    pub(crate) fn new(own: Arc<dyn AdminTokenSource>) -> Self {
        Self { own, published: Mutex::default() }
    }

    /// Says in the store which token is in force here, and that the one before no longer is. If the token
    /// cannot be read, says that of the one before: its sessions wait, and do not end.
    pub(crate) async fn publish(&self, store: &dyn SessionStore, clock: &dyn Clock) -> Result<Digest256, SessionError> {
        let own = match self.own.digest() {
            Ok(own) => own,
            Err(error) => {
                if let Some(before) = self.published() {
                    store.create(published(before, clock, true)).await?;
                }
                return Err(error.into());
            }
        };
        self.withdraw_other_than(own, store).await?;
        store.create(published(own, clock, false)).await?;
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        Ok(own)
    }

    /// Whether the token of that digest is in force at this server or another. An error if the server that
    /// may have it cannot read it.
    pub(crate) async fn is_in_force(&self, digest: Digest256, store: &dyn SessionStore) -> Result<bool, SessionError> {
        let own = self.own.digest();
        match &own {
            Ok(own) if *own == digest => return Ok(true),
            Ok(own) => self.withdraw_other_than(*own, store).await?,
            Err(_) => {}
        }
        let of_another = store.session(key(digest)).await?.filter(|_| own.is_ok() || self.published() != Some(digest));
        match (of_another, own) {
            (Some(stored), _) if stored.payload.get(UNREADABLE).is_some() => {
                Err(AdminTokenError("another server cannot read its own".to_owned()).into())
            }
            (Some(_), _) => Ok(true),
            (None, Ok(_)) => Ok(false),
            // It may be the one in the file.
            (None, Err(error)) => Err(error.into()),
        }
    }

    /// Takes back what the store says of this server, if the token is another now.
    async fn withdraw_other_than(&self, own: Digest256, store: &dyn SessionStore) -> Result<(), SessionError> {
        let Some(before) = self.published().filter(|published| *published != own) else { return Ok(()) };
        store.take(key(before)).await?;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have published the new token meanwhile.
        if *published == Some(before) {
            *published = None;
        }
        Ok(())
    }

    fn published(&self) -> Option<Digest256> {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn published(token: Digest256, clock: &dyn Clock, is_unreadable: bool) -> StoredSession {
    let payload = if is_unreadable { json!({ UNREADABLE: true }) } else { json!({}) };
    StoredSession { key: key(token), until: clock.now().plus(RENEWED_SECONDS), payload }
}

fn key(digest: Digest256) -> SessionKey {
    SessionKey { kind: SessionKind::AdminToken, digest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::MemorySessions;
    use sts_testkit::ManualClock;

    struct Token(Mutex<Option<Digest256>>);

    impl Token {
        fn set(&self, token: Option<u8>) {
            *self.0.lock().unwrap() = token.map(digest);
        }
    }

    impl AdminTokenSource for Token {
        fn digest(&self) -> Result<Digest256, AdminTokenError> {
            self.0.lock().unwrap().ok_or_else(|| AdminTokenError("no file".to_owned()))
        }
    }

    fn digest(token: u8) -> Digest256 {
        Digest256([token; 32])
    }

    fn replica(token: u8) -> (Arc<Token>, AdminTokens) {
        let source = Arc::new(Token(Mutex::new(Some(digest(token)))));
        (Arc::clone(&source), AdminTokens::new(source))
    }

    #[actix_web::test]
    async fn a_token_that_cannot_be_read_is_neither_in_force_nor_changed_at_any_replica() {
        let (store, clock) = (MemorySessions::default(), ManualClock::at_millis(1_790_000_000_000));
        let ((first_token, first), (_, second)) = (replica(1), replica(2));
        for replica in [&first, &second] {
            replica.publish(&store, &clock).await.unwrap();
        }
        first_token.set(None);
        let waits = |found: Result<bool, SessionError>| matches!(found, Err(SessionError::NoAdminToken(_)));
        assert!(waits(first.is_in_force(digest(1), &store).await), "at once at its own server");
        assert!(first.is_in_force(digest(2), &store).await.unwrap(), "that of another is readable there");
        assert!(waits(first.is_in_force(digest(9), &store).await), "the file may hold it");
        assert!(first.publish(&store, &clock).await.is_err());
        assert!(waits(second.is_in_force(digest(1), &store).await), "the other replica has heard");
        assert!(!second.is_in_force(digest(9), &store).await.unwrap());

        first_token.set(Some(1));
        assert!(first.is_in_force(digest(1), &store).await.unwrap());
        first.publish(&store, &clock).await.unwrap();
        assert!(second.is_in_force(digest(1), &store).await.unwrap());
        first_token.set(Some(3));
        assert!(!first.is_in_force(digest(1), &store).await.unwrap());
        assert!(!second.is_in_force(digest(1), &store).await.unwrap(), "another token ends it everywhere");
    }
}
