//! Views of issuer entries and their audiences, to diagnose tokens that never reached the rules.

use sts_types::{EntryName, IssuerTemplate, Issuers, is_uuid};

use super::candidate::Candidate;
use crate::identity::Identity;
use crate::resolve::RequestedNames;
use crate::ruleset::RuleSet;
use crate::{Facts, Preset};

/// Read-only view of an issuer entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    /// Its name.
    pub name: &'a EntryName,
    /// Its `iss`, or the template of a family.
    pub issuer: &'a str,
    /// Whether its tokens are exchanged.
    pub enabled: bool,
    /// Its preset.
    pub preset: Option<Preset>,
    issuers: &'a Issuers,
}

impl EntryView<'_> {
    /// The template, if the entry is a family.
    #[must_use]
    pub fn template(&self) -> Option<&IssuerTemplate> {
        self.issuers.template()
    }

    /// Whether the entry accepts tokens of the issuer `iss`.
    #[must_use]
    pub fn covers(&self, iss: &str) -> bool {
        self.issuers.covers(iss)
    }
}

impl RuleSet {
    /// Every issuer entry, in file order.
    pub fn issuer_entries(&self) -> impl Iterator<Item = EntryView<'_>> {
        self.frame.issuers.iter().map(|entry| EntryView {
            name: &entry.name.value,
            issuer: entry.issuer.value.as_str(),
            enabled: entry.enabled,
            preset: entry.preset,
            issuers: &entry.issuer.value,
        })
    }

    /// The values of `aud` that tokens of the entry may have, without account ids: first those of
    /// the entry (our issuer if it has none), then those of its identities, sorted.
    #[must_use]
    pub fn audiences(&self, entry: &EntryName) -> Vec<&str> {
        let Some(index) = self.entry_by_name.get(entry.as_str()) else { return Vec::new() };
        let ours = self.frame.issuer.as_str();
        let configured = self.frame.issuers.get(*index).map_or(&[][..], |entry| &entry.audience);
        let mut all: Vec<&str> = configured.iter().map(|audience| audience.value.as_str()).collect();
        if all.is_empty() {
            all.push(ours);
        }
        let known = self
            .entries
            .get(*index)
            .into_iter()
            .flat_map(|audience| &audience.audiences)
            .map(|audience| audience.as_str());
        let mut rest: Vec<&str> = known.filter(|audience| !all.contains(audience) && !is_uuid(audience)).collect();
        rest.sort_unstable();
        all.extend(rest);
        all
    }

    /// Whether `name` is the name or audience of an API.
    #[must_use]
    pub fn is_api(&self, name: &str) -> bool {
        self.api_by_name.contains_key(name) || self.api_by_audience.contains_key(name)
    }

    /// Whether the request would be granted if the entry were enabled. Every lint and policy test
    /// counts.
    #[must_use]
    pub fn grants_if_enabled(&self, facts: Facts<'_>, request_names: &RequestedNames<'_>) -> bool {
        /// Bound on the identities to try, because each is compiled.
        const MAX_TRIED: usize = 50;
        let entry = facts.entry;
        let takes = |identity: &&Identity| identity.terms.entries.iter().any(|rule| rule.name == *entry);
        let all =
            self.accounts.iter().flat_map(|account| account.identities.iter().map(move |identity| (account, identity)));
        all.filter(|(_, identity)| takes(identity)).take(MAX_TRIED).any(|(account, identity)| {
            Candidate::new(self, &self.holdings_of(account, facts), identity)
                .is_some_and(|candidate| candidate.with_enabled(entry).holds(facts, request_names))
        })
    }

    /// Where a caller sets the audience of the entry's tokens, if that is known for its platform.
    #[must_use]
    pub fn audience_setting(&self, entry: &EntryName) -> Option<&'static str> {
        let index = self.entry_by_name.get(entry.as_str())?;
        self.frame.issuers.get(*index)?.preset?.audience_setting()
    }
}
