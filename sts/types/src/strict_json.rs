//! JSON as a verifier reads it: UTF-8, one object, no duplicate member at any depth, bounded nesting.
//!
//! Two parsers that disagree about a duplicate member are how forged claims pass (RFC 8725 section 2.4, requirement J-2), so a
//! duplicate refuses the document instead of picking a winner.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The deepest nesting that is read: the outermost object is depth 1.
pub const MAX_JSON_DEPTH: usize = 64;

/// Why bytes are not an object that is accepted. Never repeats input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// Not JSON, a duplicate member, nested too deeply, or a number out of range.
    #[error("not strict JSON (syntax, duplicate member, nesting over 64, or a number out of range)")]
    Syntax,
    /// JSON, and not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Parses one JSON object strictly.
///
/// # Errors
/// See [`StrictJsonError`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, StrictJsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| StrictJsonError::Encoding)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { room: MAX_JSON_DEPTH }.deserialize(&mut deserializer).map_err(|_| StrictJsonError::Syntax)?;
    deserializer.end().map_err(|_| StrictJsonError::Syntax)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(StrictJsonError::NotAnObject),
    }
}

#[derive(Clone, Copy)]
struct Strict {
    room: usize,
}

impl Strict {
    /// For what stands in a container, which itself must have room: an empty one counts too.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        self.room.checked_sub(1).map(|room| Self { room }).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
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
