//! Which keys a caller means: those of an entry, or of one member of a family.

use sts_types::{EntryName, Issuer};

/// An entry, or one issuer of a family of entries. An entry's name alone stands for the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    pub(crate) name: &'a EntryName,
    pub(crate) issuer: Option<&'a Issuer>,
}

impl<'a> EntryRef<'a> {
    /// The keys of `issuer` under the entry `name`: of a family its member, of an entry of one issuer that very issuer.
    #[must_use]
    pub fn of_issuer(name: &'a EntryName, issuer: &'a Issuer) -> Self {
        Self { name, issuer: Some(issuer) }
    }
}

impl<'a> From<&'a EntryName> for EntryRef<'a> {
    fn from(name: &'a EntryName) -> Self {
        Self { name, issuer: None }
    }
}

/// What a log and its file are kept under: an entry's name, and of a family's member its issuer too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogKey {
    pub(crate) name: EntryName,
    pub(crate) member: Option<Issuer>,
}

impl LogKey {
    pub(crate) fn entry(name: EntryName) -> Self {
        Self { name, member: None }
    }

    pub(crate) fn member(name: EntryName, issuer: Issuer) -> Self {
        Self { name, member: Some(issuer) }
    }
}
