//! `store:`: a word, a URL, or a mapping with the settings that do not belong into a URL.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use sts_store::spec::{Node as RedisNode, RedisSpec, StoreSpec, Topology};
use sts_types::CheckCode;

use super::reader::{Fields, Reader, listed};
use super::scalars::Text;
use super::server::{FileKind, NamedFile};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// Default prefix of every key.
pub(crate) const PREFIX: &str = "sts:";
const TIMEOUT: Duration = Duration::from_millis(250);
/// Allowed deadlines. On a busy machine, operations would miss shorter ones without a fault;
/// callers do not wait longer than ten seconds.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Most replicas that a revocation may wait for.
const MOST_REPLICAS: u32 = 16;
const HOW: &str = "write `embedded`, `redis://HOST`, `redis-cluster://HOST,HOST` or `redis-sentinel://HOST,HOST/NAME`; `rediss...` for TLS";

/// The store settings, and the files they name with their positions.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) spec: StoreSpec,
    pub(crate) password_file: Option<(PathBuf, Span)>,
    pub(crate) tls_files: Vec<NamedFile>,
}

/// Reads it.
pub(crate) fn store(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Store {
    let Some(node) = fields.node("store") else { return Store::default() };
    match node.value {
        Value::Mapping(_) => {
            let Some(members) = reader.section(fields, "store") else { return Store::default() };
            let url = reader.required(&members, "url", url);
            with_members(reader, &members, url)
        }
        Value::Scalar(_) | Value::Sequence(_) | Value::Broken => match url(reader, node) {
            Some(StoreUrl::Redis(redis)) => Store { spec: StoreSpec::Redis(redis), ..Store::default() },
            Some(StoreUrl::Embedded) | None => Store::default(),
        },
    }
}

/// What a URL says.
enum StoreUrl {
    Embedded,
    Redis(Box<RedisSpec>),
}

fn with_members(reader: &mut Reader<'_>, members: &Fields<'_>, place: Option<StoreUrl>) -> Store {
    let mut store = Store::default();
    let file = |reader: &mut Reader<'_>, key| {
        let read = if key == "password_file" { Reader::secret_path } else { Reader::path };
        let path = reader.optional(members, key, read)?;
        members.node(key).map(|node| (path, node.span))
    };
    let username = reader.optional(members, "username", user_name);
    store.password_file = file(reader, "password_file");
    let [ca, certificate, key] = ["ca_file", "cert_file", "key_file"].map(|name| file(reader, name));
    let prefix = reader.optional(members, "prefix", prefix);
    let timeout = reader.optional(members, "timeout", timeout);
    let tls = match &place {
        None => return store,
        Some(StoreUrl::Embedded) => {
            for key in ["username", "password_file", "ca_file", "cert_file", "key_file", "prefix", "timeout"] {
                refuse(
                    reader,
                    members,
                    key,
                    "has no effect: it is for Redis, and this store is embedded",
                    format!("remove `{key}`"),
                );
            }
            return Store::default();
        }
        Some(StoreUrl::Redis(redis)) => redis.tls.is_some(),
    };
    if members.node("username").is_some() && !members.mentions("password_file") {
        refuse(reader, members, "username", "has no effect without `password_file`", "add `password_file`".to_owned());
    }
    if !tls {
        for key in ["ca_file", "cert_file", "key_file"] {
            refuse(
                reader,
                members,
                key,
                "has no effect: the connection in `url` has no TLS",
                "write `rediss` in place of `redis` in `url`".to_owned(),
            );
        }
    }
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if tls && members.node(one).is_some() && !members.mentions(other) {
            refuse(reader, members, one, &format!("has no effect without `{other}`"), format!("add `{other}`"));
        }
    }
    let files = [(&ca, FileKind::Public), (&certificate, FileKind::Certificate), (&key, FileKind::Secret)];
    let named = |(file, kind): (&Option<(PathBuf, Span)>, FileKind)| {
        file.clone().map(|(path, span)| NamedFile { path, span, kind })
    };
    store.tls_files.extend(files.into_iter().filter(|_| tls).filter_map(named));
    if let Some(StoreUrl::Redis(mut redis)) = place {
        if let Some(tls) = &mut redis.tls {
            tls.ca_file = ca.map(|(path, _)| path);
            tls.client = certificate.zip(key).map(|((certificate, _), (key, _))| (certificate, key));
        }
        redis.username = username;
        redis.password_file = store.password_file.as_ref().map(|(path, _)| path.clone());
        redis.prefix = prefix.unwrap_or(redis.prefix);
        redis.timeout = timeout.unwrap_or(redis.timeout);
        store.spec = StoreSpec::Redis(redis);
    }
    store
}

fn refuse(reader: &mut Reader<'_>, members: &Fields<'_>, key: &str, why: &str, help: String) {
    if let Some(entry) = members.entry(key) {
        reader.error(CheckCode::KeyWithoutEffect, entry.key_span, format!("`{key}` {why}"), help);
    }
}

fn url(reader: &mut Reader<'_>, node: &Node) -> Option<StoreUrl> {
    let text = reader.text(node)?;
    if text.value == "embedded" {
        return Some(StoreUrl::Embedded);
    }
    match parse(&text.value) {
        Ok(found) => {
            if found.tls.is_none() && !is_loopback(&found.topology) {
                let help = "write `rediss` in place of `redis`, unless the network between is encrypted by other means";
                reader.warning(
                    CheckCode::StoreWithoutTls,
                    text.span,
                    "the connection to Redis has no TLS: its password and all records travel unencrypted",
                    help,
                );
            }
            Some(StoreUrl::Redis(Box::new(found)))
        }
        Err(unfit) => {
            if unfit.secret {
                reader.report.hide_line(text.span);
            }
            report(reader, &text, unfit);
            None
        }
    }
}

fn report(reader: &mut Reader<'_>, text: &Text, unfit: StoreUrlError) {
    reader.error(unfit.code(), text.span, unfit.message, unfit.help);
}

fn is_loopback(topology: &Topology) -> bool {
    let addresses = match topology {
        Topology::Single(address) => std::slice::from_ref(address),
        Topology::Cluster(addresses) | Topology::Sentinel { sentinels: addresses, .. } => addresses,
    };
    addresses.iter().all(|address| {
        address.host == "localhost" || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

/// A fault in a store URL.
struct StoreUrlError {
    message: String,
    help: String,
    /// Whether the URL may contain a password, so that messages must not show it.
    secret: bool,
}

impl StoreUrlError {
    const fn code(&self) -> CheckCode {
        if self.secret { CheckCode::CredentialsInUrl } else { CheckCode::InvalidStore }
    }
}

fn unfit(message: impl Into<String>, help: impl Into<String>) -> StoreUrlError {
    StoreUrlError { message: message.into(), help: help.into(), secret: false }
}

fn parse(text: &str) -> Result<RedisSpec, StoreUrlError> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| unfit("this is not a kind of store", HOW))?;
    if rest.contains('@') {
        return Err(StoreUrlError {
            secret: true,
            ..unfit(
                "the store's URL holds a user name or password",
                "remove what stands before `@`; write `store: { url: ..., username: ..., password_file: ... }`",
            )
        });
    }
    let (plain, tls) = match scheme.strip_prefix("rediss") {
        Some(kind) => (format!("redis{kind}"), true),
        None => (scheme.to_owned(), false),
    };
    if !["redis", "redis-cluster", "redis-sentinel"].contains(&plain.as_str()) {
        return Err(unfit("this is not a kind of store", HOW));
    }
    if rest.contains('#') {
        return Err(unfit("the store's URL has a fragment", "remove everything from the `#` on"));
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (hosts, path) = rest.split_once('/').map_or((rest, ""), |(hosts, path)| (hosts, path));
    let port = if plain == "redis-sentinel" { SENTINEL_PORT } else { REDIS_PORT };
    let mut addresses = hosts.split(',').map(|host| address(host, port)).collect::<Result<Vec<_>, _>>()?;
    let mut database = 0;
    let topology = match plain.as_str() {
        "redis" => {
            let (Some(single), true) = (addresses.pop(), addresses.is_empty()) else {
                return Err(unfit(
                    "the store's URL names several hosts",
                    "name one host, or write `redis-cluster://` or `redis-sentinel://`",
                ));
            };
            if !path.is_empty() {
                let number = path.parse().ok().filter(|_| path.bytes().all(|b| b.is_ascii_digit()));
                database = number.ok_or_else(|| {
                    unfit(
                        "the path in the store's URL is not a database number",
                        "write `redis://HOST:PORT/0`, or no path",
                    )
                })?;
            }
            Topology::Single(single)
        }
        "redis-cluster" if path.is_empty() => Topology::Cluster(addresses),
        "redis-cluster" => {
            return Err(unfit(
                "a Redis Cluster has no numbered databases",
                "remove the path: `redis-cluster://HOST,HOST`",
            ));
        }
        _ => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if path.is_empty() || !path.chars().all(fits) {
                return Err(unfit(
                    "the store's URL does not name the primary that the sentinels watch",
                    "write its name after the hosts: `redis-sentinel://HOST,HOST/mymaster`",
                ));
            }
            Topology::Sentinel { sentinels: addresses, name: path.to_owned() }
        }
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
    })
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

fn user_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if text.value.is_empty() || text.value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        reader.error(
            CheckCode::InvalidStore,
            text.span,
            format!("{} is not a Redis user name", text.shown()),
            "write one word without blanks",
        );
        return None;
    }
    Some(text.value)
}

fn prefix(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if text.value.trim_end_matches(':').is_empty() || text.value.len() > 64 || !text.value.bytes().all(fits) {
        let help = "write up to 64 letters, digits and any of `.`, `-`, `_`, `:`, such as `sts:`";
        reader.error(CheckCode::InvalidStore, text.span, format!("{} is not a key prefix", text.shown()), help);
        return None;
    }
    Some(text.value)
}

fn timeout(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let text = reader.text(node)?;
    let (digits, unit) = match text.value.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.value.strip_suffix('s').unwrap_or(""), 1000),
    };
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    let timeout = number.map(|number| Duration::from_millis(number.saturating_mul(unit)));
    let timeout = timeout.filter(|timeout| TIMEOUTS.contains(timeout));
    if timeout.is_none() {
        let help = listed(["250ms", "2s"].into_iter());
        reader.error(
            CheckCode::InvalidStore,
            text.span,
            format!("{} is not a timeout from 10ms to 10s", text.shown()),
            format!("write one such as {help}"),
        );
    }
    timeout
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
