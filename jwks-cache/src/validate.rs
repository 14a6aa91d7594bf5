//! Checks of the specs before any key is read.

use std::collections::{HashMap, HashSet};

use sts_types::{CheckCode, EntryName, Issuer};
use url::{Host, Url};

use crate::access::{Access, bearer};
use crate::discovery::{discovery_url, key_set_url};
use crate::guard::{AddressClass, AddressGuard, reach};
use crate::{DocumentKind, EntrySpec, FamilySpec, FetchError, KeySource, Specs, http};

/// An entry that cannot be used with this configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("issuer entry `{entry}`: {message}; {help}")]
pub struct EntryError {
    /// The rule that the entry violates.
    pub code: CheckCode,
    /// The entry's name.
    pub entry: EntryName,
    /// The field that is wrong, for faults of a field that is not about the keys themselves.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What the operator can do.
    pub help: String,
}

impl EntryError {
    pub(crate) fn new(code: CheckCode, entry: &EntryName, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, entry: entry.clone(), key: None, message: message.into(), help: help.into() }
    }

    fn about(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// Every error that the specs alone reveal.
pub(crate) fn check(specs: &Specs) -> Vec<EntryError> {
    let mut errors: Vec<_> = specs.entries.iter().flat_map(check_one).collect();
    // A fault of one member is a fault of all, so one example member is enough.
    let outlines = specs.families.iter().filter_map(|family| Some(family.member(family.template.outline()?)));
    errors.extend(outlines.flat_map(|outline| check_one(&outline)));
    let mut names = HashSet::new();
    let all = specs.entries.iter().map(|spec| &spec.name).chain(specs.families.iter().map(|family| &family.name));
    for name in all {
        if !names.insert(name) {
            errors.push(EntryError::new(
                CheckCode::DuplicateName,
                name,
                "two entries have this name",
                "give each entry its own name",
            ));
        }
    }
    errors.extend(check_shared(&specs.entries));
    errors.extend(check_overlaps(&specs.families));
    errors
}

/// Two families must not cover the same issuer: nothing could tell which one it belongs to.
fn check_overlaps(families: &[FamilySpec]) -> Vec<EntryError> {
    let mut errors = Vec::new();
    for (index, family) in families.iter().enumerate() {
        for other in families.iter().skip(index + 1).filter(|other| other.template.may_overlap(&family.template)) {
            errors.push(EntryError::new(
                CheckCode::OverlappingFamilies,
                &other.name,
                format!("one issuer can belong to both its family and that of `{}`", family.name),
                "make their variables disjoint, for instance with lists of values, or merge them into one entry",
            ));
        }
    }
    errors
}

/// Groups of items that share an issuer.
pub(crate) fn shared<'a, T>(
    items: impl IntoIterator<Item = &'a T>,
    issuer: impl Fn(&'a T) -> &'a Issuer,
) -> HashMap<&'a Issuer, Vec<&'a T>> {
    let mut groups: HashMap<&Issuer, Vec<&T>> = HashMap::new();
    for item in items {
        groups.entry(issuer(item)).or_default().push(item);
    }
    groups.retain(|_, group| group.len() > 1);
    groups
}

fn check_one(spec: &EntrySpec) -> Vec<EntryError> {
    let mut errors = Vec::new();
    if spec.algorithms.is_empty() {
        errors.push(EntryError::new(
            CheckCode::NoAlgorithm,
            &spec.name,
            "no algorithm is allowed",
            "list at least one in `algorithms`",
        ));
    }
    let (what, text) = match &spec.source {
        KeySource::Discovery => ("issuer", discovery_url(&spec.issuer)),
        KeySource::Url(url) => ("jwks_url", url.clone()),
        KeySource::File(_) | KeySource::Inline(_) => {
            errors.extend(check_unused(spec));
            return errors;
        }
    };
    errors.extend(check_access(spec).err());
    let mut wrong = |code, message: String, help: &str| errors.push(EntryError::new(code, &spec.name, message, help));
    match key_set_url(&text, spec.network) {
        Err(why) => {
            wrong(
                CheckCode::InvalidUrl,
                format!("`{what}` {why}"),
                "write an https URL, or give the keys as `jwks_file` or `jwks`",
            );
        }
        Ok(url) => {
            if what == "issuer" && url.query().is_some() {
                wrong(
                    CheckCode::InvalidUrl,
                    "`issuer` has a query".to_owned(),
                    "discovery needs an issuer without one; give `jwks_url` instead",
                );
            }
            if let Err(refused) = check_host(&url, spec) {
                wrong(
                    CheckCode::AddressNotAllowed,
                    format!("`{what}` is not dialled: {refused}"),
                    "give an address that is allowed",
                );
            }
        }
    }
    errors
}

const CA_FILE_HELP: &str = "`ca_file` is a bundle of CA certificates in PEM, readable by the user that runs this";

/// Settings for fetches on an entry that never fetches.
fn check_unused(spec: &EntrySpec) -> impl Iterator<Item = EntryError> {
    let given = [
        ("ca_file", spec.ca_file.is_some()),
        ("bearer_token_file", spec.bearer_token_file.is_some()),
        ("proxy", spec.proxy.is_some()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(key, _)| {
        EntryError::new(
            CheckCode::KeyWithoutEffect,
            &spec.name,
            format!("`{key}` has no effect: nothing is fetched"),
            format!("remove `{key}`"),
        )
        .about(key)
    })
}

/// Checks the files that each fetch reads. A wrong path must show now, not when the issuer rotates
/// its keys.
fn check_access(spec: &EntrySpec) -> Result<(), EntryError> {
    if spec.proxy.is_some() && spec.network.allow_http {
        let message = "`proxy` and `allow_http` are both there, and plain http goes to loopback addresses only";
        return Err(
            EntryError::new(CheckCode::ConflictingKeys, &spec.name, message, "remove one of them").about("proxy")
        );
    }
    if let Some(path) = &spec.bearer_token_file {
        bearer(path).map_err(|error| {
            let message = format!("`bearer_token_file`: {}", error.message(path));
            EntryError::new(error.code(), &spec.name, message, error.help()).about("bearer_token_file")
        })?;
    }
    let ca_file = |error: FetchError| {
        EntryError::new(CheckCode::InvalidCaFile, &spec.name, error.to_string(), CA_FILE_HELP).about("ca_file")
    };
    let access = Access::read(spec).map_err(ca_file)?;
    if let Some(path) = &spec.ca_file {
        http::check(&access)
            .map_err(|fault| ca_file(FetchError::new(DocumentKind::CaFile, &path.to_string_lossy(), fault)))?;
    }
    Ok(())
}

/// Checks what a host reveals without a network: the address of an IP literal, and that plain http
/// goes to loopback.
fn check_host(url: &Url, spec: &EntrySpec) -> Result<(), String> {
    let https = url.scheme() == "https";
    let host = url.host().ok_or_else(|| "it has no host".to_owned())?;
    AddressGuard::new(spec.network, https).check_literal(&host).map_err(|refused| refused.to_string())?;
    if https || is_loopback(&host) {
        return Ok(());
    }
    Err("plain http goes to `localhost` and loopback addresses only".to_owned())
}

/// Whether the host is this machine, so that plain http does not leave it: `localhost`, a name below
/// it (RFC 6761 section 6.3), or a loopback address.
#[must_use]
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => reach((*address).into()) == AddressClass::Loopback,
        Host::Ipv6(address) => reach((*address).into()) == AddressClass::Loopback,
    }
}

/// Entries of one issuer are told apart by their keys, so each needs its own.
fn check_shared(specs: &[EntrySpec]) -> Vec<EntryError> {
    let mut errors = Vec::new();
    for (_, group) in shared(specs, |spec| &spec.issuer) {
        for spec in &group {
            let others = || {
                let names: Vec<_> = group
                    .iter()
                    .filter(|other| other.name != spec.name)
                    .map(|other| format!("`{}`", other.name))
                    .collect();
                names.join(", ")
            };
            match &spec.source {
                KeySource::Discovery => errors.push(EntryError::new(
                    CheckCode::IssuerWithoutKeys,
                    &spec.name,
                    format!("it shares its issuer with {} and has no keys of its own", others()),
                    "give each entry of one issuer a `jwks_file`, `jwks` or `jwks_url`",
                )),
                source @ (KeySource::Url(_) | KeySource::File(_)) => {
                    if group.iter().any(|other| other.name != spec.name && other.source == *source) {
                        errors.push(EntryError::new(
                            CheckCode::IssuerWithoutKeys,
                            &spec.name,
                            format!("it shares its issuer and the source of its keys with another of {}", others()),
                            "entries of one issuer are told apart by their keys; leave one of them out",
                        ));
                    }
                }
                KeySource::Inline(_) => {}
            }
        }
    }
    errors.sort_by(|a, b| a.entry.cmp(&b.entry));
    errors
}
