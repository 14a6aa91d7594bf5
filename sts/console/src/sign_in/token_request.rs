//! The authorization request and the token request (RFC 6749 sections 4.1.1 and 4.1.3, RFC 7636).

use std::borrow::Cow;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::http::StatusCode;
use oauth2::http::header::AUTHORIZATION;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::discovery::Endpoints;
use super::error::shown_code;
use super::{EndpointRequest, OpenIdProvider, PendingSignIn, ProviderClient, ProviderError, SignInError};

/// What OpenID Connect adds to a token response.
#[derive(Serialize, Deserialize)]
struct IdTokenField {
    #[serde(default)]
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

impl std::fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdTokenField").finish_non_exhaustive()
    }
}

type OpenIdClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The address at the provider where the person signs in.
pub(super) fn authorization_url(
    registration: &ProviderClient,
    endpoints: &Endpoints,
    pending: &PendingSignIn,
    state: &str,
) -> Result<Url, ProviderError> {
    let client = client(registration, endpoints)?;
    let verifier = PkceCodeVerifier::new(pending.verifier.clone());
    let state = CsrfToken::new(state.to_owned());
    let request = client
        .authorize_url(|| state)
        .add_scopes(registration.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .set_redirect_uri(redirect(pending)?)
        .add_extra_param("nonce", pending.nonce.clone());
    Ok(request.url().0)
}

/// Redeems the code, and returns the ID token.
pub(super) async fn redeem(
    provider: &dyn OpenIdProvider,
    endpoints: &Endpoints,
    pending: &PendingSignIn,
    code: String,
) -> Result<String, SignInError> {
    let client = client(provider.client(), endpoints).map_err(SignInError::at_provider)?;
    let request = client
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
        .set_redirect_uri(redirect(pending).map_err(SignInError::at_provider)?);
    let answered = request.request_async(&|request| post(provider, request)).await;
    let answer = answered.map_err(|error| match error {
        RequestTokenError::ServerResponse(refusal) => SignInError::CodeRefused(shown_code(refusal.error().as_ref())),
        RequestTokenError::Request(error) => SignInError::at_provider(error),
        // Its text could hold a part of the body.
        RequestTokenError::Parse(..) => SignInError::InvalidAnswer(
            "the token endpoint's answer is neither a token response nor an error".to_owned(),
        ),
        RequestTokenError::Other(_) => SignInError::InvalidAnswer("the token endpoint's answer is empty".to_owned()),
    })?;
    let id_token = answer.extra_fields().id_token.clone();
    id_token.ok_or_else(|| SignInError::InvalidAnswer("the token endpoint's answer has no `id_token`".to_owned()))
}

async fn post(provider: &dyn OpenIdProvider, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let url = request.uri().to_string();
    let answer = provider.post(EndpointRequest { url, authorization, body: request.into_body() }).await?;
    if answer.status >= 500 {
        let text = format!("the token endpoint answered with status {}", answer.status);
        return Err(ProviderError::Unavailable(text));
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::new(answer.body);
    *response.status_mut() = status;
    Ok(response)
}

fn client(registration: &ProviderClient, endpoints: &Endpoints) -> Result<OpenIdClient, ProviderError> {
    let url = |text: &str, what: &str| {
        let is_web = text.starts_with("https://") || text.starts_with("http://");
        Url::parse(text).ok().filter(|_| is_web).ok_or_else(|| ProviderError::Invalid(format!("`{what}` is not a URL")))
    };
    let authorization = url(&endpoints.authorization_endpoint, "authorization_endpoint")?;
    let token = url(&endpoints.token_endpoint, "token_endpoint")?;
    let client = Client::new(ClientId::new(registration.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(authorization))
        .set_token_uri(TokenUrl::from_url(token))
        .set_auth_type(if endpoints.wants_secret_in_form() { AuthType::RequestBody } else { AuthType::BasicAuth });
    Ok(match &registration.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.clone())),
        None => client,
    })
}

fn redirect(pending: &PendingSignIn) -> Result<Cow<'static, RedirectUrl>, ProviderError> {
    let url = RedirectUrl::new(pending.redirect_uri.clone());
    url.map(Cow::Owned).map_err(|_| ProviderError::Invalid("our own address is not a URL".to_owned()))
}
