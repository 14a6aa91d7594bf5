//! Revocations and the rules among them: `/admin/v1/revocations`, `/admin/v1/revocation-rules`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sts_types::{Jti, UnixTime};
use utoipa::ToSchema;

use crate::is_false;
use crate::query::rfc3339;
use crate::schema::EpochSeconds;

/// The body of `POST /admin/v1/revocations`: all the fields that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(min_properties = 1)]
pub struct RevocationRequest {
    /// One token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// An account's id or username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// An identity's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// An issuer entry's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// An API key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The `kid` of the issuer's key that verified the subject token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The generation of a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Patterns on copied claims, by name; also read as `NAME=PATTERN`, or a list of these.
    #[serde(deserialize_with = "claim_patterns", skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(schema_with = crate::schema::claim_patterns)]
    pub claim: BTreeMap<String, String>,
    /// Only tokens issued before this moment, in epoch seconds or RFC 3339. Without it, every token recorded by now.
    #[serde(deserialize_with = "moment", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = crate::schema::before)]
    pub before: Option<UnixTime>,
    /// Why; kept with the revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Takes names that neither the configuration nor a record has.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Counts the tokens that would be ended, and revokes nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// A revocation, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// The rule's id. A revocation of one token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<String>,
    /// What it covers.
    #[schema(value_type = ScopeMembers)]
    pub scope: RevocationScope,
    /// A rule covers only the tokens issued before this moment, where it is given. Else it covers every token recorded when
    /// the rule was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EpochSeconds>, nullable = false)]
    pub before: Option<UnixTime>,
    /// The millisecond within `before`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before_millis: u16,
    /// The rule's place among all that were ever made, from 1 on. Rules of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub order: Option<u64>,
    /// When it was made.
    #[schema(value_type = EpochSeconds)]
    pub at: UnixTime,
    /// Who made it: `token holder`, `admin token`, `command line`, or an account's id.
    pub by: String,
    /// Why, as given.
    #[schema(required)]
    pub reason: Option<String>,
    /// When the last token that it can cover has expired, and it may be forgotten.
    #[schema(value_type = EpochSeconds)]
    pub until: UnixTime,
}

/// What a revocation covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationScope {
    /// One token.
    Token(Jti),
    /// Every token that all the given fields fit.
    Rule(RevocationRule),
}

/// How the OpenAPI document shows [`RevocationScope`].
#[derive(ToSchema)]
#[schema(as = RevocationScope, rename_all = "snake_case", description = "What a revocation covers.")]
#[expect(dead_code, reason = "for the document only")]
enum ScopeMembers {
    /// The `jti` of one token.
    Token(String),
    /// Every token that all the given fields fit.
    Rule(RevocationRule),
}

/// A rule over the fields of recorded tokens: all that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RevocationRule {
    /// The account's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub account: Option<String>,
    /// The identity's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub identity: Option<String>,
    /// The issuer entry's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// The id of an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub api_key: Option<String>,
    /// The `kid` of the issuer's key that verified the subject token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub issuer_kid: Option<String>,
    /// Our `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kid: Option<String>,
    /// The generation of a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation: Option<String>,
    /// Patterns on copied claims, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claim: BTreeMap<String, String>,
}

/// A number of live tokens, those left out that something else has revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// `null` when the store stopped answering before they were counted.
    #[schema(required)]
    pub covered: Option<u64>,
    /// Whether there may be more: there was no time to look at every record.
    pub at_least: bool,
}

/// The answer of `POST /admin/v1/revocations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// As it is recorded; not there for a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revocation: Option<Revocation>,
    /// How many tokens it ends, or would end.
    #[serde(flatten)]
    pub coverage: Coverage,
    /// Whether nothing was revoked.
    pub dry_run: bool,
}

/// The answer of `GET /admin/v1/revocation-rules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationRules {
    /// The rules in force, oldest first.
    pub revocation_rules: Vec<Revocation>,
}

/// The answer of `DELETE /admin/v1/revocation-rules/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UndoneRule {
    /// The rule that was taken back.
    pub undone: Revocation,
    /// How many tokens it covered that nothing else revokes.
    #[serde(flatten)]
    pub coverage: Coverage,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// An object, one `NAME=PATTERN`, or a list of them; a name stands once.
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
    let seconds = match Option::<TimeText>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(TimeText::Seconds(seconds)) => Some(seconds),
        Some(TimeText::Text(text)) => rfc3339(&text),
    };
    let seconds = seconds.ok_or_else(|| D::Error::custom("`before` is epoch seconds or RFC 3339"))?;
    Ok(Some(UnixTime::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(body: Value) -> Result<RevocationRequest, serde_json::Error> {
        serde_json::from_value(body)
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let full = json!({
            "jti": "j", "account": "a", "identity": "i", "issuer": "e", "subject": "s", "api_key": "k", "issuer_kid": "ik",
            "kid": "o", "generation": "g", "claim": { "run": "7*" }, "before": 1, "reason": "why", "force": true,
            "dry_run": true,
        });
        for body in [json!({}), json!({ "account": "octo" }), full] {
            assert_eq!(serde_json::to_value(request(body.clone()).unwrap()).unwrap(), body);
        }
    }

    #[test]
    fn claims_and_moments_have_more_than_one_form() {
        let claims = |claim: Value| request(json!({ "claim": claim })).map(|request| request.claim);
        let wanted = BTreeMap::from([("a".to_owned(), "b=c".to_owned())]);
        for form in [json!({ "a": "b=c" }), json!("a=b=c"), json!(["a=b=c"])] {
            assert_eq!(claims(form).unwrap(), wanted);
        }
        for wrong in [json!("a"), json!(["a=b", "a=c"]), json!(7), json!({ "a": 1 }), json!(null)] {
            assert!(claims(wrong.clone()).is_err(), "{wrong}");
        }
        let before = |before: Value| request(json!({ "before": before })).map(|request| request.before);
        let moment = UnixTime::from_secs(1_790_000_000);
        for form in [json!(1_790_000_000), json!("2026-09-21T14:13:20Z"), json!("2026-09-21T16:13:20+02:00")] {
            assert_eq!(before(form).unwrap(), Some(moment));
        }
        assert_eq!(before(json!(null)).unwrap(), None);
        for wrong in [json!("yesterday"), json!("1790000000"), json!(1.5)] {
            assert!(before(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(request(json!({ "accuont": "octo" })).is_err());
    }

    #[test]
    fn answers_are_read_as_they_were_written() {
        let rule = json!({
            "id": "0123456789abcdef0123456789abcdef",
            "scope": { "rule": { "account": "octo", "claim": { "run": "7*" } } },
            "before": 3, "before_millis": 7, "order": 1, "at": 4, "by": "admin token", "reason": null, "until": 5,
        });
        let token = json!({ "scope": { "token": "j" }, "at": 4, "by": "octo", "reason": "gone", "until": 5 });
        for text in [
            json!({ "revocation": rule, "covered": 2, "at_least": true, "dry_run": false }),
            json!({ "revocation": token, "covered": null, "at_least": false, "dry_run": false }),
            json!({ "covered": 0, "at_least": false, "dry_run": true }),
        ] {
            let read: Revoked = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
        let undone = json!({ "undone": rule, "covered": 1, "at_least": false });
        let read: UndoneRule = serde_json::from_value(undone.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), undone);
        let rules = json!({ "revocation_rules": [rule] });
        let read: RevocationRules = serde_json::from_value(rules.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), rules);
    }
}
