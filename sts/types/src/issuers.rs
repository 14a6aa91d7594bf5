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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::VariableSpec;

    #[test]
    fn one_issuer_is_its_only_member_and_a_family_has_one_for_each_value() {
        let issuer = Issuer::new("https://i.example/a").unwrap();
        let one = Issuers::from(issuer.clone());
        assert_eq!(one.member(|_| None).as_deref(), Some(&issuer));
        assert!(one.covers("https://i.example/a") && !one.covers("https://i.example/b") && one.template().is_none());

        let values = VariableSpec::OneOf(vec!["a".to_owned(), "b".to_owned()]);
        let variables = BTreeMap::from([("tenant".to_owned(), values)]);
        let template = IssuerTemplate::new("https://i.example/{tenant}", &variables).unwrap();
        let family = Issuers::Family(Arc::new(template));
        let member = |value: &str| family.member(|_| Some(value.to_owned())).map(|member| member.to_string());
        assert_eq!(member("b").as_deref(), Some("https://i.example/b"));
        assert_eq!(member("c"), None);
        assert!(family.covers("https://i.example/a") && !family.covers("https://i.example/c"));
        assert_eq!((family.as_str(), family.template().is_some()), ("https://i.example/{tenant}", true));
    }
}
