//! What is known of one entry's keys, for a reader who explains why a token was refused.

use sts_types::UnixTime;

use crate::{EntryStatus, KeySetSeen, SeenFrom};

/// A snapshot of one entry, or of one member of a family. Nothing is read from disk and nothing is
/// fetched to make it.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryView {
    /// Its keys, when they were fetched, and the last failure.
    pub status: EntryStatus,
    /// Where the current keys came from: the `jwks_uri` that discovery named, the configured URL, the
    /// file.
    pub seen_from: SeenFrom,
    /// When the key file was last changed; `None` for other sources.
    pub file_modified_at: Option<UnixTime>,
    /// The last key sets that the entry had, oldest first, the current one included. A few only: the
    /// whole history is in [`JwksCache::history`](crate::JwksCache::history).
    pub recent: Vec<KeySetSeen>,
}
