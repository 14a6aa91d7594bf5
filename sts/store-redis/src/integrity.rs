//! Why a Redis is not trusted, in the words that its operator reads.

use super::error::RedisStoreError;

/// The message when there is no mark at all.
pub(super) const ABSENT: &str = "this Redis does not hold the ledger that this sts knows: it was flushed, or it is another one; what was revoked would \
                      come back. Bring its data back, or accept the loss with `sts store accept-epoch`";

/// The message when another program wrote over the mark.
pub(super) const FOREIGN: &str = "the mark of the revocations in this Redis holds something else (WRONGTYPE): another program wrote over it, and what \
                       was revoked may come back. Bring its data back, or accept the loss with `sts store accept-epoch`";

/// The message when the epoch is there without a mark.
pub(super) const WITHOUT_MARK: &str = "the mark of the revocations in this Redis was deleted: what was revoked may come back. Bring its data back, or \
                            accept the loss with `sts store accept-epoch`";

/// The message for an epoch that does not follow the trusted one.
pub(super) const OTHER_LEDGER: &str = "this Redis holds another ledger, or an older copy, than this sts knows: what was revoked may come back. Bring \
                            the right one back, or accept this one with `sts store accept-epoch`";

/// The message for a store of an earlier version that nobody has taken over yet.
pub(super) const EARLIER: &str = "this Redis holds the ledger of an earlier version of sts, whose revocations are not sealed as a whole. A server that \
                       knows it from before takes it over; when none does, accept it with `sts store accept-epoch`";

/// The error of a Redis that failed a check.
pub(super) fn integrity_error(text: &str) -> RedisStoreError {
    RedisStoreError::Integrity(text.into())
}
