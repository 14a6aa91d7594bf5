//! What an issuer entry of the configuration stands for.

use std::borrow::Cow;
use std::sync::Arc;

use crate::{Issuer, IssuerTemplate};

/// The issuers that a configuration entry stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Issuers {
    /// This one, byte for byte.
    One(Issuer),
    /// Those of a form.
    Family(Arc<IssuerTemplate>),
}

impl Issuers {
    /// Whether `issuer` is one of them.
    #[must_use]
    pub fn covers(&self, issuer: &str) -> bool {
        match self {
            Self::One(own) => own.as_str() == issuer,
            Self::Family(template) => template.covers(issuer),
        }
    }

    /// The issuer, or the template, as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::One(issuer) => issuer.as_str(),
            Self::Family(template) => template.as_str(),
        }
    }

    /// The form, where there are many.
    #[must_use]
    pub fn template(&self) -> Option<&IssuerTemplate> {
        match self {
            Self::One(_) => None,
            Self::Family(template) => Some(template),
        }
    }

    /// The one issuer, or the member of the family in which `value_of` a variable stands for it.
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
