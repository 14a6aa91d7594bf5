//! A group as the configuration names it.

use crate::dn::{Dn, DnError};
use crate::sid::{Sid, SidError};

/// A group of a directory: its distinguished name, or in Active Directory its `objectSid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupRef {
    /// A distinguished name. It may name another group later.
    Name(Dn),
    /// A SID. It never names another group.
    Sid(Sid),
}

/// Why a text names no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupRefError {
    /// It begins like a SID and is none.
    #[error(transparent)]
    Sid(#[from] SidError),
    /// It is no distinguished name.
    #[error("{0}; a group is a distinguished name such as CN=Deployers,OU=Groups,DC=corp, or an objectSid")]
    Name(#[from] DnError),
}

impl GroupRef {
    /// Reads a distinguished name or a SID.
    ///
    /// # Errors
    /// [`GroupRefError`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, GroupRefError> {
        if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("s-1-")) {
            return Ok(Self::Sid(text.parse()?));
        }
        Ok(Self::Name(Dn::parse(text)?))
    }

    /// The canonical form: the same for all texts of one group.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Name(dn) => dn.key().to_owned(),
            Self::Sid(sid) => sid.to_string(),
        }
    }
}

impl std::fmt::Display for GroupRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(dn) => dn.fmt(f),
            Self::Sid(sid) => sid.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_name_or_a_sid() {
        let parse = |text| GroupRef::parse(text).unwrap();
        assert_eq!(parse("s-1-5-32-545").key(), "S-1-5-32-545");
        assert_eq!(parse("CN=A,DC=b"), parse("cn=a, dc=b"));
        assert_eq!(parse("CN=A,DC=b").to_string(), "CN=A,DC=b");
        assert!(matches!(GroupRef::parse("S-1-5"), Err(GroupRefError::Sid(_))));
        assert!(matches!(GroupRef::parse("Deployers"), Err(GroupRefError::Name(_))));
    }
}
