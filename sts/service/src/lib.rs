//! Exchange, introspection and revocation. This crate decides the order of the steps. It has no
//! HTTP, and no implementation of a key source or a ledger: both are traits, and the server chooses
//! the implementations.

mod api_keys;
mod api_secret;
mod body;
mod decision_record;
mod diagnosis;
mod endpoint_auth;
mod event;
mod explain;
mod grant;
mod introspect;
mod issuer_keys;
pub mod manage;
mod nearest_miss;
mod observers;
mod parameters;
mod pending_exchange;
mod phase;
mod precise_timer;
mod presented;
mod reason;
mod recent_decisions;
mod redact;
mod refusal_log;
mod refusals;
mod request;
mod request_id;
mod revoke;
mod rules_in_force;
mod service;
mod signing;
mod snapshot;
mod standing;
mod status;
mod token_admin;
mod token_mistake;
mod unsaved;

pub use api_keys::{ApiKeyEntry, ApiKeyLimits, ApiKeyUses, ApiKeys};
pub use api_secret::ApiSecret;
pub use body::NOT_AN_OBJECT;
pub use diagnosis::{RefusedRequest, diagnose};
pub use endpoint_auth::{AuthorizationScheme, Origin, PresentedAccessToken};
pub use event::{EventSink, ExchangeTimes, outcome_of_refusal};
pub use explain::{ExplainError, Explanation, Presented, WouldMint, explain};
pub use grant::{Exchanged, GrantType, NO_CLIENT_AUTHENTICATION, NOT_BASIC, endpoint_url};
pub use introspect::{Caller, Introspection};
pub use issuer_keys::{
    Candidates, IssuerKeys, KeyAnswer, KeyQuestion, KeySetView, KeyUnavailable, KeyView, KeysFailure, KeysView,
    SkippedKeyView,
};
pub use parameters::{BasicCredentials, MAX_PARAMETERS, PARAMETERS, Parameters};
pub use pending_exchange::PendingExchange;
pub use phase::{Phase, PhaseTimes};
pub use reason::{Reason, RefusedError, TransportRefusal};
pub use recent_decisions::RecentDecisions;
pub use refusals::{DenialGroup, GroupBy, RememberedRefusal, group};
pub use request::RequestContext;
pub use revoke::PresentedRevocation;
pub use service::{Service, ServiceDependencies};
pub use snapshot::{Snapshot, TrustTable};
pub use status::{STATUS_LIST_TTL, StatusList, StatusListsView};
pub use sts_audit::{DecisionEvent, FailedCondition, Outcome, PresentedToken};
pub use token_admin::{
    CoveredTokens, KeyWithdrawal, ListError, RevocationError, RevocationRequest, Revoked, TokenPage, TokenQuery,
    TokenState, TokenView, UndoneRule, UnknownName, WithdrawalError,
};
pub use unsaved::Unsaved;
