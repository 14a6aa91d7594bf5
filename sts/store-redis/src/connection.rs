//! One connection to the primary, as the batches and the pool share it.

use std::sync::atomic::AtomicU64;

use redis::aio::MultiplexedConnection;

use sts_store::spec::Node;

/// A connection and the node at its other end.
pub(super) struct Connected {
    pub(super) node: Node,
    pub(super) connection: MultiplexedConnection,
    /// The connection's number, counted over all connections from 1.
    pub(super) number: u64,
    /// The time of its last reply, in milliseconds of the monotonic clock.
    pub(super) answered: AtomicU64,
}
