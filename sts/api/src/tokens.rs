//! Recorded tokens: `/admin/v1/tokens`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sts_types::{
    AccountId, ApiKeyId, ApiName, Audience, Digest256, FederatedProof, Jti, Kid, RequestId, ScopeSet, UnixTime,
};

use crate::names::names;
use crate::query::{QueryError, limit, moment, parameters, written};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Its `jti`.
    pub jti: Jti,
    /// SHA-256 of the token.
    pub token_digest: Digest256,
    /// The account's id.
    pub account: AccountId,
    /// The ID token that it goes back to, if it does: `identity`, `entry`, `issuer`, `subject`, `subject_kid` and
    /// `subject_jti_digest`.
    #[serde(flatten)]
    pub federated: Option<FederatedProof>,
    /// The credential of ours that it goes back to, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// The token of ours that it was exchanged for, if it was: `parent` and `ancestors`.
    #[serde(flatten)]
    pub ancestry: Option<Ancestry>,
    /// The API's name.
    pub api: ApiName,
    /// Its `aud`.
    pub audience: Audience,
    /// Its `scope`.
    pub scope: ScopeSet,
    /// The copied claims, by name.
    pub claims: Map<String, Value>,
    /// Our key that signed it.
    pub kid: Kid,
    /// The generation of the configuration that granted it.
    pub generation: String,
    /// Its index in the status list of its window, if there are status lists.
    pub status_index: Option<u64>,
    /// Its `iat`.
    pub iat: UnixTime,
    /// The millisecond within `iat`.
    pub iat_millis: u16,
    /// Its `exp`.
    pub exp: UnixTime,
    /// How many revocation rules existed when it was recorded. Records of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preceding_rules: Option<u64>,
    /// The request that minted it.
    pub request_id: RequestId,
    /// What it is now.
    pub state: TokenState,
    /// Who revoked it, when and why: it alone, or by a rule that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// A credential that we gave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: CredentialKind,
    /// Its id.
    pub id: ApiKeyId,
}

/// The tokens of ours that a token comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestry {
    /// The `jti` of the token that was exchanged for it.
    pub parent: Jti,
    /// The tokens that the parent came from in turn, the nearest first.
    pub ancestors: Vec<Jti>,
}

/// The answer of `GET /admin/v1/tokens`: tokens, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Go on `after` this; `null` when there are no more.
    pub next: Option<Jti>,
    /// Names in the query that nobody has, or that `after` is forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether `after` is forgotten: list again from the start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forgotten: bool,
}

/// Which tokens to list: all that are given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// An account's id or username.
    pub account: Option<String>,
    /// An identity's name.
    pub identity: Option<String>,
    /// An issuer entry's name.
    pub issuer: Option<String>,
    /// A pattern on the subject token's `sub`.
    pub subject: Option<String>,
    /// An API's name.
    pub api: Option<String>,
    /// Issued at this moment or later.
    pub issued_after: Option<UnixTime>,
    /// Issued before this moment.
    pub issued_before: Option<UnixTime>,
    /// What the token is now.
    pub state: Option<TokenState>,
    /// Go on after this jti.
    pub after: Option<String>,
    /// The most tokens to answer.
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
