//! Refused requests that are remembered: `/admin/v1/denials`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sts_types::{RequestId, UnixTime};
use utoipa::{IntoParams, ToSchema};

use crate::query::{QueryError, limit, parameters, written};
use crate::schema::{EpochSeconds, RequestIdText};

/// A refused request. It holds no token and no claims beyond those that the rules look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Denial {
    /// The request.
    #[schema(value_type = RequestIdText)]
    pub request_id: RequestId,
    /// When it was refused.
    #[schema(value_type = EpochSeconds)]
    pub time: UnixTime,
    /// The verdict with its cause, one line.
    pub summary: String,
    /// The stable reason.
    pub reason: String,
    /// What is at fault, in words, with the actual and the expected value where there are any.
    pub cause: String,
    /// The claim, header member, request parameter or setting at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub claim: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actual: Option<String>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expected: Option<String>,
    /// The smallest change that would end the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub fix: Option<String>,
    /// What the caller was told.
    pub told: String,
    /// The issuer entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub issuer_entry: Option<String>,
    /// The token's `sub`, once verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub subject: Option<String>,
    /// The account that the request names, if it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub account: Option<String>,
    /// The identity that came nearest, `account/identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub nearest_identity: Option<String>,
    /// The first condition of it that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failing_condition: Option<FailedCondition>,
    /// What the token says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub presented: Option<PresentedToken>,
    /// The token's claims that tell where it comes from: its subject, and those that name its owner and event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub origin: Map<String, Value>,
    /// The values of `audience` and `resource` in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<String>,
    /// The `scope` in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// The caller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub source: Option<IpAddr>,
    /// The generation of the configuration that refused it.
    pub generation: String,
    /// The decision with its trace, if the rules were asked. Lists leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision: Option<Value>,
    /// The whole trace as text for people. Lists leave it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A condition that a token does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedCondition {
    /// `subject`, `audience`, or the claim's name or pointer.
    pub on: String,
    /// What the rule wants.
    pub expected: String,
    /// What the token has; absent when the claim is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actual: Option<String>,
}

/// A refused token by its header and registered claims. Texts are bounded and redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresentedToken {
    /// Whether a key of a trusted issuer verified it. If not, anybody may have written it.
    pub verified: bool,
    /// `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub iss: Option<String>,
    /// The first values of `aud`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aud: Vec<String>,
    /// `kid` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub kid: Option<String>,
    /// `alg` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub alg: Option<String>,
    /// `typ` of the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub typ: Option<String>,
    /// `exp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub exp: Option<Number>,
    /// `nbf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub nbf: Option<Number>,
    /// `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, nullable = false)]
    pub iat: Option<Number>,
}

/// The answer of `GET /admin/v1/denials`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum DenialAnswer {
    // A page of none reads as groups of none but for `left_out`, so groups come first.
    /// With `group_by`.
    Groups(DenialGroups),
    /// Without.
    Page(DenialPage),
}

/// Refused requests, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DenialPage {
    /// The requests, each without its trace.
    pub items: Vec<Denial>,
    /// Go on `after` this; `null` when there are no more.
    #[schema(value_type = Option<RequestIdText>, required)]
    pub next: Option<RequestId>,
}

/// Refused requests that have something in common, the largest group first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DenialGroups {
    /// The groups.
    pub items: Vec<DenialGroup>,
    /// Always `null`: groups have no pages.
    #[schema(value_type = Option<RequestIdText>, required)]
    pub next: Option<RequestId>,
    /// How many smaller groups are left out.
    pub left_out: u64,
}

/// Refused requests that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DenialGroup {
    /// How many there are.
    pub count: u64,
    /// When the first was refused.
    #[schema(value_type = EpochSeconds)]
    pub first: UnixTime,
    /// When the last was refused.
    #[schema(value_type = EpochSeconds)]
    pub last: UnixTime,
    /// The last of them, to look at.
    #[schema(value_type = RequestIdText)]
    pub request_id: RequestId,
    /// Its verdict with its cause.
    pub summary: String,
    /// What they have in common, by the names in `group_by`; `null` where they have none.
    #[serde(flatten)]
    pub common: BTreeMap<String, Option<String>>,
}

/// Which refused requests to list, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DenialQuery {
    /// Only those that name this account, or came nearest to one of its identities.
    #[param(nullable = false)]
    pub account: Option<String>,
    /// Only those of this issuer entry.
    #[param(nullable = false)]
    pub issuer: Option<String>,
    /// Only those for this reason.
    #[param(nullable = false)]
    pub reason: Option<String>,
    /// What to count together: `reason`, `account`, `identity`, `condition`, separated by commas.
    #[param(nullable = false)]
    pub group_by: Option<String>,
    /// The request id that the page before ended with.
    #[param(nullable = false)]
    pub after: Option<String>,
    /// The most items to answer.
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
}

impl DenialQuery {
    /// Reads a query string. What `reason` and `group_by` name is for the server to judge.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        const FORM: &str =
            "denials are listed by one `account`, `issuer`, `reason`, `group_by`, `after` and `limit` at most";
        let mut read = Self::default();
        for (name, value) in parameters(query) {
            let place = match &*name {
                "account" => &mut read.account,
                "issuer" => &mut read.issuer,
                "reason" => &mut read.reason,
                "group_by" => &mut read.group_by,
                "after" => &mut read.after,
                "limit" if read.limit.is_none() => {
                    read.limit = Some(limit(&value)?);
                    continue;
                }
                _ => return Err(FORM.into()),
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(FORM.into());
            }
        }
        Ok(read)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        written(&[
            ("account", self.account.clone()),
            ("issuer", self.issuer.clone()),
            ("reason", self.reason.clone()),
            ("group_by", self.group_by.clone()),
            ("after", self.after.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn denial() -> Value {
        json!({
            "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH", "time": 1, "summary": "refused: token_expired: x",
            "reason": "token_expired", "cause": "x", "told": "the subject token has expired", "generation": "g",
        })
    }

    #[test]
    fn a_denial_is_read_as_it_was_written() {
        let mut full = denial();
        full.as_object_mut().unwrap().extend(
            json!({
                "claim": "exp", "actual": "1", "expected": "2", "fix": "send a fresh one", "issuer_entry": "github",
                "subject": "job:1", "account": "octo", "nearest_identity": "octo/main",
                "failing_condition": { "on": "ref", "expected": "main", "actual": "dev" },
                "presented": { "verified": true, "iss": "https://i.example", "aud": ["a"], "kid": "k", "alg": "RS256",
                    "typ": "JWT", "exp": 1.5, "nbf": 1, "iat": 2 },
                "origin": { "sub": "job:1", "repository_id": "7" },
                "asked": ["deploy"], "scope": "s", "source": "127.0.0.1", "decision": { "trace": [1] }, "text": "all of it",
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        for text in [denial(), full] {
            let read: Denial = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_groups_are_told_from_pages() {
        let group = json!({
            "reason": "token_expired", "account": null, "count": 3, "first": 1, "last": 2,
            "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH", "summary": "s",
        });
        for (text, is_grouped) in [
            (json!({ "items": [denial()], "next": "01J8Z3QK5V6W7X8Y9ZABCDEFGH" }), false),
            (json!({ "items": [], "next": null }), false),
            (json!({ "items": [], "next": null, "left_out": 0 }), true),
            (json!({ "items": [group], "next": null, "left_out": 2 }), true),
        ] {
            let read: DenialAnswer = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(matches!(read, DenialAnswer::Groups(_)), is_grouped);
            assert_eq!(serde_json::to_value(read).unwrap(), text);
        }
    }

    #[test]
    fn a_query_is_read_as_it_was_written_and_each_name_once() {
        let query = DenialQuery {
            account: Some("octo&x".to_owned()),
            group_by: Some("reason,condition".to_owned()),
            limit: Some(3),
            ..DenialQuery::default()
        };
        assert_eq!(DenialQuery::from_query(&query.to_query()), Ok(query));
        for wrong in ["account=a&account=b", "limit=x", "limit=0", "limit=1&limit=2", "before=1"] {
            assert!(DenialQuery::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
