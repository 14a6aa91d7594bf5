//! A request to the admin listener: what the server reads of it is what the command line wrote.

use serde_json::{Value, json};

use super::{Endpoint, Operation};

/// What a request says beside its method and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    /// The value of the path's parameter, decoded; empty where the path has none.
    pub(crate) parameter: String,
    /// The value of its second parameter.
    pub(crate) inner: String,
    /// The query string, without its `?`.
    pub(crate) query: String,
    /// `If-Match`.
    pub(crate) if_match: Option<String>,
    /// The body: an object, or `null` for none.
    pub(crate) body: Value,
}

impl Request {
    /// A request without a body.
    pub(super) fn get(parameter: &str, query: String) -> Self {
        Self { parameter: parameter.to_owned(), query, ..Self::default() }
    }

    /// A request with a body.
    pub(super) fn post(parameter: &str, body: impl serde::Serialize) -> Self {
        Self { parameter: parameter.to_owned(), body: json!(body), ..Self::default() }
    }

    /// The path at `endpoint`, with the query string.
    pub(crate) fn target(&self, endpoint: &Endpoint) -> String {
        let path = endpoint.full_path();
        let mut values = [&self.parameter, &self.inner].into_iter();
        let parts = path.split('/').map(|part| match part.starts_with('{') {
            true => values.next().map(|value| encoded(value)).unwrap_or_default(),
            false => part.to_owned(),
        });
        let path = parts.collect::<Vec<_>>().join("/");
        if self.query.is_empty() { path } else { format!("{path}?{}", self.query) }
    }

    /// Whether the query string asks for a dry run, which is all that it may ask for.
    pub(super) fn dry_run(&self) -> Result<bool, String> {
        match self.query.as_str() {
            "" | "dry_run=false" => Ok(false),
            "dry_run=true" => Ok(true),
            _ => Err("the only query parameter here is `dry_run`, `true` or `false`; nothing was changed".to_owned()),
        }
    }

    /// `operation`, which takes no parameters. Ignoring an unknown `dry_run` would do what the caller only meant to try.
    pub(super) fn without_parameters<O: Operation>(&self, operation: O) -> Result<O, String> {
        if !self.query.is_empty() {
            return Err(format!("this path takes no query parameters: send none; {}", operation.not_done()));
        }
        self.without_members(operation)
    }

    /// `operation`, which takes no body.
    pub(super) fn without_members<O: Operation>(&self, operation: O) -> Result<O, String> {
        match self.body.as_object() {
            Some(members) if !members.is_empty() => {
                Err(format!("this path takes no members in its body: send none; {}", operation.not_done()))
            }
            _ => Ok(operation),
        }
    }
}

/// The query string of a change.
pub(super) fn dry_run_query(is_dry_run: bool) -> String {
    if is_dry_run { "dry_run=true".to_owned() } else { String::new() }
}

/// Which existing object a request changes, and under which condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edit {
    /// The value of the path's parameter.
    pub(crate) parameter: String,
    /// The value of its second parameter.
    pub(crate) inner: String,
    /// `If-Match`, without which nothing is changed.
    pub(crate) if_match: Option<String>,
    /// Whether the change is only tried.
    pub(crate) dry_run: bool,
}

impl Edit {
    /// # Errors
    /// If the query string asks for anything but a dry run.
    pub(super) fn read(request: &Request) -> Result<Self, String> {
        Ok(Self {
            parameter: request.parameter.clone(),
            inner: request.inner.clone(),
            if_match: request.if_match.clone(),
            dry_run: request.dry_run()?,
        })
    }

    /// The request with this body; `null` for none.
    pub(super) fn request(&self, body: impl serde::Serialize) -> Request {
        Request {
            parameter: self.parameter.clone(),
            inner: self.inner.clone(),
            query: dry_run_query(self.dry_run),
            if_match: self.if_match.clone(),
            body: json!(body),
        }
    }
}

/// `text` as one segment of a path.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::decoded;

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        for text in ["a", "a/b c+%", "é&=?#", ""] {
            assert_eq!(decoded(&encoded(text).replace('%', "%25")), text, "as the router has it");
            assert!(!encoded(text).contains(['/', '?', '#', ' ']), "{text}");
        }
    }
}
