//! Everything that can go wrong with Redis. No error is ever read as "not there" or "not revoked".

use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, ServerError, Value};

use sts_store::LedgerError;
use sts_store::spec::ShardCount;

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RedisStoreError {
    /// The deadline passed. Redis may or may not have carried out the command.
    #[error("Redis did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The circuit breaker is open.
    #[error("Redis failed several times in a row, and is tried again in a moment; the last failure: {0}")]
    Open(Arc<str>),
    /// The connection could not be made, or it broke.
    #[error("no connection to Redis: {0}")]
    Connection(Arc<str>),
    /// Redis answered with an error.
    #[error("{0}")]
    Named(ErrorReply),
    /// A reply of the wrong form. The other side is no Redis, or a proxy changes its replies.
    #[error("Redis answered in a form that is not its own")]
    Form,
    /// Another process changed the store at the same moment. Nothing was written.
    #[error("other servers write at the same moment, again and again; nothing was written")]
    Conflict,
    /// The change reached too few replicas.
    #[error("the change is on {reached} of {wanted} replicas: a failover could still lose it")]
    Replicas {
        /// Replicas that have it.
        reached: u32,
        /// Replicas that should have it.
        wanted: u32,
    },
    /// Redis failed an integrity check: it lost data, was altered, or may lose data.
    #[error("{0}")]
    Integrity(Arc<str>),
    /// The store was made with another number of shards.
    #[error(
        "this store was made with {found} {}, and `store.shards` is {configured}: the number is fixed when a store is made. Write \
         `shards: {found}`, or take another `prefix` for a new store, which knows none of the tokens of this one",
        if *found == 1 { "shard" } else { "shards" }
    )]
    Layout {
        /// The number in Redis.
        found: u32,
        /// The configured number.
        configured: ShardCount,
    },
    /// Another program wrote over a key of the store.
    #[error("{0}")]
    Foreign(Arc<str>),
}

/// An error reply, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ErrorReply {
    #[error("Redis has moved the keys of this store to another node (MOVED)")]
    Moved,
    #[error("Redis is moving the keys of this store to another node (ASK, TRYAGAIN)")]
    Moving,
    #[error("the Redis Cluster is down (CLUSTERDOWN)")]
    ClusterDown,
    #[error("this Redis is a replica and takes no writes (READONLY)")]
    ReadOnly,
    #[error("this Redis is a replica without its primary (MASTERDOWN)")]
    MasterDown,
    #[error("Redis is still loading its data (LOADING)")]
    Loading,
    #[error("Redis is busy with a script (BUSY)")]
    Busy,
    #[error("Redis wants a password: set `store.password_file` (NOAUTH)")]
    NoAuth,
    #[error("Redis does not take this user name and password (WRONGPASS)")]
    WrongPass,
    #[error("the Redis user may not run a command that is needed: give it the rights of deploy/redis/sts.acl (NOPERM)")]
    NoPermission,
    #[error("Redis cannot save its data to disk and refuses writes (MISCONF)")]
    CannotSave,
    #[error("Redis is out of memory: raise `maxmemory` (OOM)")]
    OutOfMemory,
    #[error("Redis has too few replicas to take writes (NOREPLICAS)")]
    TooFewReplicas,
    #[error("a key of this store holds something else: it was written by another program (WRONGTYPE)")]
    WrongType,
    #[error("Redis has as many clients as it may have (max number of clients reached)")]
    TooManyClients,
    #[error("Redis refused a command that it should know: version 6.2 or later is needed")]
    Unknown,
}

impl ErrorReply {
    fn of(code: &str, detail: &str) -> Self {
        match code {
            "MOVED" => Self::Moved,
            "ASK" | "TRYAGAIN" => Self::Moving,
            "CLUSTERDOWN" => Self::ClusterDown,
            "READONLY" => Self::ReadOnly,
            "MASTERDOWN" => Self::MasterDown,
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPass,
            "NOPERM" => Self::NoPermission,
            "MISCONF" => Self::CannotSave,
            "OOM" => Self::OutOfMemory,
            "NOREPLICAS" => Self::TooFewReplicas,
            "WRONGTYPE" => Self::WrongType,
            _ if detail.starts_with("max number of clients") => Self::TooManyClients,
            _ => Self::Unknown,
        }
    }
}

impl From<&ServerError> for RedisStoreError {
    fn from(error: &ServerError) -> Self {
        Self::Named(ErrorReply::of(error.code(), error.details().unwrap_or_default()))
    }
}

impl From<RedisError> for RedisStoreError {
    fn from(error: RedisError) -> Self {
        if let Some(code) = error.code() {
            return Self::Named(ErrorReply::of(code, error.detail().unwrap_or_default()));
        }
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => Self::Named(ErrorReply::WrongPass),
            redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => Self::Form,
            // The client's text about sockets and certificates. It contains addresses, and no
            // credentials.
            _ => Self::Connection(error.to_string().into()),
        }
    }
}

impl RedisStoreError {
    /// Whether the connection is of no more use: it is broken, silent, or its node is not (or no
    /// longer) the primary.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::Connection(_) | Self::Form => true,
            Self::Named(named) => matches!(
                named,
                ErrorReply::Moved
                    | ErrorReply::ReadOnly
                    | ErrorReply::MasterDown
                    | ErrorReply::NoAuth
                    | ErrorReply::WrongPass
                    | ErrorReply::TooManyClients
                    | ErrorReply::ClusterDown
            ),
            Self::Open(_)
            | Self::Conflict
            | Self::Replicas { .. }
            | Self::Integrity(_)
            | Self::Layout { .. }
            | Self::Foreign(_) => false,
        }
    }

    /// Whether another attempt may succeed though nothing changes in Redis.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Deadline(_) | Self::Open(_) | Self::Connection(_) | Self::Conflict | Self::Replicas { .. } => true,
            Self::Named(named) => *named != ErrorReply::WrongType,
            Self::Form | Self::Integrity(_) | Self::Layout { .. } | Self::Foreign(_) => false,
        }
    }

    /// Whether nobody answered. The breaker counts these.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Deadline(_) | Self::Connection(_) | Self::Form)
    }
}

impl From<RedisStoreError> for LedgerError {
    fn from(error: RedisStoreError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

/// Fails with the first error among `replies`.
pub(super) fn refuse_errors(replies: &[Value]) -> Result<(), RedisStoreError> {
    errors(replies).next().map_or(Ok(()), Err)
}

/// Fails with the first error among `replies` that makes the connection useless.
pub(super) fn refuse_ends(replies: &[Value]) -> Result<(), RedisStoreError> {
    errors(replies).find(RedisStoreError::ends_connection).map_or(Ok(()), Err)
}

fn errors(replies: &[Value]) -> impl Iterator<Item = RedisStoreError> {
    replies.iter().filter_map(|reply| match reply {
        Value::ServerError(error) => Some(error.into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c131_every_error_of_redis_has_a_name_of_its_own() {
        let codes = [
            "MOVED",
            "ASK",
            "CLUSTERDOWN",
            "READONLY",
            "MASTERDOWN",
            "LOADING",
            "BUSY",
            "NOAUTH",
            "WRONGPASS",
            "NOPERM",
            "MISCONF",
            "OOM",
            "NOREPLICAS",
            "WRONGTYPE",
        ];
        let named: Vec<ErrorReply> = codes.iter().map(|code| ErrorReply::of(code, "")).collect();
        for (index, name) in named.iter().enumerate() {
            assert_ne!(*name, ErrorReply::Unknown, "{}", codes[index]);
            assert!(!named[..index].contains(name), "{}", codes[index]);
            assert!(name.to_string().contains(codes[index]), "{name}");
        }
        assert_eq!(ErrorReply::of("TRYAGAIN", ""), ErrorReply::Moving);
        assert_eq!(ErrorReply::of("ERR", "max number of clients reached"), ErrorReply::TooManyClients);
        assert_eq!(ErrorReply::of("ERR", "syntax error"), ErrorReply::Unknown);
    }
}
