//! `issuers:`. Each entry becomes three specs: for policy, for the key cache, and for verification.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntrySpec, FamilySpec, KeySource, NetworkRule, ProxyUrl};
use sts_policy::{IssuerDefaults, IssuerSpec, KnownIssuer, Preset, Replay};
use sts_token::TrustSpec;
use sts_types::{Algorithm, Audience, CheckCode, EntryName, Issuer, Issuers, Located};

use super::families::template;
use super::platform::{is_public, platform, refuse_domains_without_keys};
use super::reader::{Fields, Reader, listed};
use super::server::{algorithms, checked_url, issuer_url, refuse_hidden_char, stand_in};
use super::url;
use crate::json::value_of;
use crate::objects::{IssuerObject, KeyOrigins, KeysSpec};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// The contents of `issuers:`. `policy`, `keys`, `trust` and `origins` have the same
/// entries in the same order.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) policy: Vec<IssuerSpec>,
    pub(crate) keys: Vec<KeysSpec>,
    pub(crate) trust: Vec<TrustSpec>,
    /// Key set files and CA files, with their positions. Without bearer token files, because
    /// rotating a token must not cause a reload.
    pub(crate) key_files: Vec<(PathBuf, Span)>,
    /// Where the keys are declared; `None` for an entry with a fault.
    pub(crate) origins: Vec<Option<KeyOrigins>>,
    /// Entries with the URL of a known shared issuer and `preset: none`.
    pub(crate) unprotected: Vec<EntryName>,
}

impl Entries {
    /// The entries of one issuer without a fault.
    pub(crate) fn sound(&self) -> impl Iterator<Item = (&EntrySpec, &KeyOrigins)> {
        self.keys.iter().zip(&self.origins).filter_map(|(spec, origins)| Some((spec.one()?, origins.as_ref()?)))
    }

    pub(crate) fn into_objects(self) -> Vec<IssuerObject> {
        let Self { policy, keys, trust, origins, .. } = self;
        let entries = policy.into_iter().zip(keys).zip(trust).zip(origins);
        entries.map(|(((policy, keys), trust), origins)| IssuerObject { policy, keys, trust, origins }).collect()
    }
}

/// Reads `issuers:`.
pub(crate) fn issuers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Entries {
    let mut entries = Entries::default();
    let for_all = reader.optional(fields, "proxy", proxy).flatten();
    let mut spans = Vec::new();
    for (entry, members) in reader.named(fields, "issuers") {
        let Some(name) = reader.declared("issuers", entry, EntryName::new) else { continue };
        let before = reader.report.errors();
        issuer(reader, name, &members, for_all.as_ref(), &mut entries);
        if let Some(spec) = entries.policy.last()
            && let Some(key) = spec.preset.and_then(Preset::short_rule_key)
        {
            reader.short_rules.insert(spec.name.value.to_string(), key);
        }
        spans.push(entry.key_span);
        let is_sound = reader.report.errors() == before;
        entries.origins.push(is_sound.then(|| key_origins(reader, entry.key_span, &members)));
    }
    refuse_shared_without_keys(reader, &entries, &spans);
    refuse_domains_without_keys(reader, &entries, &spans);
    entries
}

fn key_origins(reader: &mut Reader<'_>, entry: Span, members: &Fields<'_>) -> KeyOrigins {
    let sources = ["jwks_file", "jwks_url", "jwks", "issuer", "issuer_template"];
    let keys = sources.into_iter().find_map(|key| members.node(key)).map_or(entry, |node| node.span);
    let access = ["ca_file", "bearer_token_file", "proxy"];
    let access: Vec<_> = access.into_iter().filter_map(|key| Some((key, members.node(key)?.span))).collect();
    let sources = &mut reader.report.sources;
    KeyOrigins {
        keys: sources.origin(keys),
        access: access.into_iter().map(|(key, span)| (key, sources.origin(span))).collect(),
    }
}

fn issuer(
    reader: &mut Reader<'_>,
    name: Located<EntryName>,
    fields: &Fields<'_>,
    proxy_for_all: Option<&ProxyUrl>,
    entries: &mut Entries,
) {
    let is_family = fields.mentions("issuer_template");
    let written = if is_family { template(reader, fields) } else { one_issuer(reader, fields) };
    let mut source = if is_family { KeySource::Discovery } else { key_source(reader, fields, &mut entries.key_files) };
    if let (KeySource::Discovery, Some((issuer, _))) = (&source, &written)
        && let Some(url) = known_keys_url(issuer.value.as_str())
    {
        source = KeySource::Url(url.to_owned());
    }
    let checked = written.as_ref().and_then(|(_, checked)| checked.as_ref());
    let network = network(reader, fields, &source, checked);
    let public = is_public(checked, network.allow_private_network);
    let ca_file = fields.node("ca_file").and_then(|node| Some((reader.path(node)?, node.span)));
    entries.key_files.extend(ca_file.clone().filter(|_| is_fetched(&source)));
    let bearer_token_file = reader.optional(fields, "bearer_token_file", Reader::secret_path);
    let proxy = match reader.optional(fields, "proxy", proxy) {
        Some(proxy) => proxy,
        // Plain http must not leave this host, so it never goes through the common proxy.
        None => proxy_for_all.filter(|_| is_fetched(&source) && !network.allow_http).cloned(),
    };
    refuse_unused(reader, fields, &source);
    let is_read = written.is_some();
    // Keep an entry with a wrong issuer, so that references to it are not reported as well.
    let issuer = written.map_or_else(|| Located::nowhere(stand_in().into()), |(issuer, _)| issuer);
    let platform = platform(reader, fields, &issuer.value, is_read);
    if platform.unprotected {
        entries.unprotected.push(name.value.clone());
    }
    let defaults = platform.preset.map_or_else(IssuerDefaults::default, Preset::defaults);
    // EdDSA has two names (RFC 8037, RFC 9864).
    let all: Vec<_> = Algorithm::ALL
        .map(|algorithm| (algorithm.name(), algorithm))
        .into_iter()
        .chain([("Ed25519", Algorithm::EdDSA)])
        .collect();
    let algorithms = reader
        .optional(fields, "algorithms", |reader, node| algorithms(reader, node, &all))
        .unwrap_or_else(|| defaults.algorithms.to_vec());
    let seconds = |duration: Duration| duration.as_secs();
    let enabled = reader.flag_or(fields, "enabled", true);

    let max_stale = reader.optional(fields, "max_stale", Reader::duration).unwrap_or(Duration::from_secs(86_400));
    let refresh_cooldown =
        reader.optional(fields, "refresh_cooldown", Reader::positive_duration).unwrap_or(Duration::from_secs(30));
    let kid_reuse = reader.flag_or(fields, "kid_reuse", false);
    let ca_file = ca_file.map(|(path, _)| path);
    entries.keys.push(match &issuer.value {
        Issuers::One(issuer) => KeysSpec::One(EntrySpec {
            name: name.value.clone(),
            issuer: issuer.clone(),
            source,
            algorithms: algorithms.clone(),
            max_stale,
            refresh_cooldown,
            kid_reuse,
            network,
            ca_file,
            bearer_token_file,
            proxy,
        }),
        Issuers::Family(template) => KeysSpec::Family(FamilySpec {
            name: name.value.clone(),
            template: Arc::clone(template),
            algorithms: algorithms.clone(),
            max_stale,
            refresh_cooldown,
            kid_reuse,
            network,
            ca_file,
            proxy,
            named: Vec::new(),
        }),
    });
    entries.trust.push(TrustSpec {
        entry: name.value.clone(),
        issuers: issuer.value.clone(),
        algorithms,
        types: reader
            .optional(fields, "types", |reader, node| reader.list_of(node, "values of `typ`", typ))
            .unwrap_or_else(|| defaults.types.iter().map(|typ| (*typ).to_owned()).collect()),
        leeway: reader.optional(fields, "leeway", leeway).unwrap_or(60),
        max_token_lifetime: reader
            .optional(fields, "max_token_lifetime", Reader::positive_duration)
            .map_or(defaults.max_token_lifetime, seconds),
        max_token_age: reader.optional(fields, "max_token_age", Reader::positive_duration).map(seconds),
        require_iat: reader.flag_or(fields, "require_iat", defaults.require_iat),
        trust_domain: platform.trust_domain,
        enabled,
    });
    entries.policy.push(IssuerSpec {
        name,
        issuer,
        preset: platform.preset,
        preset_source: platform.source,
        known: platform.known,
        shared: platform.shared,
        shared_written: platform.shared_written,
        owner_claims: platform.owner_claims,
        public,
        audience: reader.optional(fields, "audience", audiences).unwrap_or_default(),
        sole_audience: reader.flag_or(fields, "sole_audience", defaults.sole_audience),
        replay: reader.optional(fields, "replay", replay).unwrap_or_default(),
        enabled,
    });
}

/// Reads `issuer:`. It must be a URL if the keys are found by discovery. An entry with keys of its
/// own only compares it.
fn one_issuer(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<(Located<Issuers>, Option<url::Checked>)> {
    if let Some(entry) = fields.entry("variables") {
        reader.error(
            CheckCode::KeyWithoutEffect,
            entry.key_span,
            "`variables` has no effect without `issuer_template`",
            "remove it, or write `issuer_template`",
        );
    }
    let has_keys = ["jwks_file", "jwks_url", "jwks"].iter().any(|key| fields.node(key).is_some());
    let has_known_keys =
        |node: &Node| matches!(&node.value, Value::Scalar(scalar) if known_keys_url(&scalar.text).is_some());
    let read = |reader: &mut Reader<'_>, node: &Node| {
        if has_keys || has_known_keys(node) {
            compared_issuer(reader, node)
        } else {
            issuer_url(reader, node).map(|(issuer, checked)| (issuer, Some(checked)))
        }
    };
    let (issuer, checked) = reader.required(fields, "issuer", read)?;
    Some((Located::new(issuer.value.into(), issuer.origin), checked))
}

/// Reads an issuer that is only compared, never fetched. It may be any text, such as `api`, but
/// without credentials: issuers appear in logs and pages.
fn compared_issuer(reader: &mut Reader<'_>, node: &Node) -> Option<(Located<Issuer>, Option<url::Checked>)> {
    let text = reader.text(node)?;
    if refuse_hidden_char(reader, &text, "`issuer`") {
        return None;
    }
    match url::check(&text.value, true) {
        Err(unfit) if unfit.secret => {
            reader.report.hide_line(text.span);
            reader.error(unfit.code(), text.span, format!("`issuer` is not valid: {}", unfit.message), unfit.help);
            None
        }
        checked => Some((reader.name(node, Issuer::new)?, checked.ok())),
    }
}

/// Where the keys of a known issuer are that is no URL, so that there is no discovery.
fn known_keys_url(issuer: &str) -> Option<&'static str> {
    KnownIssuer::of_url(issuer).and_then(KnownIssuer::keys_url)
}

fn is_fetched(source: &KeySource) -> bool {
    matches!(source, KeySource::Discovery | KeySource::Url(_))
}

/// Reads `proxy:`; `none` for no proxy. Messages never show its credentials.
fn proxy(reader: &mut Reader<'_>, node: &Node) -> Option<Option<ProxyUrl>> {
    let text = reader.text(node)?;
    if text.value == "none" {
        return Some(None);
    }
    if text.value.contains('@') {
        reader.report.hide_line(text.span);
    }
    ProxyUrl::parse(&text.value)
        .map_err(|what| {
            reader.error(
                CheckCode::InvalidProxy,
                text.span,
                format!("`proxy` {what}"),
                "write `http://HOST:PORT` or `https://HOST:PORT`, or `none`",
            )
        })
        .ok()
        .map(Some)
}

/// Reads `audience:`, one or more exact values.
pub(super) fn audiences(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Located<Audience>>> {
    reader.one_or_more(node, |reader, item| reader.name(item, Audience::new))
}

/// Reads `replay:`.
pub(super) fn replay(reader: &mut Reader<'_>, node: &Node) -> Option<Replay> {
    reader
        .one_of(node, &[("allow", Replay::Allow), ("once", Replay::Once), ("once_per_account", Replay::OncePerAccount)])
}

fn typ(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    if text.value.is_empty() || text.value.len() > 255 || !text.value.bytes().all(|b| b.is_ascii_graphic()) {
        reader.error(
            CheckCode::UnknownValue,
            text.span,
            format!("{} is not a `typ` that a token can have", text.shown()),
            "write a media type with or without `application/`, such as `at+jwt`",
        );
        return None;
    }
    Some(text.value)
}

fn leeway(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    const MOST: u64 = 300;
    let leeway = reader.duration(node)?;
    if leeway.as_secs() > MOST {
        reader.error(
            CheckCode::DurationOutOfRange,
            node.span,
            "the leeway is longer than 300s",
            "write `300s` or less; clocks that differ by more must be corrected",
        );
        return None;
    }
    u32::try_from(leeway.as_secs()).ok()
}

/// Reads the source of the keys: one of `jwks_file`, `jwks_url` and `jwks`, or discovery.
fn key_source(reader: &mut Reader<'_>, fields: &Fields<'_>, files: &mut Vec<(PathBuf, Span)>) -> KeySource {
    let given: Vec<_> =
        ["jwks_file", "jwks_url", "jwks"].into_iter().filter(|key| fields.node(key).is_some()).collect();
    if let [first, second, ..] = given.as_slice()
        && let Some(entry) = fields.entry(second)
    {
        reader.error(
            CheckCode::ConflictingKeys,
            entry.key_span,
            format!("`{first}` and `{second}` cannot be used together"),
            "keep one of `jwks_file`, `jwks_url` and `jwks`",
        );
    }
    if let Some(node) = fields.node("jwks_file") {
        let path = reader.path(node);
        files.extend(path.clone().map(|path| (path, node.span)));
        return KeySource::File(path.unwrap_or_default());
    }
    if let Some(node) = fields.node("jwks_url") {
        let url = checked_url(reader, node, "`jwks_url`", true);
        return KeySource::Url(url.map(|(url, _)| url).unwrap_or_default());
    }
    if let Some(node) = fields.node("jwks") {
        return KeySource::Inline(inline_keys(reader, node).unwrap_or_default());
    }
    KeySource::Discovery
}

/// Reads an inline key set: a YAML mapping, or a string with JSON.
fn inline_keys(reader: &mut Reader<'_>, node: &Node) -> Option<serde_json::Value> {
    let keys = match &node.value {
        Value::Scalar(_) => {
            let text = reader.text(node)?;
            sts_claims::parse_object(text.value.as_bytes()).map(serde_json::Value::Object).ok()
        }
        Value::Mapping(_) => Some(value_of(reader, node)?),
        Value::Sequence(_) => None,
        Value::Broken => return None,
    };
    let keys = keys.filter(|keys| keys.get("keys").is_some_and(serde_json::Value::is_array));
    if keys.is_none() {
        reader.error(
            CheckCode::InvalidKeySet,
            node.span,
            "this is not a JSON Web Key Set",
            "write `{\"keys\": [...]}`, or name a file with `jwks_file`",
        );
    }
    keys
}

/// Reads the network rules. Plain http is allowed to loopback only, and needs `allow_http`.
fn network(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    source: &KeySource,
    issuer: Option<&url::Checked>,
) -> NetworkRule {
    let rule = NetworkRule {
        allow_private_network: reader.flag_or(fields, "allow_private_network", false),
        allow_http: reader.flag_or(fields, "allow_http", false),
    };
    let keys = match source {
        KeySource::Url(url) => url::check(url, true).ok(),
        KeySource::Discovery | KeySource::File(_) | KeySource::Inline(_) => None,
    };
    // An issuer that is only compared may have any scheme.
    let fetched = issuer.filter(|_| *source == KeySource::Discovery);
    for (key, checked) in [("issuer", fetched), ("issuer_template", fetched), ("jwks_url", keys.as_ref())] {
        let (Some(checked), Some(node)) = (checked, fields.node(key)) else { continue };
        if checked.http && !checked.loopback {
            reader.error(
                CheckCode::PlainHttp,
                node.span,
                format!("`{key}` uses plain http, which is allowed on loopback only"),
                "write `https://...`",
            );
        } else if checked.http && !rule.allow_http {
            let help = "write `https://...`, or, for development, add `allow_http: true`";
            reader.error(CheckCode::PlainHttp, node.span, format!("`{key}` uses plain http"), help);
        }
    }
    let dialled = match source {
        KeySource::Url(_) => keys.as_ref(),
        KeySource::Discovery => issuer,
        KeySource::File(_) | KeySource::Inline(_) => None,
    };
    if let (true, Some(entry), Some(dialled)) = (rule.allow_http, fields.entry("allow_http"), dialled)
        && !dialled.loopback
        && !dialled.http
    {
        reader.error(
            CheckCode::KeyWithoutEffect,
            entry.key_span,
            "`allow_http` has no effect: it is for loopback addresses only",
            "remove it",
        );
    }
    rule
}

/// Reports network settings of an entry whose keys never come over the network.
fn refuse_unused(reader: &mut Reader<'_>, fields: &Fields<'_>, source: &KeySource) {
    let held = match source {
        KeySource::File(_) => "jwks_file",
        KeySource::Inline(_) => "jwks",
        KeySource::Discovery | KeySource::Url(_) => return,
    };
    let is_http = fields
        .node("issuer")
        .is_some_and(|node| matches!(&node.value, Value::Scalar(scalar) if scalar.text.starts_with("http://")));
    for key in [
        "max_stale",
        "refresh_cooldown",
        "kid_reuse",
        "ca_file",
        "bearer_token_file",
        "proxy",
        "allow_private_network",
        "allow_http",
    ] {
        if let Some(entry) = fields.entry(key)
            && !(key == "allow_http" && is_http)
        {
            let message = format!("`{key}` has no effect with `{held}`: nothing is fetched");
            reader.error(CheckCode::KeyWithoutEffect, entry.key_span, message, format!("remove `{key}`, or `{held}`"));
        }
    }
}

/// What to do where the keys of two entries do not tell them apart.
const OWN_KEYS_HELP: &str = "give each of them its own `jwks_file`, `jwks_url` or `jwks`";

/// Reports entries with the same issuer, unless each has keys of its own. The key that verifies a
/// token then tells them apart.
fn refuse_shared_without_keys(reader: &mut Reader<'_>, entries: &Entries, spans: &[Span]) {
    let mut by_issuer: BTreeMap<&Issuer, Vec<(&EntrySpec, Span)>> = BTreeMap::new();
    let ones = entries.keys.iter().zip(spans).filter_map(|(entry, span)| Some((entry.one()?, span)));
    for (entry, span) in ones {
        by_issuer.entry(&entry.issuer).or_default().push((entry, *span));
    }
    let stand_in = stand_in();
    for sharers in by_issuer
        .into_iter()
        .filter(|(issuer, sharers)| **issuer != stand_in && sharers.len() > 1)
        .map(|(_, sharers)| sharers)
    {
        let bare: Vec<_> = sharers.iter().filter(|(entry, _)| entry.source == KeySource::Discovery).collect();
        if let Some((_, span)) = bare.last() {
            let names = listed(sharers.iter().map(|(entry, _)| entry.name.as_str()));
            let without = listed(bare.iter().map(|(entry, _)| entry.name.as_str()));
            let message = format!(
                "issuer entries {names} have the same `issuer`, and nothing tells their tokens apart: {without} {}",
                if bare.len() == 1 { "has no keys of its own" } else { "have no keys of their own" }
            );
            reader.error(CheckCode::IssuerWithoutKeys, *span, message, OWN_KEYS_HELP);
        }
        // The same keys in a file or in the configuration are found by their thumbprints.
        let fetched = sharers.iter().filter(|(entry, _)| matches!(entry.source, KeySource::Url(_)));
        for (entry, span) in fetched {
            let mut before = sharers.iter().map(|(other, _)| *other).take_while(|other| other.name != entry.name);
            let Some(other) = before.find(|other| other.source == entry.source) else { continue };
            let message = format!(
                "issuer entries `{}` and `{}` have the same `issuer` and the same `jwks_url`",
                other.name, entry.name
            );
            reader.error(CheckCode::IssuerWithoutKeys, *span, message, OWN_KEYS_HELP);
        }
    }
}
