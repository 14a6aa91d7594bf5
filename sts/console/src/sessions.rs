//! Makes, finds and ends sessions and the links that open them.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use sts_store::{LedgerError, SessionKey, SessionKind, SessionStore, StoredSession};
use sts_types::{Clock, Entropy, UnixTime};

use crate::{Rights, Session};

/// Seconds between two writes of a session's last use.
const TOUCH_SECONDS: i64 = 60;
/// Seconds for which a link can be used.
const LINK_SECONDS: i64 = 60;
/// Octets of a random secret.
const SECRET_LEN: usize = 32;
/// The longest secret to look up. Ours are shorter.
const LONGEST_SECRET: usize = 64;
/// The user of a session that a link opened. The link proves access to the admin token.
const LINK_USER: &str = "admin link";

/// Sessions in the store, which all replicas share. The store has digests of ids, never the ids.
pub struct Sessions {
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Why there is no session where there could be one.
#[derive(Debug, thiserror::Error)]
#[error("the store of sessions did not answer: {0}")]
pub struct SessionError(#[from] LedgerError);

/// A link that opens a session once.
#[derive(Clone, Debug)]
pub struct ConsoleLink {
    /// Path and query on the admin listener.
    pub path: String,
    /// The last second in which it works.
    pub expires_at: UnixTime,
}

impl Sessions {
    /// Sessions in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn SessionStore>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy }
    }

    /// Makes a link that opens a session with all rights, once and within a minute.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn create_link(&self) -> Result<ConsoleLink, SessionError> {
        let code = self.secret();
        let expires_at = self.clock.now().plus(LINK_SECONDS);
        self.store.create(stored(SessionKind::Link, &code, expires_at, &json!({}))).await?;
        Ok(ConsoleLink { path: format!("/console/link?code={code}"), expires_at })
    }

    /// Opens a session by the link with this code. Returns its id, or `None` where the link was used,
    /// is too old or never was.
    pub(crate) async fn open_by_link(&self, code: &str) -> Result<Option<(String, Session)>, SessionError> {
        let Some(key) = key(SessionKind::Link, code) else { return Ok(None) };
        if self.store.take(key).await?.is_none() {
            return Ok(None);
        }
        self.open(LINK_USER.to_owned(), Rights::Admin).await.map(Some)
    }

    /// Opens a session under a new id.
    async fn open(&self, user: String, rights: Rights) -> Result<(String, Session), SessionError> {
        let (id, now) = (self.secret(), self.clock.now());
        let session = Session { user, rights, csrf: self.secret(), created: now, last_used: now };
        self.store.create(stored(SessionKind::Session, &id, session.until(), &session)).await?;
        Ok((id, session))
    }

    /// The session of that id, which counts as used now.
    pub(crate) async fn session(&self, id: &str) -> Result<Option<Session>, SessionError> {
        let Some(key) = key(SessionKind::Session, id) else { return Ok(None) };
        let Some(mut session) = self.store.session(key).await?.and_then(read::<Session>) else { return Ok(None) };
        let now = self.clock.now();
        if now >= session.last_used.plus(TOUCH_SECONDS) {
            session.last_used = now;
            // Somebody may have signed out since it was read.
            if !self.store.replace(stored(SessionKind::Session, id, session.until(), &session)).await? {
                return Ok(None);
            }
        }
        Ok(Some(session))
    }

    /// Ends the session of that id.
    pub(crate) async fn end(&self, id: &str) -> Result<(), SessionError> {
        if let Some(key) = key(SessionKind::Session, id) {
            self.store.take(key).await?;
        }
        Ok(())
    }

    /// Forgets what has ended.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn forget_ended(&self) -> Result<(), SessionError> {
        Ok(self.store.forget_ended(self.clock.now()).await?)
    }

    fn secret(&self) -> String {
        let mut random = [0; SECRET_LEN];
        self.entropy.fill(&mut random);
        sts_jose::base64url(&random)
    }
}

/// Where the value of `secret` lies. `None` for what no secret of ours can be.
fn key(kind: SessionKind, secret: &str) -> Option<SessionKey> {
    let is_possible = !secret.is_empty() && secret.len() <= LONGEST_SECRET;
    is_possible.then(|| SessionKey { kind, digest: sts_jose::sha256(secret.as_bytes()) })
}

fn stored(kind: SessionKind, secret: &str, until: UnixTime, payload: &impl Serialize) -> StoredSession {
    let digest = sts_jose::sha256(secret.as_bytes());
    StoredSession { key: SessionKey { kind, digest }, until, payload: json!(payload) }
}

fn read<T: DeserializeOwned>(stored: StoredSession) -> Option<T> {
    serde_json::from_value(stored.payload).ok()
}
