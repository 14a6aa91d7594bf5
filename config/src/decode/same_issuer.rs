//! Reports issuer entries whose tokens nothing tells apart.

use std::collections::BTreeMap;

use jwks_cache::{EntrySpec, KeySource};
use sts_types::{CheckCode, Issuer};

use super::reader::{Reader, listed};
use super::server::stand_in;
use crate::objects::IssuerObject;
use crate::quote::quoted;
use crate::source::Span;

/// Help of every finding here: keys are what tells two entries apart.
const OWN_KEYS_HELP: &str = "give each of them its own `jwks_file`, `jwks_url` or `jwks`";

/// Reports entries with the same issuer, unless each has keys of its own. The key that verifies a
/// token then tells them apart.
pub(super) fn refuse_shared_without_keys(reader: &mut Reader<'_>, entries: &[IssuerObject], spans: &[Span]) {
    let mut by_issuer: BTreeMap<&Issuer, Vec<(&EntrySpec, Span)>> = BTreeMap::new();
    for (entry, span) in entries.iter().zip(spans).filter_map(|(object, span)| Some((object.keys.one()?, span))) {
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

/// Reports entries with the same trust domain, unless the key that verifies a token tells them
/// apart.
pub(super) fn refuse_domains_without_keys(reader: &mut Reader<'_>, entries: &[IssuerObject], spans: &[Span]) {
    let mut by_domain: BTreeMap<&str, Vec<(&EntrySpec, Span)>> = BTreeMap::new();
    for (object, span) in entries.iter().zip(spans) {
        if let (Some(entry), Some(domain)) = (object.keys.one(), object.trust.trust_domain.as_deref()) {
            by_domain.entry(domain).or_default().push((entry, *span));
        }
    }
    for (domain, sharers) in by_domain.into_iter().filter(|(_, sharers)| sharers.len() > 1) {
        for (entry, span) in &sharers {
            let mut others = sharers.iter().map(|(other, _)| *other).filter(|other| other.name != entry.name);
            let same_keys = others.clone().find(|other| other.source == entry.source);
            let Some(other) = same_keys.or_else(|| others.next()) else { continue };
            // `refuse_shared_without_keys` reports entries of one issuer.
            if other.issuer == entry.issuer {
                continue;
            }
            let message = if entry.source == KeySource::Discovery {
                format!(
                    "issuer entries `{}` and `{}` have the same trust domain, and `{}` has no keys of its own to tell their tokens apart",
                    entry.name, other.name, entry.name
                )
            } else if same_keys.is_some() {
                format!(
                    "issuer entries `{}` and `{}` have the same trust domain {} and the same keys",
                    entry.name,
                    other.name,
                    quoted(domain)
                )
            } else {
                continue;
            };
            reader.error(CheckCode::IssuerWithoutKeys, *span, message, OWN_KEYS_HELP);
        }
    }
}
