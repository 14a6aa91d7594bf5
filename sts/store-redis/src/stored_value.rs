//! Values as Redis returns them.

use redis::Value;

use super::batch::Replies;
use super::error::{ErrorReply, RedisStoreError};

/// A value as Redis returned it.
pub(super) enum StoredValue {
    Nothing,
    Bytes(Vec<u8>),
    /// A value of another type, which is not ours.
    Foreign,
}

/// The reply to a GET. A key that holds no string is not ours.
pub(super) fn found(replies: &mut Replies) -> Result<StoredValue, RedisStoreError> {
    match replies.value() {
        Ok(Value::Nil) => Ok(StoredValue::Nothing),
        Ok(Value::BulkString(bytes)) => Ok(StoredValue::Bytes(bytes)),
        Err(RedisStoreError::Named(ErrorReply::WrongType)) => Ok(StoredValue::Foreign),
        Ok(_) => Err(RedisStoreError::Form),
        Err(error) => Err(error),
    }
}

/// A score that we wrote: a whole number that a double holds exactly, in whatever form Redis prints
/// it.
pub(super) fn whole(score: &str) -> Result<i64, RedisStoreError> {
    let number: f64 = score.parse().map_err(|_| RedisStoreError::Form)?;
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and scores of ours are far below 2^53")]
    Ok(number as i64)
}
