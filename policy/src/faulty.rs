//! Names that are declared with a fault. The fault was reported where it is, and what follows from
//! it elsewhere is not reported as well: one cause is one finding.

use std::collections::BTreeSet;

use sts_types::nearest;

/// Such names, by what they are names of.
#[derive(Clone, Debug, Default)]
pub struct FaultyNames {
    /// Teams, whose grants are not known.
    pub teams: FaultySet,
    /// APIs, whose scopes are not known.
    pub apis: FaultySet,
    /// Issuer entries, whose issuer is not known.
    pub issuers: FaultySet,
    /// Service accounts, whose grants are not known.
    pub accounts: FaultySet,
}

/// Names of one kind.
#[derive(Clone, Debug, Default)]
pub struct FaultySet {
    every_name: bool,
    names: BTreeSet<String>,
    /// Texts that stand where a name should, and are none.
    misspelt: Vec<String>,
}

impl FaultySet {
    /// Adds a name whose declaration has a fault.
    pub fn insert(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Adds a text that is no name, though a name was meant.
    pub fn insert_misspelt(&mut self, text: &str) {
        self.misspelt.push(text.to_owned());
    }

    /// Notes that nobody knows which names are declared.
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
