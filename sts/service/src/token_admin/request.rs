//! An operator's request for a revocation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sts_types::UnixTime;

/// `POST /admin/v1/revocations`. All given fields must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationRequest {
    /// One token.
    pub jti: Option<String>,
    /// An account's id or username.
    pub account: Option<String>,
    /// An identity's name.
    pub identity: Option<String>,
    /// An issuer entry's name.
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    pub subject: Option<String>,
    /// An API key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The `kid` that verified the subject token.
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    pub kid: Option<String>,
    /// A snapshot generation.
    pub generation: Option<String>,
    /// Patterns on copied claims, by name. Also accepted as `"NAME=PATTERN"` or a list of them.
    #[serde(deserialize_with = "claim_patterns")]
    pub claim: BTreeMap<String, String>,
    /// Tokens issued before this time: epoch seconds, or RFC 3339. By default every token recorded
    /// by now.
    #[serde(deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    pub before: Option<UnixTime>,
    /// The reason, stored with the revocation.
    pub reason: Option<String>,
    /// Accepts names that neither the configuration nor a record has.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Counts the tokens that it would cover, and revokes nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// An object, one `NAME=PATTERN`, or a list of them. Each name only once.
fn claim_patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Claims {
        Object(BTreeMap<String, String>),
        One(String),
        List(Vec<String>),
    }
    let pairs = match Claims::deserialize(deserializer)? {
        Claims::Object(claims) => return Ok(claims),
        Claims::One(pair) => vec![pair],
        Claims::List(pairs) => pairs,
    };
    let mut claims = BTreeMap::new();
    for pair in &pairs {
        let (name, pattern) = pair.split_once('=').ok_or_else(|| D::Error::custom("a claim is NAME=PATTERN"))?;
        if claims.insert(name.to_owned(), pattern.to_owned()).is_some() {
            return Err(D::Error::custom("a claim is given twice"));
        }
    }
    Ok(claims)
}

/// Epoch seconds as a number, or RFC 3339 as a string.
fn moment<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    use serde::de::Error as _;
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TimeText {
        Seconds(i64),
        Text(String),
    }
    match Option::<TimeText>::deserialize(deserializer)? {
        None => Ok(None),
        Some(TimeText::Seconds(seconds)) => Ok(Some(UnixTime::from_secs(seconds))),
        Some(TimeText::Text(text)) => chrono::DateTime::parse_from_rfc3339(&text)
            .map(|time| Some(UnixTime::from_secs(time.timestamp())))
            .map_err(|_| D::Error::custom("`before` is epoch seconds or RFC 3339")),
    }
}
