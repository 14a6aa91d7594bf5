//! The filters of a list, in its query string.

/// The parameters of a query string. A field that was left empty filters nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filters(Vec<(String, String)>);

impl Filters {
    /// Reads a query string.
    pub(crate) fn read(query: &str) -> Self {
        let filled = url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.trim().is_empty());
        Self(filled.map(|(name, value)| (name.into_owned(), value.trim().to_owned())).collect())
    }

    /// Takes a parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(index).1)
    }

    /// The query string.
    pub(crate) fn to_query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_filters_nothing_and_one_can_be_taken_out() {
        let mut filters = Filters::read("account=&issuer=+git+hub+&view=each&x=a%26b");
        assert_eq!(filters.take("view").as_deref(), Some("each"));
        assert_eq!((filters.take("view"), filters.take("account")), (None, None));
        assert_eq!(filters.to_query(), "issuer=git+hub&x=a%26b");
    }
}
