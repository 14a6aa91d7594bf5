//! A request to the admin listener: what the server reads of it is what the command line wrote.

use serde_json::{Value, json};

use super::{Endpoint, Operation};

/// What a request says beside its method and path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    /// The value of the path's parameter, decoded; empty where the path has none.
    pub(crate) parameter: String,
    /// The query string, without its `?`.
    pub(crate) query: String,
    /// The body: an object, or `null` for none.
    pub(crate) body: Value,
}

impl Request {
    /// A request without a body.
    pub(super) fn get(parameter: &str, query: String) -> Self {
        Self { parameter: parameter.to_owned(), query, body: Value::Null }
    }

    /// A request with a body.
    pub(super) fn post(parameter: &str, body: impl serde::Serialize) -> Self {
        Self { parameter: parameter.to_owned(), query: String::new(), body: json!(body) }
    }

    /// The path at `endpoint`, with the query string.
    pub(crate) fn target(&self, endpoint: &Endpoint) -> String {
        let path = endpoint.full_path();
        let parts =
            path.split('/').map(|part| if part.starts_with('{') { encoded(&self.parameter) } else { part.to_owned() });
        let path = parts.collect::<Vec<_>>().join("/");
        if self.query.is_empty() { path } else { format!("{path}?{}", self.query) }
    }

    /// `operation`, which takes no parameters. Ignoring an unknown `dry_run` would do what the caller only meant to try.
    pub(super) fn without_parameters<O: Operation>(&self, operation: O) -> Result<O, String> {
        if !self.query.is_empty() {
            return Err(format!("this path takes no query parameters: send none; {}", operation.not_done()));
        }
        match self.body.as_object() {
            Some(members) if !members.is_empty() => {
                Err(format!("this path takes no members in its body: send none; {}", operation.not_done()))
            }
            _ => Ok(operation),
        }
    }
}

/// `text` as one segment of a path.
fn encoded(text: &str) -> String {
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
