//! Which Redis, and how to speak to it.

use std::path::PathBuf;
use std::time::Duration;

/// A Redis to keep the ledger in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSpec {
    /// Where it is.
    pub topology: Topology,
    /// The number of the database; 0 in a Cluster.
    pub database: u32,
    /// Whether TLS is spoken, to sentinels too, and with which files.
    pub tls: Option<RedisTls>,
    /// The ACL user; `None` for the default one.
    pub username: Option<String>,
    /// File with the password, read whenever a connection is made.
    pub password_file: Option<PathBuf>,
    /// What every key begins with. It holds no `{` and no `}`, which have a meaning of their own in a Cluster.
    pub prefix: String,
    /// The deadline of one operation.
    pub timeout: Duration,
    /// How many replicas must have a revocation before it is answered.
    pub wait_replicas: u32,
}

/// Where the primary is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// There it is.
    Single(Node),
    /// The node of a Redis Cluster that has our slot; these are asked which one that is.
    Cluster(Vec<Node>),
    /// These sentinels know it by that name.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Node>,
        /// The name of what they watch.
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

/// The files of TLS, PEM, read whenever a connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The only CA certificates that are trusted; the system's when there is none.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain and private key that we show.
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
