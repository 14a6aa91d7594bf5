//! The middleware around every page: it finds the session, refuses what another site sent, and gives
//! each answer its headers.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest};

use crate::pages::{Frame, Section};
use crate::sign_in::{HOME, sign_in_path};
use crate::signed_in::FoundSession;
use crate::{BrowserRequest, Console, PageError, Session, SignedInBy, events};

/// The cookie that holds the session's id. A browser takes this prefix only with `Secure`, `Path=/`
/// and no `Domain`, so no other host can set it.
const COOKIE: &str = "__Host-sts-console";

/// The headers of every answer.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: with it, browsers send `Origin: null` with our own forms.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Around every page.
pub(crate) async fn guard(
    console: Data<Console>,
    browser: BrowserRequest,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let admitted = admit(&console, &browser, &request).await;
    let answered = match admitted {
        Ok(()) => next.call(request).await?,
        Err(error) => request.error_response(error),
    };
    let (request, response) = answered.into_parts();
    let refused = response.error().and_then(|error| error.as_error::<PageError>());
    let mut response = match refused {
        Some(error) => {
            let sign_in = console.provider().map(|_| sign_in_path(asked_for(&request)));
            error.page(&browser, frame(&request), sign_in)
        }
        None => response,
    };
    add_headers(response.headers_mut());
    Ok(ServiceResponse::new(request, response))
}

/// The frame around an error of a session.
fn frame(request: &HttpRequest) -> Option<Frame> {
    let FoundSession(session) = request.extensions().get::<FoundSession>().cloned()?;
    Some(Frame::new(&session, Section::of_path(request.path()), &[], None))
}

/// Refuses a form of another site, and finds the session.
async fn admit(console: &Console, browser: &BrowserRequest, request: &ServiceRequest) -> Result<(), PageError> {
    if request.method() != Method::GET && !is_of_own_site(request.headers(), &browser.origin) {
        return Err(PageError::ForeignForm);
    }
    if let Some(id) = session_id(request.headers())
        && let Some(session) = console.sessions().session(id).await?
    {
        match end_of_terms(console, &session).await? {
            Some(why) => {
                console.sessions().end(id).await?;
                events::signed_out(browser, &session, why);
            }
            None => {
                request.extensions_mut().insert(FoundSession(Rc::new(session)));
            }
        }
    }
    Ok(())
}

/// Why the session must end now: what it rests on is no longer in force.
async fn end_of_terms(console: &Console, session: &Session) -> Result<Option<&'static str>, PageError> {
    let (holds, why) = match session.by {
        SignedInBy::Provider => (console.terms() == Some(session.terms), "the `console` block changed"),
        SignedInBy::Link => {
            let holds = console.sessions().is_admin_token_in_force(session.terms).await?;
            (holds, "the admin token that made the link changed")
        }
    };
    Ok((!holds).then_some(why))
}

/// The page that the person wanted to see.
fn asked_for(request: &HttpRequest) -> &str {
    let target = request.uri().path_and_query().map_or(HOME, |target| target.as_str());
    if request.method() == Method::GET { target } else { HOME }
}

/// Whether one of our own pages sent the request, as far as the browser says.
fn is_of_own_site(headers: &HeaderMap, own: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("origin"), text("sec-fetch-site")) {
        (Some(origin), _) => origin.eq_ignore_ascii_case(own),
        (None, Some(site)) => site == "same-origin",
        // No browser: a command line has no session that a stranger could use.
        (None, None) => true,
    }
}

/// The id in the session cookie.
pub(crate) fn session_id(headers: &HeaderMap) -> Option<&str> {
    cookie_value(headers, COOKIE)
}

/// The value of the first cookie of that name.
pub(crate) fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The `Set-Cookie` of a session that begins.
pub(crate) fn cookie(id: &str) -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict"))
}

/// The `Set-Cookie` of a session that ends.
pub(crate) fn no_cookie() -> (HeaderName, String) {
    (header::SET_COOKIE, format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"))
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // A file under the name of its digest says itself how long it may be kept.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_is_taken_from_our_own_pages_alone() {
        let own = "http://127.0.0.1:9090";
        for (sent, is_taken) in [
            (&[][..], true),
            (&[("origin", own)], true),
            (&[("origin", own), ("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://127.0.0.1:9091")], false),
            (&[("origin", "https://127.0.0.1:9090")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            assert_eq!(is_of_own_site(&headers(sent), own), is_taken, "{sent:?}");
        }
    }

    #[test]
    fn the_session_is_that_of_our_cookie_whatever_stands_beside_it() {
        for (sent, id) in [
            ("__Host-sts-console=a1", Some("a1")),
            ("other=1; __Host-sts-console=a1; x=2", Some("a1")),
            ("__Host-sts-console-2=a1", None),
            ("sts-console=a1", None),
            ("", None),
        ] {
            assert_eq!(session_id(&headers(&[("cookie", sent)])), id, "{sent}");
        }
    }
}
