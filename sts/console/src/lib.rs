//! The web console on the admin listener: pages, sign-in, sessions.
//!
//! A page changes nothing by itself. It asks the admin API through [`AdminApi`], with the rights of
//! its session. [`SignedIn`] is the way into a page: a handler that takes it is reached only with a
//! session, and with the session's token where it is a form.

mod admin_api;
pub mod assets;
mod browser_request;
mod events;
mod form;
mod guard;
mod link;
mod notice;
mod page;
mod page_request;
pub mod pages;
mod query;
mod routes;
mod session;
mod sessions;
mod sign_in;
mod signed_in;
#[cfg(test)]
mod testing;
mod vouching;

pub use admin_api::{Actor, AdminApi, ApiAnswer, ApiError, ApiFuture, ApiRequest, Method};
pub use browser_request::BrowserRequest;
pub use events::{RecordSession, SessionEvent, SessionRecorder, SignedInBy};
pub use page::PageError;
pub use routes::{Console, routes};
pub use session::{Rights, Session};
pub use sessions::{ConsoleLink, SessionError, Sessions};
pub use sign_in::{
    Admission, EndpointAnswer, EndpointRequest, FailedCondition, MissingRight, OpenIdProvider, ProviderClient,
    ProviderError, ProviderFuture, ProviderSource,
};
pub use signed_in::SignedIn;
pub use vouching::{AdminTokenError, AdminTokenSource};
