//! The server's own settings: every top-level key except issuers, APIs and accounts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sts_audit::AuditSpec;
use sts_policy::TokensSpec;
use sts_types::{Algorithm, CheckCode, IpNetwork, Issuer, Lifetime, Located, ObjectKind, Scope};
use url::Url;

use super::audit::audit;
use super::named_file::{FileKind, NamedFile};
use super::reader::{Fields, Reader};
use super::signing::{Signing, StoreKind, signing};
use super::store::{Store, store};
use super::telemetry::telemetry;
use super::url::issuer_url;
use crate::settings::{AdminSettings, ApiKeySettings, Limits, LogFormat, LogLevel, LogSettings, TlsFiles};
use crate::source::Span;
use crate::yaml::Node;

/// Scopes that client libraries add to every request: Google's the first, OpenID Connect libraries
/// the others.
const IGNORED_SCOPES: [&str; 5] =
    ["https://www.googleapis.com/auth/cloud-platform", "openid", "profile", "email", "offline_access"];

pub(crate) struct Server {
    pub(crate) issuer: Issuer,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    /// The files of both listeners' `tls`.
    pub(crate) tls_files: Vec<NamedFile>,
    pub(crate) behind_tls_proxy: Vec<IpNetwork>,
    pub(crate) admin: AdminSettings,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: Store,
    pub(crate) signing: Signing,
    pub(crate) tokens: TokensSpec,
    pub(crate) status_list: bool,
    pub(crate) cap_to_subject: bool,
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
    pub(crate) log: LogSettings,
    pub(crate) audit: AuditSpec,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) otlp: Option<Url>,
    pub(crate) api_keys: ApiKeySettings,
    pub(crate) managed_kinds: Vec<ObjectKind>,
    pub(crate) accounts: Vec<AccountFiles>,
}

/// One value of `accounts:`.
pub(crate) struct AccountFiles {
    /// The path as written.
    pub(crate) path: String,
    pub(crate) span: Span,
    /// Whether `*` is a wildcard. Not if the path comes from an environment variable.
    pub(crate) is_pattern: bool,
}

pub(crate) fn server(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Server {
    let issuer = reader.required(fields, "issuer", own_issuer);
    let listen = reader.optional(fields, "listen", address).unwrap_or(DEFAULT_LISTEN);
    let mut tls_files = Vec::new();
    let tls = tls(reader, fields, &mut tls_files);
    let behind_tls_proxy = reader.optional(fields, "behind_tls_proxy", proxies).unwrap_or_default();
    refuse_plain_http(reader, fields, listen);
    let data_dir = reader.optional(fields, "data_dir", Reader::path).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA_DIR));
    let (tokens, cap_to_subject) = tokens(reader, fields);
    let before = reader.report.errors();
    let store = store(reader, fields);
    let kind = StoreKind::of(&store.spec, reader.report.errors() == before);
    let signing = signing(reader, fields, &data_dir, tokens.max_ttl.value, kind);
    let admin = admin(reader, fields, listen, &mut tls_files);
    Server {
        issuer: issuer.unwrap_or_else(stand_in),
        listen,
        tls,
        behind_tls_proxy,
        otlp: telemetry(reader, fields),
        metrics_listen: metrics_listen(reader, fields, [listen, admin.listen]),
        admin,
        tls_files,
        data_dir,
        store,
        signing,
        tokens,
        status_list: reader.flag_or(fields, "status_list", false),
        cap_to_subject,
        limits: limits(reader, fields),
        drain: drain(reader, fields),
        log: log(reader, fields),
        audit: audit(reader, fields),
        api_keys: api_keys(reader, fields),
        managed_kinds: managed_kinds(reader, fields),
        accounts: accounts(reader, fields),
    }
}

fn accounts(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<AccountFiles> {
    let before = reader.report.errors();
    let files = reader.optional(fields, "accounts", |reader, node| reader.one_or_more(node, account_files));
    reader.misses_account_files |= reader.report.errors() > before;
    files.unwrap_or_default()
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Default address of the public listener.
pub(crate) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(LOOPBACK, 8080);
/// Default address of the admin listener.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(LOOPBACK, 9090);
pub(crate) const DEFAULT_DATA_DIR: &str = "/var/lib/sts";

/// Takes the place of an issuer with a reported fault.
pub(crate) fn stand_in() -> Issuer {
    #[expect(clippy::expect_used, reason = "the constant fits the grammar of issuers")]
    Issuer::new("https://invalid.invalid").expect("an issuer")
}

fn own_issuer(reader: &mut Reader<'_>, node: &Node) -> Option<Issuer> {
    let checked = issuer_url(reader, node)?;
    if checked.1.http && !checked.1.loopback {
        reader.error(
            CheckCode::PlainHttp,
            node.span,
            "`issuer` uses plain http, which is allowed on loopback only",
            "write `https://...`",
        );
        return None;
    }
    Some(checked.0.value)
}

/// Reads an IP address with a port.
pub(crate) fn address(reader: &mut Reader<'_>, node: &Node) -> Option<SocketAddr> {
    let text = reader.text(node)?;
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let help = "write one such as `127.0.0.1:8080`, `0.0.0.0:8080` or `\"[::]:8080\"`; a host name is not resolved";
        reader.error(
            CheckCode::InvalidAddress,
            text.span,
            format!("{} is not an IP address with a port", text.shown()),
            help,
        );
    }
    parsed
}

/// Reads `tls:` of a listener, and adds its files to `files`.
fn tls(reader: &mut Reader<'_>, fields: &Fields<'_>, files: &mut Vec<NamedFile>) -> Option<TlsFiles> {
    let members = reader.section(fields, "tls")?;
    let mut file = |reader: &mut Reader<'_>, key, kind| {
        let path = reader.required(&members, key, Reader::path)?;
        files.extend(members.node(key).map(|node| NamedFile { path: path.clone(), span: node.span, kind }));
        Some(path)
    };
    let cert_file = file(reader, "cert_file", FileKind::Certificate);
    let key_file = file(reader, "key_file", FileKind::Secret);
    Some(TlsFiles { cert_file: cert_file?, key_file: key_file? })
}

fn proxies(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<IpNetwork>> {
    let networks = reader.list_of(node, "address blocks", |reader, item| {
        let text = reader.text(item)?;
        let network = IpNetwork::parse(&text.value);
        match network {
            None => {
                let help = "write one address, or the first address of a block and its prefix length: `10.1.2.3/32`, `10.1.2.0/24`, `\"fd00::/64\"`";
                reader.error(CheckCode::InvalidAddressBlock, text.span, format!("{} is not an address block", text.shown()), help);
            }
            Some(network) if network.is_wide() => {
                let message = format!(
                    "{} is wider than a subnet (/24 for IPv4, /64 for IPv6): every host in it can forge the addresses of \
                     callers, and can connect without TLS where `tls` is not set",
                    text.shown()
                );
                let help = "list only your proxies: their addresses (`10.1.2.3/32`), or the subnet of the ingress (`10.1.2.0/24`, `\"fd00::/64\"`)";
                reader.warning(CheckCode::BroadProxyRange, text.span, message, help);
            }
            Some(_) => {}
        }
        network
    })?;
    if node.is_empty_list() {
        reader.error(
            CheckCode::EmptyList,
            node.span,
            "`behind_tls_proxy` lists no proxy",
            "list the addresses of your proxies: `[10.1.2.3/32]`",
        );
    }
    Some(networks)
}

/// Reports a public listener without TLS that is not on loopback. Tokens must never travel
/// unencrypted.
fn refuse_plain_http(reader: &mut Reader<'_>, fields: &Fields<'_>, listen: SocketAddr) {
    let protected = fields.mentions("tls") || fields.mentions("behind_tls_proxy");
    if let Some(node) = fields.node("listen")
        && !protected
        && !listen.ip().to_canonical().is_loopback()
    {
        let help = "add `tls: { cert_file: ..., key_file: ... }`, or `behind_tls_proxy: [10.1.2.3/32]` with the addresses of the proxy \
                    that terminates TLS,\nor listen on `127.0.0.1`";
        reader.error(
            CheckCode::ListenerWithoutTls,
            node.span,
            "the public listener is not on loopback and has no TLS",
            help,
        );
    }
}

fn admin(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    public: SocketAddr,
    tls_files: &mut Vec<NamedFile>,
) -> AdminSettings {
    let mut settings = AdminSettings { listen: DEFAULT_ADMIN, hosts: Vec::new(), tls: None };
    let Some(members) = reader.section(fields, "admin") else { return settings };
    if let Some(listen) = reader.optional(&members, "listen", address) {
        settings.listen = listen;
    }
    settings.hosts = reader
        .optional(&members, "hosts", |reader, node| reader.list_of(node, "host names", host_name))
        .unwrap_or_default();
    settings.tls = tls(reader, &members, tls_files);
    let span = members.node("listen").map_or(members.span, |node| node.span);
    if !settings.listen.ip().to_canonical().is_loopback() && !members.mentions("tls") {
        let help = "add `tls: { cert_file: ..., key_file: ... }` to `admin`, or listen on `127.0.0.1`";
        reader.error(CheckCode::ListenerWithoutTls, span, "the admin listener is not on loopback and has no TLS", help);
    }
    if settings.listen == public && public.port() != 0 {
        let help = "give the admin listener a port of its own";
        reader.error(
            CheckCode::ListenerConflict,
            span,
            "the admin listener and the public listener have the same address",
            help,
        );
    }
    settings
}

/// Reads `metrics.listen`. It has no TLS and no authentication: what it serves is no secret.
fn metrics_listen(reader: &mut Reader<'_>, fields: &Fields<'_>, others: [SocketAddr; 2]) -> Option<SocketAddr> {
    let members = reader.section(fields, "metrics")?;
    let listen = reader.optional(&members, "listen", address)?;
    if listen.port() != 0 && others.contains(&listen) {
        let span = members.node("listen").map_or(members.span, |node| node.span);
        let message = "the listener of the metrics has the address of another listener";
        reader.error(CheckCode::ListenerConflict, span, message, "give it a port of its own");
    }
    Some(listen)
}

fn host_name(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if text.value.is_empty() || text.value.len() > 253 || !text.value.bytes().all(fits) {
        reader.error(
            CheckCode::InvalidHostName,
            text.span,
            format!("{} is not a host name", text.shown()),
            "write only the name, without scheme and port: `sts-admin.example.com`",
        );
        return None;
    }
    Some(text.value.to_ascii_lowercase())
}

/// Reads a list of at least one algorithm. Reports duplicates.
pub(super) fn algorithms(reader: &mut Reader<'_>, node: &Node, words: &[(&str, Algorithm)]) -> Option<Vec<Algorithm>> {
    let mut found = Vec::new();
    reader.list_of(node, "algorithms", |reader, item| {
        let algorithm = reader.one_of(item, words)?;
        if found.contains(&algorithm) {
            reader.error(
                CheckCode::DuplicateValue,
                item.span,
                format!("`{algorithm}` is listed twice"),
                "remove one of them",
            );
            return None;
        }
        found.push(algorithm);
        Some(())
    })?;
    if node.is_empty_list() {
        reader.error(
            CheckCode::EmptyList,
            node.span,
            "the list of algorithms is empty",
            "list at least one, or remove the key",
        );
    }
    (!found.is_empty()).then_some(found)
}

/// Defaults of `tokens:`.
pub(crate) fn default_tokens() -> TokensSpec {
    TokensSpec {
        ttl: Located::nowhere(seconds(900)),
        max_ttl: Located::nowhere(seconds(3600)),
        require_account: false,
        ignore_scopes: IGNORED_SCOPES.iter().filter_map(|scope| Scope::new(scope).ok()).collect(),
        copy_claims: Vec::new(),
    }
}

/// Reads `tokens:`, and returns `cap_to_subject` apart, because policy does not need it.
fn tokens(reader: &mut Reader<'_>, fields: &Fields<'_>) -> (TokensSpec, bool) {
    let mut spec = default_tokens();
    let Some(members) = reader.section(fields, "tokens") else { return (spec, false) };
    if members.node("max_ttl").is_some() {
        // A faulty `max_ttl` bounds nothing; its default would make correct `ttl` values look
        // wrong.
        spec.max_ttl =
            reader.optional(&members, "max_ttl", Reader::lifetime).unwrap_or(Located::nowhere(seconds(u32::MAX)));
        spec.ttl.value = spec.ttl.value.min(spec.max_ttl.value);
    }
    if let Some(ttl) = reader.optional(&members, "ttl", Reader::lifetime) {
        spec.ttl = ttl;
    }
    if let Some(scopes) = reader.optional(&members, "ignore_scopes", super::apis::scopes) {
        spec.ignore_scopes = scopes.into_iter().map(|scope| scope.value).collect();
    }
    spec.copy_claims = reader.optional(&members, "copy_claims", claim_names).unwrap_or_default();
    spec.require_account = reader.flag_or(&members, "require_account", false);
    let cap_to_subject = reader.flag_or(&members, "cap_to_subject", false);
    (spec, cap_to_subject)
}

fn seconds(seconds: u32) -> Lifetime {
    #[expect(clippy::expect_used, reason = "every caller's constant is above zero")]
    Lifetime::from_secs(seconds).expect("a lifetime")
}

/// Reads a list of claim names or JSON pointers. Policy checks them.
pub(super) fn claim_names(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<String>>> {
    reader.list_of(node, "claim names", Reader::located_text)
}

/// Defaults of `limits:`.
pub(crate) const DEFAULT_LIMITS: Limits =
    Limits { failures_per_second: 50, failure_burst: 500, connections: 10_000, keep_alive: Duration::from_secs(75) };

fn limits(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Limits {
    let Limits { failures_per_second, failure_burst, connections, keep_alive } = DEFAULT_LIMITS;
    let Some(members) = reader.section(fields, "limits") else { return DEFAULT_LIMITS };
    Limits {
        keep_alive: reader.optional(&members, "keep_alive", up_to_an_hour).unwrap_or(keep_alive),
        failures_per_second: reader.integer_or(&members, "failures_per_second", failures_per_second),
        failure_burst: reader.integer_or(&members, "failure_burst", failure_burst),
        connections: reader.integer_or(&members, "connections", connections),
    }
}

/// Default of `shutdown.drain`.
pub(crate) const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

fn drain(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Duration {
    let members = reader.section(fields, "shutdown");
    let drain = members.and_then(|members| {
        reader.optional(&members, "drain", |reader, node| {
            let duration = reader.duration(node)?;
            bounded(reader, node, duration)
        })
    });
    drain.unwrap_or(DEFAULT_DRAIN)
}

fn up_to_an_hour(reader: &mut Reader<'_>, node: &Node) -> Option<Duration> {
    let duration = reader.positive_duration(node)?;
    bounded(reader, node, duration)
}

fn bounded(reader: &mut Reader<'_>, node: &Node, duration: Duration) -> Option<Duration> {
    if duration > Duration::from_secs(3600) {
        reader.error(
            CheckCode::DurationOutOfRange,
            node.span,
            "the duration is longer than an hour",
            "write at most `1h`",
        );
        return None;
    }
    Some(duration)
}

/// Defaults of `log:`.
pub(crate) const DEFAULT_LOG: LogSettings =
    LogSettings { format: LogFormat::Text, level: LogLevel::Info, claims: false };

fn log(reader: &mut Reader<'_>, fields: &Fields<'_>) -> LogSettings {
    let mut settings = DEFAULT_LOG;
    let Some(members) = reader.section(fields, "log") else { return settings };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    if let Some(format) = reader.optional(&members, "format", |reader, node| reader.one_of(node, &formats)) {
        settings.format = format;
    }
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .map(|level| (level.name(), level));
    if let Some(level) = reader.optional(&members, "level", |reader, node| reader.one_of(node, &levels)) {
        settings.level = level;
    }
    settings.claims = reader.flag_or(&members, "claims", false);
    settings
}

fn api_keys(reader: &mut Reader<'_>, fields: &Fields<'_>) -> ApiKeySettings {
    let defaults = ApiKeySettings::default();
    let Some(members) = reader.section(fields, "api_keys") else { return defaults };
    let enabled = reader.flag_or(&members, "enabled", defaults.enabled);
    let written = reader.optional(&members, "default_ttl", Reader::positive_duration);
    let max_ttl = reader
        .optional(&members, "max_ttl", Reader::positive_duration)
        .map_or(defaults.max_ttl, |duration| duration.as_secs());
    let default_ttl = written.map_or(defaults.default_ttl.min(max_ttl), |duration| duration.as_secs());
    if default_ttl > max_ttl
        && let Some(node) = members.node("default_ttl")
    {
        let message = "`default_ttl` is longer than `max_ttl` of `api_keys`".to_owned();
        reader.error(CheckCode::TtlOverMaximum, node.span, message, "write a shorter one, or raise `max_ttl`");
    }
    ApiKeySettings { enabled, default_ttl: default_ttl.min(max_ttl), max_ttl }
}

/// The kinds that may be managed unless `manage.kinds` says otherwise.
pub(crate) const DEFAULT_MANAGED: [ObjectKind; 2] = [ObjectKind::Team, ObjectKind::ServiceAccount];

fn managed_kinds(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<ObjectKind> {
    let Some(members) = reader.section(fields, "manage") else { return DEFAULT_MANAGED.to_vec() };
    let words = ObjectKind::ALL.map(|kind| (kind.key(), kind));
    let kinds = reader.optional(&members, "kinds", |reader, node| {
        reader.list_of(node, "kinds of objects", |reader, item| reader.one_of(item, &words))
    });
    kinds.unwrap_or_else(|| DEFAULT_MANAGED.to_vec())
}

/// Reads one value of `accounts:`.
pub(crate) fn account_files(reader: &mut Reader<'_>, node: &Node) -> Option<AccountFiles> {
    let text = reader.text(node)?;
    if text.value.is_empty() || text.value.contains('\0') {
        reader.error(
            CheckCode::InvalidPath,
            text.span,
            "this is not the path of a file",
            "write a path such as `accounts/*.yaml`",
        );
        return None;
    }
    Some(AccountFiles { path: text.value, span: text.span, is_pattern: text.variable.is_none() })
}
