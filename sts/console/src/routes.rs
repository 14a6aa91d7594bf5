//! The paths of the console.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::guard::{guard, no_cookie, session_id};
use crate::page::html;
use crate::{AdminApi, BrowserRequest, PageError, Rights, Sessions, SignedIn, link};

/// What the pages work with.
#[derive(Clone)]
pub struct Console {
    api: Arc<dyn AdminApi>,
    sessions: Arc<Sessions>,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

impl Console {
    /// A console that changes things through `api`.
    #[must_use]
    pub fn new(api: Arc<dyn AdminApi>, sessions: Arc<Sessions>) -> Self {
        Self { api, sessions }
    }

    /// The admin API.
    #[must_use]
    pub fn api(&self) -> &dyn AdminApi {
        &*self.api
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}

/// Registers every path below `/console`. The listener's scope around them puts a [`BrowserRequest`]
/// into the extensions of each request.
pub fn routes(console: Console) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let pages = web::scope("")
            .app_data(Data::new(console))
            .service(web::resource("").route(web::get().to(overview)))
            .service(web::resource("/link").route(web::get().to(link::show)).route(web::post().to(link::open)))
            .service(web::resource("/sign-out").route(web::post().to(sign_out)))
            .default_service(web::to(not_found))
            .wrap(from_fn(guard));
        config.service(pages);
    }
}

async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    user: &'a str,
    may_change: bool,
    csrf: &'a str,
    is_ready: bool,
}

/// `GET /console/`.
async fn overview(console: Data<Console>, signed_in: SignedIn) -> Result<HttpResponse, PageError> {
    let (readiness, _) = console.api().get::<sts_api::Readiness>(&signed_in.actor(), "/health").await?;
    let session = signed_in.session();
    let page = Overview {
        user: &session.user,
        may_change: session.rights == Rights::Admin,
        csrf: &session.csrf,
        is_ready: readiness.ready,
    };
    html(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage;

/// `POST /console/sign-out`.
async fn sign_out(
    console: Data<Console>,
    signed_in: SignedIn,
    browser: BrowserRequest,
    request: HttpRequest,
) -> Result<HttpResponse, PageError> {
    if let Some(id) = session_id(request.headers()) {
        console.sessions().end(id).await?;
    }
    let (request_id, user) = (browser.request_id, &signed_in.session().user);
    tracing::info!(%request_id, event = "console_signed_out", user, "signed out of the console");
    let mut response = html(StatusCode::OK, &SignedOutPage)?;
    let (name, value) = no_cookie();
    response.headers_mut().insert(name, header::HeaderValue::try_from(value).map_err(|_| PageError::Fault)?);
    Ok(response)
}
