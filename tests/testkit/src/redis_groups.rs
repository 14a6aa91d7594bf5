//! Groups of redis-servers: a Cluster, and a primary with its replica and a sentinel.

use crate::{RedisServer, until};

/// A Redis Cluster of three primaries, each with a third of the slots, with their data on disk.
#[derive(Debug)]
pub struct RedisCluster {
    /// The nodes, in the order of their slots.
    pub nodes: Vec<RedisServer>,
}

/// Slots of a Cluster.
const SLOTS: usize = 16_384;

impl RedisCluster {
    /// Starts it, and waits until every node reports a complete Cluster.
    ///
    /// # Panics
    /// If that never happens.
    #[must_use]
    pub fn start() -> Self {
        const CONFIG: &str = "cluster-enabled yes\ncluster-node-timeout 5000\nappendonly yes\n";
        let nodes: Vec<RedisServer> = (0..3).map(|_| RedisServer::with(CONFIG)).collect();
        for (at, node) in nodes.iter().enumerate() {
            let share = SLOTS.div_ceil(nodes.len());
            let (first, last) = (at * share, ((at + 1) * share).min(SLOTS) - 1);
            node.order(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            node.order(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
        }
        for other in &nodes[1..] {
            nodes[0].order(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]);
        }
        let cluster = Self { nodes };
        until("the Cluster to be whole", || cluster.nodes.iter().all(|node| is_whole(node, cluster.nodes.len())));
        cluster
    }

    /// The node that has the slot of `key`.
    ///
    /// # Panics
    /// If no node has it.
    #[must_use]
    pub fn owner(&self, key: &str) -> usize {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).text().to_owned();
        let has = |node: &RedisServer| {
            let count = node.command(&["GET", key]);
            !format!("{count:?}").contains("MOVED")
        };
        self.nodes.iter().position(has).unwrap_or_else(|| panic!("nobody has slot {slot}"))
    }

    /// Moves the slot of `key`, with all its keys, to the next node.
    pub fn move_slot(&self, key: &str) {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).text().to_owned();
        let from = self.owner(key);
        let to = (from + 1) % self.nodes.len();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let id = |node: &RedisServer| node.command(&["CLUSTER", "MYID"]).text().to_owned();
        target.order(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(source)]);
        source.order(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(target)]);
        loop {
            let keys = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys = keys.texts();
            if keys.is_empty() {
                break;
            }
            let port = target.port().to_string();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys);
            source.order(&migrate);
        }
        for node in [target, source].into_iter().chain(&self.nodes) {
            node.order(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(target)]);
        }
    }
}

fn is_whole(node: &RedisServer, nodes: usize) -> bool {
    let info = node.command(&["CLUSTER", "INFO"]).text().to_owned();
    let knows_all =
        info.contains(&format!("cluster_known_nodes:{nodes}\r")) && info.contains("cluster_slots_assigned:16384\r");
    knows_all && info.contains("cluster_state:ok")
}

/// A primary with a replica, and a sentinel that watches them as `mymaster`.
#[derive(Debug)]
pub struct RedisPair {
    /// The first primary.
    pub primary: RedisServer,
    /// Its replica.
    pub replica: RedisServer,
    /// The sentinel.
    pub sentinel: RedisServer,
}

impl RedisPair {
    /// Starts it, and waits until the sentinel knows both.
    #[must_use]
    pub fn start() -> Self {
        let primary = RedisServer::start();
        let replica = RedisServer::with(&format!("replicaof 127.0.0.1 {}", primary.port()));
        let sentinel = RedisServer::sentinel(&format!(
            "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 1000\n\
             sentinel failover-timeout mymaster 5000",
            primary.port()
        ));
        let pair = Self { primary, replica, sentinel };
        until("the replica to follow", || {
            pair.replica.command(&["INFO", "replication"]).text().contains("master_link_status:up")
        });
        until("the sentinel to know both", || {
            let known = pair.sentinel.command(&["SENTINEL", "MASTER", "mymaster"]);
            let known = known.texts();
            known.windows(2).any(|pair| pair == ["num-slaves", "1"])
                && known.windows(2).any(|pair| pair == ["flags", "master"])
        });
        pair
    }
}
