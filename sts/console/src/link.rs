//! `/console/link`: opens a session by a link of `sts console link`.
//!
//! GET changes nothing, so a program that looks at links before a person does cannot use one up.

use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use crate::form::Form;
use crate::guard::{cookie, session_id};
use crate::page::html;
use crate::{BrowserRequest, Console, PageError, events};

#[derive(Deserialize)]
pub(crate) struct LinkQuery {
    #[serde(default)]
    code: String,
}

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage<'a> {
    code: &'a str,
}

/// The page with the button.
pub(crate) async fn show(query: Query<LinkQuery>) -> Result<HttpResponse, PageError> {
    html(StatusCode::OK, &LinkPage { code: &query.code })
}

/// The button.
pub(crate) async fn open(
    console: Data<Console>,
    browser: BrowserRequest,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let form = Form::read(&request)?;
    let Some((id, session)) = console.sessions().open_by_link(form.field("code")).await? else {
        events::refused(&browser, None, "a link was used that has ended");
        return Err(PageError::LinkEnded);
    };
    // A session that the browser had before is not taken over, and does not stay behind.
    if let Some(before) = session_id(request.headers()) {
        console.sessions().end(before).await?;
    }
    events::signed_in(&browser, &session);
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, "/console/")).insert_header(cookie(&id)).finish())
}
