//! The API keys of an account: `/admin/v1/service-accounts/{name}/api-keys`.

use serde::{Deserialize, Deserializer, Serialize};
use sts_types::{ApiKeyId, UnixTime};
use utoipa::ToSchema;

use crate::names::names;
use crate::schema::EpochSeconds;

names! {
    /// Whether a key gets tokens.
    pub enum ApiKeyState {
        /// It does.
        Active = "active",
        /// It has expired.
        Expired = "expired",
        /// Its account is disabled or not in force.
        Inactive = "inactive",
    }
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyInfo {
    /// Its id: the 12 characters after `sts_`.
    #[schema(value_type = String)]
    pub id: ApiKeyId,
    /// The account.
    pub account: String,
    /// What it is called.
    pub name: String,
    /// The scopes that its tokens are narrowed to; absent for all of the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scopes: Option<Vec<String>>,
    /// The networks it may be used from; empty for everywhere.
    #[serde(default)]
    #[schema(required)]
    pub allow_from: Vec<String>,
    /// Whether it gets tokens.
    pub state: ApiKeyState,
    /// When it was created.
    #[schema(value_type = EpochSeconds)]
    pub created_at: UnixTime,
    /// Who created it.
    pub created_by: String,
    /// When it expires.
    #[schema(value_type = EpochSeconds)]
    pub expires_at: UnixTime,
    /// When it was last used, at most a minute old.
    #[schema(value_type = Option<EpochSeconds>, required)]
    pub last_used_at: Option<UnixTime>,
    /// The address it was last used from.
    #[schema(required)]
    pub last_used_from: Option<String>,
}

/// The answer of `GET .../api-keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyPage {
    /// The keys, in the order in which they were created.
    pub items: Vec<ApiKeyInfo>,
    /// Go on `after` this; `null` when there are no more.
    #[schema(required)]
    pub next: Option<String>,
}

/// The body of `POST .../api-keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What to call it.
    pub name: String,
    /// How long it is valid: `30d`, or seconds. Default: `api_keys.default_ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "duration")]
    #[schema(schema_with = crate::schema::duration)]
    pub ttl: Option<String>,
    /// The scopes that its tokens are narrowed to. Default: all of the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The networks it may be used from: addresses, or blocks such as `10.0.0.0/8`. Default: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<String>,
}

/// The answer of `POST .../api-keys`. `key` is in no other answer, and is nowhere kept.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiKeyCreated {
    /// The key as lists have it.
    #[serde(flatten)]
    pub info: ApiKeyInfo,
    /// The key itself.
    pub key: String,
}

/// Hides the key.
impl std::fmt::Debug for ApiKeyCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyCreated").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A duration, or a number of seconds.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Seconds(u64),
    }
    Ok(Option::<Written>::deserialize(deserializer)?.map(|written| match written {
        Written::Text(text) => text,
        Written::Seconds(seconds) => format!("{seconds}s"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_key_takes_a_duration_or_seconds_and_nothing_unknown() {
        let ttl = |ttl| serde_json::from_value::<NewApiKey>(json!({ "name": "n", "ttl": ttl })).map(|key| key.ttl);
        assert_eq!(ttl(json!("30d")).unwrap().as_deref(), Some("30d"));
        assert_eq!(ttl(json!(90)).unwrap().as_deref(), Some("90s"));
        assert_eq!(ttl(json!(null)).unwrap(), None);
        assert!(ttl(json!(-1)).is_err());
        assert!(serde_json::from_value::<NewApiKey>(json!({ "name": "n", "scope": "s" })).is_err());
    }

    #[test]
    fn a_created_key_is_read_as_it_was_written_and_hides_its_secret() {
        let created = json!({
            "id": "0123456789aB", "account": "bot", "name": "n", "scopes": ["a"], "allow_from": [], "state": "active",
            "created_at": 1, "created_by": "admin token", "expires_at": 2, "last_used_at": null, "last_used_from": null,
            "key": "sts_secret",
        });
        let read: ApiKeyCreated = serde_json::from_value(created.clone()).unwrap();
        assert!(!format!("{read:?}").contains("sts_secret"));
        assert_eq!(serde_json::to_value(read).unwrap(), created);
    }
}
