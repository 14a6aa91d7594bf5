//! Makes, finds and ends sessions and the links that open them.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sts_store::{LedgerError, SessionKey, SessionKind, SessionStore, StoredSession};
use sts_types::{Clock, Digest256, Entropy, UnixTime};

use crate::sign_in::{PENDING_SECONDS, PendingSignIn};
use crate::vouching::AdminTokens;
use crate::{AdminTokenError, AdminTokenSource, Rights, Session, SignedInBy};

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
    admin_tokens: AdminTokens,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// Why there is no session where there could be one.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The store failed.
    #[error("the store of sessions did not answer: {0}")]
    Store(#[from] LedgerError),
    /// No admin token can vouch for a session.
    #[error("the admin token cannot be read: {0}")]
    NoAdminToken(#[from] AdminTokenError),
}

/// A link that was not used yet.
#[derive(Serialize, Deserialize)]
struct UnusedLink {
    /// Digest of the admin token that made it.
    terms: Digest256,
}

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
    pub fn new(
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        admin_token: Arc<dyn AdminTokenSource>,
    ) -> Self {
        Self { store, clock, entropy, admin_tokens: AdminTokens::new(admin_token) }
    }

    /// Makes a link that opens a session with all rights, once and within a minute. Link and session end
    /// when the admin token changes.
    ///
    /// # Errors
    /// If the store does not answer, or there is no admin token.
    pub async fn create_link(&self) -> Result<ConsoleLink, SessionError> {
        let terms = self.publish_admin_token().await?;
        let code = self.secret();
        let expires_at = self.clock.now().plus(LINK_SECONDS);
        self.store.create(stored(SessionKind::Link, &code, expires_at, &UnusedLink { terms })).await?;
        Ok(ConsoleLink { path: format!("/console/link?code={code}"), expires_at })
    }

    /// Opens a session by the link with this code. Returns its id, or `None` where the link was used,
    /// is too old or never was.
    pub(crate) async fn open_by_link(&self, code: &str) -> Result<Option<(String, Session)>, SessionError> {
        let Some(key) = key(SessionKind::Link, code) else { return Ok(None) };
        let Some(UnusedLink { terms }) = self.store.session(key).await?.and_then(read) else { return Ok(None) };
        // An error here leaves the link for another try.
        let is_in_force = self.is_admin_token_in_force(terms).await?;
        if self.store.take(key).await?.is_none() || !is_in_force {
            return Ok(None);
        }
        self.open(LINK_USER.to_owned(), Rights::Admin, SignedInBy::Link, terms).await.map(Some)
    }

    /// Tells the other replicas which admin token is in force here. Returns its digest.
    ///
    /// # Errors
    /// If the store does not answer, or the token cannot be read.
    pub async fn publish_admin_token(&self) -> Result<Digest256, SessionError> {
        self.admin_tokens.publish(&*self.store, &*self.clock).await
    }

    /// Whether the admin token of that digest is in force, here or at another replica. An error if nothing
    /// tells, because a token cannot be read.
    pub(crate) async fn is_admin_token_in_force(&self, digest: Digest256) -> Result<bool, SessionError> {
        self.admin_tokens.is_in_force(digest, &*self.store).await
    }

    /// Keeps a sign-in that begins, for the browser with that secret.
    pub(crate) async fn begin_sign_in(
        &self,
        state: &str,
        browser: &str,
        pending: &PendingSignIn,
    ) -> Result<(), SessionError> {
        let until = self.clock.now().plus(PENDING_SECONDS);
        Ok(self.store.create(stored(SessionKind::SignIn, &bound(state, browser), until, pending)).await?)
    }

    /// The sign-in with that `state`, if it began in the browser with that secret. It is returned once.
    pub(crate) async fn take_sign_in(&self, state: &str, browser: &str) -> Result<Option<PendingSignIn>, SessionError> {
        if !is_secret(state) || !is_secret(browser) {
            return Ok(None);
        }
        let Some(key) = key(SessionKind::SignIn, &bound(state, browser)) else { return Ok(None) };
        Ok(self.store.take(key).await?.and_then(read))
    }

    /// Opens a session for a person whom the provider named, under its `terms`.
    pub(crate) async fn open_for(
        &self,
        user: String,
        rights: Rights,
        terms: Digest256,
    ) -> Result<(String, Session), SessionError> {
        self.open(user, rights, SignedInBy::Provider, terms).await
    }

    /// Opens a session under a new id.
    async fn open(
        &self,
        user: String,
        rights: Rights,
        by: SignedInBy,
        terms: Digest256,
    ) -> Result<(String, Session), SessionError> {
        let (id, now) = (self.secret(), self.clock.now());
        let session = Session { user, rights, by, terms, csrf: self.secret(), created: now, last_used: now };
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

    /// Ends the session whose id has this digest.
    pub(crate) async fn end_of(&self, digest: Digest256) -> Result<(), SessionError> {
        self.store.take(SessionKey { kind: SessionKind::Session, digest }).await?;
        Ok(())
    }

    /// The clock.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Forgets what has ended.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn forget_ended(&self) -> Result<(), SessionError> {
        Ok(self.store.forget_ended(self.clock.now()).await?)
    }

    /// A new secret.
    pub(crate) fn secret(&self) -> String {
        let mut random = [0; SECRET_LEN];
        self.entropy.fill(&mut random);
        sts_jose::base64url(&random)
    }
}

/// Whether a secret of ours can look like that.
pub(crate) fn is_secret(text: &str) -> bool {
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !text.is_empty() && text.len() <= LONGEST_SECRET && text.bytes().all(is_base64url)
}

/// The digest of a session's id. `None` for what no id of ours can be.
pub(crate) fn digest(id: &str) -> Option<Digest256> {
    key(SessionKind::Session, id).map(|key| key.digest)
}

/// The secret under which a sign-in is stored. It takes both parts to find it.
fn bound(state: &str, browser: &str) -> String {
    sts_jose::base64url(&sts_jose::digest_of_parts(&[state.as_bytes(), browser.as_bytes()]).0)
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
