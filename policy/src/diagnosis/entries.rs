//! Issuer entries and their audiences, for diagnoses of tokens that never reached the rules.

use sts_types::{EntryName, Issuers, is_uuid};

use crate::ruleset::RuleSet;

/// One issuer entry, to look at.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    /// Its name.
    pub name: &'a EntryName,
    /// Its `iss`, or the form of those.
    pub issuer: &'a str,
    /// Whether its tokens are exchanged.
    pub enabled: bool,
    issuers: &'a Issuers,
}

impl EntryView<'_> {
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

    /// Where a caller sets the audience of the entry's tokens, where its platform is known.
    #[must_use]
    pub fn audience_setting(&self, entry: &EntryName) -> Option<&'static str> {
        let at = self.entry_by_name.get(entry.as_str())?;
        self.frame.issuers.get(*at)?.preset?.audience_setting()
    }
}
