//! Our signing keys: `/admin/v1/keys`.

use serde::{Deserialize, Serialize};
use sts_types::{Kid, UnixTime};
use utoipa::ToSchema;

use crate::names::names;
use crate::schema::EpochSeconds;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its `kid`.
    #[schema(value_type = String)]
    pub kid: Kid,
    /// Its JWS algorithm.
    pub algorithm: String,
    /// What it is used for now.
    pub phase: KeyPhase,
    /// When it was made.
    #[schema(value_type = EpochSeconds)]
    pub created: UnixTime,
    /// When it begins to sign.
    #[schema(value_type = EpochSeconds)]
    pub signs_from: UnixTime,
    /// When it stops signing, once that is known.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub signs_until: Option<UnixTime>,
    /// When it leaves the published key set, once that is known.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub published_until: Option<UnixTime>,
}

/// Our signing keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKeys {
    /// Every key that is published.
    pub keys: Vec<SigningKey>,
    /// After a rotation: the `kid` of each key that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false)]
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
