//! `issuers:`. Each entry becomes an object of three specs: for policy, for the key cache, and for
//! verification.

use std::path::PathBuf;

use jwks_cache::{EntrySpec, ProxyUrl};
use sts_policy::Preset;
use sts_types::EntryName;

use super::issuer::issuer;
use super::issuer_keys::proxy;
use super::reader::{Fields, Reader};
use super::same_issuer::{refuse_domains_without_keys, refuse_shared_without_keys};
use crate::objects::{IssuerObject, KeyOrigins};
use crate::source::Span;

/// The contents of `issuers:`.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) objects: Vec<IssuerObject>,
    /// Key set files and CA files, with their positions. Without bearer token files, because
    /// rotating a token must not cause a reload.
    pub(crate) key_files: Vec<(PathBuf, Span)>,
    /// Entries with the URL of a known shared issuer and `preset: none`.
    pub(crate) unprotected: Vec<EntryName>,
    /// `proxy` at the top.
    pub(crate) default_proxy: Option<ProxyUrl>,
}

impl Entries {
    /// The entries of one issuer without a fault.
    pub(crate) fn sound(&self) -> impl Iterator<Item = (&EntrySpec, &KeyOrigins)> {
        self.objects.iter().filter_map(|object| Some((object.keys.one()?, object.origins.as_ref()?)))
    }
}

/// Reads `issuers:`.
pub(crate) fn issuers(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Entries {
    let mut entries = Entries::default();
    let default_proxy = reader.optional(fields, "proxy", proxy).flatten();
    entries.default_proxy.clone_from(&default_proxy);
    let mut spans = Vec::new();
    for (entry, members) in reader.named(fields, "issuers") {
        let Some(name) = reader.declared("issuers", entry, EntryName::new) else { continue };
        let before = reader.report.errors();
        let mut read = issuer(reader, name, &members, default_proxy.as_ref(), &mut entries.key_files);
        let spec = &read.object.policy;
        if read.unprotected {
            entries.unprotected.push(spec.name.value.clone());
        }
        if let Some(key) = spec.preset.and_then(Preset::short_rule_key) {
            reader.short_rules.insert(spec.name.value.to_string(), key);
        }
        spans.push(entry.key_span);
        if reader.report.errors() == before {
            read.object.origins = Some(key_origins(reader, entry.key_span, &members));
        }
        entries.objects.push(read.object);
    }
    refuse_shared_without_keys(reader, &entries.objects, &spans);
    refuse_domains_without_keys(reader, &entries.objects, &spans);
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
