//! Our signing keys: `/admin/v1/keys`.

use serde::{Deserialize, Serialize};
use sts_types::{Kid, UnixTime};
use utoipa::ToSchema;

use crate::Coverage;
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

/// The body of `POST /admin/v1/keys/{kid}/withdraw`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WithdrawKeyRequest {
    /// Why; kept with the revocation of its tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of `POST /admin/v1/keys/{kid}/withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WithdrawnKey {
    /// The key that is withdrawn, or would be.
    #[schema(value_type = String)]
    pub withdrawn: Kid,
    /// Every key that is published now.
    pub keys: Vec<SigningKey>,
    /// The `kid` of each key that was made in its place. It signs at once.
    #[schema(value_type = Vec<String>)]
    pub made: Vec<Kid>,
    /// How many live tokens it ends, or would end.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether a revocation rule ends its tokens now. Without one they end at each server when it reads
    /// the keys again, within a minute.
    pub recorded: bool,
    /// Why the key may still be on its PKCS#11 device, where its `kid` is its label. No server uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub not_destroyed: Option<String>,
    /// Whether nothing was done.
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_withdrawal_is_read_as_it_was_written() {
        let text = json!({
            "withdrawn": "k1", "keys": [], "made": ["k2"], "covered": 7, "at_least": false, "recorded": true,
            "dry_run": false,
        });
        let mut left = text.clone();
        left["not_destroyed"] = json!("it is gone");
        for text in [text, left] {
            let read: WithdrawnKey = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
        let request: WithdrawKeyRequest = serde_json::from_value(json!({ "reason": "stolen" })).unwrap();
        assert_eq!(serde_json::to_value(request).unwrap(), json!({ "reason": "stolen" }));
        assert!(serde_json::from_value::<WithdrawKeyRequest>(json!({ "kid": "k1" })).is_err());
    }

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
