//! What an operator may do with a running server, or with its store when none runs. Each resource has a file with its paths,
//! rights, work, documentation and tests. The admin listener serves its operations, and the command line asks for them or
//! does them itself.

mod authentication;
mod denials;
mod endpoint;
mod handler;
pub(crate) mod health;
mod issuer_state;
mod issuers;
mod keys;
mod replay_claims;
mod request;
mod revocation_rules;
mod revocations;
mod store;
mod tokens;

use actix_web::web::ServiceConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use authentication::{Caller, authenticate};
pub(crate) use denials::{ListDenials, ShowDenial};
pub(crate) use endpoint::{Documentation, Endpoint, Right, Route};
pub(crate) use handler::json_answer;
pub(crate) use issuers::{IssuerHistory, ListIssuers, RefreshIssuer, ShowIssuer};
pub(crate) use keys::{ListKeys, RotateKeys};
pub(crate) use replay_claims::FindReplayClaim;
pub(crate) use request::Request;
pub(crate) use revocation_rules::{ListRevocationRules, UndoRevocationRule};
pub(crate) use revocations::RevokeTokens;
pub(crate) use store::AcceptEpoch;
pub(crate) use tokens::{ListTokens, ShowToken};

use crate::app_state::AppState;
use handler::perform;

/// Every path under `/admin/v1`, resource by resource.
pub(crate) fn routes(routes: &mut ServiceConfig) {
    routes
        .configure(tokens::routes)
        .configure(revocations::routes)
        .configure(revocation_rules::routes)
        .configure(keys::routes)
        .configure(issuers::routes)
        .configure(store::routes)
        .configure(denials::routes)
        .configure(replay_claims::routes);
}

/// What the OpenAPI document says of them.
pub(crate) const ROUTES: &[&[Route]] = &[
    tokens::ROUTES,
    revocations::ROUTES,
    revocation_rules::ROUTES,
    keys::ROUTES,
    issuers::ROUTES,
    store::ROUTES,
    denials::ROUTES,
    replay_claims::ROUTES,
];

/// The schemas that the documentation of these paths refers to.
pub(crate) fn schemas() -> impl Iterator<Item = Map<String, Value>> {
    let resources = [
        tokens::schemas(),
        revocations::schemas(),
        revocation_rules::schemas(),
        keys::schemas(),
        issuers::schemas(),
        replay_claims::schemas(),
    ];
    resources.into_iter().filter_map(|schemas| match schemas {
        Value::Object(schemas) => Some(schemas),
        _ => None,
    })
}

/// One operation: where it is, how a request asks for it, and the work itself.
pub(crate) trait Operation: Sized {
    /// What it answers when it is done.
    type Answer: Serialize + DeserializeOwned;

    /// Where it is, and who may do it.
    const ENDPOINT: Endpoint;

    /// The operation that `request` asks for. The error is a text for the caller.
    fn read(request: &Request) -> Result<Self, String>;

    /// The request that asks for it.
    fn request(&self) -> Request;

    /// What to say when it failed before it began: an error never says more than was tried.
    fn not_done(&self) -> &'static str;

    /// Does it, for `by`.
    async fn run(self, state: &AppState, by: &str) -> Result<Self::Answer, OperationError>;

    /// The documentation of its query parameters.
    fn query_parameters() -> Vec<Value> {
        Vec::new()
    }
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

fn refused(error: &impl std::fmt::Display) -> OperationError {
    OperationError::Refused(error.to_string())
}

fn not_found(text: &str) -> OperationError {
    OperationError::NotFound(text.to_owned())
}

/// The store did not answer, so `not_done`.
fn store_unavailable(error: &sts_store::LedgerError, not_done: &'static str) -> OperationError {
    tracing::error!(%error, "the store did not answer");
    OperationError::StoreUnavailable(not_done)
}

/// `answer` as one line for the log.
fn logged(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::decoded;

    /// Holds that an operation is read again from the request that asks for it, at its own path and method.
    pub(super) fn is_read_again<O: Operation + std::fmt::Debug>(operation: &O) {
        let request = operation.request();
        let target = request.target(&O::ENDPOINT);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut routed = actix_web::dev::Path::new(path.replace('%', "%25"));
        assert!(actix_web::dev::ResourceDef::new(O::ENDPOINT.full_path()).capture_match_info(&mut routed), "{target}");
        let parameter = routed.iter().next().map(|(_, value)| decoded(value)).unwrap_or_default();
        let received = Request { parameter, query: query.to_owned(), body: request.body };
        assert_eq!(format!("{:?}", O::read(&received).unwrap()), format!("{operation:?}"));
    }

    #[test]
    fn a_request_with_parameters_that_are_not_known_is_refused() {
        let with = |query: &str, body: Value| Request { parameter: "x".into(), query: query.into(), body };
        for request in [with("dry_run=true", Value::Null), with("", serde_json::json!({ "dry_run": true }))] {
            assert!(ShowToken::read(&request).is_err());
            assert!(UndoRevocationRule::read(&request).is_err());
            assert!(ListRevocationRules::read(&request).is_err());
            assert!(ListKeys::read(&request).is_err() && RotateKeys::read(&request).is_err());
            assert!(ListIssuers::read(&request).is_err() && ShowIssuer::read(&request).is_err());
            assert!(RefreshIssuer::read(&request).is_err());
            assert!(AcceptEpoch::read(&request).is_err());
            assert!(ShowDenial::read(&request).is_err() && FindReplayClaim::read(&request).is_err());
        }
    }
}
