//! A JWK set: the usable keys, and why the others are not (RFC 7517 section 5, requirement J-13).

use crate::{Algorithm, UnusableKey, VerifyingKey, parse_jwk};
use serde_json::Value;
use std::sync::Arc;
use sts_types::{Kid, StrictJsonError, parse_object};

/// The most keys that a set may list, usable or not.
pub const MAX_KEYS: usize = 100;
/// The longest key of a set, in bytes of JSON without spaces.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// The keys of one issuer, at least one. Identifiers may repeat or be missing.
#[derive(Debug, Clone)]
pub struct KeySet {
    /// The keys that verify, in the order of the document.
    pub keys: Vec<Arc<VerifyingKey>>,
    /// The keys that were passed over.
    pub skipped: Vec<SkippedKey>,
}

/// A key that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Its identifier, when it has one that is well formed.
    pub kid: Option<Kid>,
    /// The first rule it breaks.
    pub why: UnusableKey,
}

/// Why a document is no key set. Never holds input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not one strict JSON object.
    #[error("the key set is {0}")]
    Json(#[from] StrictJsonError),
    /// `keys` is missing or is no array.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// More than [`MAX_KEYS`].
    #[error("the key set lists more than 100 keys")]
    TooManyKeys,
    /// A key is longer than [`MAX_KEY_BYTES`].
    #[error("a key of the key set is longer than 16 KiB")]
    KeyTooLong,
    /// No key is usable; each was skipped for the reason given.
    #[error("the key set has no usable key")]
    Empty(Vec<SkippedKey>),
}

impl KeySet {
    /// Parses a document `{"keys": [...]}`, each key as [`parse_jwk`] does with `algorithms`.
    ///
    /// # Errors
    /// See [`KeySetError`]. A duplicate member anywhere refuses the document.
    pub fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        Self::from_members(parse_object(document)?.get("keys"), algorithms)
    }

    /// The same for a document that was already parsed, by a parser that refuses duplicate members.
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
