//! Our signing keys: `/admin/v1/keys`.

use serde::{Deserialize, Serialize};
use sts_types::{Kid, UnixTime};

use crate::names::names;

names! {
    /// Phase in the life of a signing key.
    pub enum KeyPhase {
        /// Published, but not signing yet.
        Next = "next",
        /// Signing new tokens.
        Signing = "signing",
        /// Published until its last token has expired.
        Retiring = "retiring",
    }
}

/// One of our signing keys, with its schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its `kid`.
    pub kid: Kid,
    /// Its JWS algorithm.
    pub algorithm: String,
    /// What it is used for now.
    pub phase: KeyPhase,
    /// When it was made.
    pub created: UnixTime,
    /// When it begins to sign.
    pub signs_from: UnixTime,
    /// When it stops signing, once that is known.
    pub signs_until: Option<UnixTime>,
    /// When it leaves the published key set, once that is known.
    pub published_until: Option<UnixTime>,
}

/// Our signing keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeys {
    /// Every key that is published.
    pub keys: Vec<SigningKey>,
    /// After a rotation: the `kid` of each key that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Vec<Kid>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signing_keys_are_read_as_they_were_written() {
        let key = json!({
            "kid": "k1", "algorithm": "ES256", "phase": "next", "created": 1, "signs_from": 2, "signs_until": null,
            "published_until": 4,
        });
        for text in
            [json!({ "keys": [key] }), json!({ "keys": [key], "made": [] }), json!({ "keys": [], "made": ["k1"] })]
        {
            let keys: SigningKeys = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(keys).unwrap(), text);
        }
    }
}
