//! What an operator may do with a running server, or with its store when none runs. Each resource has a file with its paths,
//! rights, work, documentation and tests. The admin listener serves its operations, and the command line asks for them or
//! does them itself.

mod activity;
mod admissions;
mod api_keys;
mod apply;
mod audit;
mod authentication;
mod config;
mod console_links;
mod denial_draft;
mod denials;
mod download;
mod endpoint;
mod evaluate;
mod group_teams;
mod handler;
pub(crate) mod health;
mod health_detail;
mod identities;
mod in_process;
mod issuer_state;
mod issuers;
mod keys;
mod kinds;
mod managed;
mod merge_patch;
mod objects;
mod preconditions;
mod presets;
mod replay_claims;
mod request;
mod revocation_rules;
mod revocations;
mod store;
mod tokens;

use actix_web::Resource;
use actix_web::web::{self, ServiceConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sts_service::Reason;
use sts_store::LedgerError;
use utoipa::openapi::path::Parameter;

pub(crate) use api_keys::{CreateApiKey, ListAllApiKeys, ListApiKeys, RevokeApiKey};
pub(crate) use apply::ApplyObjects;
pub(crate) use audit::ListAudit;
pub(crate) use authentication::{Caller, SignedInBy, authenticate};
pub(crate) use console_links::CreateConsoleLink;
pub(crate) use denials::{ListDenials, ShowDenial};
pub(crate) use download::Download;
pub(crate) use endpoint::{Body, Documentation, Endpoint, Right, Route};
pub(crate) use handler::{begin, json_answer};
pub(crate) use in_process::InProcessApi;
pub(crate) use issuers::{IssuerHistory, ListIssuers, RefreshIssuer, ShowIssuer};
pub(crate) use keys::{ListKeys, RotateKeys, WithdrawKey};
pub(crate) use kinds::{Apis, Issuers, Kind, ServiceAccounts, Teams, with_kind};
pub(crate) use objects::{ChangeObject, DeleteObject, ListObjects, ShowObject};
pub(crate) use replay_claims::FindReplayClaim;
pub(crate) use request::Request;
pub(crate) use revocation_rules::{ListRevocationRules, UndoRevocationRule};
pub(crate) use revocations::RevokeTokens;
pub(crate) use store::{AcceptEpoch, BackUpStore};
pub(crate) use tokens::{ListTokens, ShowToken};

use crate::app_state::AppState;
use merge_patch::merge_patch;

/// The operations, resource by resource.
const ROUTES: &[&[Route]] = &[
    tokens::ROUTES,
    revocations::ROUTES,
    revocation_rules::ROUTES,
    keys::ROUTES,
    issuers::ROUTES,
    store::ROUTES,
    denials::ROUTES,
    denial_draft::ROUTES,
    replay_claims::ROUTES,
    identities::ROUTES,
    group_teams::ROUTES,
    api_keys::ROUTES,
    &objects::documented::<ServiceAccounts>(),
    &objects::documented::<Teams>(),
    &objects::documented::<Apis>(),
    apply::ROUTES,
    evaluate::ROUTES,
    admissions::ROUTES,
    presets::ROUTES,
    config::ROUTES,
    health_detail::ROUTES,
    audit::ROUTES,
    console_links::ROUTES,
    activity::ROUTES,
];

/// Every operation. The listener serves these, and the OpenAPI document shows these.
pub(crate) fn all_routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().copied().flatten()
}

/// Registers every path under `/admin/v1`.
pub(crate) fn routes(config: &mut ServiceConfig) {
    let mut resources: Vec<(&str, Resource)> = Vec::new();
    for route in all_routes() {
        let path = route.endpoint.path;
        // The methods of one path belong to one resource.
        let resource = match resources.iter().position(|(other, _)| *other == path) {
            Some(index) => resources.swap_remove(index).1,
            None => web::resource(path),
        };
        resources.push((path, resource.route(route.handler())));
    }
    for (_, resource) in resources {
        config.service(resource);
    }
}

/// One operation: where it is, how a request asks for it, and the work itself.
pub(crate) trait Operation: Sized + 'static {
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

    /// Whether to do it twice is to do it once.
    const IS_REPEATABLE: bool = true;

    /// The statuses of what it did.
    const SUCCESSES: &'static [u16] = &[200];

    /// The largest body of such a request, in octets.
    const MAX_BODY: usize = crate::http::MAX_BODY;

    /// Does it, for `caller`.
    async fn run(self, state: &AppState, caller: &Caller) -> Result<Self::Answer, OperationError>;

    /// Status and headers of its answer.
    fn head(_: &Self::Answer) -> AnswerHead {
        AnswerHead::default()
    }

    /// The documentation of its query parameters.
    fn query_parameters() -> Vec<Parameter> {
        Vec::new()
    }
}

/// What the head of an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    status: u16,
    /// The tag of the state that the answer shows.
    etag: Option<String>,
    /// Where the new object is.
    location: Option<String>,
}

impl Default for AnswerHead {
    fn default() -> Self {
        Self { status: 200, etag: None, location: None }
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
    /// Something that it needs is away or busy.
    #[error("{1}")]
    Unavailable(Reason, String),
    #[error("{0}")]
    Failed(String),
    /// The name is taken.
    #[error("{0}")]
    Exists(String),
    /// A file declares the object.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    PreconditionRequired(String),
    /// Somebody else changed the object meanwhile.
    #[error("{0}")]
    PreconditionFailed(String),
    /// A token of ours must not make what outlives it.
    #[error("{0}")]
    InteractiveRequired(String),
    /// Objects of the kind are not changed here.
    #[error("{0}")]
    NotManaged(String),
    /// A load would refuse it.
    #[error("{detail}")]
    Invalid { detail: String, findings: Vec<sts_api::Finding> },
}

fn refused(error: &impl std::fmt::Display) -> OperationError {
    OperationError::Refused(error.to_string())
}

fn not_found(text: &str) -> OperationError {
    OperationError::NotFound(text.to_owned())
}

/// The store did not answer, so `not_done`.
fn store_unavailable(error: &LedgerError, not_done: &'static str) -> OperationError {
    tracing::error!(%error, "the store did not answer");
    match error {
        LedgerError::InPart(_) => OperationError::StoreUnavailable(IN_PART),
        LedgerError::Unavailable(_) | LedgerError::Duplicate => OperationError::StoreUnavailable(not_done),
    }
}

/// What came of a change that only some shards of the store have made.
const IN_PART: &str = "some of its shards have made the change, and others have not: send the same request again";

/// `answer` as one line for the log.
fn logged(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::decoded;

    /// Holds that an operation is read again from the request that asks for it, at its own path and method.
    pub(super) fn is_read_again<O: Operation + std::fmt::Debug>(operation: &O) {
        let request = operation.request();
        let target = request.target(&O::ENDPOINT);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut routed = actix_web::dev::Path::new(path.replace('%', "%25"));
        assert!(actix_web::dev::ResourceDef::new(O::ENDPOINT.full_path()).capture_match_info(&mut routed), "{target}");
        let mut parameters = routed.iter().map(|(_, value)| decoded(value));
        let (parameter, inner) = (parameters.next().unwrap_or_default(), parameters.next().unwrap_or_default());
        let received = Request { parameter, inner, query: query.to_owned(), ..request };
        assert_eq!(format!("{:?}", O::read(&received).unwrap()), format!("{operation:?}"));
    }

    #[test]
    fn a_request_with_parameters_that_are_not_known_is_refused() {
        let with = |query: &str, body: Value| Request { query: query.into(), body, ..Request::get("x", String::new()) };
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
