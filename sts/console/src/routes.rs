//! The paths of the console.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use sts_types::Digest256;

use crate::guard::{guard, no_cookie, session_id};
use crate::page::html;
use crate::sign_in::{EndpointCache, Endpoints, Throttle};
use crate::{
    AdminApi, BrowserRequest, OpenIdProvider, PageError, ProviderError, ProviderSource, Sessions, SignedIn, assets,
    events, link, pages, sign_in,
};

/// What the pages work with.
#[derive(Clone)]
pub struct Console {
    api: Arc<dyn AdminApi>,
    sessions: Arc<Sessions>,
    providers: Option<Arc<dyn ProviderSource>>,
    sign_ins: Arc<SignIns>,
}

/// What sign-ins share.
#[derive(Default)]
struct SignIns {
    endpoints: EndpointCache,
    throttle: Throttle,
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
        Self { api, sessions, providers: None, sign_ins: Arc::default() }
    }

    /// With sign-in at the provider that `providers` has in force.
    #[must_use]
    pub fn with_providers(self, providers: Arc<dyn ProviderSource>) -> Self {
        Self { providers: Some(providers), ..self }
    }

    /// The admin API.
    #[must_use]
    pub fn api(&self) -> &dyn AdminApi {
        &*self.api
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The provider in force.
    pub(crate) fn provider(&self) -> Option<Arc<dyn OpenIdProvider>> {
        self.providers.as_ref()?.provider()
    }

    /// The terms of the provider in force.
    pub(crate) fn terms(&self) -> Option<Digest256> {
        self.provider().map(|provider| provider.client().terms)
    }

    /// The endpoints of `provider`.
    pub(crate) async fn endpoints(&self, provider: &dyn OpenIdProvider) -> Result<Arc<Endpoints>, ProviderError> {
        self.sign_ins.endpoints.endpoints(provider, self.sessions.clock()).await
    }

    /// Whether one more sign-in may begin now at that address.
    pub(crate) fn may_start_sign_in(&self, address: Option<IpAddr>) -> bool {
        self.sign_ins.throttle.admits(address, self.sessions.clock().monotonic())
    }
}

/// Registers every path below `/console`. The listener's scope around them puts a [`BrowserRequest`]
/// into the extensions of each request.
pub fn routes(console: Console) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let pages = web::scope("")
            .app_data(Data::new(console))
            .service(web::resource("/link").route(web::get().to(link::show)).route(web::post().to(link::open)))
            .service(web::resource("/assets/{name}").route(web::get().to(asset)))
            .service(web::resource("/sign-in").route(web::get().to(sign_in::start)))
            .service(web::resource("/callback").route(web::get().to(sign_in::callback)))
            .service(web::resource("/sign-out").route(web::post().to(sign_out)))
            .configure(pages::routes)
            .default_service(web::to(not_found))
            .wrap(from_fn(guard));
        config.service(pages);
    }
}

/// `GET /console/assets/NAME`: for everybody, since the pages for people who are not signed in load them too.
async fn asset(request: HttpRequest) -> Result<HttpResponse, PageError> {
    let asset = assets::find(request.path()).ok_or(PageError::NotFound)?;
    let for_ever = "public, max-age=31536000, immutable";
    let mut response = HttpResponse::Ok();
    response.content_type(asset.content_type).insert_header((header::CACHE_CONTROL, for_ever));
    Ok(response.body(asset.content.into_owned()))
}

async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    /// Whether people sign in at a provider.
    has_provider: bool,
}

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
    events::signed_out(&browser, signed_in.session(), "signed out");
    let page = SignedOutPage { has_provider: console.provider().is_some() };
    let mut response = html(StatusCode::OK, &page)?;
    let (name, value) = no_cookie();
    response.headers_mut().insert(name, header::HeaderValue::try_from(value).map_err(|_| PageError::Fault)?);
    Ok(response)
}
