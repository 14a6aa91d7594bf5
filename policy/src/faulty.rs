//! Names whose declaration has a fault. The fault is reported once, at the declaration; findings
//! that would only follow from it are suppressed.

use std::collections::BTreeSet;

use sts_types::nearest;

/// Names whose declaration has a reported fault, by kind.
#[derive(Clone, Debug, Default)]
pub struct FaultyNames {
    /// Teams. Their grants are unknown.
    pub teams: FaultySet,
    /// APIs. Their scopes are unknown.
    pub apis: FaultySet,
    /// Issuer entries. Their issuer is unknown.
    pub issuers: FaultySet,
    /// Service accounts. Their grants are unknown.
    pub accounts: FaultySet,
    /// Directories.
    pub directories: FaultySet,
}

impl FaultyNames {
    /// Whether no name is faulty, so that no finding was suppressed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.teams, &self.apis, &self.issuers, &self.accounts, &self.directories].into_iter().all(FaultySet::is_empty)
    }
}

/// The faulty names of one kind.
#[derive(Clone, Debug, Default)]
pub struct FaultySet {
    every_name: bool,
    names: BTreeSet<String>,
    /// Invalid texts in the place of a name.
    misspelt: Vec<String>,
}

impl FaultySet {
    pub(crate) fn is_empty(&self) -> bool {
        !self.every_name && self.names.is_empty() && self.misspelt.is_empty()
    }

    /// Adds a name whose declaration has a fault.
    pub fn insert(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Adds an invalid text in the place of a name. References to a similar name are then not
    /// reported.
    pub fn insert_misspelt(&mut self, text: &str) {
        self.misspelt.push(text.to_owned());
    }

    /// Records that the declared names are unknown, so every name counts as faulty.
    pub fn insert_every_name(&mut self) {
        self.every_name = true;
    }

    /// Whether the declaration of `name` has a fault, or may have one.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.every_name
            || self.names.contains(name)
            || nearest(name, self.misspelt.iter().map(String::as_str)).is_some()
    }
}
