//! Query strings: how they are written and what their values mean.

use std::borrow::Cow;

use sts_types::UnixTime;

/// A query string that asks for nothing that can be answered: a text for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub String);

impl From<&str> for QueryError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The body of a request that needs none: an object without members, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoMembers {}

/// The parameters of `query`, decoded.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(query.as_bytes())
}

/// The query string of the parameters that have a value.
pub(crate) fn written(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// The most items that a page may have.
pub(crate) fn limit(value: &str) -> Result<usize, QueryError> {
    value.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "`limit` is a whole number, 1 or more".into())
}

/// Epoch seconds, or RFC 3339.
pub(crate) fn moment(name: &str, value: &str) -> Result<UnixTime, QueryError> {
    let seconds = value.parse().ok().or_else(|| rfc3339(value));
    seconds.map(UnixTime::from_secs).ok_or_else(|| QueryError(format!("`{name}` is epoch seconds, or RFC 3339")))
}

/// The epoch seconds of an RFC 3339 text.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    sts_types::UnixTime::from_rfc3339(text).map(sts_types::UnixTime::as_secs)
}
