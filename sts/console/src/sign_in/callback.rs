//! `GET /console/callback`: the provider's answer. It opens a session.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::error::shown_code;
use super::landing::landing;
use super::pending::browser;
use super::token_request::redeem;
use super::{Admission, OpenIdProvider, PendingSignIn, ProviderError, SignInError, id_token};
use crate::guard::{cookie, session_id};
use crate::query::Query;
use crate::{BrowserRequest, Console, PageError, Rights, events};

pub(crate) async fn callback(
    console: Data<Console>,
    browser: BrowserRequest,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let answer = Answer::of(&request)?;
    let (provider, pending) = pending_of(&console, &request, &answer).await?;
    let (user, rights) = identify(&console, &*provider, &pending, answer).await?;
    let sessions = console.sessions();
    let (id, session) = sessions.open_for(user, rights, pending.terms).await?;
    // The session that the browser had is not taken over, and does not stay behind.
    if let Some(before) = pending.replaces {
        sessions.end_of(before).await?;
    }
    if let Some(before) = session_id(request.headers()) {
        sessions.end(before).await?;
    }
    events::signed_in(&browser, &session);
    landing(&pending.return_to, [cookie(&id), browser::no_cookie()])
}

/// The parameters of the provider's answer (RFC 6749 section 4.1.2, RFC 9207).
struct Answer {
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl Answer {
    fn of(request: &HttpRequest) -> Result<Self, SignInError> {
        let query = Query::of(request);
        let one = |name: &str| query.only(name).map_err(|_| SignInError::Malformed);
        let answer = Self {
            state: one("state")?.ok_or(SignInError::Malformed)?.to_owned(),
            code: one("code")?.map(str::to_owned),
            error: one("error")?.map(str::to_owned),
            iss: one("iss")?.map(str::to_owned),
        };
        let is_answer = answer.code.is_some() != answer.error.is_some();
        if is_answer { Ok(answer) } else { Err(SignInError::Malformed) }
    }
}

/// The sign-in that the answer belongs to. It is used up, even if the sign-in fails.
async fn pending_of(
    console: &Console,
    request: &HttpRequest,
    answer: &Answer,
) -> Result<(Arc<dyn OpenIdProvider>, PendingSignIn), PageError> {
    let secret = browser::secret(request.headers()).ok_or(SignInError::Unknown)?;
    let pending = console.sessions().take_sign_in(&answer.state, secret).await?.ok_or(SignInError::Unknown)?;
    let provider = console.provider().ok_or(SignInError::NotConfigured)?;
    if provider.client().terms != pending.terms {
        return Err(SignInError::Changed.into());
    }
    Ok((provider, pending))
}

/// Who signed in, with which rights.
async fn identify(
    console: &Console,
    provider: &dyn OpenIdProvider,
    pending: &PendingSignIn,
    answer: Answer,
) -> Result<(String, Rights), SignInError> {
    let endpoints = console.endpoints(provider).await.map_err(SignInError::at_provider)?;
    let client = provider.client();
    let is_of_issuer = match &answer.iss {
        Some(iss) => *iss == client.issuer,
        None => !endpoints.authorization_response_iss_parameter_supported,
    };
    if !is_of_issuer {
        return Err(SignInError::OtherIssuer);
    }
    let Some(code) = answer.code else {
        return Err(SignInError::Declined(shown_code(&answer.error.unwrap_or_default())));
    };
    let token = redeem(provider, &endpoints, pending, code).await?;
    let claims = provider.verify(&token).await.map_err(|error| match error {
        ProviderError::Unavailable(why) => SignInError::Unavailable(why),
        ProviderError::Invalid(why) => SignInError::IdTokenRefused(why),
    })?;
    id_token::check(&claims, &client.client_id, &pending.nonce)?;
    let user = id_token::user(&claims)?;
    match provider.admit(&claims) {
        Admission::Granted(rights) => Ok((user, rights)),
        Admission::Refused(missing) => Err(SignInError::NotAdmitted { user, missing }),
    }
}
