//! What the console keeps for people who sign in. All replicas share it.

use sts_types::{Digest256, UnixTime};

use crate::ledger::LedgerFuture;

/// What a stored session value is for. A key of one kind never opens another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// The session of a signed-in person.
    Session,
    /// A link that opens a session once.
    Link,
    /// A sign-in that has begun at the provider.
    SignIn,
    /// An admin token that is in force at one of the replicas.
    AdminToken,
}

impl SessionKind {
    /// The kind's number in keys of the store.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Session => 1,
            Self::Link => 2,
            Self::SignIn => 3,
            Self::AdminToken => 4,
        }
    }
}

/// Where a stored session lies: the digest of its secret. The secret itself is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SessionKey {
    /// What it is for.
    pub kind: SessionKind,
    /// Digest of the secret that the browser holds.
    pub digest: Digest256,
}

impl SessionKey {
    /// The octets that its seal covers.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 33] {
        let mut bytes = [self.kind.number(); 33];
        let (_, digest) = bytes.split_at_mut(1);
        digest.copy_from_slice(&self.digest.0);
        bytes
    }
}

/// A stored session. Only the console reads its payload.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoredSession {
    /// Where it lies.
    pub key: SessionKey,
    /// The last second in which it is found.
    pub until: UnixTime,
    /// What the console keeps.
    pub payload: serde_json::Value,
}

/// The store of sessions, links and sign-ins that have begun.
///
/// Deletion is not sealed: a stranger who can write to the store can end a session, but cannot make one
/// or change its end.
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a new session.
    fn create(&self, session: StoredSession) -> LedgerFuture<'_, ()>;

    /// Replaces a session that is still kept. Returns whether it was: a session that was ended
    /// meanwhile stays ended.
    fn replace(&self, session: StoredSession) -> LedgerFuture<'_, bool>;

    /// The session of that key, unless it has ended.
    fn session(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>>;

    /// Removes the session and returns it. Of many callers at once, one gets it.
    fn take(&self, key: SessionKey) -> LedgerFuture<'_, Option<StoredSession>>;

    /// Forgets the sessions that have ended at `now`.
    fn forget_ended(&self, now: UnixTime) -> LedgerFuture<'_, ()>;
}
