//! A session: who is signed in, what they may do, and when it ends.

use serde::{Deserialize, Serialize};
use sts_types::{Digest256, RequestId, UnixTime};

use crate::{Actor, SignedInBy};

/// A session ends when it was not used for this many seconds.
pub(crate) const IDLE_SECONDS: i64 = 30 * 60;
/// A session ends after this many seconds, however much it is used.
pub(crate) const LONGEST_SECONDS: i64 = 8 * 60 * 60;

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// See everything.
    Read,
    /// Change everything.
    Admin,
}

impl Rights {
    /// The key of its conditions in the configuration.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// A session, as the store keeps it. The id is not part of it: only the browser has that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The signed-in person.
    pub user: String,
    /// What they may do.
    pub rights: Rights,
    /// How they signed in.
    pub by: SignedInBy,
    /// What the session rests on: the terms of the provider, or the admin token that made the link.
    /// The session ends when that is no longer in force.
    pub terms: Digest256,
    /// The token that each form of this session must have.
    pub csrf: String,
    /// When they signed in.
    pub created: UnixTime,
    /// The last use that was written.
    pub last_used: UnixTime,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("rights", &self.rights).finish_non_exhaustive()
    }
}

impl Session {
    /// The last second of the session, if it is not used again.
    #[must_use]
    pub fn until(&self) -> UnixTime {
        self.last_used.plus(IDLE_SECONDS).min(self.created.plus(LONGEST_SECONDS))
    }

    /// The session's user as the author of changes.
    #[must_use]
    pub fn actor(&self, request_id: RequestId) -> Actor {
        Actor { author: format!("console user {}", self.user), rights: self.rights, request_id, source: None }
    }
}
