//! The web console on the admin listener: pages, sign-in, sessions.
//!
//! A page changes nothing by itself. It asks the admin API through [`AdminApi`], with the rights of
//! its session. [`SignedIn`] is the way into a page: a handler that takes it is reached only with a
//! session, and with the session's token where it is a form.

mod admin_api;
pub mod assets;
mod browser_request;
mod form;
mod guard;
mod link;
mod page;
pub mod pages;
mod routes;
mod session;
mod sessions;
mod signed_in;

pub use admin_api::{Actor, AdminApi, ApiAnswer, ApiError, ApiFuture, ApiRequest, Method};
pub use browser_request::BrowserRequest;
pub use page::PageError;
pub use routes::{Console, routes};
pub use session::{Rights, Session};
pub use sessions::{ConsoleLink, SessionError, Sessions};
pub use signed_in::SignedIn;
