//! The state of one entry's keys, to explain why a token was refused.

use sts_types::UnixTime;

use crate::{EntryStatus, KeySetSeen, SeenFrom};

/// A snapshot of one entry, or of one family member. Taking it reads no disk and fetches nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryView {
    /// Its keys, when they were fetched, and the last failure.
    pub status: EntryStatus,
    /// Source of the current keys: the `jwks_uri` from discovery, the configured URL, or the file.
    pub seen_from: SeenFrom,
    /// Modification time of the key file; `None` for other sources.
    pub file_modified_at: Option<UnixTime>,
    /// The latest key sets, oldest first, including the current one. For the full history see
    /// [`JwksCache::history`](crate::JwksCache::history).
    pub recent: Vec<KeySetSeen>,
}
