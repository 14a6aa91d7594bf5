//! Recorded tokens: `/admin/v1/tokens`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::{
    AccountId, ApiKeyId, ApiName, Audience, Digest256, FederatedProof, Jti, Kid, RequestId, ScopeSet, UnixTime,
};
use utoipa::{IntoParams, ToSchema};

use crate::names::names;
use crate::query::{QueryError, limit, moment, parameters, written};
use crate::schema::{EpochSeconds, RequestIdText, Sha256};
use crate::{Revocation, is_false};

names! {
    /// What a recorded token is now.
    pub enum TokenState {
        /// Nothing speaks against it.
        Active = "active",
        /// Its `exp` has passed.
        Expired = "expired",
        /// It was revoked: alone, or by a rule.
        Revoked = "revoked",
        /// Its account, identity or issuer entry is gone or disabled.
        Inactive = "inactive",
    }
}

names! {
    /// A kind of credential that we give out.
    pub enum CredentialKind {
        /// An API key of a service account.
        ApiKey = "api_key",
    }
}

/// A recorded token. The record never contains the token itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its `jti`.
    #[schema(value_type = String)]
    pub jti: Jti,
    /// SHA-256 of the token.
    #[schema(value_type = Sha256)]
    pub token_digest: Digest256,
    /// The account's id.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The ID token that it goes back to, if it does: `identity`, `entry`, `issuer`, `subject`, `subject_kid` and
    /// `subject_jti_digest`.
    #[serde(flatten)]
    #[schema(value_type = FederatedMembers)]
    pub federated: Option<FederatedProof>,
    /// The credential of ours that it goes back to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub credential: Option<Credential>,
    /// The token of ours that it was exchanged for, if it was: `parent` and `ancestors`.
    #[serde(flatten)]
    #[schema(value_type = AncestryMembers)]
    pub ancestry: Option<Ancestry>,
    /// The API's name.
    #[schema(value_type = String)]
    pub api: ApiName,
    /// Its `aud`.
    #[schema(value_type = String)]
    pub audience: Audience,
    /// Its `scope`.
    #[schema(value_type = Vec<String>)]
    pub scope: ScopeSet,
    /// The copied claims, by name.
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
    /// Our key that signed it.
    #[schema(value_type = String)]
    pub kid: Kid,
    /// The generation of the configuration that granted it.
    pub generation: String,
    /// Its index in the status list of its window, if there are status lists.
    #[schema(required)]
    pub status_index: Option<u64>,
    /// Its `iat`.
    #[schema(value_type = EpochSeconds)]
    pub iat: UnixTime,
    /// The millisecond within `iat`.
    pub iat_millis: u16,
    /// Its `exp`.
    #[schema(value_type = EpochSeconds)]
    pub exp: UnixTime,
    /// How many revocation rules existed when it was recorded. Records of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub preceding_rules: Option<u64>,
    /// The request that minted it.
    #[schema(value_type = RequestIdText)]
    pub request_id: RequestId,
    /// What it is now.
    pub state: TokenState,
    /// Who revoked it, when and why: it alone, or by a rule that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub revoked: Option<Revocation>,
}

/// A credential that we gave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: CredentialKind,
    /// Its id.
    #[schema(value_type = String)]
    pub id: ApiKeyId,
}

/// The tokens of ours that a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ancestry {
    /// The `jti` of the token that was exchanged for it.
    #[schema(value_type = String)]
    pub parent: Jti,
    /// The tokens that the parent came from in turn, the nearest first.
    #[schema(value_type = Vec<String>)]
    pub ancestors: Vec<Jti>,
}

/// How the OpenAPI document shows [`Token::federated`]: its members stand beside those of the
/// token, all or none.
#[derive(ToSchema)]
#[schema(description = "The ID token that a token goes back to: all of these members, or none.")]
#[expect(dead_code, reason = "for the document only")]
struct FederatedMembers {
    /// The identity that matched.
    #[schema(nullable = false)]
    identity: Option<String>,
    /// The issuer entry whose key verified the ID token.
    #[schema(nullable = false)]
    entry: Option<String>,
    /// `iss` of the ID token.
    #[schema(nullable = false)]
    issuer: Option<String>,
    /// `sub` of the ID token.
    #[schema(nullable = false)]
    subject: Option<String>,
    /// The `kid` of the key that verified the ID token, if it has one.
    subject_kid: Option<String>,
    /// Digest of the ID token's `jti`, if it has one.
    subject_jti_digest: Option<Sha256>,
}

/// How the OpenAPI document shows [`Token::ancestry`]: its members stand beside those of the
/// token, all or none.
#[derive(ToSchema)]
#[schema(description = "The tokens of ours that a token was exchanged for: all of these members, or none.")]
#[expect(dead_code, reason = "for the document only")]
struct AncestryMembers {
    /// The `jti` of the token that was exchanged for it.
    #[schema(nullable = false)]
    parent: Option<String>,
    /// The tokens that the parent came from in turn, the nearest first.
    #[schema(nullable = false)]
    ancestors: Option<Vec<String>>,
}

/// The answer of `GET /admin/v1/tokens`: tokens, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Go on `after` this; `null` when there are no more.
    #[schema(value_type = Option<String>, required)]
    pub next: Option<Jti>,
    /// Names in the query that nobody has, or that `after` is forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether `after` is forgotten: list again from the start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forgotten: bool,
}

/// Which tokens to list: all that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TokenQuery {
    /// Of this account only, by id or username.
    #[param(nullable = false)]
    pub account: Option<String>,
    /// Of identities of this name only.
    #[param(nullable = false)]
    pub identity: Option<String>,
    /// Exchanged for tokens of this issuer entry only.
    #[param(nullable = false)]
    pub issuer: Option<String>,
    /// Whose subject token's `sub` this pattern matches.
    #[param(nullable = false)]
    pub subject: Option<String>,
    /// For this API only, by name.
    #[param(nullable = false)]
    pub api: Option<String>,
    /// Issued then or later: epoch seconds, or RFC 3339.
    #[param(value_type = Option<String>, nullable = false)]
    pub issued_after: Option<UnixTime>,
    /// Issued before: epoch seconds, or RFC 3339.
    #[param(value_type = Option<String>, nullable = false)]
    pub issued_before: Option<UnixTime>,
    /// In this state only.
    #[param(nullable = false)]
    pub state: Option<TokenState>,
    /// The `next` of the page before.
    #[param(nullable = false)]
    pub after: Option<String>,
    /// The most that are answered. There may be fewer and more to come: `next` says so.
    #[param(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Option<usize>,
}

impl TokenQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// When a parameter is unknown, given twice, or has no such value.
    pub fn from_query(query: &str) -> Result<Self, QueryError> {
        const KNOWN: &str =
            "account, identity, issuer, subject, api, issued_after, issued_before, state, after and limit";
        let mut tokens = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parameters(query) {
            if seen.contains(&name) {
                return Err(QueryError(format!("`{name}` is given twice")));
            }
            let text = || Some(value.clone().into_owned());
            match &*name {
                "account" => tokens.account = text(),
                "identity" => tokens.identity = text(),
                "issuer" => tokens.issuer = text(),
                "subject" => tokens.subject = text(),
                "api" => tokens.api = text(),
                "after" => tokens.after = text(),
                "issued_after" => tokens.issued_after = Some(moment("issued_after", &value)?),
                "issued_before" => tokens.issued_before = Some(moment("issued_before", &value)?),
                "state" => {
                    let state = TokenState::of(&value).ok_or("`state` is active, expired, revoked or inactive")?;
                    tokens.state = Some(state);
                }
                "limit" => tokens.limit = Some(limit(&value)?),
                _ => return Err(QueryError(format!("tokens are listed by {KNOWN}"))),
            }
            seen.push(name);
        }
        Ok(tokens)
    }

    /// The query string.
    #[must_use]
    pub fn to_query(&self) -> String {
        let text = |value: &Option<String>| value.clone();
        let time = |value: &Option<UnixTime>| value.map(|value| value.to_string());
        written(&[
            ("account", text(&self.account)),
            ("identity", text(&self.identity)),
            ("issuer", text(&self.issuer)),
            ("subject", text(&self.subject)),
            ("api", text(&self.api)),
            ("issued_after", time(&self.issued_after)),
            ("issued_before", time(&self.issued_before)),
            ("state", self.state.map(|state| state.name().to_owned())),
            ("after", text(&self.after)),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token() -> Value {
        json!({
            "jti": "a",
            "token_digest": "01".repeat(32),
            "account": "octo",
            "api": "deploy",
            "audience": "https://deploy.example.com",
            "scope": ["deploy:write"],
            "claims": { "run_id": "7", "nested": { "n": 1.5, "big": 9_007_199_254_740_993_u64 } },
            "kid": "k",
            "generation": "g",
            "status_index": null,
            "iat": 1_790_000_000,
            "iat_millis": 7,
            "exp": 1_790_000_900,
            "request_id": "01J8Z3QK5V6W7X8Y9ZABCDEFGH",
            "state": "active",
        })
    }

    #[test]
    fn a_token_is_read_as_it_was_written_whatever_it_goes_back_to() {
        let with = |members: Value| {
            let mut token = token();
            token.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            token
        };
        let federated = json!({
            "identity": "main branch", "entry": "github", "issuer": "https://issuer.example", "subject": "job:1",
            "subject_kid": null, "subject_jti_digest": "02".repeat(32),
        });
        let mut child = federated.clone();
        child["parent"] = json!("y");
        child["ancestors"] = json!([]);
        for text in [
            with(federated),
            with(child),
            with(json!({ "credential": { "type": "api_key", "id": "0123456789aB" }, "preceding_rules": 3 })),
            with(
                json!({ "credential": { "type": "api_key", "id": "0123456789aB" }, "parent": "y", "ancestors": ["x"] }),
            ),
            with(json!({ "state": "revoked", "revoked": {
                "scope": { "token": "a" }, "at": 1, "by": "token holder", "reason": null, "until": 2,
            } })),
        ] {
            let page = json!({ "tokens": [text], "next": "a" });
            let read: TokenPage = serde_json::from_value(page.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), page);
        }
        let forgotten = json!({ "tokens": [], "next": null, "notes": ["list again"], "forgotten": true });
        let read: TokenPage = serde_json::from_value(forgotten.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), forgotten);
    }

    #[test]
    fn a_query_is_read_as_it_was_written_and_each_name_once() {
        let query = TokenQuery {
            account: Some("octo".into()),
            identity: Some("main branch".into()),
            issuer: Some("github".into()),
            subject: Some("repo:o/r:**&x=+".into()),
            api: Some("deploy".into()),
            issued_after: Some(UnixTime::from_secs(1_790_000_000)),
            issued_before: Some(UnixTime::from_secs(1_790_000_001)),
            state: Some(TokenState::Revoked),
            after: Some("a-b_c".into()),
            limit: Some(5),
        };
        assert_eq!(TokenQuery::from_query(&query.to_query()), Ok(query));
        assert_eq!(TokenQuery::from_query(""), Ok(TokenQuery::default()));
        for wrong in ["account=a&account=b", "state=gone", "limit=0", "limit=x", "issued_after=soon", "colour=red"] {
            assert!(TokenQuery::from_query(wrong).is_err(), "{wrong}");
        }
    }
}
