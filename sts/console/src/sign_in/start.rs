//! `GET /console/sign-in`: leads to the provider.

use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::pending::browser;
use super::return_path::return_path;
use super::token_request::authorization_url;
use super::{PendingSignIn, SignInError};
use crate::guard::session_id;
use crate::query::Query;
use crate::{BrowserRequest, Console, PageError, sessions};

/// Where the provider leads back to.
const CALLBACK: &str = "/console/callback";

pub(crate) async fn start(
    console: Data<Console>,
    browser: BrowserRequest,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    if !is_navigation(request.headers()) {
        return Err(PageError::NotNavigated);
    }
    let provider = console.provider().ok_or(SignInError::NotConfigured)?;
    if !console.may_start_sign_in(browser.address) {
        return Err(SignInError::TooMany.into());
    }
    let endpoints = console.endpoints(&*provider).await.map_err(SignInError::at_provider)?;
    let sessions = console.sessions();
    let query = Query::of(&request);
    let pending = PendingSignIn {
        nonce: sessions.secret(),
        verifier: sessions.secret(),
        redirect_uri: format!("{}{CALLBACK}", browser.origin),
        return_to: return_path(query.first("to").unwrap_or_default()),
        terms: provider.client().terms,
        replaces: session_id(request.headers()).and_then(sessions::digest),
    };
    let state = sessions.secret();
    // Sign-ins in several tabs share the browser's secret.
    let kept = browser::secret(request.headers()).filter(|secret| sessions::is_secret(secret)).map(str::to_owned);
    let browser_secret = kept.unwrap_or_else(|| sessions.secret());
    let to = authorization_url(provider.client(), &endpoints, &pending, &state).map_err(SignInError::at_provider)?;
    sessions.begin_sign_in(&state, &browser_secret, &pending).await?;
    let answer = HttpResponse::SeeOther()
        .insert_header((header::LOCATION, String::from(to)))
        .insert_header(browser::cookie(&browser_secret))
        .finish();
    Ok(answer)
}

/// Whether a person comes here, as far as the browser says. An image, a frame or a script of another site
/// must not begin sign-ins, which are few.
fn is_navigation(headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| headers.get(name).is_none_or(|value| value == wanted);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn c153_only_a_page_that_a_person_opens_begins_a_sign_in() {
        for (mode, dest, is_one) in [
            (None, None, true),
            (Some("navigate"), None, true),
            (Some("navigate"), Some("document"), true),
            (Some("navigate"), Some("iframe"), false),
            (Some("navigate"), Some("object"), false),
            (Some("no-cors"), Some("image"), false),
            (Some("no-cors"), None, false),
            (Some("cors"), Some("empty"), false),
            (Some(""), None, false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-mode", mode), ("sec-fetch-dest", dest)] {
                if let Some(value) = value {
                    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_navigation(&headers), is_one, "{mode:?} {dest:?}");
        }
    }
}
