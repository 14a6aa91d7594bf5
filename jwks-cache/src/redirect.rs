//! The one redirect that a fetch follows: it must keep the scheme, host and port that the
//! configuration or the issuer named.
//!
//! With any other redirect, the answering server could choose where keys come from.

use reqwest::Response;
use reqwest::header::LOCATION;
use url::Url;

use crate::bounded::bounded;
use crate::{DocumentKind, FetchErrorKind};

/// Limit of a redirect's URL, in bytes.
const MAX_BYTES: usize = 2048;

/// The URL that a redirect from `url` points to.
///
/// # Errors
/// [`FetchErrorKind::Redirect`] if it must not be followed.
pub(crate) fn target(url: &Url, response: &Response, document: DocumentKind) -> Result<Url, FetchErrorKind> {
    let refused = |to: Option<String>, why| {
        let status = response.status().as_u16();
        FetchErrorKind::Redirect { status, to, why, help: help(document) }
    };
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let next = location.filter(|text| text.len() <= MAX_BYTES).and_then(|text| url.join(text).ok());
    let Some(mut next) = next else { return Err(refused(None, "without a usable `Location`")) };
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Err(refused(Some(origin(&next)), "of a kind that is not followed"));
    }
    let has_credentials = !next.username().is_empty() || next.password().is_some();
    if next.origin() != url.origin() || has_credentials {
        let why = "to another scheme, host or port, which is not followed";
        return Err(refused(Some(origin(&next)), why));
    }
    next.set_fragment(None);
    Ok(next)
}

/// The error for a second redirect.
pub(crate) fn second(response: &Response, document: DocumentKind) -> FetchErrorKind {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    // A relative URL stays within the origin, which the error's location names already.
    let to = location.and_then(|text| Url::parse(text).ok()).map(|url| origin(&url));
    FetchErrorKind::Redirect {
        status: response.status().as_u16(),
        to,
        why: "after another one; only one is followed",
        help: help(document),
    }
}

/// The origin only: path and query may hold a secret.
fn origin(url: &Url) -> String {
    match url.has_host() {
        true => bounded(&url.origin().ascii_serialization()),
        false => bounded(&format!("{}:", url.scheme())),
    }
}

fn help(document: DocumentKind) -> &'static str {
    match document {
        DocumentKind::Discovery => {
            "if tokens name that address in `iss`, write it as `issuer`; else give the URL of the key set as `jwks_url`"
        }
        _ => "give the final URL of the key set as `jwks_url`",
    }
}
