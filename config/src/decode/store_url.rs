//! The URL of a Redis store.

use std::time::Duration;

use sts_store::spec::{Node as RedisNode, RedisSpec, ShardCount, Topology};
use sts_types::CheckCode;

/// Default prefix of every key.
const PREFIX: &str = "sts:";
const TIMEOUT: Duration = Duration::from_millis(250);
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Most replicas that a revocation may wait for.
const MOST_REPLICAS: u32 = 16;
/// Help of a URL of an unknown kind.
const STORE_HELP: &str = "write `embedded`, `redis://HOST`, `redis-cluster://HOST,HOST` or `redis-sentinel://HOST,HOST/NAME`; `rediss...` for TLS";

/// A fault in a store URL.
pub(super) struct StoreUrlError {
    pub(super) message: String,
    pub(super) help: String,
    /// Whether the URL may contain a password, so that messages must not show it.
    pub(super) secret: bool,
}

impl StoreUrlError {
    pub(super) const fn code(&self) -> CheckCode {
        if self.secret { CheckCode::CredentialsInUrl } else { CheckCode::InvalidStore }
    }
}

fn unfit(message: impl Into<String>, help: impl Into<String>) -> StoreUrlError {
    StoreUrlError { message: message.into(), help: help.into(), secret: false }
}

/// Parses the URL of a Redis store.
pub(super) fn parse(text: &str) -> Result<RedisSpec, StoreUrlError> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| unfit("this is not a kind of store", STORE_HELP))?;
    if rest.contains('@') {
        return Err(StoreUrlError {
            secret: true,
            ..unfit(
                "the store's URL contains a user name or password",
                "remove the part before `@`; write `store: { url: ..., username: ..., password_file: ... }`",
            )
        });
    }
    let (plain, tls) = match scheme.strip_prefix("rediss") {
        Some(kind) => (format!("redis{kind}"), true),
        None => (scheme.to_owned(), false),
    };
    if !["redis", "redis-cluster", "redis-sentinel"].contains(&plain.as_str()) {
        return Err(unfit("this is not a kind of store", STORE_HELP));
    }
    if rest.contains('#') {
        return Err(unfit("the store's URL has a fragment", "remove everything from the `#` on"));
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (hosts, path) = rest.split_once('/').map_or((rest, ""), |(hosts, path)| (hosts, path));
    let port = if plain == "redis-sentinel" { SENTINEL_PORT } else { REDIS_PORT };
    let addresses = hosts.split(',').map(|host| address(host, port)).collect::<Result<Vec<_>, _>>()?;
    let (topology, database) = match plain.as_str() {
        "redis" => single(addresses, path)?,
        "redis-cluster" => (cluster(addresses, path)?, 0),
        _ => (sentinel(addresses, path)?, 0),
    };
    let shards = match topology {
        Topology::Cluster(_) => ShardCount::OF_A_CLUSTER,
        Topology::Single(_) | Topology::Sentinel { .. } => ShardCount::ONE,
    };
    Ok(RedisSpec {
        topology,
        database,
        tls: tls.then(Default::default),
        username: None,
        password_file: None,
        prefix: PREFIX.to_owned(),
        timeout: TIMEOUT,
        wait_replicas: query.map_or(Ok(0), wait_replicas)?,
        shards,
    })
}

/// One server, and the number of the database that the path names.
fn single(mut addresses: Vec<RedisNode>, path: &str) -> Result<(Topology, u32), StoreUrlError> {
    let (Some(server), true) = (addresses.pop(), addresses.is_empty()) else {
        return Err(unfit(
            "the store's URL names several hosts",
            "name one host, or write `redis-cluster://` or `redis-sentinel://`",
        ));
    };
    if path.is_empty() {
        return Ok((Topology::Single(server), 0));
    }
    // `parse` alone would accept a sign.
    let number = path.parse().ok().filter(|_| path.bytes().all(|b| b.is_ascii_digit()));
    let database = number.ok_or_else(|| {
        unfit("the path in the store's URL is not a database number", "write `redis://HOST:PORT/0`, or no path")
    })?;
    Ok((Topology::Single(server), database))
}

fn cluster(addresses: Vec<RedisNode>, path: &str) -> Result<Topology, StoreUrlError> {
    if !path.is_empty() {
        return Err(unfit("a Redis Cluster has no numbered databases", "remove the path: `redis-cluster://HOST,HOST`"));
    }
    Ok(Topology::Cluster(addresses))
}

fn sentinel(sentinels: Vec<RedisNode>, path: &str) -> Result<Topology, StoreUrlError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if path.is_empty() || !path.chars().all(fits) {
        return Err(unfit(
            "the store's URL does not name the primary that the sentinels watch",
            "write its name after the hosts: `redis-sentinel://HOST,HOST/mymaster`",
        ));
    }
    Ok(Topology::Sentinel { sentinels, name: path.to_owned() })
}

fn address(text: &str, default_port: u16) -> Result<RedisNode, StoreUrlError> {
    let wrong = || unfit("a host in the store's URL is not valid", "write `HOST`, `HOST:PORT` or `[IPV6]:PORT`");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (
                host,
                port.strip_prefix(':')
                    .map_or_else(|| port.is_empty().then_some(None), |port| Some(Some(port)))
                    .ok_or_else(wrong)?,
            )
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(fits) {
        return Err(wrong());
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|number: &u16| *number > 0).ok_or_else(wrong)?,
    };
    Ok(RedisNode { host: host.to_owned(), port })
}

fn wait_replicas(query: &str) -> Result<u32, StoreUrlError> {
    let number = query.strip_prefix("wait_replicas=").and_then(|number| number.parse().ok());
    number.filter(|number| *number <= MOST_REPLICAS).ok_or_else(|| {
        unfit(
            "the query in the store's URL is not supported",
            format!("write `?wait_replicas=N`: the number of replicas, at most {MOST_REPLICAS}, that must have a revocation before it is answered"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(addresses: &[RedisNode]) -> Vec<String> {
        addresses.iter().map(|address| format!("{}|{}", address.host, address.port)).collect()
    }

    #[test]
    fn each_kind_of_redis_has_its_url() {
        let found = |text| parse(text).unwrap_or_else(|unfit| panic!("{text}: {}", unfit.message));
        let single = found("redis://redis.example.com/3?wait_replicas=2");
        assert_eq!((single.database, single.wait_replicas, single.tls.is_some()), (3, 2, false));
        assert!(matches!(&single.topology, Topology::Single(address) if address.port == 6379));
        assert!(found("rediss://[2001:db8::1]:7000").tls.is_some());
        let Topology::Cluster(nodes) = found("redis-cluster://a:1,b,[::1]").topology else { panic!() };
        assert_eq!(hosts(&nodes), ["a|1", "b|6379", "::1|6379"]);
        let sentinel = found("rediss-sentinel://a,b:5/mymaster");
        assert!(sentinel.tls.is_some());
        let Topology::Sentinel { sentinels, name } = sentinel.topology else { panic!() };
        assert_eq!((hosts(&sentinels), name.as_str()), (vec!["a|26379".to_owned(), "b|5".to_owned()], "mymaster"));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "redis",
            "redis:",
            "redis://",
            "redis:///0",
            "redis://a,b",
            "redis://a/x",
            "redis://a/-1",
            "redis://a/+1",
            "redis://a:0",
            "redis://a:65536",
            "redis://a:x",
            "redis://[::1",
            "redis://[x]",
            "redis://[::1]7",
            "redis://a b",
            "redis://a#x",
            "redis://a?x=1",
            "redis://a?wait_replicas=",
            "redis://a?wait_replicas=17",
            "redis://a?wait_replicas=1&x=1",
            "redis-cluster://a/0",
            "redis-cluster://a,,b",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-sentinel://a/b/c",
            "redis+tls://a",
            "Redis://a",
            "valkey://a",
            "redissx://a",
            "redis://u:p@a",
            "redis://a/@",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("redis://user:secret@host").is_err_and(|unfit| unfit.secret));
    }
}
