//! A JWK set: its usable keys, and why the other keys are unusable (RFC 7517 section 5).

use crate::{Algorithm, UnusableKeyError, VerifyingKey, parse_jwk};
use serde_json::Value;
use std::sync::Arc;
use sts_claims::{StrictJsonError, parse_object};
use sts_types::Kid;

/// Limit of the keys in a set, usable or not.
pub const MAX_KEYS: usize = 100;
/// Size limit of a key, in bytes of compact JSON.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// The keys of one issuer: at least one usable key. A `kid` may repeat or be missing.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// The usable keys, in document order.
    pub keys: Vec<Arc<VerifyingKey>>,
    /// The keys that were skipped.
    pub skipped: Vec<SkippedKey>,
}

/// A skipped key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its index in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, if it has a well-formed one.
    pub kid: Option<Kid>,
    /// The first rule that it violates.
    pub why: UnusableKeyError,
}

/// Why a document is not a key set. Never contains input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a single strict JSON object.
    #[error("the key set is {0}")]
    Json(#[from] StrictJsonError),
    /// `keys` is missing or not an array.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// More than [`MAX_KEYS`].
    #[error("the key set lists more than 100 keys")]
    TooManyKeys,
    /// A key is longer than [`MAX_KEY_BYTES`].
    #[error("a key of the key set is longer than 16 KiB")]
    KeyTooLong,
    /// No key is usable. Each comes with its reason.
    #[error("the key set has no usable key")]
    Empty(Vec<SkippedKey>),
}

impl KeySet {
    /// Parses `{"keys": [...]}`, each key with [`parse_jwk`] and `algorithms`.
    ///
    /// # Errors
    /// See [`KeySetError`]. A duplicate member anywhere makes the document invalid.
    pub fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::from_members(parse_object(document)?.get("keys"), algorithms)
    }

    /// The same for a parsed document. Its parser must have refused duplicate members.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub fn from_value(document: &Value, algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        let members = document.as_object().ok_or(StrictJsonError::NotAnObject)?;
        Self::from_members(members.get("keys"), algorithms)
    }

    fn from_members(keys: Option<&Value>, algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        let jwks = keys.and_then(Value::as_array).ok_or(KeySetError::NoKeys)?;
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        if jwks.iter().any(|jwk| jwk.to_string().len() > MAX_KEY_BYTES) {
            return Err(KeySetError::KeyTooLong);
        }
        let mut set = Self { keys: Vec::new(), skipped: Vec::new() };
        for (index, jwk) in jwks.iter().enumerate() {
            match parse_jwk(jwk, algorithms) {
                Ok(key) => set.keys.push(Arc::new(key)),
                Err(why) => {
                    let kid = jwk.get("kid").and_then(Value::as_str).and_then(|kid| Kid::new(kid).ok());
                    set.skipped.push(SkippedKey { index, kid, why });
                }
            }
        }
        if set.keys.is_empty() { Err(KeySetError::Empty(set.skipped)) } else { Ok(set) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

    /// The key of RFC 8037 appendix A.2.
    fn key() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn named(kid: &str) -> Value {
        let mut key = key();
        key["kid"] = kid.into();
        key
    }

    fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), &ALGORITHMS)
    }

    #[test]
    fn j13_c097_a_bad_key_is_skipped_with_its_place_and_reason_and_the_others_are_kept() {
        let set = parse(&[
            json!({ "kty": "oct", "k": "AA", "kid": "secret" }),
            named("a"),
            json!({ "kty": "new", "kid": "\u{0}" }),
            json!(7),
            named("b"),
        ])
        .unwrap();
        let kids: Vec<_> = set.keys.iter().map(|key| key.kid().unwrap().as_str()).collect();
        assert_eq!(kids, ["a", "b"]);
        let skipped: Vec<_> = set
            .skipped
            .iter()
            .map(|skipped| (skipped.index, skipped.kid.as_ref().map(Kid::as_str), skipped.why.kind()))
            .collect();
        assert_eq!(skipped, [(0, Some("secret"), "symmetric"), (2, None, "member_type"), (3, None, "not_an_object")]);
        assert!(set.skipped.iter().map(|skipped| skipped.why.alarming()).eq([true, false, false]));
    }

    #[test]
    fn c098_identifiers_may_repeat_or_be_missing_or_empty() {
        let set = parse(&[named("a"), named("a"), key(), named("")]).unwrap();
        let kids: Vec<_> = set.keys.iter().map(|key| key.kid().map(Kid::as_str)).collect();
        assert_eq!(kids, [Some("a"), Some("a"), None, None]);
    }

    #[test]
    fn j13_a_set_without_a_usable_key_is_refused_and_says_why_each_was_skipped() {
        assert_eq!(parse(&[]).unwrap_err(), KeySetError::Empty(vec![]));
        let why = UnusableKeyError::Symmetric;
        let skipped = vec![SkippedKey { index: 0, kid: None, why }];
        assert_eq!(parse(&[json!({ "kty": "oct", "k": "AA" })]).unwrap_err(), KeySetError::Empty(skipped));
    }

    #[test]
    fn c095_only_an_object_with_an_array_of_keys_is_a_set() {
        let refused = |text: &str| KeySet::parse(text.as_bytes(), &ALGORITHMS).unwrap_err();
        for text in ["{}", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"Keys":[]}"#, &key().to_string()] {
            assert_eq!(refused(text), KeySetError::NoKeys, "{text}");
        }
        assert_eq!(refused("[]"), KeySetError::Json(StrictJsonError::NotAnObject));
        for text in ["", "<html>", r#"{"keys":["#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[{"kid":"a","kid":"b"}]}"#] {
            assert_eq!(refused(text), KeySetError::Json(StrictJsonError::Syntax), "{text}");
        }
        let deep = format!(r#"{{"keys":[{}{}]}}"#, r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(refused(&deep), KeySetError::Json(StrictJsonError::Syntax));
        assert_eq!(
            KeySet::from_value(&json!([]), &ALGORITHMS).unwrap_err(),
            KeySetError::Json(StrictJsonError::NotAnObject)
        );
    }

    #[test]
    fn c096_a_set_has_at_most_100_keys_of_at_most_16_kib() {
        assert_eq!(parse(&vec![key(); MAX_KEYS]).unwrap().keys.len(), MAX_KEYS);
        assert_eq!(parse(&vec![key(); MAX_KEYS + 1]).unwrap_err(), KeySetError::TooManyKeys);
        let sized = |size: usize| {
            let mut key = key();
            key["x5c"] = "".into();
            let room = size - key.to_string().len();
            key["x5c"] = "A".repeat(room).into();
            key
        };
        assert!(parse(&[sized(MAX_KEY_BYTES)]).is_ok());
        assert_eq!(parse(&[key(), sized(MAX_KEY_BYTES + 1)]).unwrap_err(), KeySetError::KeyTooLong);
    }
}
