//! The address of a Redis, and how to connect to it.

use std::path::PathBuf;
use std::time::Duration;

/// A Redis that holds the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSpec {
    /// Where the primary is.
    pub topology: Topology,
    /// The database number; 0 in a Cluster.
    pub database: u32,
    /// The TLS files. With TLS, the connections to sentinels use it, too. `None` for plain TCP.
    pub tls: Option<RedisTls>,
    /// The ACL user; `None` for the default one.
    pub username: Option<String>,
    /// The file with the password. It is read again for every connection.
    pub password_file: Option<PathBuf>,
    /// The prefix of every key, without `{` and `}`, which have a meaning of their own in a
    /// Cluster.
    pub prefix: String,
    /// The deadline of one operation.
    pub timeout: Duration,
    /// How many replicas must have a revocation before it is answered.
    pub wait_replicas: u32,
}

/// How to find the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// At this node.
    Single(Node),
    /// The node of a Redis Cluster that has our slot. These nodes know which one that is.
    Cluster(Vec<Node>),
    /// The sentinels know its address.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Node>,
        /// The name of the primary that they monitor.
        name: String,
    },
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// TLS files in PEM. They are read again for every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The only CA certificates to trust; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate chain and private key.
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
