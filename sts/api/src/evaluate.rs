//! What would be decided: `/admin/v1/evaluate`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::UnixTime;
use utoipa::ToSchema;

use crate::query::rfc3339;

/// The body of `POST /admin/v1/evaluate`: `claims` or a `token`, and the request as it would be sent.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateRequest {
    /// A token, which is verified as an exchange verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Claims, of which nothing is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub claims: Option<Map<String, Value>>,
    /// The issuer entry whose key would have signed the claims, where several share their `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Values of `audience`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "texts")]
    #[schema(schema_with = crate::schema::audience_values)]
    pub audience: Vec<String>,
    /// Values of `resource`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "texts")]
    #[schema(schema_with = crate::schema::resource_values)]
    pub resource: Vec<String>,
    /// `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Judge as of then: epoch seconds, or RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "moment")]
    #[schema(schema_with = crate::schema::at)]
    pub at: Option<UnixTime>,
    /// A draft of an identity of `account`: judge as if it were there. One of the same name is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub identity: Option<Map<String, Value>>,
}

/// Hides the token and the claims.
impl std::fmt::Debug for EvaluateRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvaluateRequest")
            .field("account", &self.account)
            .field("audience", &self.audience)
            .field("at", &self.at)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// One text, or a list.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

/// Epoch seconds, or RFC 3339.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Seconds(i64),
        Text(String),
    }
    let moment = match Option::<Moment>::deserialize(deserializer)? {
        None => None,
        Some(Moment::Seconds(seconds)) => Some(seconds),
        Some(Moment::Text(text)) => {
            Some(rfc3339(&text).ok_or_else(|| serde::de::Error::custom("`at` is epoch seconds, or RFC 3339"))?)
        }
    };
    Ok(moment.map(UnixTime::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_question_is_read_as_it_was_written_and_hides_the_token() {
        let text = json!({
            "token": "eyJ", "account": "bot", "audience": ["deploy"], "resource": ["https://a.example"], "scope": "s",
            "at": 7, "issuer": "github", "identity": { "name": "main" }, "claims": { "sub": "x" },
        });
        let read: EvaluateRequest = serde_json::from_value(text.clone()).unwrap();
        assert!(!format!("{read:?}").contains("eyJ"));
        assert_eq!(serde_json::to_value(read).unwrap(), text);
        let read: EvaluateRequest =
            serde_json::from_value(json!({ "audience": "deploy", "at": "1970-01-01T00:00:07Z" })).unwrap();
        assert_eq!((read.audience, read.at), (vec!["deploy".to_owned()], Some(UnixTime::from_secs(7))));
        for wrong in [json!({ "acount": "bot" }), json!({ "at": "yesterday" }), json!({ "audience": [1] })] {
            assert!(serde_json::from_value::<EvaluateRequest>(wrong).is_err());
        }
    }
}
