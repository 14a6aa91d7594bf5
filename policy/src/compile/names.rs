//! Names: account ids, usernames, API names (and audiences that look like them) are one namespace, in which a request means
//! one thing by one word.

use std::collections::HashMap;

use sts_types::{CheckCode, Origin};

use super::BUILT_IN;
use crate::finding::{Findings, quoted};
use crate::{IssuerSpec, PresetSource, Spec};

/// Notes every collision, and what collides with ourselves.
pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    let mut names = Names { taken: HashMap::new(), findings };
    for api in &spec.apis {
        names.take(api.name.value.as_str(), "API", api.name.origin, None);
    }
    for (at, account) in spec.accounts.iter().enumerate() {
        names.take(account.name.value.as_str(), "service account", account.name.origin, Some(at));
        if let Some(id) = &account.id {
            names.take(id.value.as_str(), "service account's id", id.origin, Some(at));
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
    let is_ours = |entry: &&IssuerSpec| {
        entry.preset_source != PresetSource::Faulty && entry.issuer.value.covers(spec.issuer.as_str())
    };
    for entry in spec.issuers.iter().filter(is_ours) {
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

struct Names<'a> {
    taken: HashMap<String, (&'static str, Option<usize>)>,
    findings: &'a mut Findings,
}

impl Names<'_> {
    fn take(&mut self, name: &str, kind: &'static str, origin: Origin, account: Option<usize>) {
        if name == BUILT_IN {
            let message = format!("the name {} is reserved for the built-in API", quoted(name));
            self.findings.error(CheckCode::ReservedName, origin, message, "choose another name".to_owned());
            return;
        }
        match self.taken.get(name) {
            None => {
                self.taken.insert(name.to_owned(), (kind, account));
            }
            // An account whose id is its own username.
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
            let message = format!("the audience {} is that of API {} already", quoted(audience), quoted(other));
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
