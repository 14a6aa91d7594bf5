//! What an operator may do with a running server, or with its store when none runs: one list, from which the admin listener's
//! paths, the command line's requests and the work itself all follow.

mod denials;
mod issuers;
mod keys;
pub(crate) mod replay_claims;
mod tokens;

use std::sync::Arc;

use jwks_cache::JwksCache;
use reqwest::Method;
use serde_json::{Value, json};
use sts_service::{RevocationRequest, Service, TokenQuery};
use sts_store::Acceptance;
use sts_types::UnixTime;
use tokio::sync::watch;

pub(crate) use denials::DenialsQuery;

use crate::metrics::Metrics;
use crate::store_health::StoreHealth;

/// One operation.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Recorded tokens, newest first.
    ListTokens(Box<TokenQuery>),
    /// One recorded token.
    ShowToken { jti: String },
    /// Revoke by jti or rule.
    Revoke(Box<RevocationRequest>),
    /// The revocation rules in force.
    ListRevocationRules,
    /// Take a revocation rule back.
    UndoRule { id: String },
    /// Our signing keys.
    ListKeys,
    /// Make successors for our signing keys.
    RotateKeys,
    /// The issuer entries with the state of their keys.
    ListIssuers,
    /// One issuer entry.
    ShowIssuer { name: String },
    /// Fetch an entry's keys at once: those of one issuer, where it stands for many.
    RefreshIssuer { name: String, issuer: Option<String> },
    /// The key sets that an entry had, or the one in force at a moment.
    IssuerHistory { name: String, issuer: Option<String>, at: Option<UnixTime> },
    /// Refused requests that are remembered, newest first, or grouped.
    ListDenials(DenialsQuery),
    /// A refused request that is remembered.
    ShowDenial { request_id: String },
    /// Whether a one-use token was used, by the key of the claim on it.
    FindReplayClaim { key: String },
    /// Take the store as it is, although something is missing from it.
    AcceptEpoch,
}

/// Whom an operation is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    Admin,
}

/// Why an operation did not happen: a text for the operator.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Refused(String),
    /// With what was tried and not done.
    #[error("the store is unavailable; {0}")]
    StoreUnavailable(&'static str),
    #[error("{0}")]
    IssuerUnavailable(String),
    #[error("{0}")]
    Failed(String),
}

/// What operations work on.
pub(crate) struct AppState {
    pub(crate) service: Arc<Service>,
    pub(crate) issuers: watch::Sender<JwksCache>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<StoreHealth>,
}

impl AppState {
    /// Whether exchanges can be served, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.service.can_audit() && self.store.is_ready(self.service.clock().monotonic())
    }
}

const PREFIX: &str = "/admin/v1";
const ACCEPTED_NOTHING: &str = "the store was not accepted";

impl Operation {
    /// The operation's request on the admin listener: method, path with query, JSON body.
    pub(crate) fn to_request(&self) -> (Method, String, Option<Value>) {
        let get = |path: String| (Method::GET, path, None);
        let post = |path: String| (Method::POST, path, Some(json!({})));
        match self {
            Self::ListTokens(tokens) => get(format!("{PREFIX}/tokens{}", tokens::to_query(tokens))),
            Self::ShowToken { jti } => get(format!("{PREFIX}/tokens/{}", segment(jti))),
            Self::Revoke(request) => {
                (Method::POST, format!("{PREFIX}/revocations"), serde_json::to_value(request).ok())
            }
            Self::ListRevocationRules => get(format!("{PREFIX}/revocation-rules")),
            Self::UndoRule { id } => (Method::DELETE, format!("{PREFIX}/revocation-rules/{}", segment(id)), None),
            Self::ListKeys => get(format!("{PREFIX}/keys")),
            Self::RotateKeys => post(format!("{PREFIX}/keys/rotate")),
            Self::ListIssuers => get(format!("{PREFIX}/issuers")),
            Self::ShowIssuer { name } => get(format!("{PREFIX}/issuers/{}", segment(name))),
            Self::RefreshIssuer { name, issuer } => {
                let body = issuer.as_ref().map_or_else(|| json!({}), |issuer| json!({ "issuer": issuer }));
                (Method::POST, format!("{PREFIX}/issuers/{}/refresh", segment(name)), Some(body))
            }
            Self::IssuerHistory { name, issuer, at } => {
                let at = at.map(|at| at.to_string());
                get(format!(
                    "{PREFIX}/issuers/{}/history{}",
                    segment(name),
                    query(&[("issuer", issuer.clone()), ("at", at)])
                ))
            }
            Self::ListDenials(query) => get(format!("{PREFIX}/denials{}", query.write())),
            Self::ShowDenial { request_id } => get(format!("{PREFIX}/denials/{}", segment(request_id))),
            Self::FindReplayClaim { key } => get(format!("{PREFIX}/replay-claims/{}", segment(key))),
            Self::AcceptEpoch => post(format!("{PREFIX}/store/accept-epoch")),
        }
    }

    /// The operation that a request asks for. `Err` holds the methods that the path has.
    pub(crate) fn from_request(
        method: &str,
        path: &str,
        query: &str,
        body: &Value,
    ) -> Result<Result<Self, String>, Option<&'static str>> {
        const READ: &str = "GET, HEAD";
        // The names of the path are compared as they are sent: an encoded one is another path.
        let parts: Vec<&str> =
            path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).ok_or(None)?.split('/').collect();
        let alone = |operation: Self| alone(operation, query, body);
        let (allowed, operation) = match parts.as_slice() {
            ["tokens"] => (READ, tokens::from_query(query)),
            ["tokens", jti] => (READ, alone(Self::ShowToken { jti: unsegment(jti) })),
            ["revocations"] => ("POST", tokens::revocation(query, body)),
            ["revocation-rules"] => (READ, alone(Self::ListRevocationRules)),
            ["revocation-rules", id] => ("DELETE", alone(Self::UndoRule { id: unsegment(id) })),
            ["keys"] => (READ, alone(Self::ListKeys)),
            ["keys", "rotate"] => ("POST", alone(Self::RotateKeys)),
            ["issuers"] => (READ, alone(Self::ListIssuers)),
            ["issuers", name] => (READ, alone(Self::ShowIssuer { name: unsegment(name) })),
            ["issuers", name, "refresh"] => ("POST", issuer_refresh(&unsegment(name), query, body)),
            ["issuers", name, "history"] => (READ, issuer_history(&unsegment(name), query)),
            ["store", "accept-epoch"] => ("POST", alone(Self::AcceptEpoch)),
            ["denials"] => (READ, DenialsQuery::read(query).map(Self::ListDenials)),
            ["denials", id] => (READ, alone(Self::ShowDenial { request_id: unsegment(id) })),
            ["replay-claims", key] => (READ, alone(Self::FindReplayClaim { key: unsegment(key) })),
            _ => return Err(None),
        };
        if allowed.split(", ").any(|allowed| allowed == method) { Ok(operation) } else { Err(Some(allowed)) }
    }

    /// What to say when it failed before it began: an error never says more than was tried.
    pub(crate) fn undone(&self) -> &'static str {
        match self {
            Self::ListTokens(_) | Self::ListRevocationRules | Self::ListKeys | Self::ListIssuers => {
                "nothing was listed"
            }
            Self::IssuerHistory { .. } => "nothing was listed",
            Self::ShowToken { .. } => "the token was not looked up",
            Self::ShowIssuer { .. } => "the issuer entry was not looked up",
            Self::ListDenials(_) => "no refusals are listed",
            Self::ShowDenial { .. } => "the refusal was not looked up",
            Self::Revoke(request) if request.dry_run => "nothing was counted, and nothing was revoked",
            Self::Revoke(_) => "nothing was revoked",
            Self::UndoRule { .. } => "no rule was taken back",
            Self::RotateKeys => "no key was made",
            Self::RefreshIssuer { .. } => "no keys were fetched",
            Self::FindReplayClaim { .. } => replay_claims::NOT_LOOKED_UP,
            Self::AcceptEpoch => ACCEPTED_NOTHING,
        }
    }

    /// Whether it is about what the configuration says, and not about what is recorded.
    pub(crate) fn needs_rules(&self) -> bool {
        matches!(
            self,
            Self::ListIssuers | Self::ShowIssuer { .. } | Self::RefreshIssuer { .. } | Self::IssuerHistory { .. }
        )
    }

    /// Whom it is open to.
    pub(crate) fn right(&self) -> Right {
        match self {
            Self::Revoke(_)
            | Self::UndoRule { .. }
            | Self::RotateKeys
            | Self::RefreshIssuer { .. }
            | Self::AcceptEpoch => Right::Admin,
            _ => Right::Read,
        }
    }

    /// Does it, for `by`.
    pub(crate) async fn run(self, state: &AppState, by: &str) -> Result<Value, OperationError> {
        match self {
            Self::ListTokens(query) => tokens::list(state, *query).await,
            Self::ShowToken { jti } => tokens::show(state, &jti).await,
            Self::Revoke(request) => tokens::revoke(state, *request, by).await,
            Self::ListRevocationRules => tokens::rules(state).await,
            Self::UndoRule { id } => tokens::undo_rule(state, &id, by).await,
            Self::ListKeys => Ok(keys::list(&state.service)),
            Self::RotateKeys => keys::rotate(&state.service, by),
            Self::ListIssuers => Ok(issuers::list(&state.issuers.borrow())),
            Self::ShowIssuer { name } => issuers::show(&state.issuers.borrow(), &name),
            Self::RefreshIssuer { name, issuer } => {
                let cache = state.issuers.borrow().clone();
                issuers::refresh(&cache, &name, issuer.as_deref()).await
            }
            Self::IssuerHistory { name, issuer, at } => {
                let cache = state.issuers.borrow().clone();
                issuers::history(&cache, &name, issuer.as_deref(), at).await
            }
            Self::AcceptEpoch => match state.service.accept_epoch().await {
                Ok(Acceptance::Accepted) => {
                    // Whoever is told of it finds the server ready.
                    let _ = state.store.look(&state.service).await;
                    tracing::warn!(%by, "the store was accepted as it is: what was revoked and is forgotten has come back");
                    Ok(json!({ "accepted": true }))
                }
                Ok(Acceptance::NothingToAccept) => Ok(json!({ "accepted": false })),
                Err(error) => {
                    tracing::error!(%error, "the store did not answer");
                    Err(OperationError::StoreUnavailable(ACCEPTED_NOTHING))
                }
            },
            Self::ListDenials(query) => denials::list(&state.service, &query).await,
            Self::ShowDenial { request_id } => denials::show(&state.service, &request_id).await,
            Self::FindReplayClaim { key } => replay_claims::find(&state.service, &key).await,
        }
    }
}

/// `operation`, which takes no parameters. A `dry_run` that is ignored would do what it was to try.
fn alone(operation: Operation, query: &str, body: &Value) -> Result<Operation, String> {
    if !query.is_empty() {
        return Err(format!("this path takes no query parameters: send none; {}", operation.undone()));
    }
    match body.as_object() {
        Some(members) if !members.is_empty() => {
            Err(format!("this path takes no members in its body: send none; {}", operation.undone()))
        }
        _ => Ok(operation),
    }
}

fn issuer_history(name: &str, query: &str) -> Result<Operation, String> {
    let (mut at, mut issuer) = (None, None);
    for (parameter, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*parameter {
            "at" if at.is_none() => {
                at = Some(moment("at", &value)?);
            }
            "issuer" if issuer.is_none() => issuer = Some(value.into_owned()),
            _ => return Err("a history takes one `at` and one `issuer` at most".to_owned()),
        }
    }
    Ok(Operation::IssuerHistory { name: name.to_owned(), issuer, at })
}

fn issuer_refresh(name: &str, query: &str, body: &Value) -> Result<Operation, String> {
    /// What a refresh may say.
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Refresh {
        issuer: Option<String>,
    }
    let refresh = serde_json::from_value::<Option<Refresh>>(body.clone()).ok().filter(|_| query.is_empty());
    let issuer = refresh.ok_or(
        "a refresh takes an object with `issuer` (a string) at most, and no query parameters; no keys were fetched",
    )?;
    Ok(Operation::RefreshIssuer { name: name.to_owned(), issuer: issuer.and_then(|refresh| refresh.issuer) })
}

/// How many are answered at most.
fn limit(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "`limit` is a whole number, 1 or more".to_owned())
}

/// Epoch seconds, or RFC 3339.
fn moment(name: &str, value: &str) -> Result<UnixTime, String> {
    let rfc3339 = || Some(chrono::DateTime::parse_from_rfc3339(value).ok()?.timestamp());
    let seconds = value.parse().ok().or_else(rfc3339);
    seconds.map(UnixTime::from_secs).ok_or_else(|| format!("`{name}` is epoch seconds, or RFC 3339"))
}

fn refused(error: &impl std::fmt::Display) -> OperationError {
    OperationError::Refused(error.to_string())
}

fn not_found(text: &str) -> OperationError {
    OperationError::NotFound(text.to_owned())
}

/// The parameters that there are, after a `?`; nothing where there is none.
fn query(parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn unsegment(text: &str) -> String {
    let encoded = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sts_service::TokenState;

    #[test]
    fn every_operation_is_found_again_from_its_own_request() {
        let operations = [
            Operation::ListTokens(Box::default()),
            Operation::ListTokens(Box::new(TokenQuery {
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
            })),
            Operation::ShowToken { jti: "a/b c+%".into() },
            Operation::Revoke(Box::new(RevocationRequest {
                account: Some("octo".into()),
                ..RevocationRequest::default()
            })),
            Operation::ListRevocationRules,
            Operation::UndoRule { id: "0123456789abcdef0123456789abcdef".into() },
            Operation::ListKeys,
            Operation::RotateKeys,
            Operation::ListIssuers,
            Operation::ShowIssuer { name: "github".into() },
            Operation::RefreshIssuer { name: "github".into(), issuer: None },
            Operation::RefreshIssuer { name: "eks".into(), issuer: Some("https://a.example/b?c".into()) },
            Operation::IssuerHistory { name: "github".into(), issuer: None, at: None },
            Operation::IssuerHistory {
                name: "eks".into(),
                issuer: Some("https://a.example/b?c&d".into()),
                at: Some(UnixTime::from_secs(1_790_000_000)),
            },
            Operation::ListDenials(DenialsQuery {
                account: Some("a b".into()),
                limit: Some(2),
                ..DenialsQuery::default()
            }),
            Operation::ShowDenial { request_id: "01J".into() },
            Operation::FindReplayClaim { key: "ab".repeat(32) },
            Operation::AcceptEpoch,
        ];
        for operation in operations {
            let (method, target, body) = operation.to_request();
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let found =
                Operation::from_request(method.as_str(), path, query, &body.unwrap_or_default()).unwrap().unwrap();
            assert_eq!(format!("{found:?}"), format!("{operation:?}"));
        }
    }

    #[test]
    fn a_moment_in_a_history_is_one_time_in_either_form() {
        let found = |query: &str| {
            Operation::from_request("GET", "/admin/v1/issuers/github/history", query, &Value::Null).unwrap()
        };
        for query in ["at=1790000000", "at=2026-09-21T14:13:20Z", "at=2026-09-21T16:13:20%2B02:00"] {
            let operation = found(query).unwrap();
            assert!(
                matches!(operation, Operation::IssuerHistory { at: Some(at), .. } if at.as_secs() == 1_790_000_000),
                "{query}"
            );
            assert_eq!(operation.right(), Right::Read);
        }
        for query in ["at=", "at=yesterday", "at=1&at=1", "issuer=a&issuer=a", "before=1"] {
            assert!(found(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_revocation_with_an_unknown_field_is_refused() {
        let body = json!({ "accuont": "octo" });
        assert!(Operation::from_request("POST", "/admin/v1/revocations", "", &body).unwrap().is_err());
        assert_eq!(
            Operation::from_request("DELETE", "/admin/v1/tokens", "", &Value::Null).unwrap_err(),
            Some("GET, HEAD")
        );
        for nowhere in [
            "/admin/v2/tokens",
            "/admin/v1x/tokens",
            "/admin/v1tokens",
            "/admin/v1/%74okens",
            "/admin/v1/keys%2Frotate",
        ] {
            assert_eq!(Operation::from_request("GET", nowhere, "", &Value::Null).unwrap_err(), None, "{nowhere}");
        }
        assert!(Operation::from_request("HEAD", "/admin/v1/tokens", "", &Value::Null).unwrap().is_ok());
    }
}
