//! The mark as Redis holds it.

use std::sync::Arc;

use super::batch::Replies;
use super::error::{ErrorReply, RedisStoreError};
use super::mark::SealedMark;

/// The fields of the mark, in the order that [`StoreMark::read`] expects.
pub(super) const FIELDS: [&str; 2] = ["epoch", "sealed"];

/// What Redis holds about the store as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreMark {
    /// The sealed epoch.
    pub(super) epoch: Option<Vec<u8>>,
    /// The sealed mark.
    pub(super) sealed: Option<Vec<u8>>,
    /// Whether the key of the mark holds another type. Then there is neither epoch nor mark.
    pub(super) is_foreign: bool,
    /// The opened mark. [`RollbackGuard::check`] fills it in.
    pub(super) numbers: Arc<SealedMark>,
}

impl StoreMark {
    /// Takes the reply to `HMGET` of the mark's [`FIELDS`].
    pub(super) fn read(replies: &mut Replies) -> Result<Self, RedisStoreError> {
        let fields = match replies.list() {
            Err(RedisStoreError::Named(ErrorReply::WrongType)) => {
                return Ok(Self { is_foreign: true, ..Self::default() });
            }
            fields => fields?,
        };
        let [epoch, sealed] = <[_; 2]>::try_from(fields).map_err(|_| RedisStoreError::Form)?;
        Ok(Self { epoch, sealed, ..Self::default() })
    }

    /// Whether Redis holds the same octets in both.
    pub(super) fn is_stored_as(&self, other: &Self) -> bool {
        (&self.epoch, &self.sealed, self.is_foreign) == (&other.epoch, &other.sealed, other.is_foreign)
    }
}
