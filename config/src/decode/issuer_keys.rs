//! Where the keys of an issuer entry come from, and how they are fetched.

use std::path::PathBuf;

use jwks_cache::{KeySource, NetworkRule, ProxyUrl};
use sts_policy::KnownIssuer;
use sts_types::CheckCode;

use super::reader::{Fields, Reader};
use super::url::{self, checked_url};
use crate::json::value_of;
use crate::source::Span;
use crate::yaml::{Node, Value};

/// The files and the proxy that fetches use.
pub(super) struct FetchAccess {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) bearer_token_file: Option<PathBuf>,
    pub(super) proxy: Option<ProxyUrl>,
}

/// Reads `ca_file`, `bearer_token_file` and `proxy`. Adds the CA file to `files`, but not the bearer
/// token: rotating a token must not cause a reload.
pub(super) fn fetch_access(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    source: &KeySource,
    network: NetworkRule,
    default_proxy: Option<&ProxyUrl>,
    files: &mut Vec<(PathBuf, Span)>,
) -> FetchAccess {
    let ca_file = fields.node("ca_file").and_then(|node| Some((reader.path(node)?, node.span)));
    files.extend(ca_file.clone().filter(|_| is_fetched(source)));
    FetchAccess {
        ca_file: ca_file.map(|(path, _)| path),
        bearer_token_file: reader.optional(fields, "bearer_token_file", Reader::secret_path),
        proxy: match reader.optional(fields, "proxy", proxy) {
            Some(proxy) => proxy,
            // Plain http must not leave this host, so it never goes through the common proxy.
            None => default_proxy.filter(|_| is_fetched(source) && !network.allow_http).cloned(),
        },
    }
}

/// The key set URL of a known issuer whose `iss` is not a URL, so that discovery is impossible.
pub(super) fn known_keys_url(issuer: &str) -> Option<&'static str> {
    KnownIssuer::of_url(issuer).and_then(KnownIssuer::keys_url)
}

fn is_fetched(source: &KeySource) -> bool {
    matches!(source, KeySource::Discovery | KeySource::Url(_))
}

/// Reads `proxy:`; `none` for no proxy. Messages never show its credentials.
pub(super) fn proxy(reader: &mut Reader<'_>, node: &Node) -> Option<Option<ProxyUrl>> {
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

/// Reads the source of the keys: one of `jwks_file`, `jwks_url` and `jwks`, or discovery.
pub(super) fn key_source(reader: &mut Reader<'_>, fields: &Fields<'_>, files: &mut Vec<(PathBuf, Span)>) -> KeySource {
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
pub(super) fn network(
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
pub(super) fn refuse_unused(reader: &mut Reader<'_>, fields: &Fields<'_>, source: &KeySource) {
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
