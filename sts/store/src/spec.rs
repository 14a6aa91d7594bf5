//! Which store to open, and how to reach it.

use std::path::PathBuf;
use std::time::Duration;

/// The store that a server opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreSpec {
    /// The embedded store, in the server's own directory.
    #[default]
    Embedded,
    /// Redis, which several servers can share.
    Redis(Box<RedisSpec>),
}

/// Connection to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSpec {
    /// The addresses to connect to.
    pub topology: Topology,
    /// Database number; 0 in a Cluster.
    pub database: u32,
    /// Set if connections use TLS, those to sentinels included.
    pub tls: Option<RedisTls>,
    /// ACL user; `None` for the default user.
    pub username: Option<String>,
    /// File with the password. Each connection reads it again.
    pub password_file: Option<PathBuf>,
    /// Prefix of every key. It has no `{` and no `}`, which select the slot in a Cluster.
    pub prefix: String,
    /// Deadline of one operation.
    pub timeout: Duration,
    /// How many replicas must acknowledge a revocation before the caller gets an answer.
    pub wait_replicas: u32,
    /// How many shards the store has. It is fixed when the store is made.
    pub shards: ShardCount,
}

/// A number of shards, from 1 to 256: the first octet of a `jti` names one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCount(u16);

impl ShardCount {
    /// A store that is one whole.
    pub const ONE: Self = Self(1);
    /// The shards of a store in a Cluster that sets no number.
    pub const OF_A_CLUSTER: Self = Self(32);
    /// The most.
    pub const MOST: Self = Self(256);

    /// `None` unless `count` is from 1 to 256.
    #[must_use]
    pub fn new(count: u32) -> Option<Self> {
        u16::try_from(count).ok().filter(|count| (1..=Self::MOST.0).contains(count)).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl std::fmt::Display for ShardCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// How Redis is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single(Node),
    /// A Redis Cluster, by some of its nodes.
    Cluster(Vec<Node>),
    /// A server that Redis Sentinel monitors.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Node>,
        /// Name of the monitored master.
        name: String,
    },
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A host name or IP address. An IPv6 address has no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// PEM files for TLS to Redis. Each connection reads them again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// CA certificates. If set, no others are trusted.
    pub ca_file: Option<PathBuf>,
    /// Our client certificate chain and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
