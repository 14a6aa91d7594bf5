//! The endpoints that a provider's discovery document names, kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use sts_types::{Clock, Digest256};

use super::{OpenIdProvider, ProviderError};

/// How long the endpoints are kept.
const KEPT: Duration = Duration::from_secs(300);
/// How long a failure is kept, so that people who try again do not multiply requests.
const FAILURE_KEPT: Duration = Duration::from_secs(5);

/// What sign-in needs of the discovery document (OpenID Connect Discovery 1.0 section 3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Endpoints {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    /// How a client names itself at the token endpoint. `client_secret_basic` if nothing is said.
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether each authorization response has `iss` (RFC 9207 section 3).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    /// Challenge methods of PKCE (RFC 8414 section 2).
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl Endpoints {
    fn parse(document: &[u8]) -> Result<Self, ProviderError> {
        let endpoints: Self = serde_json::from_slice(document).map_err(|_| {
            let text = "the discovery document does not name `authorization_endpoint` and `token_endpoint`";
            ProviderError::Invalid(text.to_owned())
        })?;
        if endpoints.code_challenge_methods_supported.as_ref().is_some_and(|all| !all.iter().any(|one| one == "S256")) {
            return Err(ProviderError::Invalid("the provider does not offer PKCE with S256".to_owned()));
        }
        Ok(endpoints)
    }

    /// Whether the client's secret goes into the form, because the provider takes no Basic.
    pub(super) fn wants_secret_in_form(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let has = |wanted: &str| methods.iter().any(|method| method == wanted);
        has("client_secret_post") && !has("client_secret_basic")
    }
}

/// The endpoints of the provider in force.
#[derive(Default)]
pub(crate) struct EndpointCache(Mutex<Option<Kept>>);

struct Kept {
    terms: Digest256,
    until: Duration,
    found: Result<Arc<Endpoints>, ProviderError>,
}

impl EndpointCache {
    /// The endpoints of `provider`.
    pub(crate) async fn endpoints(
        &self,
        provider: &dyn OpenIdProvider,
        clock: &dyn Clock,
    ) -> Result<Arc<Endpoints>, ProviderError> {
        let terms = provider.client().terms;
        if let Some(found) = self.kept(terms, clock.monotonic()) {
            return found;
        }
        let document = provider.discovery_document().await;
        let found = document.and_then(|document| {
            let endpoints = Endpoints::parse(&document)?;
            provider.check_page(&endpoints.authorization_endpoint)?;
            Ok(Arc::new(endpoints))
        });
        let until = clock.monotonic() + if found.is_ok() { KEPT } else { FAILURE_KEPT };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept { terms, until, found: found.clone() });
        found
    }

    fn kept(&self, terms: Digest256, now: Duration) -> Option<Result<Arc<Endpoints>, ProviderError>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.terms == terms && now < kept.until).map(|kept| kept.found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<Endpoints, ProviderError> {
        Endpoints::parse(
            format!(r#"{{"authorization_endpoint":"https://a","token_endpoint":"https://t"{more}}}"#).as_bytes(),
        )
    }

    #[test]
    fn basic_is_used_unless_only_the_form_is_taken() {
        for (methods, in_form) in [
            ("", false),
            (r#","token_endpoint_auth_methods_supported":null"#, false),
            (r#","token_endpoint_auth_methods_supported":["client_secret_post","client_secret_basic"]"#, false),
            (r#","token_endpoint_auth_methods_supported":["client_secret_post","private_key_jwt"]"#, true),
            (r#","token_endpoint_auth_methods_supported":["private_key_jwt"]"#, false),
        ] {
            assert_eq!(parse(methods).unwrap().wants_secret_in_form(), in_form, "{methods}");
        }
    }

    #[test]
    fn a_provider_without_endpoints_or_s256_is_not_used() {
        assert!(Endpoints::parse(br#"{"token_endpoint":"https://t"}"#).is_err());
        assert!(parse(r#","code_challenge_methods_supported":["plain"]"#).is_err());
        assert!(parse(r#","code_challenge_methods_supported":["plain","S256"]"#).is_ok());
    }
}
