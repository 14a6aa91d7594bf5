//! The claims of a token, parsed strictly, with access by name or by pointer.

use serde_json::{Map, Value};

use crate::{Json, JsonObject, StrictJsonError};

/// A JSON object of claims. A null member counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimSet(JsonObject);

impl ClaimSet {
    /// Parses a token's payload.
    ///
    /// # Errors
    /// [`StrictJsonError`] if the bytes are not one strict JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictJsonError> {
        JsonObject::parse(bytes).map(Self)
    }

    /// The claim with exactly this name; `None` if it is absent or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        self.member(name).filter(|value| !value.is_null())
    }

    /// The claim with exactly this name, if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.member(name).and_then(Json::as_str)
    }

    /// The member with exactly this name, which may be null.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Json<'_>> {
        self.0.get(name)
    }

    /// The value at `path`; `None` if it is absent or null.
    #[must_use]
    pub fn find(&self, path: &ClaimPath) -> Option<Json<'_>> {
        let mut parts = path.parts.iter();
        let mut value = self.member(parts.next()?)?;
        for part in parts {
            value = value.get(part)?;
        }
        Some(value).filter(|value| !value.is_null())
    }

    /// All members with their names, including nulls, in the order of the token or of the map they
    /// were made from.
    pub fn members(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        self.0.members()
    }

    /// The members as a map, including nulls.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        self.0.to_map()
    }
}

impl From<Map<String, Value>> for ClaimSet {
    fn from(members: Map<String, Value>) -> Self {
        Self(JsonObject::from(&members))
    }
}

/// An exact claim name, or an RFC 6901 pointer through objects if it starts with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimPath {
    text: String,
    parts: Vec<String>,
}

/// Why a text is not the name of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// The text is empty.
    #[error("a claim name is empty")]
    Empty,
    /// `~` in a pointer is followed by neither `0` nor `1` (RFC 6901 section 3).
    #[error("in a pointer, `~` is written `~0` and `/` is written `~1`")]
    Escape,
}

impl ClaimPath {
    /// Parses a claim name or pointer.
    ///
    /// # Errors
    /// See [`ClaimPathError`].
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        if text.is_empty() {
            return Err(ClaimPathError::Empty);
        }
        let parts = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer.split('/').map(unescape).collect::<Result<_, _>>()?,
        };
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The path as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of the top-level claim.
    #[must_use]
    pub fn claim(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn unescape(part: &str) -> Result<String, ClaimPathError> {
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(ClaimPathError::Escape),
            },
            c => c,
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> ClaimSet {
        ClaimSet::parse(br#"{"kubernetes.io":{"namespace":"ns","a/b":{"~":1}},"a.b":2,"n":null,"list":[{"x":1}],"":3}"#)
            .unwrap()
    }

    #[test]
    fn c051_a_name_is_exact_and_a_pointer_goes_through_objects_only() {
        let claims = claims();
        let find = |text: &str| claims.find(&ClaimPath::parse(text).unwrap()).map(Json::to_value);
        assert_eq!(find("/kubernetes.io/namespace"), Some("ns".into()));
        assert_eq!(find("/kubernetes.io/a~1b/~0"), Some(1.into()));
        assert_eq!(find("a.b"), Some(2.into()));
        assert_eq!(find("/"), Some(3.into()));
        for absent in
            ["kubernetes.io.namespace", "kubernetes.io/namespace", "/list/0/x", "/list/0", "n", "/n", "__proto__"]
        {
            assert_eq!(find(absent), None, "{absent}");
        }
        assert_eq!(ClaimPath::parse("/a~2"), Err(ClaimPathError::Escape));
        assert_eq!(ClaimPath::parse(""), Err(ClaimPathError::Empty));
    }

    #[test]
    fn null_is_absent_but_was_sent() {
        assert!(claims().get("n").is_none());
        assert!(claims().member("n").is_some_and(Json::is_null));
    }
}
