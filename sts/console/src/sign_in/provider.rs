//! The OpenID provider as the console needs it. The server reaches it over the network, and verifies
//! its tokens as it verifies every other.

use std::pin::Pin;
use std::sync::Arc;

use sts_claims::ClaimSet;
use sts_types::Digest256;

use super::MissingRight;
use crate::Rights;

/// The console's registration at the provider.
pub struct ProviderClient {
    /// The provider's issuer.
    pub issuer: String,
    /// `client_id`.
    pub client_id: String,
    /// The client's secret. `None` for a public client.
    pub client_secret: Option<String>,
    /// Requested scopes.
    pub scopes: Vec<String>,
    /// Digest over issuer, client and conditions. A session ends when it is another.
    pub terms: Digest256,
}

impl std::fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderClient").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// A form for an endpoint of the provider.
pub struct EndpointRequest {
    /// The endpoint.
    pub url: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The encoded form.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for EndpointRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointRequest").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What an endpoint answered, with any status.
pub struct EndpointAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for EndpointAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What went wrong at the provider. The texts are for the log and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It did not answer.
    #[error("{0}")]
    Unavailable(String),
    /// It answered something that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Whether a person may enter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// With these rights.
    Granted(Rights),
    /// The conditions that do not hold, by right.
    Refused(Vec<MissingRight>),
}

/// An answer on its way. A page runs on one thread.
pub type ProviderFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + 'a>>;

/// The provider of the `console` block that is in force.
pub trait OpenIdProvider: Send + Sync + 'static {
    /// The console's registration there.
    fn client(&self) -> &ProviderClient;

    /// Fetches the discovery document. It names the provider's issuer.
    fn discovery_document(&self) -> ProviderFuture<'_, Vec<u8>>;

    /// Checks that people may be led to that page of the provider.
    ///
    /// # Errors
    /// If its URL is not safe.
    fn check_page(&self, url: &str) -> Result<(), ProviderError>;

    /// Posts a form to an endpoint, once.
    fn post(&self, request: EndpointRequest) -> ProviderFuture<'_, EndpointAnswer>;

    /// Verifies signature, `iss`, `typ` and times of an ID token.
    fn verify<'a>(&'a self, id_token: &'a str) -> ProviderFuture<'a, ClaimSet>;

    /// Whether a person with these claims may enter.
    fn admit(&self, claims: &ClaimSet) -> Admission;
}

/// Where the console finds the provider in force. A reload may replace it.
pub trait ProviderSource: Send + Sync + 'static {
    /// The provider, if there is a `console` block.
    fn provider(&self) -> Option<Arc<dyn OpenIdProvider>>;
}
