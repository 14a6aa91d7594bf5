//! One entry of `issuers:`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jwks_cache::{EntrySpec, FamilySpec, KeySource, NetworkRule, ProxyUrl};
use sts_policy::{IssuerDefaults, IssuerSpec, Preset, Replay};
use sts_token::TrustSpec;
use sts_types::{Algorithm, Audience, CheckCode, EntryName, Issuer, Issuers, Located};

use super::families::template;
use super::issuer_keys::{FetchAccess, fetch_access, key_source, known_keys_url, network, refuse_unused};
use super::platform::{PlatformOf, is_public, platform};
use super::reader::{Fields, Reader};
use super::server::{algorithms, stand_in};
use super::url::{self, issuer_url, refuse_hidden_char};
use crate::objects::{IssuerObject, KeysSpec};
use crate::source::Span;
use crate::yaml::{Node, Value};

/// An entry as it was read. Its origins are still missing.
pub(super) struct ReadIssuer {
    pub(super) object: IssuerObject,
    /// Whether this is a known shared issuer with `preset: none`.
    pub(super) unprotected: bool,
}

/// What the specs of one entry have in common.
struct Common {
    name: Located<EntryName>,
    issuer: Located<Issuers>,
    algorithms: Vec<Algorithm>,
    enabled: bool,
    /// Defaults of the entry's preset.
    defaults: IssuerDefaults,
}

/// Reads an entry. Adds the files with its keys and CA certificates to `files`.
pub(super) fn issuer(
    reader: &mut Reader<'_>,
    name: Located<EntryName>,
    fields: &Fields<'_>,
    default_proxy: Option<&ProxyUrl>,
    files: &mut Vec<(PathBuf, Span)>,
) -> ReadIssuer {
    let is_family = fields.mentions("issuer_template");
    let written = if is_family { template(reader, fields) } else { one_issuer(reader, fields) };
    let mut source = if is_family { KeySource::Discovery } else { key_source(reader, fields, files) };
    if let (KeySource::Discovery, Some((issuer, _))) = (&source, &written)
        && let Some(url) = known_keys_url(issuer.value.as_str())
    {
        source = KeySource::Url(url.to_owned());
    }
    let checked = written.as_ref().and_then(|(_, checked)| checked.as_ref());
    let network = network(reader, fields, &source, checked);
    let public = is_public(checked, network.allow_private_network);
    let access = fetch_access(reader, fields, &source, network, default_proxy, files);
    refuse_unused(reader, fields, &source);

    let is_read = written.is_some();
    // Keep an entry with a wrong issuer, so that references to it are not reported as well.
    let issuer = written.map_or_else(|| Located::nowhere(stand_in().into()), |(issuer, _)| issuer);
    let platform = platform(reader, fields, &issuer.value, is_read);
    let defaults = platform.preset.map_or_else(IssuerDefaults::default, Preset::defaults);
    let algorithms = entry_algorithms(reader, fields, &defaults);
    let enabled = reader.flag_or(fields, "enabled", true);
    let common = Common { name, issuer, algorithms, enabled, defaults };
    let unprotected = platform.unprotected;
    let keys = keys_spec(reader, fields, &common, source, network, access);
    let trust = trust_spec(reader, fields, &common, platform.trust_domain.clone());
    let policy = policy_spec(reader, fields, common, platform, public);
    ReadIssuer { object: IssuerObject { policy, keys, trust, origins: None }, unprotected }
}

fn entry_algorithms(reader: &mut Reader<'_>, fields: &Fields<'_>, defaults: &IssuerDefaults) -> Vec<Algorithm> {
    // EdDSA has two names (RFC 8037, RFC 9864).
    let all: Vec<_> = Algorithm::ALL
        .map(|algorithm| (algorithm.name(), algorithm))
        .into_iter()
        .chain([("Ed25519", Algorithm::EdDSA)])
        .collect();
    reader
        .optional(fields, "algorithms", |reader, node| algorithms(reader, node, &all))
        .unwrap_or_else(|| defaults.algorithms.to_vec())
}

fn keys_spec(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    common: &Common,
    source: KeySource,
    network: NetworkRule,
    access: FetchAccess,
) -> KeysSpec {
    let name = common.name.value.clone();
    let algorithms = common.algorithms.clone();
    let max_stale = reader.optional(fields, "max_stale", Reader::duration).unwrap_or(Duration::from_secs(86_400));
    let refresh_cooldown =
        reader.optional(fields, "refresh_cooldown", Reader::positive_duration).unwrap_or(Duration::from_secs(30));
    let kid_reuse = reader.flag_or(fields, "kid_reuse", false);
    let FetchAccess { ca_file, bearer_token_file, proxy } = access;
    match &common.issuer.value {
        Issuers::One(issuer) => KeysSpec::One(EntrySpec {
            name,
            issuer: issuer.clone(),
            source,
            algorithms,
            max_stale,
            refresh_cooldown,
            kid_reuse,
            network,
            ca_file,
            bearer_token_file,
            proxy,
        }),
        Issuers::Family(template) => KeysSpec::Family(FamilySpec {
            name,
            template: Arc::clone(template),
            algorithms,
            max_stale,
            refresh_cooldown,
            kid_reuse,
            network,
            ca_file,
            proxy,
            named: Vec::new(),
        }),
    }
}

fn trust_spec(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    common: &Common,
    trust_domain: Option<String>,
) -> TrustSpec {
    let defaults = &common.defaults;
    let seconds = |duration: Duration| duration.as_secs();
    TrustSpec {
        entry: common.name.value.clone(),
        issuers: common.issuer.value.clone(),
        algorithms: common.algorithms.clone(),
        types: reader
            .optional(fields, "types", |reader, node| reader.list_of(node, "values of `typ`", typ))
            .unwrap_or_else(|| defaults.types.iter().map(|typ| (*typ).to_owned()).collect()),
        leeway: reader.optional(fields, "leeway", leeway).unwrap_or(60),
        max_token_lifetime: reader
            .optional(fields, "max_token_lifetime", Reader::positive_duration)
            .map_or(defaults.max_token_lifetime, seconds),
        max_token_age: reader.optional(fields, "max_token_age", Reader::positive_duration).map(seconds),
        require_iat: reader.flag_or(fields, "require_iat", defaults.require_iat),
        trust_domain,
        enabled: common.enabled,
    }
}

fn policy_spec(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    common: Common,
    platform: PlatformOf,
    public: bool,
) -> IssuerSpec {
    IssuerSpec {
        name: common.name,
        issuer: common.issuer,
        preset: platform.preset,
        preset_source: platform.source,
        known: platform.known,
        shared: platform.shared,
        shared_written: platform.shared_written,
        owner_claims: platform.owner_claims,
        public,
        audience: reader.optional(fields, "audience", audiences).unwrap_or_default(),
        sole_audience: reader.flag_or(fields, "sole_audience", common.defaults.sole_audience),
        replay: reader.optional(fields, "replay", replay).unwrap_or_default(),
        enabled: common.enabled,
    }
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
