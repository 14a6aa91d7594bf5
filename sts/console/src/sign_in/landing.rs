//! The page after a sign-in. It leads on, because a strict cookie does not come along a redirect from
//! another site.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use askama::Template;

use crate::PageError;
use crate::page::html;

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedInPage<'a> {
    to: &'a str,
}

pub(super) fn landing(to: &str, cookies: [(HeaderName, String); 2]) -> Result<HttpResponse, PageError> {
    let mut response = html(StatusCode::OK, &SignedInPage { to })?;
    for (name, value) in cookies {
        let value = HeaderValue::try_from(value).map_err(|_| PageError::Fault)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
