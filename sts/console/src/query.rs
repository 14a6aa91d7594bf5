//! The query string of a request.

use actix_web::HttpRequest;

/// The parameters, in their order.
pub(crate) struct Query(Vec<(String, String)>);

/// A parameter that may stand there once stands there twice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RepeatedParameterError;

impl Query {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self(url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect())
    }

    /// The first value of the parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The value of a parameter that may not be repeated.
    pub(crate) fn only(&self, name: &str) -> Result<Option<&str>, RepeatedParameterError> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(RepeatedParameterError) } else { Ok(value) }
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
