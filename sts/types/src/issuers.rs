//! The issuers of a configuration entry.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Issuer, IssuerTemplate};

/// One issuer, or a family of issuers.
#[derive(Clone, Debug, PartialEq)]
pub enum Issuers {
    /// Exactly this issuer, compared byte for byte.
    One(Issuer),
    /// All issuers that match this template.
    Family(Arc<IssuerTemplate>),
}

impl Issuers {
    /// Whether `issuer` is one of them.
    #[must_use]
    pub fn covers(&self, issuer: &str) -> bool {
        match self {
            Self::One(expected) => expected.as_str() == issuer,
            Self::Family(template) => template.covers(issuer),
        }
    }

    /// The issuer, or the template's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::One(issuer) => issuer.as_str(),
            Self::Family(template) => template.as_str(),
        }
    }

    /// The template of a family.
    #[must_use]
    pub fn template(&self) -> Option<&IssuerTemplate> {
        match self {
            Self::One(_) => None,
            Self::Family(template) => Some(template),
        }
    }

    /// The one issuer, or the family member with the variables' values from `value_of`.
    #[must_use]
    pub fn member(&self, value_of: impl Fn(&str) -> Option<String>) -> Option<Cow<'_, Issuer>> {
        match self {
            Self::One(issuer) => Some(Cow::Borrowed(issuer)),
            Self::Family(template) => template.member(value_of).map(Cow::Owned),
        }
    }
}

impl From<Issuer> for Issuers {
    fn from(issuer: Issuer) -> Self {
        Self::One(issuer)
    }
}
