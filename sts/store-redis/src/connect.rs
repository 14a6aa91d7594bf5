//! Finds the primary and connects to it: directly, through the sentinels, or through any node of a
//! Cluster.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo,
    TlsCertificates, Value,
};
use sts_types::{SecretOwner, read_secret_file};
use zeroize::Zeroizing;

use super::batch::{Batch, Replies, command};
use super::error::{ErrorReply, RedisStoreError};
use super::open_error::RedisOpenError;
use sts_store::spec::{Node, RedisSpec, RedisTls, Topology};

/// Connects as a [`RedisSpec`] says.
pub(super) struct Connector {
    spec: RedisSpec,
    /// A key in the slot that all our keys share.
    slot_key: String,
    /// Cluster nodes found so far, for the case that all configured ones are gone.
    discovered: Mutex<Vec<Node>>,
}

impl Connector {
    /// Fails if a file cannot be read or holds the wrong thing.
    pub(super) fn new(spec: RedisSpec, slot_key: String) -> Result<Self, RedisOpenError> {
        let connector = Self { spec, slot_key, discovered: Mutex::default() };
        connector.password()?;
        let anywhere = Node { host: "localhost".to_owned(), port: 6379 };
        connector.client(&anywhere, None, 0)?;
        Ok(connector)
    }

    /// Connects to the primary.
    pub(super) async fn connect(&self) -> Result<(Node, MultiplexedConnection), RedisStoreError> {
        let node = self.primary().await?;
        let password = self.password().map_err(|error| RedisStoreError::Connection(error.to_string().into()))?;
        let connection = self.open(&node, password.as_ref(), self.spec.database).await?;
        Ok((node, connection))
    }

    /// The primary, according to the first node that answers. Each node gets one timeout.
    pub(super) async fn primary(&self) -> Result<Node, RedisStoreError> {
        let mut last = RedisStoreError::Connection("no server is left to ask for the primary".into());
        for node in self.candidates() {
            match tokio::time::timeout(self.spec.timeout, self.ask(&node)).await {
                Ok(Ok(primary)) => return Ok(primary),
                Ok(Err(error)) => last = error,
                Err(_) => last = RedisStoreError::Connection(format!("{node} does not answer").into()),
            }
        }
        Err(last)
    }

    fn candidates(&self) -> Vec<Node> {
        match &self.spec.topology {
            Topology::Single(node) => vec![node.clone()],
            Topology::Sentinel { sentinels, .. } => sentinels.clone(),
            Topology::Cluster(nodes) => {
                let discovered = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
                nodes.iter().chain(discovered.iter()).cloned().collect()
            }
        }
    }

    async fn ask(&self, node: &Node) -> Result<Node, RedisStoreError> {
        match &self.spec.topology {
            Topology::Single(node) => Ok(node.clone()),
            Topology::Sentinel { name, .. } => self.ask_sentinel(node, name).await,
            Topology::Cluster(_) => self.ask_cluster(node).await,
        }
    }

    /// Whether the primary may change without an error on our connections.
    pub(super) fn primary_may_change_unseen(&self) -> bool {
        matches!(self.spec.topology, Topology::Sentinel { .. })
    }

    /// Sentinels often have no password. We send ours only to a sentinel that asks for one.
    async fn ask_sentinel(&self, sentinel: &Node, name: &str) -> Result<Node, RedisStoreError> {
        let answer = match primary_of(name, self.open(sentinel, None, 0).await?).await {
            Err(RedisStoreError::Named(ErrorReply::NoAuth)) => {
                let password =
                    self.password().map_err(|error| RedisStoreError::Connection(error.to_string().into()))?;
                primary_of(name, self.open(sentinel, password.as_ref(), 0).await?).await?
            }
            answer => answer?,
        };
        let unknown = || RedisStoreError::Connection(format!("the sentinel {sentinel} knows no `{name}`").into());
        let [host, port] = <[String; 2]>::try_from(answer.ok_or_else(unknown)?).map_err(|_| RedisStoreError::Form)?;
        Ok(Node { host, port: port.parse().map_err(|_| RedisStoreError::Form)? })
    }

    async fn ask_cluster(&self, source: &Node) -> Result<Node, RedisStoreError> {
        let password = self.password().map_err(|error| RedisStoreError::Connection(error.to_string().into()))?;
        let mut connection = self.open(source, password.as_ref(), 0).await?;
        let mut batch = Batch::plain();
        batch.add(command("CLUSTER", &["KEYSLOT", &self.slot_key])).add(command("CLUSTER", &["SLOTS"]));
        let mut replies = Replies::from(batch.send(&mut connection).await?);
        let (slot, ranges) = (replies.number()?, replies.value()?);
        let Value::Array(ranges) = ranges else { return Err(RedisStoreError::Form) };
        let mut primary = None;
        let mut discovered = Vec::new();
        for range in &ranges {
            let Value::Array(range) = range else { return Err(RedisStoreError::Form) };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = range.as_slice() else {
                return Err(RedisStoreError::Form);
            };
            let nodes: Vec<Node> = nodes.iter().filter_map(|node| cluster_node(node, source)).collect();
            if (*first..=*last).contains(&slot) {
                primary = nodes.first().cloned();
            }
            discovered.extend(nodes);
        }
        *self.discovered.lock().unwrap_or_else(PoisonError::into_inner) = discovered;
        primary.ok_or(RedisStoreError::Named(ErrorReply::ClusterDown))
    }

    async fn open(
        &self,
        node: &Node,
        password: Option<&Zeroizing<String>>,
        database: u32,
    ) -> Result<MultiplexedConnection, RedisStoreError> {
        let client = self
            .client(node, password, database)
            .map_err(|error| RedisStoreError::Connection(error.to_string().into()))?;
        // The caller sets the deadlines.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_write_backpressure_boundary(WRITE_BUFFER)
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| match RedisStoreError::from(
            error,
        ) {
            RedisStoreError::Connection(why) => RedisStoreError::Connection(format!("{node}: {why}").into()),
            error => error,
        })
    }

    fn client(
        &self,
        node: &Node,
        password: Option<&Zeroizing<String>>,
        database: u32,
    ) -> Result<Client, RedisOpenError> {
        let Node { host, port } = node.clone();
        let address = match &self.spec.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let mut redis = RedisConnectionInfo::default().set_db(i64::from(database)).set_skip_set_lib_name();
        if let Some(password) = password {
            redis = redis.set_password(password.as_str());
            if let Some(username) = &self.spec.username {
                redis = redis.set_username(username);
            }
        }
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = address
            .into_connection_info()
            .map_err(|error| RedisOpenError::Client(error.to_string()))?
            .set_redis_settings(redis)
            .set_tcp_settings(tcp);
        match &self.spec.tls {
            None => Client::open(info),
            Some(tls) => Client::build_with_tls(info, certificates(tls)?),
        }
        .map_err(|error| RedisOpenError::Client(error.to_string()))
    }

    fn password(&self) -> Result<Option<Zeroizing<String>>, RedisOpenError> {
        let Some(path) = &self.spec.password_file else { return Ok(None) };
        let bytes = read_secret(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| RedisOpenError::PasswordText { path: path.clone() })?;
        let password = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        if password.is_empty() {
            return Err(RedisOpenError::EmptyPassword { path: path.clone() });
        }
        Ok(Some(password))
    }
}

/// The largest password or key, in bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Requests that may wait in the write queue before callers block.
const PIPELINE_BUFFER: usize = 1024;
/// Octets that one write takes. By default three exchanges, so that those of one event-loop turn would
/// leave in several writes.
const WRITE_BUFFER: usize = 64 * 1024;

fn certificates(tls: &RedisTls) -> Result<TlsCertificates, RedisOpenError> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|cause| RedisOpenError::File { path: path.clone(), cause })
    };
    let root_cert = tls.ca_file.as_ref().map(read).transpose()?;
    let client_tls = match &tls.client {
        None => None,
        Some((certificate, key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read_secret(key)?.to_vec() })
        }
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, RedisOpenError> {
    Ok(read_secret_file(path, SecretOwner::Configured, MAX_SECRET)?.bytes)
}

async fn primary_of(name: &str, mut sentinel: MultiplexedConnection) -> Result<Option<Vec<String>>, RedisStoreError> {
    let mut batch = Batch::plain();
    batch.add(command("SENTINEL", &["get-master-addr-by-name", name]));
    Replies::from(batch.send(&mut sentinel).await?).texts_or_none()
}

/// A node in the reply to CLUSTER SLOTS. If it has no address, it is the node that sent the reply.
fn cluster_node(value: &Value, source: &Node) -> Option<Node> {
    let Value::Array(parts) = value else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = match host {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    let host = if host.is_empty() || host == "?" { source.host.clone() } else { host };
    Some(Node { host, port: u16::try_from(*port).ok()? })
}

/// The deadline for a connection, whatever the deadline of an operation: several nodes may have to
/// be asked.
pub(super) fn connect_deadline(timeout: Duration) -> Duration {
    timeout.saturating_mul(8).max(Duration::from_secs(2))
}
