//! Sign-in at an OpenID provider: authorization code with PKCE, state and nonce (RFC 9700 section
//! 2.1.1, OpenID Connect Core 1.0 section 3.1).

mod callback;
mod discovery;
mod error;
mod id_token;
mod landing;
mod pending;
mod provider;
mod return_path;
mod start;
mod throttle;
mod token_request;

pub(crate) use callback::callback;
pub(crate) use discovery::{EndpointCache, Endpoints};
pub(crate) use error::SignInError;
pub use error::{FailedCondition, MissingRight};
pub(crate) use pending::{PENDING_SECONDS, PendingSignIn};
pub use provider::{
    Admission, EndpointAnswer, EndpointRequest, OpenIdProvider, ProviderClient, ProviderError, ProviderFuture,
    ProviderSource,
};
pub(crate) use return_path::{HOME, sign_in_path};
pub(crate) use start::start;
pub(crate) use throttle::Throttle;
