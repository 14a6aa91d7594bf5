//! Checks that names are unique. Account ids, usernames, API names and audiences that look like
//! names share one namespace, so that each name in a request has one meaning.

use std::collections::HashMap;

use sts_types::{CheckCode, Issuers, Origin};

use super::apis::BUILT_IN;
use crate::account::Account;
use crate::finding::{Findings, quoted};
use crate::{IssuerSpec, PresetSource, Spec};

/// Reports every collision, with our own names, too. The names of `kept` accounts, which were compiled
/// before, are taken first: a collision is the fault of what is new.
pub(super) fn check(spec: &Spec, kept: &[Account], findings: &mut Findings) {
    let mut names = Names { taken: HashMap::with_capacity(kept.len()), findings };
    for (index, account) in kept.iter().enumerate() {
        names.taken.insert(account.granted.name.as_str(), ("service account", Some(index)));
        let id = account.granted.id.as_str();
        if id != account.granted.name.as_str() {
            names.taken.insert(id, ("service account's id", Some(index)));
        }
    }
    for api in &spec.apis {
        names.take(api.name.value.as_str(), "API", api.name.origin, None);
    }
    for (index, account) in (kept.len()..).zip(&spec.accounts) {
        names.take(account.name.value.as_str(), "service account", account.name.origin, Some(index));
        if let Some(id) = &account.id {
            names.take(id.value.as_str(), "service account's id", id.origin, Some(index));
        }
    }
    for api in spec.apis.iter().filter(|api| !api.audience.value.as_str().contains([':', '/'])) {
        if api.audience.value.as_str() != api.name.value.as_str() {
            names.take(api.audience.value.as_str(), "API's audience", api.audience.origin, None);
        }
    }
    audiences(spec, findings);
    unique("issuer entry", spec.issuers.iter().map(|entry| (entry.name.value.as_str(), entry.name.origin)), findings);
    unique("team", spec.teams.iter().map(|team| (team.name.value.as_str(), team.name.origin)), findings);
    let sound = || spec.issuers.iter().filter(|entry| entry.preset_source != PresetSource::Faulty);
    for entry in sound() {
        other_spelling_of_ours(entry, spec.issuer.as_str(), findings);
    }
    for entry in sound().filter(|entry| entry.issuer.value.covers(spec.issuer.as_str())) {
        let message = format!("issuer entry {} is our own `issuer`", quoted(entry.name.value.as_str()));
        findings.error(
            CheckCode::OwnIssuer,
            entry.issuer.origin,
            message,
            "remove it: our own tokens are never exchanged".to_owned(),
        );
        findings.faulty.issuers.insert(entry.name.value.as_str());
    }
}

/// Reports our own issuer in another spelling. None of our tokens has it, so only somebody who
/// imitates us could use it.
fn other_spelling_of_ours(entry: &IssuerSpec, ours: &str, findings: &mut Findings) {
    let issuers = &entry.issuer.value;
    if issuers.covers(ours) {
        return;
    }
    let difference = match issuers {
        Issuers::One(issuer) if folded(issuer.as_str()) == folded(ours) => difference(issuer.as_str(), ours),
        Issuers::One(_) => return,
        Issuers::Family(template) => {
            let bare = ours.trim_end_matches('/');
            let spellings = [bare.to_owned(), format!("{bare}/"), ours.to_lowercase()];
            let Some(spelling) = spellings.iter().find(|text| template.covers(text)) else { return };
            difference(spelling, ours)
        }
    };
    let message =
        format!("issuer entry {} is our own `issuer`, written with {difference}", quoted(entry.name.value.as_str()));
    let help = "remove it: our own tokens are never exchanged".to_owned();
    findings.error(CheckCode::OwnIssuer, entry.issuer.origin, message, help);
}

/// One spelling of all that lead to the same server: scheme and default port left out, lower case,
/// no slash at the end.
fn folded(issuer: &str) -> String {
    let lower = issuer.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = [":443", ":80"].into_iter().find_map(|port| authority.strip_suffix(port)).unwrap_or(authority);
    format!("{}{}", host.trim_end_matches('.'), path.trim_end_matches('/'))
}

/// How two spellings of one issuer differ.
fn difference(issuer: &str, ours: &str) -> &'static str {
    let bare = |text: &str| text.trim_end_matches('/').to_owned();
    let scheme = |text: &str| text.split_once("://").map(|(scheme, _)| scheme.to_lowercase());
    if issuer.eq_ignore_ascii_case(ours) {
        "other letter case"
    } else if bare(issuer) == bare(ours) {
        "another slash at its end"
    } else if scheme(issuer) != scheme(ours) {
        "another scheme"
    } else {
        "a port or dot that changes nothing, other letter case or another slash"
    }
}

struct Names<'a> {
    taken: HashMap<&'a str, (&'static str, Option<usize>)>,
    findings: &'a mut Findings,
}

impl<'a> Names<'a> {
    fn take(&mut self, name: &'a str, kind: &'static str, origin: Origin, account: Option<usize>) {
        if name == BUILT_IN {
            let message = format!("the name {} is reserved for the built-in API", quoted(name));
            self.findings.error(CheckCode::ReservedName, origin, message, "choose another name".to_owned());
            return;
        }
        match self.taken.get(name) {
            None => {
                self.taken.insert(name, (kind, account));
            }
            // The id of an account may equal its own username.
            Some((_, owner)) if owner.is_some() && *owner == account => {}
            Some((other, _)) => {
                let same = if *other == kind { format!("another {kind}") } else { with_article(other) };
                let message = format!("the name {} is taken by {same}", quoted(name));
                let help = "service accounts, their ids and APIs share one namespace: choose another name".to_owned();
                self.findings.error(CheckCode::DuplicateName, origin, message, help);
            }
        }
    }
}

fn with_article(kind: &str) -> String {
    if kind.starts_with(['A', 'a', 'i']) { format!("an {kind}") } else { format!("a {kind}") }
}

fn audiences(spec: &Spec, findings: &mut Findings) {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    for api in &spec.apis {
        let audience = api.audience.value.as_str();
        if audience == spec.issuer.as_str() {
            let message = "our `issuer` is the audience of the built-in API `sts`".to_owned();
            findings.error(
                CheckCode::OwnIssuer,
                api.audience.origin,
                message,
                "give the API an audience of its own".to_owned(),
            );
        } else if let Some(other) = taken.insert(audience, api.name.value.as_str()) {
            let message = format!("API {} already has the audience {}", quoted(other), quoted(audience));
            findings.error(
                CheckCode::DuplicateAudience,
                api.audience.origin,
                message,
                "give each API an audience of its own".to_owned(),
            );
        }
    }
}

fn unique<'a>(kind: &str, names: impl Iterator<Item = (&'a str, Origin)>, findings: &mut Findings) {
    let mut seen = std::collections::HashSet::new();
    for (name, origin) in names {
        if !seen.insert(name) {
            findings.error(
                CheckCode::DuplicateName,
                origin,
                format!("there is another {kind} {}", quoted(name)),
                "choose another name".to_owned(),
            );
        }
    }
}
