//! `store:`: a word, a URL, or a mapping with the settings that do not belong into a URL.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use sts_store::spec::{RedisSpec, ShardCount, StoreSpec, Topology};
use sts_types::CheckCode;

use super::named_file::{FileKind, NamedFile};
use super::reader::{Fields, Reader, listed};
use super::scalars::Text;
use super::store_url::{StoreUrlError, parse};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// Allowed deadlines. On a busy machine, operations would miss shorter ones without a fault;
/// callers do not wait longer than ten seconds.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);

/// The store settings, and the files they name with their positions.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) spec: StoreSpec,
    pub(crate) password_file: Option<(PathBuf, Span)>,
    pub(crate) tls_files: Vec<NamedFile>,
}

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

fn with_members(reader: &mut Reader<'_>, members: &Fields<'_>, url: Option<StoreUrl>) -> Store {
    let mut store = Store::default();
    let username = reader.optional(members, "username", user_name);
    store.password_file = file(reader, members, "password_file");
    let [ca, certificate, key] = ["ca_file", "cert_file", "key_file"].map(|name| file(reader, members, name));
    let prefix = reader.optional(members, "prefix", prefix);
    let timeout = reader.optional(members, "timeout", timeout);
    // The default depends on the URL.
    let shards = ShardCount::new(reader.integer_or(members, "shards", 0));
    let mut redis = match url {
        None => return store,
        Some(StoreUrl::Embedded) => {
            refuse_redis_members(reader, members);
            return Store::default();
        }
        Some(StoreUrl::Redis(redis)) => redis,
    };
    refuse_without_partner(reader, members, redis.tls.is_some());
    if let Some(tls) = &mut redis.tls {
        let files = [(&ca, FileKind::Public), (&certificate, FileKind::Certificate), (&key, FileKind::Secret)];
        let named = |(file, kind): (&Option<(PathBuf, Span)>, FileKind)| {
            file.clone().map(|(path, span)| NamedFile { path, span, kind })
        };
        store.tls_files.extend(files.into_iter().filter_map(named));
        tls.ca_file = ca.map(|(path, _)| path);
        tls.client = certificate.zip(key).map(|((certificate, _), (key, _))| (certificate, key));
    }
    redis.username = username;
    redis.password_file = store.password_file.as_ref().map(|(path, _)| path.clone());
    redis.prefix = prefix.unwrap_or(redis.prefix);
    redis.timeout = timeout.unwrap_or(redis.timeout);
    redis.shards = shards.unwrap_or(redis.shards);
    store.spec = StoreSpec::Redis(redis);
    store
}

/// Reads a path, with its position.
fn file(reader: &mut Reader<'_>, members: &Fields<'_>, key: &'static str) -> Option<(PathBuf, Span)> {
    let read = if key == "password_file" { Reader::secret_path } else { Reader::path };
    let path = reader.optional(members, key, read)?;
    members.node(key).map(|node| (path, node.span))
}

/// Reports the members that an embedded store does not use.
fn refuse_redis_members(reader: &mut Reader<'_>, members: &Fields<'_>) {
    for key in ["username", "password_file", "ca_file", "cert_file", "key_file", "prefix", "timeout", "shards"] {
        refuse(
            reader,
            members,
            key,
            "has no effect: it is for Redis, and this store is embedded",
            format!("remove `{key}`"),
        );
    }
}

/// Reports members that have no effect without another one, or without TLS.
fn refuse_without_partner(reader: &mut Reader<'_>, members: &Fields<'_>, tls: bool) {
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
        return;
    }
    for (given, missing) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if members.node(given).is_some() && !members.mentions(missing) {
            refuse(reader, members, given, &format!("has no effect without `{missing}`"), format!("add `{missing}`"));
        }
    }
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
