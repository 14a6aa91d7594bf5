//! Strict JSON: UTF-8, one object, no duplicate member at any depth, limited nesting.
//!
//! If two parsers disagree about a duplicate member, an attacker can forge claims (RFC 8725 section
//! 2.4). So a duplicate makes the document invalid; the parser does not pick a winner.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::json_object::{Content, JsonObject, Name};

/// Limit of the nesting depth. The outermost object has depth 1.
pub const MAX_JSON_DEPTH: usize = 64;

/// Why bytes are not an acceptable object. Never contains input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Not JSON, a duplicate member, nested too deeply, or a number out of range.
    #[error("not strict JSON (syntax, duplicate member, nesting over 64, or a number out of range)")]
    Syntax,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Parses one JSON object strictly, into a map.
///
/// # Errors
/// See [`StrictJsonError`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    JsonObject::parse(bytes).map(|object| object.to_map())
}

impl JsonObject {
    /// Parses one JSON object strictly.
    ///
    /// # Errors
    /// See [`StrictJsonError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictJsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StrictJsonError::Encoding)?;
        // Positions in a `JsonObject` are `u32`.
        if u32::try_from(text.len()).is_err() {
            return Err(StrictJsonError::Syntax);
        }
        let mut object = Self::with_room_for(text.len());
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let whole = Strict { object: &mut object, name: Name::default(), depth_left: MAX_JSON_DEPTH };
        whole.deserialize(&mut deserializer).map_err(|_| StrictJsonError::Syntax)?;
        deserializer.end().map_err(|_| StrictJsonError::Syntax)?;
        if object.is_object() { Ok(object) } else { Err(StrictJsonError::NotAnObject) }
    }
}

/// Parses one value into the object.
struct Strict<'o> {
    object: &'o mut JsonObject,
    name: Name,
    depth_left: usize,
}

impl Strict<'_> {
    fn add<E>(self, value: Content) -> Result<(), E> {
        self.object.add(self.name, value);
        Ok(())
    }

    /// The depth left inside a container. The container itself needs one level, even if it is
    /// empty.
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.depth_left.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.add(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.add(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(Content::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        self.add(Content::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        let text = self.object.add_text(value);
        self.add(Content::Text(text))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.add(Content::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth_left = self.inner()?;
        let Self { object, name, .. } = self;
        let index = object.add(name, Content::List);
        while seq.next_element_seed(Strict { object, name: Name::default(), depth_left })?.is_some() {}
        object.close(index);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth_left = self.inner()?;
        let Self { object, name, .. } = self;
        let index = object.add(name, Content::Object);
        while let Some(name) = map.next_key_seed(MemberName(object))? {
            map.next_value_seed(Strict { object, name, depth_left })?;
        }
        object.close(index);
        if object.order_members(index) { Ok(()) } else { Err(A::Error::custom("duplicate member")) }
    }
}

/// Parses a member's name into the object.
struct MemberName<'o>(&'o mut JsonObject);

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(self.0.add_name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c035_c036_a_duplicate_member_is_refused_at_any_depth_and_however_it_is_escaped() {
        for text in [
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"sub":"a","s\u0075b":"a"}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(StrictJsonError::Syntax), "{text}");
        }
    }

    #[test]
    fn c031_c054_only_one_utf8_object_is_read() {
        for text in ["[]", "\"x\"", "1", "null"] {
            assert_eq!(parse_object(text.as_bytes()), Err(StrictJsonError::NotAnObject), "{text}");
        }
        for bytes in [b"\xef\xbb\xbf{}".as_slice(), b"{} x", b"{}{}", b"{", b"", b"{\"a\":\"\\ud800\"}", b"{\0\"\0a\0"]
        {
            assert_eq!(parse_object(bytes), Err(StrictJsonError::Syntax), "{bytes:?}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(StrictJsonError::Encoding));
        assert_eq!(parse_object(b"{\"a\":\"\xc0\xaf\"}"), Err(StrictJsonError::Encoding));
    }

    #[test]
    fn c052_nesting_is_bounded_at_64() {
        let nested = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1), "{}") + &"}".repeat(depth - 1);
        assert!(parse_object(nested(64).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(65).as_bytes()), Err(StrictJsonError::Syntax));
        assert_eq!(parse_object(nested(100_000).as_bytes()), Err(StrictJsonError::Syntax));
    }

    #[test]
    fn c038_numbers_out_of_range_and_foreign_literals_are_refused() {
        for text in [r#"{"exp":1e400}"#, r#"{"exp":NaN}"#, r#"{"exp":Infinity}"#, r#"{"exp":01}"#] {
            assert_eq!(parse_object(text.as_bytes()), Err(StrictJsonError::Syntax), "{text}");
        }
    }
}
