//! A reference to the keys of an entry, or of one member of a family.

use sts_types::{EntryName, Issuer};

/// An entry, or one issuer of a family of entries. `From<&EntryName>` makes a reference to the
/// whole entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    pub(crate) name: &'a EntryName,
    pub(crate) issuer: Option<&'a Issuer>,
}

impl<'a> EntryRef<'a> {
    /// The keys of `issuer` under the entry `name`: a member of a family, or an entry with that
    /// very issuer.
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

/// Identifies a history log and its file: the entry's name, plus the issuer of a family member.
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
