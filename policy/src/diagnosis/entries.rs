//! Issuer entries and their audiences, for diagnoses of tokens that never reached the rules.

use sts_claims::ClaimSet;
use sts_types::{EntryName, IssuerTemplate, Issuers, UnixTime, is_uuid};

use super::candidate::Candidate;
use crate::identity::Identity;
use crate::resolve::RequestedNames;
use crate::ruleset::RuleSet;
use crate::{Facts, Preset};

/// One issuer entry, to look at.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    /// Its name.
    pub name: &'a EntryName,
    /// Its `iss`, or the form of those.
    pub issuer: &'a str,
    /// Whether its tokens are exchanged.
    pub enabled: bool,
    /// Its platform.
    pub preset: Option<Preset>,
    issuers: &'a Issuers,
}

impl EntryView<'_> {
    /// The template of a family.
    #[must_use]
    pub fn template(&self) -> Option<&IssuerTemplate> {
        self.issuers.template()
    }

    /// Whether it stands for that issuer.
    #[must_use]
    pub fn covers(&self, iss: &str) -> bool {
        self.issuers.covers(iss)
    }
}

impl RuleSet {
    /// Every issuer entry, in file order.
    pub fn issuer_entries(&self) -> impl Iterator<Item = EntryView<'_>> {
        self.frame.issuers.iter().map(|own| EntryView {
            name: &own.name.value,
            issuer: own.issuer.value.as_str(),
            enabled: own.enabled,
            preset: own.preset,
            issuers: &own.issuer.value,
        })
    }

    /// What a token of the entry may have as `aud`, account ids apart: what was configured first, our issuer last.
    #[must_use]
    pub fn audiences(&self, entry: &EntryName) -> Vec<&str> {
        let Some(at) = self.entry_by_name.get(entry.as_str()) else { return Vec::new() };
        let ours = self.frame.issuer.as_str();
        let configured = self.frame.issuers.get(*at).map_or(&[][..], |own| &own.audience);
        let mut all: Vec<&str> = configured.iter().map(|own| own.value.as_str()).collect();
        if all.is_empty() {
            all.push(ours);
        }
        let known = self.entries.get(*at).into_iter().flat_map(|own| &own.audiences).map(|own| own.as_str());
        let mut rest: Vec<&str> = known.filter(|own| !all.contains(own) && !is_uuid(own)).collect();
        rest.sort_unstable();
        all.extend(rest);
        all
    }

    /// Whether an API has that name or audience.
    #[must_use]
    pub fn is_api(&self, name: &str) -> bool {
        self.api_by_name.contains_key(name) || self.api_by_audience.contains_key(name)
    }

    /// Whether `asked` would be granted were that entry enabled, with every lint and policy test.
    #[must_use]
    pub fn grants_if_enabled(
        &self,
        entry: &EntryName,
        claims: &ClaimSet,
        now: UnixTime,
        asked: &RequestedNames<'_>,
    ) -> bool {
        /// Enough to find one that fits; each is compiled.
        const MAX_TRIED: usize = 50;
        let facts = Facts { entry, claims, now };
        let takes = |identity: &&Identity| identity.terms.entries.iter().any(|rule| rule.name == *entry);
        let all = self.accounts.iter().flat_map(|account| account.identities.iter().map(move |own| (account, own)));
        all.filter(|(_, own)| takes(own)).take(MAX_TRIED).any(|(account, identity)| {
            Candidate::new(self, account, identity).is_some_and(|own| own.with_enabled(entry).holds(facts, asked))
        })
    }

    /// Where a caller sets the audience of the entry's tokens, where its platform is known.
    #[must_use]
    pub fn audience_setting(&self, entry: &EntryName) -> Option<&'static str> {
        let at = self.entry_by_name.get(entry.as_str())?;
        self.frame.issuers.get(*at)?.preset?.audience_setting()
    }
}
